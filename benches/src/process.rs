//! Programs that run beside this one: pinned to a core, waited for, and always ended.
//!
//! Invariant: whatever was started ends by its own id when its [`Running`] is dropped, also when a
//! measurement fails halfway.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::{places, wait};

/// How long a program may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How long a program may take to end when asked; then it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// How long an answer to a probe may take.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// A core that a program is pinned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Core(usize);

/// Two cores that this process may use: one for what is measured, one for its surroundings.
///
/// # Errors
/// If there are no two.
pub fn two_cores() -> Result<[Core; 2]> {
    let allowed = sched_getaffinity(None).context("ask for the allowed cores")?;
    let mut cores = (0..CpuSet::MAX_CPU)
        .filter(|core| allowed.is_set(*core))
        .map(Core);
    match (cores.next(), cores.next()) {
        (Some(first), Some(second)) => Ok([first, second]),
        _ => bail!("this needs two cores: one for the proxies, one for the load"),
    }
}

/// A program that was started here.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts a program; what it prints goes to `NAME.log` in `folder`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(
        name: &str,
        command: &mut Command,
        core: Option<Core>,
        folder: &Path,
    ) -> Result<Self> {
        let log = folder.join(format!("{}.log", name.replace('/', "-")));
        let file = File::create(&log).with_context(|| format!("write {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let child = match core {
            Some(core) => pinned(core, || command.spawn())?,
            None => command.spawn(),
        };
        let child = child.with_context(|| format!("start {name}"))?;
        Ok(Self {
            name: name.into(),
            child,
            log,
        })
    }

    /// Starts the origin, and returns where it answers `/N` with N bytes.
    ///
    /// # Errors
    /// If it was not built, cannot be started or does not answer.
    pub fn origin(core: Option<Core>, folder: &Path) -> Result<(Self, SocketAddr)> {
        let address = free_address()?;
        let mut command = Command::new(places::own("origin")?);
        command.arg(address.to_string());
        let mut origin = Self::start("origin", &mut command, core, folder)?;
        origin.wait_until_answers(address, "/100")?;
        Ok((origin, address))
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it answers GET with 200, and returns the head of that answer.
    ///
    /// # Errors
    /// If it ends or takes too long; what it printed is part of the error.
    pub fn wait_until_answers(&mut self, address: SocketAddr, path: &str) -> Result<String> {
        let what = format!("{} answers at {address}", self.name);
        let answered = wait::until(&what, START_LIMIT, || {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at once, {status}", self.name);
            }
            Ok(probe(address, path).ok())
        });
        answered.with_context(|| format!("{} printed:\n{}", self.name, self.printed()))
    }

    /// Waits until it takes connections.
    ///
    /// # Errors
    /// If it ends or takes too long; what it printed is part of the error.
    pub fn wait_until_listens(&mut self, address: SocketAddr) -> Result<()> {
        let what = format!("{} listens at {address}", self.name);
        let listens = wait::until(&what, START_LIMIT, || {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at once, {status}", self.name);
            }
            Ok(TcpStream::connect_timeout(&address, PROBE_LIMIT).ok())
        });
        let listens = listens.map(drop);
        listens.with_context(|| format!("{} printed:\n{}", self.name, self.printed()))
    }

    /// What it printed so far.
    #[must_use]
    pub fn printed(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(id) = Pid::from_raw(self.child.id().cast_signed()) {
            // It fails only if the program has ended, which is what is wanted.
            kill_process(id, Signal::TERM).ok();
        }
        let end = Instant::now() + STOP_LIMIT;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() >= end {
                self.child.kill().ok();
                self.child.wait().ok();
                return;
            }
            thread::park_timeout(Duration::from_millis(5));
        }
    }
}

/// The command of a gateway that serves what is at `config`, and logs warnings only.
///
/// # Errors
/// If it was not built.
pub fn serving(config: &Path, workers: usize) -> Result<Command> {
    let mut command = Command::new(places::tidegate()?);
    command.args(["run", "--access-log", "off", "--log", "warn"]);
    command.args(["--workers", &workers.to_string(), "-c"]);
    command.arg(config);
    Ok(command)
}

