//! What the policy filters share, so that they all count, log, name and try decisions the same way.
//!
//! - [`Decisions`] counts what a filter decides, says why, and applies `dryRun`.
//! - [`Cidr`] is a block of addresses in a configuration.

mod cidr;
mod decisions;

pub use cidr::Cidr;
pub use decisions::Decisions;
pub use decisions::Refusal;
