//! What the policy filters share, so that they all count, log, name and try decisions the same way.
//!
//! - [`Decisions`] counts what a filter decides, says why, and applies `dryRun`.
//! - [`Cidr`] is a block of addresses in a configuration, [`CidrSet`] are many; [`HeaderName`] is the
//!   name of a header, [`Spellings`] are what backends take for the same one.
//! - [`query_values`] and [`cookie_values`] read credentials, [`remove_parameter`] and [`remove_cookie`] take
//!   them out.
//! - [`claim_text`] and [`claim_texts`] read what jwt-auth has verified.
//! - [`Conditions`] are what a policy asks of requests, by [`Pattern`]s of values.
//! - [`Values`] tells one value of a header from several.
//! - [`ip_address`] reads addresses as hosts and header fields write them, [`client_network`] says which
//!   addresses are one client.

mod address;
mod carried;
mod cidr;
mod cidr_set;
mod claim;
mod conditions;
mod decisions;
mod header_name;
mod spellings;
mod values;

pub use address::client_network;
pub use address::ip_address;
pub use carried::cookie_values;
pub use carried::query_values;
pub use carried::remove_cookie;
pub use carried::remove_parameter;
pub use cidr::Cidr;
pub use cidr_set::CidrSet;
pub use claim::claim_text;
pub use claim::claim_texts;
pub use conditions::Conditions;
pub use conditions::Pattern;
pub use conditions::Patterns;
pub use decisions::Decisions;
pub use decisions::Refusal;
pub use header_name::HeaderName;
pub use header_name::is_token;
pub use spellings::Spellings;
pub use spellings::begins_like;
pub use spellings::is_spelling;
pub use values::Values;
