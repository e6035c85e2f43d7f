//! Level 2: write a filter as one asynchronous function.
//!
//! ```
//! use tidegate_sdk::prelude::*;
//!
//! #[filter]
//! async fn check(mut req: Request, next: Next, cx: &Cx) -> Result<Response> {
//!     let key = req.header("x-key").or_deny(Deny::unauthorized("Key"))?;
//!     req.headers_mut().set("x-consumer", &key)?;
//!     let mut res = next.run(req).await?;
//!     res.headers_mut().remove("x-powered-by");
//!     Ok(res)
//! }
//! ```
//!
//! The same module runs on Tidegate, Envoy, Istio and every other host of Proxy-Wasm 0.2.1. It
//! knows nothing of the gateway. docs/filters.md is the guide.

mod address;
pub mod attempts;
pub mod backend;
pub mod body;
pub mod cache;
pub mod config;
pub mod connection;
pub mod cx;
pub mod error;
pub mod export;
pub mod filter;
pub mod futures;
pub mod grpc;
pub mod headers;
pub mod limit;
pub mod log;
pub mod manifest;
pub mod metrics;
pub mod next;
pub mod parts;
pub mod redis;
pub mod request;
pub mod response;
mod runtime;
pub mod select;
mod setup;
pub mod shared;
pub mod sse;
pub mod time;
pub mod verify;

/// What nearly every filter uses.
pub mod prelude {
    pub use crate::backend::Reply;
    pub use crate::config::{Backend, FilterConfig, Percent, Secret, Size};
    pub use crate::connection::Connection;
    pub use crate::cx::Cx;
    pub use crate::error::{Deny, Error, OrDeny, Result};
    pub use crate::futures::{Either, join, join_all, race};
    pub use crate::next::Next;
    pub use crate::request::Request;
    pub use crate::response::Response;
    pub use std::time::Duration;
    pub use tidegate_sdk_macros::{filter, network_filter};
}

pub use filter::{Definition, Filter, NetworkFilter};
pub use runtime::http::Module;
pub use runtime::network::NetworkModule;
pub use tidegate_sdk_macros::{filter, network_filter};

/// For the macros of this crate.
#[doc(hidden)]
pub mod __private {
    pub use serde;
    pub use serde_json;
    pub use tidegate_sdk_sys as sys;
}
