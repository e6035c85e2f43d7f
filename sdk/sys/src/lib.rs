//! Level 1: the Proxy-Wasm ABI 0.2.1 from the filter's side.
//!
//! Owns the only unsafe code of the SDK: imports (`wasm`), the allocator (`heap`) and what the host
//! allocates in us (`memory`), and the exports (`export_guest!`). Every host call returns its status as a value;
//! no status of any host panics. Natively there are no imports: calls go to the [`Host`] that
//! the thread has [installed](fake::install), and callbacks are methods of [`Guest`].

pub mod guest;
#[cfg(any(test, all(feature = "heap", target_family = "wasm")))]
mod heap;
pub mod host;
pub mod kinds;
pub mod pairs;
pub mod service;
pub mod status;
pub mod text;
pub mod waker;

#[cfg(not(target_family = "wasm"))]
pub mod fake;
#[cfg(target_family = "wasm")]
pub mod memory;
#[cfg(target_family = "wasm")]
mod wasm;

pub use guest::Guest;
pub use host::{Host, Pairs};
pub use kinds::{Action, BufferType, Clock, LogLevel, MapType, MetricType, StreamType};
pub use status::{Result, Status};

#[cfg(not(target_family = "wasm"))]
pub use fake::host;
#[cfg(target_family = "wasm")]
pub use wasm::host;
