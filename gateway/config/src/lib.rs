//! What operators write, parsed: the only crate that knows the configuration format. Level 2:
//! imports `tidegate-core` at most.
//!
//! Today that is the notation of durations and sizes, which command line flags share with the
//! resources to come. Both follow the Kubernetes APIs, so that one notation is learnt once.

pub mod duration;
pub mod size;
