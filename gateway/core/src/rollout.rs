//! Decisions about a filter's new version: when it has proved itself and when it goes back.
//!
//! Owns decisions alone. Who counts, who waits and who swaps is elsewhere.

pub mod history;
pub mod probation;
