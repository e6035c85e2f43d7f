//! h2load, for HTTP/2 and for HTTP/1.1 over TLS, and what it says it did.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tidegate_benches::places;
use tidegate_benches::process::output;

use crate::load::{Load, PATIENCE};
use crate::scenario::Scenario;

/// Puts load on a proxy and returns how many requests it answered.
pub(super) fn run(load: &Load<'_>, to: SocketAddr, seconds: u32) -> Result<u64> {
    let mut command = Command::new(places::installed("h2load")?);
    command.args(["-D", &seconds.to_string(), "-t", "1"]);
    let folder = tempfile::tempdir().context("make a folder for a message")?;
    match load.scenario {
        Scenario::Tls => {
            command.args(["--h1", "-c", &load.connections.to_string()]);
            command.args(["--groups", "X25519"]);
            command.args(["--tls13-ciphers", "TLS_AES_128_GCM_SHA256"]);
            command.arg(format!("https://{to}/{}", load.bytes));
        }
        Scenario::Grpc => {
            let message = folder.path().join("message");
            fs::write(&message, grpc_message(load.bytes)?).context("write a message")?;
            command.args(["-c", "4", "-m", "100", "-d"]).arg(message);
            command.args(["-H", "content-type: application/grpc", "-H", "te: trailers"]);
            command.arg(format!("http://{to}/bench.Bench/Unary"));
        }
        _ => {
            command.args(["-c", "4", "-m", "100"]);
            command.arg(format!("http://{to}/{}", load.bytes));
        }
    }
    let limit = Duration::from_secs(seconds.into()) + PATIENCE;
    answered(&output(&mut command, load.core, limit)?)
}

/// A gRPC message of so many zeros, with its prefix.
fn grpc_message(bytes: u32) -> Result<Vec<u8>> {
    let size = usize::try_from(bytes)?;
    let mut message = vec![0; 1];
    message.extend(bytes.to_be_bytes());
    message.resize(5 + size, 0);
    Ok(message)
}

/// The number of answered requests in the output of h2load; any failed one is an error.
fn answered(text: &str) -> Result<u64> {
    let number = |what: &str| -> Result<u64> {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("requests: "));
        let mut parts = line.unwrap_or_default().split(", ");
        let found = parts.find_map(|part| part.strip_suffix(what));
        let found = found.with_context(|| format!("h2load printed no number {what}:\n{text}"))?;
        Ok(found.trim().parse()?)
    };
    let codes = text.lines().find(|line| line.starts_with("status codes: "));
    let codes = codes.unwrap_or_default();
    let only_good =
        codes.contains(" 0 3xx") && codes.contains(" 0 4xx") && codes.contains(" 0 5xx");
    if number(" failed")? > 0 || number(" errored")? > 0 || !only_good {
        bail!("h2load saw errors:\n{text}");
    }
    let done = number(" succeeded")?;
    if done == 0 {
        bail!("h2load had no answer:\n{text}");
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(failed: u32, codes: &str) -> String {
        format!(
            "finished in 1.00s, 100 req/s\nrequests: 100 total, 100 started, 100 done, 100 succeeded, \
             {failed} failed, 0 errored, 0 timeout\nstatus codes: {codes}\n"
        )
    }

    #[test]
    fn requests_are_counted_and_errors_are_no_measurement() {
        let good = "100 2xx, 0 3xx, 0 4xx, 0 5xx";
        assert_eq!(answered(&output(0, good)).unwrap(), 100);
        assert!(answered(&output(1, good)).is_err());
        assert!(answered(&output(0, "0 2xx, 0 3xx, 0 4xx, 100 5xx")).is_err());
        assert!(answered("").is_err());
    }

    #[test]
    fn a_message_has_its_length_in_front() {
        assert_eq!(grpc_message(2).unwrap(), [0, 0, 0, 0, 2, 0, 0]);
    }
}
