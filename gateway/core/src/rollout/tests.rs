//! Tests of rollouts: the split, the criteria, the course, shadows, and how often all of it errs.

mod evidence;
mod judge;
mod machine;
mod shadow;
mod simulation;
mod split;
