//! The gateways: real `tidegate` processes, from their command line to their end.
//!
//! There are two: one with the filter in front of `apples`, and one without any in front of
//! `pears`, to compare with. Each is in a process group of its own, so that Ctrl-C reaches this
//! program alone, which then asks them to drain.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::backends::Backends;
use crate::client;
use crate::output::{Output, Shown};
use crate::places::Places;
use crate::tour::Door;

/// The port people expect; the second gateway takes the one behind it.
const PORT: u16 = 8080;

/// How many ports are tried.
const PORTS_TRIED: u16 = 100;

/// Lets the system choose both ports.
pub(crate) const ANY_PORT: [u16; 2] = [0, 0];

/// How long a gateway may take until it answers: an unoptimised one compiles the filter slowly.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long one may take to drain; itself it gives streams 30 s.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// How long its last lines may take after its end.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Both gateways.
#[derive(Debug)]
pub(crate) struct Gateways {
    /// In front of `apples`, with the filter.
    filtered: Gateway,
    /// In front of `pears`, without.
    plain: Gateway,
}

/// How a gateway ended.
#[derive(Debug)]
pub(crate) struct End {
    /// Which one.
    pub(crate) gateway: String,
    /// How.
    pub(crate) status: ExitStatus,
}

/// One running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// Its command line, as one could type it.
    pub(crate) command: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What it writes about each request.
    pub(crate) access_log: Arc<Output>,
    log: Arc<Output>,
    readers: JoinSet<()>,
    child: Child,
}

impl Gateways {
    /// Starts both and waits until they answer.
    pub(crate) async fn start(
        places: &Places,
        backends: &Backends,
        [filtered, plain]: [u16; 2],
    ) -> Result<Self> {
        let filtered = [
            format!("--listen=127.0.0.1:{filtered}"),
            format!("--to=http://{}", backends.apples),
            format!("--backend=auth=http://{}", backends.auth),
            format!("--plugin={}", places.filter.display()),
            "--access-log=text".into(),
        ];
        let plain = [
            format!("--listen=127.0.0.1:{plain}"),
            format!("--to=http://{}", backends.pears),
            "--access-log=json".into(),
        ];
        let (filtered, plain) = tokio::try_join!(
            Gateway::start(places, &filtered),
            Gateway::start(places, &plain)
        )?;
        Ok(Self { filtered, plain })
    }

    /// The gateway behind a door.
    pub(crate) const fn at(&self, door: Door) -> &Gateway {
        match door {
            Door::Filtered => &self.filtered,
            Door::Plain => &self.plain,
        }
    }

    /// Shows from now on what the gateways print.
    pub(crate) fn show_output(&self) {
        for gateway in [&self.filtered, &self.plain] {
            gateway.access_log.show();
            gateway.log.show();
        }
    }

    /// Prints what they have printed so far.
    pub(crate) fn print_kept_output(&self) {
        for gateway in [&self.filtered, &self.plain] {
            for line in gateway.log.kept().iter().chain(&gateway.access_log.kept()) {
                eprintln!("{}: {line}", gateway.address);
            }
        }
    }

    /// Waits until one ends by itself.
    pub(crate) async fn first_end(&mut self) -> End {
        tokio::select! {
            end = self.filtered.end() => end,
            end = self.plain.end() => end,
        }
    }

    /// Asks both to drain, and waits until they have.
    pub(crate) async fn stop(&mut self) -> Result<[End; 2]> {
        let (filtered, plain) = tokio::join!(self.filtered.stop(), self.plain.stop());
        Ok([filtered?, plain?])
    }
}

impl Gateway {
    async fn start(places: &Places, arguments: &[String]) -> Result<Self> {
        let mut command = Command::new(&places.gateway);
        command
            .arg("proxy")
            .args(arguments)
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
        let command = format!("tidegate proxy {}", arguments.join(" "));
        let address = tokio::select! {
            address = log.wait_for(START_LIMIT, listening_on) => address.context("it does not listen"),
            status = child.wait() => Err(anyhow!("it ended, {}", status?)),
        };
        let address = match address {
            Ok(address) => address,
            Err(problem) => {
                last_lines(&mut readers).await;
                return Err(problem
                    .context(said(&log))
                    .context(format!("start `{command}`")));
            }
        };
        let gateway = Self {
            command,
            address,
            access_log,
            log,
            readers,
            child,
        };
        client::wait_until_answered(gateway.address, START_LIMIT).await?;
        Ok(gateway)
    }

    async fn end(&mut self) -> End {
        let status = self.child.wait().await.unwrap_or_default();
        last_lines(&mut self.readers).await;
        End {
            gateway: format!("the gateway at {}", self.address),
            status,
        }
    }

    async fn stop(&mut self) -> Result<End> {
        let id = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(id) = id {
            // It fails only if the gateway ended meanwhile, which is seen next.
            kill_process(id, Signal::TERM).ok();
        }
        match tokio::time::timeout(STOP_LIMIT, self.end()).await {
            Ok(end) => Ok(end),
            Err(_) => bail!(
                "the gateway at {} does not drain, it is killed",
                self.address
            ),
        }
    }
}

/// Two free ports, the usual ones if they are.
pub(crate) fn free_ports() -> Result<[u16; 2]> {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let mut free = (PORT..PORT + PORTS_TRIED).filter(is_free);
    let (Some(first), Some(second)) = (free.next(), free.next()) else {
        bail!(
            "no two of the ports from {PORT} to {} are free",
            PORT + PORTS_TRIED - 1
        );
    };
    if first != PORT {
        println!("Port {PORT} is in use by another program; this demo takes {first}.");
    }
    Ok([first, second])
}

/// The address in a log line that ends in `listening on ADDRESS`.
fn listening_on(line: &str) -> Option<SocketAddr> {
    let (_, behind) = line.rsplit_once("listening on ")?;
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
        let line = "2026-11-22T10:00:00Z  INFO proxy: listening on 127.0.0.1:8080";
        assert_eq!(listening_on(line), "127.0.0.1:8080".parse().ok());
        assert_eq!(listening_on("not listening on anything"), None);
    }
}
