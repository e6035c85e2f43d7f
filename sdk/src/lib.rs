//! Level 2: the SDK for filters.
