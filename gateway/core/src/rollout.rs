//! How a new version of a filter takes over: by shares of streams, watched, and back if it is worse.
//!
//! [`split`] says which version a stream gets, [`counts`] what is known about each, [`judge`]
//! whether the new one is worse, [`course`] how its share grows, and [`machine`] what follows.
//! [`shadow`] compares what a filter that only looks on would have done with what happened.
//! [`probation`] says when a version that has taken over goes back, and [`history`] which there were.
//! [`outbox`] keeps what receivers are to be told of all that until they are. Who counts and when is
//! asked is the caller's.

pub mod counts;
pub mod course;
mod evidence;
pub mod history;
pub mod judge;
pub mod machine;
pub mod outbox;
pub mod probation;
pub mod shadow;
pub mod split;

#[cfg(test)]
mod tests;
