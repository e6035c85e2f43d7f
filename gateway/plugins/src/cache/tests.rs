//! Content that was damaged, folders of others, and several processes at once.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::Ordering;

use super::Cache;
use super::CacheError;
use super::ImageRecord;
use super::TagRecord;
use crate::digest::Digest;

const MIB: u64 = 1 << 20;

fn open(path: &Path) -> Cache {
    Cache::open(path, MIB).unwrap_or_else(|err| panic!("{}", crate::chain(&err)))
}

fn blob_path(cache: &Path, digest: Digest) -> PathBuf {
    cache.join("blobs/sha256").join(digest.to_hex())
}

fn set_age(path: &Path, seconds: u64) {
    let time = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
    let file = std::fs::File::open(path).expect("it is there");
    file.set_modified(time).expect("it is ours");
}

#[test]
fn what_is_kept_is_there_after_a_restart_and_for_us_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a/cache");
    let (digest, pin) = open(&path).keep_bytes(b"module").expect("kept");
    drop(pin);
    let (content, _pin) = open(&path).blob(digest).expect("readable").expect("there");
    assert_eq!(content, "module");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("blobs/sha256")), 0o700);
    assert_eq!(mode(&blob_path(&path, digest)), 0o600);
}

#[test]
fn damaged_content_is_deleted_and_counts_as_not_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = open(folder.path());
    let (digest, _pin) = cache.keep_bytes(b"module").expect("kept");
    for damage in [&b"Module"[..], b"modul", b"", b"module and more"] {
        let path = blob_path(folder.path(), digest);
        std::fs::write(&path, damage).expect("written");
        assert!(
            cache.blob(digest).expect("no error").is_none(),
            "{damage:?}"
        );
        assert!(!path.exists(), "{damage:?}");
        cache.keep_bytes(b"module").expect("kept again");
        assert!(cache.blob(digest).expect("no error").is_some());
    }
    assert_eq!(cache.counts().damaged.load(Ordering::Relaxed), 4);
}

#[test]
fn a_link_or_a_file_that_others_may_write_is_not_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = open(folder.path());
    let (digest, _pin) = cache.keep_bytes(b"module").expect("kept");
    let path = blob_path(folder.path(), digest);
    let elsewhere = folder.path().join("elsewhere");
    std::fs::rename(&path, &elsewhere).expect("moved");
    std::os::unix::fs::symlink(&elsewhere, &path).expect("linked");
    assert!(cache.blob(digest).expect("no error").is_none());
    std::fs::copy(&elsewhere, &path).expect("copied");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("ours");
    assert!(cache.blob(digest).expect("no error").is_none());
    assert!(!path.exists());
}

#[test]
fn a_folder_that_others_may_write_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cache");
    open(&path);
    for (open, expected) in [(0o770, true), (0o702, true), (0o755, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(open)).expect("ours");
        let outcome = Cache::open(&path, MIB);
        let is_refused = matches!(outcome, Err(CacheError::Open { .. }));
        assert_eq!(is_refused, expected, "{open:o}: {outcome:?}");
    }
}

#[test]
fn a_folder_of_another_user_is_refused() {
    // Root's own folder, or for root a folder that is given away.
    let folder = tempfile::tempdir().expect("a folder");
    let is_root = rustix::process::geteuid().is_root();
    let path = if is_root {
        let path = folder.path().join("cache");
        open(&path);
        let nobody = rustix::fs::Uid::from_raw(65534);
        rustix::fs::chown(&path, Some(nobody), None).expect("root may");
        path
    } else {
        PathBuf::from("/")
    };
    let outcome = Cache::open(&path, MIB);
    assert!(
        matches!(outcome, Err(CacheError::NotOurs { .. })),
        "{outcome:?}"
    );
}

#[test]
fn a_link_in_place_of_the_folder_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cache");
    open(&folder.path().join("real"));
    std::os::unix::fs::symlink(folder.path().join("real"), &path).expect("linked");
    assert!(matches!(
        Cache::open(&path, MIB),
        Err(CacheError::Io { .. })
    ));
}

#[test]
fn what_was_not_used_for_longest_makes_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::open(folder.path(), 10_000).expect("opened");
    let keep = |byte: u8| cache.keep_bytes(&[byte; 4000]).expect("kept").0;
    let (old, used) = (keep(1), keep(2));
    set_age(&blob_path(folder.path(), old), 100);
    set_age(&blob_path(folder.path(), used), 200);
    cache.blob(used).expect("readable").expect("there");
    let new = keep(3);
    let is_there = |digest| cache.blob(digest).expect("readable").is_some();
    assert_eq!([old, used, new].map(is_there), [false, true, true]);
    assert_eq!(cache.counts().evicted.load(Ordering::Relaxed), 1);
}

#[test]
fn what_is_in_use_never_makes_room_in_any_process() {
    let folder = tempfile::tempdir().expect("a folder");
    // Two openings of one folder lock against each other as two processes do.
    let one = Cache::open(folder.path(), 10_000).expect("opened");
    let other = Cache::open(folder.path(), 10_000).expect("opened");
    let (digest, pin) = one.keep_bytes(&[1; 8000]).expect("kept");
    set_age(&blob_path(folder.path(), digest), 100);
    other.keep_bytes(&[2; 8000]).expect("kept");
    assert!(one.blob(digest).expect("readable").is_some());
    drop(pin);
    set_age(&blob_path(folder.path(), digest), 100);
    other.keep_bytes(&[3; 8000]).expect("kept");
    assert!(one.blob(digest).expect("readable").is_none());
}

#[test]
fn a_process_that_was_stopped_with_a_file_to_itself_holds_nobody_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = open(folder.path());
    let (digest, pin) = cache.keep_bytes(b"module").expect("kept");
    drop(pin);
    let file = std::fs::File::open(blob_path(folder.path(), digest)).expect("it is there");
    file.lock().expect("nobody else has it");
    assert!(cache.blob(digest).expect("readable").is_some());
    drop(file);
}

