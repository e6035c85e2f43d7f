//! Notices that files which the configuration is made of have changed.
//!
//! Owns the thread that waits for the file system's events, and when they count: after a pause of
//! [`QUIET`] or less, at the latest [`LONGEST`] after the first, and only if the content is another than
//! before. Events are hints; what decides is [`mod@print`]. Where they cannot be had (network file
//! systems, no inotify watches left) the slow poll notices all the same.

mod debounce;
mod folders;
mod print;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use notify::Watcher as _;

use crate::watch::debounce::Debounce;
use crate::watch::folders::Folders;
use crate::watch::folders::Identity;
use crate::watch::print::Prints;

/// A change counts once nothing has changed for this long: editors and copies write in steps. What
/// comes apart all the same costs one load more.
pub(crate) const QUIET: Duration = Duration::from_millis(50);
/// The same after a file was closed or renamed: it is complete.
pub(crate) const QUIET_WHEN_COMPLETE: Duration = Duration::from_millis(20);
/// A change counts after this long even if more keep coming.
pub(crate) const LONGEST: Duration = Duration::from_secs(1);
/// How often everything is looked at without any event.
pub(crate) const POLL: Duration = Duration::from_secs(10);
/// Clocks of file systems tick coarsely: a file written at this moment may look older by this.
const CLOCK_SLACK: Duration = Duration::from_millis(20);

/// How changes are noticed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// How often everything is looked at without any event.
    pub(crate) poll: Duration,
    /// Whether the file system's events are used.
    pub(crate) events: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            poll: POLL,
            events: true,
        }
    }
}

/// A running watch; ends when dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    notes: mpsc::Sender<Note>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is told.
#[derive(Debug)]
enum Note {
    /// Something happened in the file system.
    Event(notify::Result<notify::Event>),
    /// What is to be watched from now on, and since when.
    Paths(Vec<PathBuf>, SystemTime),
    /// That is all.
    End,
}

impl Watch {
    /// Starts the thread; `changed` is called on it whenever watched content has become another.
    ///
    /// # Errors
    ///
    /// The system's, if it gives no thread.
    pub(crate) fn start(
        pace: Pace,
        changed: impl FnMut() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (notes, inbox) = mpsc::channel();
        let events = notes.clone();
        let thread = std::thread::Builder::new()
            .name("config-watch".to_owned())
            .spawn(move || Thread::new(pace, &events, changed).run(&inbox))?;
        Ok(Self {
            notes,
            thread: Some(thread),
        })
    }

