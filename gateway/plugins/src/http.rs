//! A small HTTP client for fetching code: what registries and web servers are asked with.
//!
//! Owns what every request of this crate keeps to: addresses are checked when they are connected to
//! ([`Networks`]), plain HTTP is spoken only where it is allowed, credentials never reach another
//! host, every wait has a limit, bodies are streams. It knows nothing of registries.
//!
//! HTTP/1.1 by hyper; no HTTP/2, of which single downloads have nothing.

mod body;
mod client;
mod connect;
mod error;
mod idle;
mod networks;
mod proxies;
mod redirect;
mod trust;
mod tunnel;

pub use body::ResponseBody;
pub use client::Client;
pub use client::Limits;
pub use error::HttpError;
pub use networks::Networks;
pub use networks::Refused;
pub use proxies::Proxies;
pub use proxies::ProxyError;
pub use trust::Trust;
pub use trust::TrustError;

pub(crate) use body::Upload;
pub(crate) use client::Access;
pub(crate) use client::Request;
pub(crate) use client::Response;
pub(crate) use redirect::Origin;
pub(crate) use redirect::is_loopback;
pub(crate) use redirect::named;
pub(crate) use redirect::sent;
