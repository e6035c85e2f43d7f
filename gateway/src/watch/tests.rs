//! Changes as editors, copies and mounts make them.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use super::Pace;
use super::Thread;
use super::Watch;

/// How long anything may take before its test fails.
const LIMIT: Duration = Duration::from_secs(20);
/// Noticed only by the poll, if at all: longer than any test waits for an event.
const NEVER: Duration = Duration::from_secs(3_600);

struct Watched {
    folder: tempfile::TempDir,
    changes: Arc<AtomicUsize>,
    watch: Watch,
}

impl Watched {
    /// Watches `path` below a new folder after `prepare` has filled it.
    fn new(path: &str, pace: Pace, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        prepare(folder.path());
        let changes = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&changes);
        let watch = Watch::start(pace, move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let watch = watch.expect("a thread");
        let watched = Self {
            watch,
            changes,
            folder,
        };
        // As if it had been read long ago: what was prepared counts as changed, once.
        let path = watched.path(path);
        watched.notices("what was there before", |_| {
            watched.watch.set(vec![path], SystemTime::UNIX_EPOCH);
        });
        watched
    }

    fn events(path: &str, prepare: impl FnOnce(&Path)) -> Self {
        let pace = Pace {
            poll: NEVER,
            events: true,
        };
        Self::new(path, pace, prepare)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn count(&self) -> usize {
        self.changes.load(Ordering::SeqCst)
    }

    /// Waits for a change after `edit`.
    #[track_caller]
    fn notices(&self, what: &str, edit: impl FnOnce(&Path)) {
        let before = self.count();
        edit(self.folder.path());
        let start = Instant::now();
        while self.count() == before {
            assert!(start.elapsed() < LIMIT, "not noticed: {what}");
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
}

#[test]
fn a_file_may_be_written_in_place_or_replaced_or_deleted_and_come_back() {
    let watched = Watched::events("a.yaml", |root| write(&root.join("a.yaml"), "1"));
    watched.notices("a write", |root| write(&root.join("a.yaml"), "2"));
    watched.notices("a rename", |root| {
        write(&root.join("b.tmp"), "3");
        std::fs::rename(root.join("b.tmp"), root.join("a.yaml")).expect("renamed");
    });
    watched.notices("a deletion", |root| {
        std::fs::remove_file(root.join("a.yaml")).expect("removed");
    });
    watched.notices("a new file", |root| write(&root.join("a.yaml"), "4"));
}

#[test]
fn a_mounted_config_map_swaps_a_link() {
    let version = |root: &Path, name: &str, text: &str| {
        std::fs::create_dir(root.join(name)).expect("a folder");
        write(&root.join(name).join("a.yaml"), text);
    };
    for watched_path in ["mount", "mount/a.yaml"] {
        let watched = Watched::events(watched_path, |root| {
            let mount = root.join("mount");
            std::fs::create_dir(&mount).expect("a folder");
            version(&mount, "..1", "1");
            symlink("..1", mount.join("..data")).expect("linked");
            symlink("..data/a.yaml", mount.join("a.yaml")).expect("linked");
        });
        watched.notices("the swap", |root| {
            let mount = root.join("mount");
            version(&mount, "..2", "2");
            symlink("..2", mount.join("..data_tmp")).expect("linked");
            std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).expect("swapped");
            std::fs::remove_dir_all(mount.join("..1")).expect("removed");
        });
        watched.notices("the next swap", |root| {
            let mount = root.join("mount");
            version(&mount, "..3", "3");
            symlink("..3", mount.join("..data_tmp")).expect("linked");
            std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).expect("swapped");
        });
    }
}

#[test]
fn a_link_further_up_may_lead_elsewhere() {
    let watched = Watched::events("current/conf/a.yaml", |root| {
        for (release, text) in [("r1", "1"), ("r2", "2")] {
            std::fs::create_dir_all(root.join(release).join("conf")).expect("folders");
            write(&root.join(release).join("conf/a.yaml"), text);
        }
        symlink("r1", root.join("current")).expect("linked");
    });
    watched.notices("the other release", |root| {
        symlink("r2", root.join("new")).expect("linked");
        std::fs::rename(root.join("new"), root.join("current")).expect("swapped");
    });
    watched.notices("an edit there", |root| {
        write(&root.join("r2/conf/a.yaml"), "3");
    });
}

#[test]
fn a_folder_may_be_deleted_and_made_again() {
    let watched = Watched::events("conf", |root| {
        std::fs::create_dir(root.join("conf")).expect("a folder");
        write(&root.join("conf/a.yaml"), "1");
    });
    watched.notices("the deletion", |root| {
        std::fs::remove_dir_all(root.join("conf")).expect("removed");
    });
    watched.notices("the new folder", |root| {
        std::fs::create_dir(root.join("conf")).expect("a folder");
        write(&root.join("conf/a.yaml"), "2");
    });
    watched.notices("a second file", |root| {
        write(&root.join("conf/b.yaml"), "3");
    });
    watched.notices("another folder in its place", |root| {
        std::fs::create_dir(root.join("next")).expect("a folder");
        write(&root.join("next/c.yaml"), "4");
        std::fs::rename(root.join("conf"), root.join("old")).expect("moved");
        std::fs::rename(root.join("next"), root.join("conf")).expect("moved");
    });
    watched.notices("an edit there", |root| {
        write(&root.join("conf/c.yaml"), "5");
    });
}

#[test]
fn only_other_content_is_a_change() {
    let watched = Watched::events("conf", |root| {
        std::fs::create_dir(root.join("conf")).expect("a folder");
        write(&root.join("conf/a.yaml"), "1");
    });
    let before = watched.count();
    write(&watched.path("conf/a.yaml"), "1");
    write(&watched.path("conf/notes.txt"), "1");
    write(&watched.path("conf/.hidden.yaml"), "1");
    // Noticed after what was written before it, and all of it at once.
    watched.notices("a real change", |root| {
        write(&root.join("conf/a.yaml"), "2");
    });
    assert_eq!(watched.count(), before + 1);
}

#[test]
fn constant_writing_does_not_hide_a_change() {
    let watched = Watched::events("a.yaml", |root| write(&root.join("a.yaml"), "0"));
    let before = watched.count();
    let start = Instant::now();
    let mut written = 0;
    while watched.count() == before {
        assert!(start.elapsed() < LIMIT, "hidden by {written} writes");
        written += 1;
        write(&watched.path("a.yaml"), &written.to_string());
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

#[test]
fn without_events_the_poll_notices() {
    let pace = Pace {
        poll: Duration::from_millis(20),
        events: false,
    };
    let watched = Watched::new("a.yaml", pace, |root| write(&root.join("a.yaml"), "1"));
    // The same size, most probably within one tick of the file system's clock.
    watched.notices("a write", |root| write(&root.join("a.yaml"), "2"));
    watched.notices("a write", |root| write(&root.join("a.yaml"), "3"));
}

#[test]
fn a_pipe_in_place_of_a_file_is_not_waited_for() {
    let watched = Watched::events("a.yaml", |root| write(&root.join("a.yaml"), "1"));
    watched.notices("the pipe", |root| {
        std::fs::remove_file(root.join("a.yaml")).expect("removed");
        let made = std::process::Command::new("mkfifo")
            .arg(root.join("a.yaml"))
            .status();
        assert!(made.expect("mkfifo runs").success());
    });
    watched.notices("a file again", |root| {
        std::fs::remove_file(root.join("a.yaml")).expect("removed");
        write(&root.join("a.yaml"), "2");
    });
}

#[test]
fn what_was_read_between_a_change_and_its_reversal_is_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.yaml");
    let paths = vec![folder.path().to_owned()];
    let pace = Pace {
        poll: NEVER,
        events: false,
    };
    let changes = AtomicUsize::new(0);
    let (events, _inbox) = std::sync::mpsc::channel();
    let mut thread = Thread::new(pace, &events, || {
        changes.fetch_add(1, Ordering::SeqCst);
    });
    write(&file, "text");
    thread.set(paths.clone(), SystemTime::now(), false);
    thread.look();
    let before = changes.load(Ordering::SeqCst);

    // Somebody reads the folder while the file is away, and it is back before the next look.
    let read_at = SystemTime::now();
    thread.stirred = Some(SystemTime::now());
    assert!(thread.set(paths.clone(), read_at, false));
    thread.look();
    assert_eq!(changes.load(Ordering::SeqCst), before + 1);

    // The same with events that nobody has looked at yet; once they have been, nothing is left of it.
    assert!(thread.set(paths.clone(), SystemTime::now(), true));
    thread.look();
    assert_eq!(changes.load(Ordering::SeqCst), before + 2);
    assert!(!thread.set(paths, SystemTime::now(), false));
    thread.look();
    assert_eq!(changes.load(Ordering::SeqCst), before + 2);
}