    /// Watches these files and folders from now on, in place of those before. Paths must be
    /// absolute. A new one counts as changed if it was written after `read_at`, when whoever calls
    /// began to read it.
    pub(crate) fn set(&self, paths: Vec<PathBuf>, read_at: SystemTime) {
        self.notes.send(Note::Paths(paths, read_at)).ok();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.notes.send(Note::End).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

struct Thread<F> {
    pace: Pace,
    changed: F,
    watcher: Option<notify::RecommendedWatcher>,
    paths: Vec<PathBuf>,
    prints: Prints,
    folders: Folders,
    /// The folders whose events come, with what they were when they were asked for.
    armed: HashMap<PathBuf, Identity>,
    /// When an event came last that may be about something that is watched.
    stirred: Option<SystemTime>,
    /// Whoever read the paths last may have met something between two of our looks.
    is_doubtful: bool,
    warned: bool,
}

impl<F: FnMut()> Thread<F> {
    fn new(pace: Pace, events: &mpsc::Sender<Note>, changed: F) -> Self {
        let events = events.clone();
        let watcher = pace.events.then(|| {
            notify::recommended_watcher(move |event| {
                events.send(Note::Event(event)).ok();
            })
        });
        let mut thread = Self {
            pace,
            changed,
            watcher: None,
            paths: Vec::new(),
            prints: Prints::default(),
            folders: Folders::default(),
            armed: HashMap::new(),
            stirred: None,
            is_doubtful: false,
            warned: false,
        };
        match watcher {
            Some(Ok(watcher)) => thread.watcher = Some(watcher),
            Some(Err(err)) => thread.warn(&err),
            None => {}
        }
        thread
    }

    fn run(&mut self, inbox: &mpsc::Receiver<Note>) {
        let mut debounce = Debounce::new(LONGEST);
        let mut next_poll = Instant::now() + self.pace.poll;
        loop {
            let now = Instant::now();
            let until = debounce.due().map_or(next_poll, |due| due.min(next_poll));
            if now >= until {
                debounce.clear();
                next_poll = now + self.pace.poll;
                self.look();
                continue;
            }
            match inbox.recv_timeout(until - now) {
                Ok(Note::Event(event)) => {
                    let quiet = quiet_after(&event);
                    if self.concerns(event) {
                        self.stirred = Some(SystemTime::now());
                        debounce.on_event(Instant::now(), quiet);
                    }
                }
                Ok(Note::Paths(paths, read_at)) => {
                    let is_waiting = debounce.due().is_some();
                    if self.set(paths, read_at, is_waiting) {
                        debounce.on_event(Instant::now(), QUIET);
                    }
                }
                Ok(Note::End) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Compares everything with what it was.
    fn look(&mut self) {
        // Before the comparison: what changes after it must give an event.
        self.arm();
        let is_another = self.prints.update(&self.paths);
        if std::mem::take(&mut self.is_doubtful) || is_another {
            (self.changed)();
        }
    }

    /// Takes other paths; returns whether something may have changed since it was read.
    ///
    /// What was changed and changed back around the reading looks to us as it did before, and not to who has
    /// read it in between: if events came that late, or have not been looked at (`is_waiting`), it counts as
    /// changed. That costs one load more, which finds nothing new.
    fn set(&mut self, mut paths: Vec<PathBuf>, read_at: SystemTime, is_waiting: bool) -> bool {
        paths.sort();
        paths.dedup();
        self.paths = paths;
        self.arm();
        let since = read_at.checked_sub(CLOCK_SLACK).unwrap_or(read_at);
        let is_young = self.prints.adopt(&self.paths, since);
        self.is_doubtful = is_waiting || self.stirred.is_some_and(|at| at >= read_at);
        is_young || self.is_doubtful
    }

    /// Whether an event may be about something that is watched.
    fn concerns(&mut self, event: notify::Result<notify::Event>) -> bool {
        match event {
            // Reading, our own for one, changes nothing.
            Ok(event) if is_reading(event.kind) => false,
            Ok(event) if event.need_rescan() || event.paths.is_empty() => true,
            Ok(event) => event.paths.iter().any(|path| self.folders.concern(path)),
            Err(err) => {
                self.warn(&err);
                true
            }
        }
    }

    /// Asks for the events of all folders through which the paths lead now.
    fn arm(&mut self) {
        let wanted = Folders::of(&self.paths);
        if let Some(watcher) = &mut self.watcher {
            self.armed.retain(|folder, identity| {
                let stays = wanted.identity(folder) == Some(*identity);
                if !stays {
                    // It may be gone, and its watch with it.
                    watcher.unwatch(folder).ok();
                }
                stays
            });
            let mut failed = None;
            for (folder, identity) in wanted.iter() {
                if self.armed.contains_key(folder) {
                    continue;
                }
                match watcher.watch(folder, notify::RecursiveMode::NonRecursive) {
                    Ok(()) => {
                        self.armed.insert(folder.clone(), identity);
                    }
                    Err(err) => failed = Some(err),
                }
            }
            // A folder that vanishes meanwhile is no reason to warn; the next look sees it.
            if let Some(err) = failed.filter(|err| !is_missing(err)) {
                self.warn(&err);
            }
        }
        self.folders = wanted;
    }

    fn warn(&mut self, err: &notify::Error) {
        if !std::mem::replace(&mut self.warned, true) {
            let poll = self.pace.poll;
            tracing::warn!(
                "changes of files may be noticed late, every {poll:?}: the system gives no events \
                 ({err}); raise fs.inotify.max_user_watches and max_user_instances if it says so"
            );
        }
    }
}

/// How long nothing must happen after an event.
fn quiet_after(event: &notify::Result<notify::Event>) -> Duration {
    use notify::EventKind;
    use notify::event::AccessKind;
    use notify::event::AccessMode;
    use notify::event::ModifyKind;
    match event.as_ref().map(|event| event.kind) {
        Ok(
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Name(_)),
        ) => QUIET_WHEN_COMPLETE,
        _ => QUIET,
    }
}

fn is_reading(kind: notify::EventKind) -> bool {
    use notify::event::AccessKind;
    use notify::event::AccessMode;
    match kind {
        notify::EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        notify::EventKind::Access(_) => true,
        _ => false,
    }
}

fn is_missing(err: &notify::Error) -> bool {
    match &err.kind {
        notify::ErrorKind::PathNotFound | notify::ErrorKind::WatchNotFound => true,
        notify::ErrorKind::Io(err) => err.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
