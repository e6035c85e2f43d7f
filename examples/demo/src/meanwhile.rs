//! Requests without a pause while the configuration changes: none of them may fail.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::{self, Target};

/// Between two requests, so that the gateway is not the only one with work to do.
const GAP: Duration = Duration::from_millis(2);

/// What is asked for in turn: every rule of the configuration, before and after each edit.
const PATHS: [&str; 4] = ["/", "/pears", "/fruit", "/pulled"];

/// How many failures are told.
const TOLD: usize = 5;

/// Requests in the background.
#[derive(Debug)]
pub(crate) struct Meanwhile {
    stop: watch::Sender<bool>,
    task: JoinSet<Outcome>,
}

#[derive(Debug, Default)]
struct Outcome {
    sent: usize,
    failures: Vec<String>,
}

impl Meanwhile {
    /// Begins.
    pub(crate) fn start(gateway: SocketAddr) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut task = JoinSet::new();
        task.spawn(ask(gateway, stopped));
        Self { stop, task }
    }

    /// Ends. Returns how many requests were answered well, if all were.
    pub(crate) async fn end(mut self) -> Result<usize> {
        self.stop.send_replace(true);
        let outcome = self.task.join_next().await.context("nothing was asked")?;
        let Outcome { sent, failures } = outcome.context("the requests ended early")?;
        if failures.is_empty() {
            return Ok(sent);
        }
        let told: Vec<_> = failures.iter().take(TOLD).cloned().collect();
        bail!(
            "{} of {sent} requests failed: {}",
            failures.len(),
            told.join("; ")
        );
    }
}

async fn ask(gateway: SocketAddr, stopped: watch::Receiver<bool>) -> Outcome {
    let mut outcome = Outcome::default();
    for path in PATHS.iter().cycle() {
        if *stopped.borrow() {
            break;
        }
        outcome.sent += 1;
        if let Err(err) = one(gateway, path).await {
            outcome.failures.push(format!("{path}: {err:#}"));
        }
        tokio::time::sleep(GAP).await;
    }
    outcome
}

/// One request, well answered: by a backend, and on `/` never past the filter.
async fn one(gateway: SocketAddr, path: &str) -> Result<()> {
    let request = Request::get(path)
        .header("host", gateway.to_string())
        .body(Full::<Bytes>::default())?;
    let answer = client::send(Target::plain(gateway), request).await?;
    if answer.status != 200 {
        bail!("status {}", answer.status);
    }
    if path == "/" && !answer.headers.contains_key("x-hello-filter") {
        bail!("the filter did not see it");
    }
    Ok(())
}
