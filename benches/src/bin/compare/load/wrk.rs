//! The load generator: wrk, and what it says it did.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tidegate_benches::places;
use tidegate_benches::process::output;

use crate::load::{Load, PATIENCE};
use crate::policy;

/// Puts load on a proxy and returns how many requests it answered.
pub(super) fn run(load: &Load<'_>, to: SocketAddr, seconds: u32) -> Result<u64> {
    let mut command = Command::new(places::installed("wrk")?);
    command.args(["-t1", "-c", &load.connections.to_string()]);
    command.args(["-d", &format!("{seconds}s"), "--timeout", "10s"]);
    if load.scenario.has_policy() {
        for (name, value) in policy::headers(load.identity) {
            command.args(["-H", &format!("{name}: {value}")]);
        }
    }
    command.arg(format!("http://{to}{}", load.scenario.path(load.bytes)));
    let limit = Duration::from_secs(seconds.into()) + PATIENCE;
    answered(&output(&mut command, load.core, limit)?)
}

/// The number of answered requests in the output of wrk; any error is one of the measurement.
fn answered(text: &str) -> Result<u64> {
    for complaint in ["Socket errors:", "Non-2xx or 3xx responses:"] {
        if let Some(line) = text
            .lines()
            .find(|line| line.trim_start().starts_with(complaint))
        {
            bail!("wrk saw errors: {}", line.trim());
        }
    }
    let mut words = text
        .lines()
        .filter_map(|line| line.trim().split_once(" requests in "));
    let (count, _) = words
        .next()
        .with_context(|| format!("wrk printed no count:\n{text}"))?;
    count
        .parse()
        .with_context(|| format!("wrk printed no number: {count}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted() {
        let text = "Running 3s test @ http://127.0.0.1:1/\n  1 threads and 64 connections\n  \
                    150123 requests in 3.00s, 20.1MB read\nRequests/sec:  50000.00\n";
        assert_eq!(answered(text).unwrap(), 150_123);
    }

    #[test]
    fn errors_are_no_measurement() {
        let text = "  10 requests in 1.00s, 1KB read\n  Non-2xx or 3xx responses: 4\n";
        let err = answered(text).unwrap_err();
        assert_eq!(
            err.to_string(),
            "wrk saw errors: Non-2xx or 3xx responses: 4"
        );
        assert!(answered("").is_err());
    }
}
