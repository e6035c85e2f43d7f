//! What the policy filters share, so that they all count, log, name and try decisions the same way.
//!
//! - [`Decisions`] counts what a filter decides, says why, and applies `dryRun`.
//! - [`Cidr`] is a block of addresses in a configuration, [`HeaderName`] the name of a header.

mod cidr;
mod decisions;
mod header_name;

pub use cidr::Cidr;
pub use decisions::Decisions;
pub use decisions::Refusal;
pub use header_name::HeaderName;
pub use header_name::is_token;
