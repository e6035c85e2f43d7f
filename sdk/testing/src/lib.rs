//! Level 2: tests of filters. A test builds a harness, sends requests, and looks at what came of them.
