//! What operators write, parsed: the only crate that knows the configuration format. Level 2:
//! imports `tidegate-core` at most.
//!
//! Files become resources, resources become a [`draft::Draft`] with every problem that was found. On
//! the way, [`source`] reads files, [`document`] splits them, [`parse`] makes a [`tree`] of each
//! document, [`schema`] checks it and fills the structs of its kind ([`kinds`]), and [`load`] compiles
//! the draft of what is good, old or new.
//! The notation of durations and sizes follows the Kubernetes APIs; command line flags share it.

mod compile;
pub mod de;
pub mod document;
pub mod draft;
pub mod duration;
pub mod export;
pub mod kinds;
pub mod load;
pub mod metadata;
pub mod parse;
pub mod place;
pub mod plugin_schema;
pub mod problem;
mod remote;
pub mod render;
pub mod resource;
mod rules;
pub mod schema;
pub mod signature_policy;
pub mod size;
pub mod source;
pub mod suggest;
pub mod tree;
mod value_from;
pub mod written;
