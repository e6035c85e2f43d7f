//! The measurement: rounds in which everybody has a turn.
//!
//! Each round begins with somebody else, so that nobody always comes after the same neighbour.

use std::io::Write as _;
use std::time::Instant;

use anyhow::{Context, Result};
use tidegate_benches::proc_files::{self, Memory};

use crate::contestant::{Contestant, Participant};
use crate::load::Load;
use crate::scenario::Scenario;

/// What one turn showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// CPU time for one unit of work in microseconds.
    pub(crate) micros: f64,
    /// Units in a second.
    pub(crate) rate: f64,
    /// The share of its core that the proxy used.
    pub(crate) busy: f64,
}

/// Everything measured of one contestant in one scenario with one size of response.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) contestant: Contestant,
    pub(crate) scenario: Scenario,
    pub(crate) bytes: u32,
    /// One for each round.
    pub(crate) samples: Vec<Sample>,
    /// Resident memory in the end, in bytes.
    pub(crate) memory: u64,
}

/// Measures all participants.
pub(crate) fn run(
    participants: &mut [Participant],
    load: &Load<'_>,
    rounds: u32,
    seconds: u32,
) -> Result<Vec<Series>> {
    let mut all: Vec<Series> = participants
        .iter()
        .map(|it| Series {
            contestant: it.contestant,
            scenario: load.scenario,
            bytes: load.bytes,
            samples: vec![],
            memory: 0,
        })
        .collect();
    for participant in &*participants {
        // Connections to the origin, branch predictors, the guest's memory: nobody starts cold.
        turn(participant, load, 1)?;
    }
    for round in 0..rounds {
        print!(
            "compare: {}, {} bytes, round {} of {rounds}:",
            load.scenario,
            load.bytes,
            round + 1
        );
        let mut order: Vec<_> = participants.iter().zip(&mut all).collect();
        let first = round as usize % order.len().max(1);
        order.rotate_left(first);
        for (participant, series) in order {
            let sample = turn(participant, load, seconds)?;
            print!(" {} {:.1}", participant.contestant, sample.micros);
            std::io::stdout().flush().ok();
            series.samples.push(sample);
            series.memory = proc_files::memory(participant.running.id(), Memory::Resident)?;
        }
        println!();
    }
    Ok(all)
}

fn turn(participant: &Participant, load: &Load<'_>, seconds: u32) -> Result<Sample> {
    let id = participant.running.id();
    let name = participant.contestant;
    let measured = || {
        let (started, before) = (Instant::now(), proc_files::cpu_time(id)?);
        let done = load.run(participant.address, seconds)?;
        let (time, used) = (
            started.elapsed(),
            proc_files::cpu_time(id)?.saturating_sub(before),
        );
        Ok(Sample {
            micros: used.as_secs_f64() * 1e6 / done.max(1.0),
            rate: done / f64::from(seconds),
            busy: used.as_secs_f64() / time.as_secs_f64(),
        })
    };
    let sample: Result<Sample> = measured();
    sample.with_context(|| {
        format!(
            "measure {name}; it printed:\n{}",
            participant.running.printed()
        )
    })
}
