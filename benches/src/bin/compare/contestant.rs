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

use crate::configs::{self, Identity, Setting};
use crate::policy;
use crate::scenario::Scenario;

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
    pub(crate) fn all(scenario: Scenario, only: &[Proxy], filters: &[u32]) -> Vec<Self> {
        let chosen = scenario.proxies().iter().copied();
        chosen
            .filter(|proxy| only.contains(proxy))
            .flat_map(|proxy| {
                let filters = if proxy.runs_filters() {
                    scenario.filters(filters)
                } else {
                    &[0]
                };
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
    tools: Vec<(&'static str, PathBuf)>,
    filters: Vec<(&'static str, PathBuf)>,
}

/// What a proxy is started with, beside itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stage<'a> {
    pub(crate) scenario: Scenario,
    pub(crate) origin: SocketAddr,
    pub(crate) core: Core,
    pub(crate) folder: &'a Path,
    pub(crate) identity: &'a Identity,
    /// What a probe asks for, where one can be made.
    pub(crate) path: &'a str,
}

/// Finds all programs, or says everything that is missing.
pub(crate) fn find_programs(contestants: &[(Scenario, Contestant)]) -> Result<Programs> {
    let mut found: Vec<(Proxy, PathBuf)> = Vec::new();
    let mut missing = Vec::new();
    for (_, Contestant { proxy, .. }) in contestants {
        if found.iter().any(|(it, _)| it == proxy) {
            continue;
        }
        match program(*proxy) {
            Ok(path) => found.push((*proxy, path)),
            Err(err) => missing.push(format!("{err:#}")),
        }
    }
    let mut tools = Vec::new();
    for tool in ["wrk", "h2load"] {
        match places::installed(tool) {
            Ok(path) => tools.push((tool, path)),
            Err(err) => missing.push(format!("{err:#}")),
        }
    }
    let mut filters: Vec<(&'static str, PathBuf)> = Vec::new();
    let filtered = contestants.iter().filter(|(_, it)| it.filters > 0);
    for name in filtered.flat_map(|(scenario, _)| scenario.modules()) {
        if filters.iter().any(|(it, _)| it == name) {
            continue;
        }
        match places::filter(name) {
            Ok(path) => filters.push((name, path)),
            Err(err) => missing.push(format!("{err:#}")),
        }
    }
    missing.dedup();
    if missing.is_empty() {
        Ok(Programs {
            found,
            tools,
            filters,
        })
    } else {
        bail!("{}; `--only` leaves proxies out", missing.join("; "))
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
        let tools = self.tools.iter().map(|(name, path)| {
            let flag = match *name {
                "wrk" => "-v",
                _ => "--version",
            };
            format!("{name}: {}", process::version(path, flag))
        });
        versions.chain(tools).collect()
    }

    /// Starts a contestant and waits until it answers, with what its filters add; where a probe
    /// would need TLS or more, until it listens.
    pub(crate) fn start(&self, contestant: Contestant, stage: &Stage<'_>) -> Result<Participant> {
        let address = free_address()?;
        let mut command = self.command(contestant, address, stage)?;
        let name = format!("{}-{contestant}", stage.scenario);
        let mut running = Running::start(&name, &mut command, Some(stage.core), stage.folder)?;
        match stage.scenario {
            Scenario::Http | Scenario::Large => {
                let head = running.wait_until_answers(address, stage.path)?;
                for name in header_names(contestant.filters) {
                    if !head.contains(&format!("{name}: response")) {
                        bail!(
                            "its answer lacks the header {name}, so its filters do not run:\n{head}"
                        );
                    }
                }
            }
            other if other.has_policy() && contestant.filters > 0 => {
                running.wait_until_listens(address)?;
                policy::refuses(other, address)?;
            }
            _ => running.wait_until_listens(address)?,
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
        stage: &Stage<'_>,
    ) -> Result<Command> {
        let program = self
            .found
            .iter()
            .find(|(proxy, _)| *proxy == contestant.proxy);
        let (_, program) = program.context("this proxy was not looked for")?;
        let name = format!(
            "{}-{}-{}.conf",
            stage.scenario, contestant.proxy, contestant.filters
        );
        let config = stage.folder.join(name);
        let setting = Setting {
            scenario: stage.scenario,
            address,
            origin: stage.origin,
            folder: stage.folder,
            identity: stage.identity,
        };
        let headers: Vec<String> = header_names(contestant.filters).collect();
        let mut command = Command::new(program);
        match contestant.proxy {
            Proxy::Floor => {
                command.args([address.to_string(), stage.origin.to_string()]);
            }
            Proxy::Haproxy => {
                fs::write(&config, configs::haproxy::file(&setting))?;
                command.arg("-db").arg("-f").arg(&config);
            }
            Proxy::Nginx => {
                fs::write(&config, configs::nginx::file(&setting))?;
                command
                    .args(["-e", "stderr", "-p"])
                    .arg(stage.folder)
                    .arg("-c")
                    .arg(&config);
            }
            Proxy::Envoy => {
                let config = config.with_extension("yaml");
                let filters = if contestant.filters > 0 {
                    self.envoy_filters(&setting, &headers)
                } else {
                    String::new()
                };
                fs::write(&config, configs::envoy::file(&setting, &filters))?;
                command.args(["--concurrency", "1", "--disable-hot-restart"]);
                command.args(["-l", "error", "-c"]).arg(&config);
            }
            Proxy::Tidegate => {
                self.tidegate(&mut command, &setting, &headers, contestant.filters > 0)?;
            }
        }
        Ok(command)
    }

    /// The modules of a scenario's filters, in their order.
    fn modules(&self, scenario: Scenario) -> Vec<&Path> {
        let of = |name: &&str| self.filters.iter().find(|(it, _)| it == name);
        let found = scenario.modules().iter().filter_map(of);
        found.map(|(_, path)| path.as_path()).collect()
    }

    fn envoy_filters(&self, setting: &Setting<'_>, headers: &[String]) -> String {
        if setting.scenario.has_policy() {
            return policy::envoy(setting);
        }
        let modules = self.modules(setting.scenario);
        let filters = headers.iter().zip(modules.iter().cycle());
        filters
            .map(|(header, module)| configs::envoy::wasm_filter(module, header))
            .collect()
    }

    /// By the command line alone where that is enough, else by resources.
    fn tidegate(
        &self,
        command: &mut Command,
        setting: &Setting<'_>,
        headers: &[String],
        is_filtered: bool,
    ) -> Result<()> {
        let modules = if is_filtered {
            self.modules(setting.scenario)
        } else {
            Vec::new()
        };
        if !matches!(setting.scenario, Scenario::Http | Scenario::Large) {
            let config = setting.folder.join(format!(
                "{}-tidegate-{}.yaml",
                setting.scenario, is_filtered
            ));
            fs::write(&config, configs::tidegate::file(setting, &modules))?;
            command.args(["run", "--workers", "1", "--access-log", "off"]);
            command.args(["--admin", "127.0.0.1:0", "--state-dir", "off", "-c"]);
            command.arg(config);
            return Ok(());
        }
        command.args(["proxy", "--workers", "1", "--access-log", "off"]);
        command.args(["--listen", &setting.address.to_string()]);
        command.args(["--to", &format!("http://{}", setting.origin)]);
        for (header, filter) in headers.iter().zip(modules.iter().cycle()) {
            command
                .arg("--plugin")
                .arg(filter)
                .args(["--plugin-config", header]);
        }
        Ok(())
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
        let only = [Proxy::Tidegate, Proxy::Floor, Proxy::Nginx];
        let all = Contestant::all(Scenario::Http, &only, &[0, 3]);
        let names: Vec<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["floor/0", "nginx/0", "tidegate/0", "tidegate/3"]);
        let all = Contestant::all(Scenario::Grpc, &only, &[0, 3]);
        assert_eq!(all.len(), 1, "neither other proxies nor filters: {all:?}");
    }
}
