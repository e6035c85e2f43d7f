//! The figures that the host of filters has to reach, each with what it may cost.
//!
//! A figure is the least that any of many short rounds took: whatever else the machine does only
//! adds to it. As a test it runs each of them once and judges nothing.

#[path = "figures/guests.rs"]
mod guests;
#[path = "figures/modules.rs"]
mod modules;
#[path = "figures/policies.rs"]
mod policies;
#[path = "figures/report.rs"]
mod report;
#[path = "figures/rollouts.rs"]
mod rollouts;

use report::Report;

fn main() {
    // `cargo test` does not say so, `cargo bench` does.
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let mut report = Report::new(is_measured);
    guests::calls(&mut report);
    guests::memory(&mut report);
    modules::load(&mut report);
    policies::passes(&mut report);
    rollouts::requests(&mut report);
    rollouts::shadows(&mut report);
    report.print();
}
