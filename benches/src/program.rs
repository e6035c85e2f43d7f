//! What all programs that measure have in common: how they begin and end, and how they say what they
//! found.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;

use crate::wait;

/// Reads the arguments, measures, and prints the error if there is one; the exit code says so. A signal
/// ends what is waited for.
pub fn run<Cli: Parser>(measure: impl FnOnce(&Cli) -> Result<()>) -> ExitCode {
    let cli = Cli::parse();
    match wait::end_on_signals().and_then(|()| measure(&cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a finding with its verdict, which is returned.
pub fn verdict(passes: bool, finding: &str) -> bool {
    println!("{}: {finding}", if passes { "PASS" } else { "MISS" });
    passes
}

/// The one in the middle; of an even number the upper of the two.
///
/// # Errors
/// If there are none.
pub fn median<T: Copy + PartialOrd>(mut values: Vec<T>) -> Result<T> {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let middle = values.get(values.len() / 2).copied();
    middle.context("nothing was measured")
}

/// The 99th percentile.
///
/// # Errors
/// If there are none.
pub fn p99(mut times: Vec<Duration>) -> Result<Duration> {
    times.sort();
    let at = times.len() * 99 / 100;
    times.get(at).copied().context("nothing was measured")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_hundred_is_above_the_99th_percentile_and_half_above_the_median() {
        let times: Vec<Duration> = (0..100).rev().map(Duration::from_millis).collect();
        assert_eq!(p99(times.clone()).unwrap(), Duration::from_millis(99));
        assert_eq!(median(times).unwrap(), Duration::from_millis(50));
        assert!(p99(Vec::new()).is_err());
        assert!(median::<u64>(Vec::new()).is_err());
    }
}
