//! Who takes part: which proxies, with how many filters, and how each is started.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use tidegate_benches::places;
use tidegate_benches::process::{self, Core, Running, free_address};

use crate::configs;

/// The filter that all filtered contestants run; it is configured with the name of its headers.
const FILTER: &str = "set-headers";

/// The proxies that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Proxy {
    /// Copies bytes, parses nothing: what proxying costs at least.
    Floor,
    /// HAProxy.
    Haproxy,
    /// nginx.
    Nginx,
    /// Envoy.
    Envoy,
    /// Ours.
    Tidegate,
}

impl Proxy {
    pub(crate) const ALL: [Self; 5] = [
        Self::Floor,
        Self::Haproxy,
        Self::Nginx,
        Self::Envoy,
        Self::Tidegate,
    ];

    const fn runs_filters(self) -> bool {
        matches!(self, Self::Envoy | Self::Tidegate)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The names of the command line.
        f.write_str(match self {
            Self::Floor => "floor",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Envoy => "envoy",
            Self::Tidegate => "tidegate",
        })
    }
}

/// A proxy with a number of filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contestant {
    pub(crate) proxy: Proxy,
    pub(crate) filters: u32,
}

impl Contestant {
    /// Everybody who takes part, the simplest first.
    pub(crate) fn all(only: &[Proxy], filters: &[u32]) -> Vec<Self> {
        let chosen = Proxy::ALL.into_iter().filter(|proxy| only.contains(proxy));
        chosen
            .flat_map(|proxy| {
                let filters = if proxy.runs_filters() { filters } else { &[0] };
                filters.iter().map(move |filters| Self {
                    proxy,
                    filters: *filters,
                })
            })
            .collect()
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.proxy, self.filters)
    }
}

/// A contestant that runs.
#[derive(Debug)]
pub(crate) struct Participant {
    pub(crate) contestant: Contestant,
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
}

/// The programs of all contestants.
#[derive(Debug)]
pub(crate) struct Programs {
    found: Vec<(Proxy, PathBuf)>,
    wrk: PathBuf,
    filter: Option<PathBuf>,
}

/// Finds all programs, or says everything that is missing.
pub(crate) fn find_programs(contestants: &[Contestant]) -> Result<Programs> {
    let mut found: Vec<(Proxy, PathBuf)> = Vec::new();
    let mut missing = Vec::new();
    for Contestant { proxy, .. } in contestants {
        if found.iter().any(|(it, _)| it == proxy) {
            continue;
        }
        match program(*proxy) {
            Ok(path) => found.push((*proxy, path)),
            Err(err) => missing.push(format!("{err:#}")),
        }
    }
    let wrk = places::installed("wrk")
        .map_err(|err| missing.push(format!("{err:#}")))
        .ok();
    let needs_filter = contestants.iter().any(|it| it.filters > 0);
    let filter = needs_filter.then(|| places::filter(FILTER)).transpose();
    let filter = filter
        .map_err(|err| missing.push(format!("{err:#}")))
        .ok()
        .flatten();
    missing.dedup();
    match wrk {
        Some(wrk) if missing.is_empty() => Ok(Programs { found, wrk, filter }),
        _ => bail!("{}; `--only` leaves proxies out", missing.join("; ")),
    }
}

fn program(proxy: Proxy) -> Result<PathBuf> {
    match proxy {
        Proxy::Floor => places::own("floor"),
        Proxy::Haproxy => places::installed("haproxy"),
        Proxy::Nginx => places::installed("nginx"),
        Proxy::Envoy => places::envoy(),
        Proxy::Tidegate => places::tidegate(),
    }
}

impl Programs {
    /// The versions of all programs that are measured, and of the load generator.
    pub(crate) fn versions(&self) -> Vec<String> {
        let versions = self.found.iter().filter_map(|(proxy, path)| {
            let flag = match proxy {
                Proxy::Floor => return None,
                Proxy::Haproxy | Proxy::Nginx => "-v",
                Proxy::Envoy | Proxy::Tidegate => "--version",
            };
            Some(format!(
                "{proxy}: {} ({})",
                process::version(path, flag),
                path.display()
            ))
        });
        let wrk = format!("wrk: {}", process::version(&self.wrk, "-v"));
        versions.chain([wrk]).collect()
    }

    /// Starts a contestant and waits until it answers, with what its filters add.
    pub(crate) fn start(
        &self,
        contestant: Contestant,
        origin: SocketAddr,
        core: Core,
        folder: &Path,
        path: &str,
    ) -> Result<Participant> {
        let address = free_address()?;
        let mut command = self.command(contestant, address, origin, folder)?;
        let name = contestant.to_string();
        let mut running = Running::start(&name, &mut command, Some(core), folder)?;
        let head = running.wait_until_answers(address, path)?;
        for name in header_names(contestant.filters) {
            if !head.contains(&format!("{name}: response")) {
                bail!("its answer lacks the header {name}, so its filters do not run:\n{head}");
            }
        }
        Ok(Participant {
            contestant,
            running,
            address,
        })
    }

    fn command(
        &self,
        contestant: Contestant,
        address: SocketAddr,
        origin: SocketAddr,
        folder: &Path,
    ) -> Result<Command> {
        let program = self
            .found
            .iter()
            .find(|(proxy, _)| *proxy == contestant.proxy);
        let (_, program) = program.context("this proxy was not looked for")?;
        let config = folder.join(format!("{}-{}.conf", contestant.proxy, contestant.filters));
        let headers: Vec<String> = header_names(contestant.filters).collect();
        let mut command = Command::new(program);
        match contestant.proxy {
            Proxy::Floor => {
                command.args([address.to_string(), origin.to_string()]);
            }
            Proxy::Haproxy => {
                fs::write(&config, configs::haproxy(address, origin))?;
                command.arg("-db").arg("-f").arg(&config);
            }
            Proxy::Nginx => {
                fs::write(&config, configs::nginx(address, origin, folder))?;
                command
                    .args(["-e", "stderr", "-p"])
                    .arg(folder)
                    .arg("-c")
                    .arg(&config);
            }
            Proxy::Envoy => {
                let config = config.with_extension("yaml");
                let filter = self
                    .filter
                    .as_deref()
                    .map(|path| (path, headers.as_slice()));
                fs::write(&config, configs::envoy(address, origin, filter))?;
                command.args([
                    "--concurrency",
                    "1",
                    "--disable-hot-restart",
                    "-l",
                    "error",
                    "-c",
                ]);
                command.arg(&config);
            }
            Proxy::Tidegate => {
                command.args(["proxy", "--workers", "1", "--access-log", "off"]);
                command.args(["--listen", &address.to_string()]);
                command.args(["--to", &format!("http://{origin}")]);
                for (header, filter) in headers.iter().zip(self.filter.iter().cycle()) {
                    command
                        .arg("--plugin")
                        .arg(filter)
                        .args(["--plugin-config", header]);
                }
            }
        }
        Ok(command)
    }
}

/// Each filter sets headers of its own name.
fn header_names(filters: u32) -> impl Iterator<Item = String> {
    (1..=filters).map(|number| format!("x-bench-{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_proxies_run_filters() {
        let all = Contestant::all(&[Proxy::Tidegate, Proxy::Floor, Proxy::Nginx], &[0, 3]);
        let names: Vec<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["floor/0", "nginx/0", "tidegate/0", "tidegate/3"]);
    }
}
