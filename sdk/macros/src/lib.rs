//! The macros of `tidegate-sdk`; use them through it.
