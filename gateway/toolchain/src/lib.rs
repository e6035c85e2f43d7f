//! Finds a compiler for filters, runs it, and measures what it makes.
//!
//! `cargo xtask plugins` and `tidegate plugin build` are built on it, so that both take the same
//! compiler for the same reasons. It prints nothing and installs nothing by itself: whoever calls
//! says what may be installed, and tells the user.

pub mod compiler;
pub mod process;
pub mod sizes;
