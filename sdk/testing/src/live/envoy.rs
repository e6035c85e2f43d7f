//! Envoy with the module. Its time is real, and it can be asked little.

mod config;
mod front;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tidegate_sdk_sys::LogLevel;

use crate::builder::Plan;
use crate::live::clock::Clock;
use crate::live::program::Program;
use crate::live::server::Place;
use crate::live::{admin, module};
use crate::observed::{LogLine, Seen};

/// The most real time that a test may let go by at once.
const LONGEST: Duration = Duration::from_secs(2);
/// How long it may take to start.
const START: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);

/// The running program.
pub(super) struct Envoy {
    child: Child,
    /// Contexts of streams that were created and not deleted.
    streams: Arc<AtomicUsize>,
    /// Properties that a filter in front sets, each by a header of its number.
    properties: Vec<(String, Vec<u8>)>,
    folder: PathBuf,
    admin: SocketAddr,
    address: SocketAddr,
}

impl Envoy {
    /// Starts the plugin in it.
    ///
    /// # Errors
    /// Why the plugin does not start.
    pub(super) fn start(
        plan: &Plan,
        seen: &Seen,
        clock: &Clock,
        app: SocketAddr,
        backends: &[Place],
    ) -> Result<Self, String> {
        let folder = new_folder()?;
        let path = folder.join("envoy.json");
        let admin_path = folder.join("admin");
        let properties = own_properties(plan)?;
        let front = match properties.is_empty() {
            true => None,
            false => Some(folder.join("front.wasm")),
        };
        let write = |path: &Path, bytes: &[u8]| {
            std::fs::write(path, bytes)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))
        };
        if let Some(front) = &front {
            let names: Vec<String> = properties.iter().map(|(name, _)| name.clone()).collect();
            write(front, &front::module(&names))?;
        }
        let module = module(plan.name)?;
        let config = config::file(plan, &module, front.as_deref(), app, backends);
        write(&path, config.to_string().as_bytes())?;
        let binary = std::env::var_os("TIDEGATE_ENVOY").unwrap_or_else(|| "envoy".into());
        let streams = Arc::new(AtomicUsize::new(0));
        let mut child = Command::new(&binary)
            .args(["--concurrency", "1", "--disable-hot-restart", "-l", "error"])
            .args(["--component-log-level", "wasm:trace"])
            .args(["--log-format", "%l|%v"])
            .arg("-c")
            .arg(&path)
            .arg("--admin-address-path")
            .arg(&admin_path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                format!("cannot start {}: {error}", PathBuf::from(&binary).display())
            })?;
        if let Some(log) = child.stderr.take() {
            let (seen, least) = (seen.clone(), plan.log_level);
            let streams = Arc::clone(&streams);
            std::thread::spawn(move || listen(log, &seen, least, &streams));
        }
        let mut envoy = Self {
            child,
            streams,
            properties,
            folder,
            admin: SocketAddr::from(([127, 0, 0, 1], 0)),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        envoy.wait_until_ready(&admin_path, seen, clock)?;
        Ok(envoy)
    }

    fn wait_until_ready(
        &mut self,
        admin_path: &Path,
        seen: &Seen,
        clock: &Clock,
    ) -> Result<(), String> {
        let began = Instant::now();
        while began.elapsed() < START {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                // Its last lines may still be on their way.
                clock.wait(LOOK);
                return Err(last_words(seen));
            }
            if let Ok(text) = std::fs::read_to_string(admin_path)
                && let Ok(address) = text.trim().parse()
            {
                self.admin = address;
                let ready = admin::get(self.admin, "/ready").unwrap_or_default();
                if ready.trim() == "LIVE"
                    && let Some(address) = self.listener()
                {
                    self.address = address;
                    return Ok(());
                }
            }
            clock.wait(LOOK);
        }
        Err(format!(
            "Envoy is not ready after {START:?}: {}",
            last_words(seen)
        ))
    }

    fn listener(&self) -> Option<SocketAddr> {
        let page = admin::get(self.admin, "/listeners").ok()?;
        let (_, address) = page.lines().next()?.split_once("::")?;
        address.trim().parse().ok()
    }
}

/// The properties that a test sets.
///
/// # Errors
/// If one cannot go there in a header.
fn own_properties(plan: &Plan) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for (path, value) in &plan.properties {
        check_value(value)?;
        let name = path.concat();
        all.retain(|(known, _)| *known != name);
        all.push((name, value.clone()));
    }
    Ok(all)
}

/// Whether a value can go to the filter in front in a header.
fn check_value(value: &[u8]) -> Result<(), String> {
    let is_trimmed = value.trim_ascii().len() == value.len();
    match is_trimmed && value.iter().all(|it| !it.is_ascii_control()) {
        true => Ok(()),
        false => {
            Err("in Envoy a property goes to the filter by a header: this value cannot".into())
        }
    }
}

fn last_words(seen: &Seen) -> String {
    let lines = seen.with(|seen| seen.logs.clone());
    let errors = lines
        .iter()
        .filter(|line| line.level as u32 >= LogLevel::Error as u32);
    let words: Vec<&str> = errors.map(|line| line.text.as_str()).collect();
    words.join("; ")
}

