//! Every kind of resource as operators write it, without logic: the types are the reference.
//!
//! The doc comments become the reference pages and the descriptions in editors; the `schemars`
//! attributes are what files are checked against. `x-tidegate-unsupported` marks fields that exist
//! elsewhere and are refused here with that reason. What fields mean together is
//! [`crate::rules`]'s, what they come to is [`crate::compile`]'s.

pub mod backend;
pub mod gateway;
pub mod http_filter;
pub mod http_route;
pub mod plugin;
pub mod policy;
pub mod reference_grant;
pub mod service;
pub mod text;
pub mod values;