/// Runs a program to its end and returns what it prints.
///
/// # Errors
/// If it fails, or if this program is asked to stop.
pub fn output(command: &mut Command, core: Core, limit: Duration) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let child = pinned(core, || command.spawn())?.with_context(|| format!("start {name}"))?;
    let mut running = Running {
        name,
        child,
        log: PathBuf::new(),
    };
    let status = wait::until(&format!("the end of {}", running.name), limit, || {
        Ok(running.child.try_wait()?)
    })?;
    if !status.success() {
        bail!("{} failed, {status}", running.name);
    }
    let mut text = String::new();
    if let Some(mut stdout) = running.child.stdout.take() {
        stdout.read_to_string(&mut text)?;
    }
    Ok(text)
}

/// What a program prints when asked for its version: the first line.
#[must_use]
pub fn version(program: &Path, flag: &str) -> String {
    let unknown = || "unknown version".into();
    let Ok(output) = Command::new(program).arg(flag).output() else {
        return unknown();
    };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    text.lines()
        .find(|line| !line.trim().is_empty())
        .map_or_else(unknown, |line| line.trim().into())
}

/// An address that nobody listens at now.
///
/// # Errors
/// If there is none.
pub fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr()?)
}

/// The head of the answer to one GET.
///
/// # Errors
/// If there is no answer or its status is not 200.
pub fn probe(address: SocketAddr, path: &str) -> Result<String> {
    let head = head_of(address, path)?;
    if !head.starts_with("http/1.1 200") {
        bail!("answered {:?}", head.lines().next().unwrap_or_default());
    }
    Ok(head)
}

/// The head of the answer to a GET, in lower case, whatever its status.
///
/// # Errors
/// If there is none.
pub fn head_of(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PROBE_LIMIT)?;
    stream.set_read_timeout(Some(PROBE_LIMIT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            bail!("no head");
        }
        answer.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            return Ok(head.to_ascii_lowercase());
        }
    }
}

/// Starts something on a core, be it programs or threads. Affinity is inherited, so this thread goes
/// there for a moment.
///
/// # Errors
/// If this process may not use that core.
pub fn pinned<T>(core: Core, start: impl FnOnce() -> T) -> Result<T> {
    let before = sched_getaffinity(None).context("ask for the allowed cores")?;
    let mut only = CpuSet::new();
    only.set(core.0);
    sched_setaffinity(None, &only).with_context(|| format!("pin to core {}", core.0))?;
    let started = start();
    sched_setaffinity(None, &before).context("return from the pinned core")?;
    Ok(started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_pinned_and_its_parent_is_not() {
        let [_, second] = two_cores().unwrap();
        let before = sched_getaffinity(None).unwrap();
        let mut command = Command::new("grep");
        command.args(["Cpus_allowed_list", "/proc/self/status"]);
        let text = output(&mut command, second, Duration::from_secs(30)).unwrap();
        assert_eq!(text.trim(), format!("Cpus_allowed_list:\t{}", second.0));
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }

    #[test]
    fn what_is_dropped_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let running = Running::start(
            "sleep",
            Command::new("sleep").arg("600"),
            None,
            folder.path(),
        )
        .unwrap();
        let entry = PathBuf::from(format!("/proc/{}", running.id()));
        assert!(entry.exists());
        drop(running);
        assert!(!entry.exists());
    }

    #[test]
    fn a_program_that_ends_at_once_is_reported_with_its_output() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such option >&2; exit 3"]);
        let mut running = Running::start("a/b", &mut command, None, folder.path()).unwrap();
        let err = running
            .wait_until_answers(free_address().unwrap(), "/")
            .unwrap_err();
        assert_eq!(
            format!("{err:#}"),
            "a/b printed:\nno such option\n: a/b ended at once, exit status: 3"
        );
    }
}