/// A folder for its configuration.
fn new_folder() -> Result<PathBuf, String> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("tidegate-testing-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    match std::fs::create_dir_all(&folder) {
        Ok(()) => Ok(folder),
        Err(error) => Err(format!("cannot make {}: {error}", folder.display())),
    }
}

/// Takes its log: `level|text`, and lines of texts that have several.
fn listen(log: ChildStderr, seen: &Seen, least: LogLevel, streams: &AtomicUsize) {
    let mut taken = false;
    for line in BufReader::new(log).lines().map_while(Result::ok) {
        count_streams(&line, streams);
        let parsed = line.split_once('|');
        let parsed = parsed.and_then(|(level, text)| Some((level_of(level)?, text)));
        match parsed {
            Some((level, text)) => {
                let words = text.split_once("wasm log").map(|(_, rest)| rest);
                let words = words.and_then(|rest| rest.split_once(": "));
                // Its own lines matter if something is wrong.
                let own = level as u32 >= LogLevel::Error as u32;
                let text = match words {
                    Some((_, words)) if level as u32 >= least as u32 => words,
                    None if own => text,
                    _ => {
                        taken = false;
                        continue;
                    }
                };
                taken = true;
                let text = text.to_owned();
                seen.with(|seen| seen.logs.push(LogLine { level, text }));
            }
            None if taken => seen.with(|seen| {
                if let Some(last) = seen.logs.last_mut() {
                    last.text.push('\n');
                    last.text.push_str(&line);
                }
            }),
            None => {}
        }
    }
}

/// Counts contexts of streams by what Envoy says of its calls into the filter.
fn count_streams(line: &str, streams: &AtomicUsize) {
    let Some((_, call)) = line.split_once('|') else {
        return;
    };
    if call.starts_with("[host->vm] proxy_on_context_create(") && !call.ends_with(", 0)") {
        streams.fetch_add(1, Ordering::Relaxed);
    } else if call.starts_with("[host<-vm] proxy_on_delete return") {
        let deleted = |count: usize| count.checked_sub(1);
        streams
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, deleted)
            .ok();
    } else if call.contains("Plugin VM failed") || call.contains("Uncaught RuntimeError") {
        // The instance is gone with all its contexts.
        streams.store(0, Ordering::Relaxed);
    }
}

fn level_of(word: &str) -> Option<LogLevel> {
    Some(match word {
        "trace" => LogLevel::Trace,
        "debug" => LogLevel::Debug,
        "info" => LogLevel::Info,
        "warning" => LogLevel::Warn,
        "error" => LogLevel::Error,
        "critical" => LogLevel::Critical,
        _ => return None,
    })
}

impl Program for Envoy {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn open(&mut self) -> Result<usize, String> {
        match self.child.try_wait() {
            Ok(Some(status)) => Err(format!("Envoy has ended: {status}")),
            _ => Ok(self.streams.load(Ordering::Relaxed)),
        }
    }

    fn advance(&mut self, time: Duration) -> Result<bool, String> {
        if time <= LONGEST {
            return Ok(false);
        }
        Err(format!(
            "in Envoy time is real, and {time:?} is more than {LONGEST:?}: begin this test with \
             `if not_in(Mode::Envoy, \"…\") {{ return; }}`"
        ))
    }

    fn metric(&mut self, name: &str) -> Result<Option<u64>, String> {
        let page = admin::get(self.admin, "/stats/prometheus")?;
        let plain = name.replace(|it: char| !it.is_ascii_alphanumeric(), "_");
        let mut values = page.lines().filter_map(|line| {
            let (full, value) = line.split_once('{')?;
            let (_, value) = value.split_once("} ")?;
            let named = full == plain || full.strip_suffix("_count") == Some(plain.as_str());
            named.then(|| value.trim().parse::<f64>().ok()).flatten()
        });
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts, which Envoy writes as they are"
        )]
        Ok(values.next_back().map(|value| value as u64))
    }

    fn shared(&mut self, _key: &str) -> Result<Option<Vec<u8>>, String> {
        Err("nobody can look into Envoy's shared data: use `not_in(Mode::Envoy, …)`".to_owned())
    }

    fn set_property(&mut self, path: &[&str], value: &[u8]) -> Result<(), String> {
        check_value(value)?;
        let found = self.properties.iter_mut().find(|(name, _)| path == [name]);
        let Some((_, old)) = found else {
            return Err(
                "in Envoy only properties of one part can be set that `Builder::property` has set \
                 before: use `not_in(Mode::Envoy, …)`"
                    .to_owned(),
            );
        };
        *old = value.to_vec();
        Ok(())
    }

    fn more_headers(&self) -> Vec<(String, Vec<u8>)> {
        let all = self.properties.iter().enumerate();
        all.map(|(number, (_, value))| (front::header(number), value.clone()))
            .collect()
    }

    fn stop(&mut self) -> Result<(), String> {
        self.child.kill().ok();
        self.child.wait().ok();
        Ok(())
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}