#[test]
fn what_is_larger_than_the_cache_is_an_error_and_leaves_the_rest() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::open(folder.path(), 100).expect("opened");
    let (small, _) = cache.keep_bytes(&[1; 90]).expect("kept");
    let err = cache.keep_bytes(&[2; 101]).expect_err("too large");
    assert!(
        matches!(err, CacheError::TooLarge { limit: 100, .. }),
        "{err}"
    );
    assert!(cache.blob(small).expect("readable").is_some());
    assert_eq!(
        std::fs::read_dir(folder.path().join("blobs/sha256"))
            .unwrap()
            .count(),
        1
    );
}

#[test]
fn what_killed_processes_left_is_swept_and_what_is_being_written_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = open(folder.path());
    let left = folder.path().join("blobs/sha256/1-7.new");
    std::fs::write(&left, "half").expect("written");
    let mut writing = cache.begin().expect("begun");
    std::io::Write::write_all(&mut writing, b"module").expect("written");
    open(folder.path());
    assert!(!left.exists());
    let digest = Digest::of(b"module");
    cache.place(writing, digest).expect("it is still there");
    assert!(cache.blob(digest).expect("readable").is_some());
}

#[test]
fn records_that_are_damaged_or_about_something_else_are_not_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = open(folder.path());
    let reference = "ghcr.io/a/b:1".parse().expect("a reference");
    let digest = Digest::of(b"manifest");
    let tag = TagRecord {
        reference: "ghcr.io/a/b:1".to_owned(),
        digest,
        checked_at: 7,
    };
    cache.keep_tag(&tag).expect("kept");
    assert_eq!(cache.tag(&reference), Some(tag));
    let image = ImageRecord {
        digest,
        manifest: digest,
        media_type: String::new(),
        module: Digest::of(b"module"),
        layer: 1,
        path: None,
    };
    cache.keep_image(&image).expect("kept");
    assert_eq!(cache.image(digest).as_ref(), Some(&image));

    let images = folder.path().join("images");
    let other = Digest::of(b"other");
    let name = |digest: Digest| images.join(format!("{}.json", digest.to_hex()));
    std::fs::copy(name(digest), name(other)).expect("copied");
    assert_eq!(cache.image(other), None);
    std::fs::write(name(digest), "{").expect("written");
    assert_eq!(cache.image(digest), None);
    assert!(!name(digest).exists());
}

#[test]
fn two_processes_that_write_the_same_at_once_both_have_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                for number in 0..20_u8 {
                    let cache = Cache::open(path, MIB).expect("opened");
                    let (digest, _pin) = cache.keep_bytes(&[number; 5000]).expect("kept");
                    let found = cache.blob(digest).expect("readable").expect("there");
                    assert_eq!(found.0, vec![number; 5000]);
                }
            });
        }
    });
}

/// The other half of the next test: it runs in a process that may write 64 KiB a file.
#[test]
fn a_write_that_fails_is_an_error_that_loses_nothing() {
    const INSIDE: &str = "TIDEGATE_TEST_FULL_DISK";
    if let Some(path) = std::env::var_os(INSIDE) {
        let cache = Cache::open(Path::new(&path), MIB).expect("opened");
        let err = cache
            .keep_bytes(&[1; 200_000])
            .expect_err("there is no room");
        assert!(
            matches!(err, CacheError::Full { .. }),
            "{}",
            crate::chain(&err)
        );
        let (digest, _pin) = cache.keep_bytes(b"small").expect("there is room for it");
        assert!(cache.blob(digest).expect("readable").is_some());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (before, _) = open(folder.path()).keep_bytes(b"before").expect("kept");
    let me = std::env::current_exe().expect("this program");
    // What a full disk does to a file can be had without one; the signal would end the process.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 128; exec \"$@\"", "sh"])
        .arg(me)
        .args([
            "--exact",
            "cache::tests::a_write_that_fails_is_an_error_that_loses_nothing",
        ])
        .env(INSIDE, folder.path())
        .output()
        .expect("a shell is on every machine");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{printed}"
    );
    let cache = open(folder.path());
    assert!(cache.blob(before).expect("readable").is_some());
    let left = std::fs::read_dir(folder.path().join("blobs/sha256")).expect("a folder");
    assert_eq!(left.count(), 2, "before, small, and nothing half");
}

#[test]
fn what_is_being_written_counts_as_well() {
    use std::io::Write as _;
    let folder = tempfile::tempdir().expect("a folder");
    let cache = open(folder.path());
    let (old, pin) = cache.keep_bytes(&[1; 600_000]).expect("kept");
    let (used, _pin) = cache.keep_bytes(&[2; 100_000]).expect("kept");
    drop(pin);
    let mut first = cache.begin().expect("begun");
    first.write_all(&[3; 200_000]).expect("there is room");
    assert!(cache.bytes_of(old) > 0, "all of it fits");
    for _ in 0..6 {
        first.write_all(&[3; 50_000]).expect("room is made");
    }
    assert_eq!((cache.bytes_of(old), cache.bytes_of(used)), (0, 100_000));

    let mut second = cache.begin().expect("begun");
    second.write_all(&[4; 400_000]).expect("there is room");
    let err = second
        .write_all(&[4; 400_000])
        .expect_err("both are too much");
    let err = second.failed(err);
    assert!(matches!(err, CacheError::Full { .. }), "{err}");
    assert!(crate::chain(&err).contains("1048576 bytes of the cache"));
    drop(first);
    let mut third = cache.begin().expect("begun");
    third.write_all(&[5; 200_000]).expect("the first is gone");
}
