//! The gateway: a real `tidegate` process, from its command line to its end.
//!
//! It is in a process group of its own, so that Ctrl-C reaches this program alone, which then asks
//! it to drain.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::client::{self, Target};
use crate::config::Config;
use crate::identity::Identity;
use crate::output::{Output, Shown};
use crate::places::Places;
use crate::ports::Chosen;
use crate::registry::Registry;
use crate::tour::Door;

/// How long a gateway may take until it answers: an unoptimised one compiles the filter slowly.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long it may take to drain; itself it gives streams 30 s.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// How long its last lines may take after its end.
const LAST_LINES: Duration = Duration::from_secs(1);

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// Its command line, as one could type it.
    pub(crate) command: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Where it listens for TLS.
    secure: SocketAddr,
    /// What it shows there.
    identity: Identity,
    /// Where its admin API is.
    admin: SocketAddr,
    /// What it writes about each request.
    pub(crate) access_log: Arc<Output>,
    /// What it writes about itself.
    pub(crate) log: Arc<Output>,
    readers: JoinSet<()>,
    child: Child,
}

impl Gateway {
    /// Starts it and waits until it answers.
    pub(crate) async fn start(
        places: &Places,
        config: &Config,
        registry: &Registry,
        ports: Chosen,
    ) -> Result<Self> {
        let mut arguments = vec![
            "run".to_owned(),
            "-c".to_owned(),
            config.folder.display().to_string(),
            format!("--admin=127.0.0.1:{}", ports.admin),
            "--access-log=text".into(),
            // A demo begins anew each time.
            "--state-dir=off".into(),
            format!("--plugin-cache={}", config.plugins.display()),
        ];
        arguments.extend(registry.flags());
        let mut command = Command::new(&places.gateway);
        command
            .args(&arguments)
            .env_remove("TIDEGATE_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn();
        let mut child = child.with_context(|| format!("start {}", places.gateway.display()))?;

        let (access_log, log) = (Output::new(Shown::Out), Output::new(Shown::Err));
        let mut readers = JoinSet::new();
        if let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) {
            readers.spawn(Arc::clone(&access_log).read(stdout));
            readers.spawn(Arc::clone(&log).read(stderr));
        }
        let command = format!("tidegate {}", arguments.join(" "));
        let addresses = tokio::select! {
            addresses = addresses(&log, ports.secure) => addresses,
            status = child.wait() => Err(anyhow!("it ended, {}", status?)),
        };
        let (address, secure, admin) = match addresses {
            Ok(addresses) => addresses,
            Err(problem) => {
                last_lines(&mut readers).await;
                return Err(problem
                    .context(said(&log))
                    .context(format!("start `{command}`")));
            }
        };
        client::wait_until_answered(address, START_LIMIT).await?;
        client::wait_until_ready(admin, START_LIMIT).await?;
        Ok(Self {
            command,
            address,
            secure,
            identity: config.identity.clone(),
            admin,
            access_log,
            log,
            readers,
            child,
        })
    }

    /// Where a door is.
    pub(crate) const fn at(&self, door: Door) -> Target<'_> {
        match door {
            Door::Traffic => Target::plain(self.address),
            Door::Secure => Target {
                address: self.secure,
                identity: Some(&self.identity),
            },
            Door::Admin => Target::plain(self.admin),
        }
    }

    /// Shows from now on what it prints.
    pub(crate) fn show_output(&self) {
        self.access_log.show();
        self.log.show();
    }

    /// Prints what it has said about itself so far, not what it and the filter say about requests.
    pub(crate) fn print_kept_log(&self) {
        let lines = self.log.kept();
        for line in lines.iter().filter(|line| !line.contains(" plugin=")) {
            eprintln!("{line}");
        }
    }

    /// Waits until it ends by itself.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        let status = self.child.wait().await.unwrap_or_default();
        last_lines(&mut self.readers).await;
        status
    }

    /// Asks it to drain, and waits until it has.
    pub(crate) async fn stop(&mut self) -> Result<ExitStatus> {
        let id = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(id) = id {
            // It fails only if the gateway ended meanwhile, which is seen next.
            kill_process(id, Signal::TERM).ok();
        }
        match tokio::time::timeout(STOP_LIMIT, self.end()).await {
            Ok(status) => Ok(status),
            Err(_) => bail!("the gateway does not drain, it is killed"),
        }
    }
}

/// Where it listens, without TLS and with it, and where its admin API is, as its log says.
async fn addresses(log: &Output, secure: u16) -> Result<(SocketAddr, SocketAddr, SocketAddr)> {
    let listens = |line: &str, with_tls: bool| {
        let address = address_after(line, "listening on ")?;
        // Ports of 0 are told apart by the name in front.
        let is_secure = address.port() == secure || line.contains("/tls: listening on ");
        (is_secure == with_tls).then_some(address)
    };
    let address = log.wait_for(START_LIMIT, |line| listens(line, false));
    let secure = log.wait_for(START_LIMIT, |line| listens(line, true));
    let admin = log.wait_for(START_LIMIT, |line| address_after(line, "admin API on "));
    let (address, secure, admin) = tokio::join!(address, secure, admin);
    Ok((
        address.context("it does not listen")?,
        secure.context("it does not listen for TLS")?,
        admin.context("its admin API does not listen")?,
    ))
}

/// The address at the end of a log line, after these words.
fn address_after(line: &str, words: &str) -> Option<SocketAddr> {
    let (_, behind) = line.rsplit_once(words)?;
    behind.trim().parse().ok()
}

async fn last_lines(readers: &mut JoinSet<()>) {
    let all = async { while readers.join_next().await.is_some() {} };
    // A grandchild could hold the pipe open; then these lines are all we get.
    tokio::time::timeout(LAST_LINES, all).await.ok();
}

fn said(log: &Output) -> String {
    match log.kept() {
        lines if lines.is_empty() => "it printed nothing".into(),
        lines => format!("it printed:\n{}\n", lines.join("\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_at_the_end_of_the_line() {
        let line = "2026-11-22T10:00:00Z  INFO proxy: edge: listening on 127.0.0.1:8080";
        let found = address_after(line, "listening on ");
        assert_eq!(found, "127.0.0.1:8080".parse().ok());
        assert_eq!(address_after(line, "admin API on "), None);
        let line = "not listening on anything";
        assert_eq!(address_after(line, "listening on "), None);
    }
}
