//! Tests of filters: requests in, answers out, and everything around a filter in a test's hands.
//!
//! ```
//! use tidegate_sdk::prelude::*;
//! use tidegate_sdk_testing::{Harness, get};
//!
//! #[filter]
//! async fn keyed(req: Request, next: Next, _cx: &Cx) -> Result<Response> {
//!     req.header("x-key").or_deny(Deny::unauthorized("Key"))?;
//!     next.run(req).await
//! }
//!
//! let mut h = Harness::new(keyed).start();
//! assert_eq!(h.send(get("/")).status(), 401);
//! assert_eq!(h.send(get("/").header("x-key", "k")).status(), 200);
//! assert_eq!(h.app().requests().len(), 1);
//! ```
//!
//! One suite runs in three modes, which the environment chooses ([`mode()`]): `native`, in this
//! process, with virtual time; `wasm`, the module in Tidegate; `envoy`, the module in Envoy.

mod answer;
mod app;
mod backends;
mod builder;
mod driver;
mod exchange;
mod fields;
mod grpc;
mod harness;
mod live;
mod mode;
mod native;
mod observed;
mod redis;
mod reply;
mod request;
mod split;
mod wire;

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use answer::Answer;
pub use app::App;
pub use builder::Builder;
pub use exchange::Exchange;
pub use fields::Fields;
pub use harness::Harness;
pub use mode::{Mode, mode, not_in};
pub use observed::LogLine;
pub use redis::{RedisCommand, RedisLogin, RedisReply};
pub use reply::{Received, Reply};
pub use request::{Request, delete, get, head, post, put, request};
pub use serde_json::json;
pub use tidegate_sdk::redis::Value as RedisValue;
pub use tidegate_sdk_sys::LogLevel;
pub use wire::Wire;

/// So many milliseconds.
#[must_use]
pub const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Fails the test, at the place of whoever called.
#[track_caller]
#[expect(clippy::panic, reason = "how a test fails")]
pub(crate) fn fail(why: &str) -> ! {
    panic!("{why}")
}

/// JSON that a test asks for.
#[track_caller]
pub(crate) fn json_of<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> T {
    match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(error) => fail(&format!(
            "{what} is not the JSON that is asked for: {error}; it is {:?}",
            fields::text(bytes)
        )),
    }
}

/// Serialised JSON, for messages.
#[track_caller]
pub(crate) fn json_bytes(value: &impl Serialize) -> Vec<u8> {
    match serde_json::to_vec(value) {
        Ok(bytes) => bytes,
        Err(error) => fail(&format!("this cannot be written as JSON: {error}")),
    }
}

/// The guide: its snippets are compiled as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/filters.md")]
pub struct Guide;

/// The snippets of the README, which a test compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
