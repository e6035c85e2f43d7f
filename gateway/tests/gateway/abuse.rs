//! Many bad peers at once, against a gateway process: what it holds for them is bounded by a figure, and
//! others are served meanwhile.
//!
//! One bad client alone is the subject of `clients`, one bad origin that of `origins`.

#[path = "abuse/bodies.rs"]
mod bodies;
#[path = "abuse/frames.rs"]
mod frames;
#[path = "abuse/heads.rs"]
mod heads;
#[path = "abuse/http2.rs"]
mod http2;
#[path = "abuse/http2_origins.rs"]
mod http2_origins;
#[path = "abuse/origins.rs"]
mod origins;
#[path = "abuse/victim.rs"]
mod victim;
