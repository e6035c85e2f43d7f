//! What operators write, parsed: the only crate that knows the configuration format. Level 2:
//! imports `tidegate-core` at most.
//!
//! Files become resources, resources become a [`draft::Draft`] with every problem that was found.
//! The notation of durations and sizes follows the Kubernetes APIs; command line flags share it.

pub mod draft;
pub mod duration;
pub mod kinds;
pub mod place;
pub mod problem;
pub mod resource;
pub mod size;
