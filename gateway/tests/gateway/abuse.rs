//! Many bad peers at once, against a gateway process: what it holds for them is bounded by a figure, and
//! others are served meanwhile.
//!
//! One bad client alone is the subject of `clients`, one bad origin that of `origins`.

#[path = "abuse/bodies.rs"]
mod bodies;
#[path = "abuse/heads.rs"]
mod heads;
#[path = "abuse/origins.rs"]
mod origins;
#[path = "abuse/victim.rs"]
mod victim;
