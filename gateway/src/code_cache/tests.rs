//! Compiled plugins on disk.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

use tidegate_host_abi::CodeCache as _;
use tidegate_host_abi::CompileOptions;
use tidegate_host_abi::Engine;
use tidegate_host_abi::EngineConfig;
use tidegate_host_abi::Module;

use super::CodeFolder;
use super::folder;
use crate::state::StateError;

fn open(path: &Path) -> CodeFolder {
    CodeFolder::open(path).expect("opened")
}

/// Hits, misses, rejected, evicted.
fn counts(folder: &CodeFolder) -> [u64; 4] {
    let counts = folder.counts();
    [
        &counts.hits,
        &counts.misses,
        &counts.rejected,
        &counts.evicted,
    ]
    .map(|count| count.load(Ordering::Relaxed))
}

#[test]
fn what_is_saved_is_loaded_also_by_the_next_process() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("deep/code");
    let first = open(&path);
    assert_eq!(first.load("a"), None);
    first.save("a", b"one");
    first.save("a", b"two");
    let next = open(&path);
    assert_eq!(next.load("a").as_deref(), Some(&b"two"[..]));
    assert_eq!(counts(&next), [1, 0, 0, 0]);
    assert_eq!(counts(&first), [0, 1, 0, 0]);
    let mode = std::fs::metadata(&path).expect("there").permissions();
    assert_eq!(mode.mode() & 0o777, 0o700);
}

#[test]
fn an_entry_that_was_changed_or_cut_is_deleted() {
    let home = tempfile::tempdir().expect("a folder");
    let cache = open(home.path());
    let file = home.path().join("a.code");
    cache.save("a", b"the code of a plugin");
    let whole = std::fs::read(&file).expect("there");
    let mut changed = whole.clone();
    *changed.first_mut().expect("bytes") ^= 1;
    let cut = whole.get(..whole.len() - 1).expect("bytes").to_vec();
    let mut other = whole;
    *other.last_mut().expect("bytes") = b'0';
    for (bad, rejected) in [changed, cut, other, Vec::new()].into_iter().zip(1..) {
        std::fs::write(&file, bad).expect("written");
        assert_eq!(cache.load("a"), None);
        assert!(!file.exists());
        assert_eq!(counts(&cache), [0, 0, rejected, 0]);
    }
}

#[test]
fn a_link_is_not_followed() {
    let home = tempfile::tempdir().expect("a folder");
    let (real, path) = (home.path().join("real"), home.path().join("code"));
    let cache = open(&real);
    cache.save("a", b"x");
    symlink(&real, &path).expect("a link");
    assert!(CodeFolder::open(&path).is_err());
    std::fs::rename(real.join("a.code"), home.path().join("elsewhere")).expect("moved");
    symlink(home.path().join("elsewhere"), real.join("a.code")).expect("a link");
    assert_eq!(cache.load("a"), None);
}

#[test]
fn a_folder_that_others_can_write_to_is_refused() {
    let home = tempfile::tempdir().expect("a folder");
    let open_to_all = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(home.path(), open_to_all).expect("opened");
    let err = CodeFolder::open(home.path()).expect_err("refused");
    assert!(matches!(err, StateError::Open { .. }), "{err}");
}

#[test]
fn what_was_not_used_for_longest_makes_room() {
    let home = tempfile::tempdir().expect("a folder");
    let cache = CodeFolder::open_with(home.path(), 1000).expect("opened");
    let age = |name: &str, seconds| {
        let file = std::fs::File::options()
            .write(true)
            .open(home.path().join(name))
            .expect("there");
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds))
            .expect("set");
    };
    for (key, seconds) in [("a", 30), ("b", 20)] {
        cache.save(key, &[7; 300]);
        age(&format!("{key}.code"), seconds);
    }
    assert!(cache.load("a").is_some(), "it is the younger one now");
    cache.save("c", &[7; 300]);
    assert!(cache.load("a").is_some() && cache.load("c").is_some());
    assert!(cache.load("b").is_none());
    cache.save("d", &[7; 2000]);
    assert!(cache.load("d").is_none(), "it would never fit");
    assert_eq!(counts(&cache), [3, 2, 0, 1]);
}

#[test]
fn a_plugin_is_compiled_once_and_then_taken_from_the_folder() {
    let home = tempfile::tempdir().expect("a folder");
    let cache = open(home.path());
    let engine = Engine::new(EngineConfig::default()).expect("an engine");
    let bytes = wat::parse_str(
        r#"(module (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "malloc") (param i32) (result i32) (i32.const 0)))"#,
    );
    let bytes = bytes.expect("WAT");
    let compile = || {
        let options = CompileOptions {
            cache: Some(&cache),
            ..CompileOptions::default()
        };
        Arc::new(Module::compile_with(&engine, "one", &bytes, options).expect("compiled"))
    };
    let (first, second) = (compile(), compile());
    assert_eq!(counts(&cache), [1, 1, 0, 0]);
    assert_eq!(first.digest(), second.digest());
}

#[test]
fn code_is_kept_where_it_was_said_or_with_the_state() {
    let at = |chosen: Option<&str>, state: Option<&str>| {
        let default = Path::new("/state/tidegate/0011");
        folder(chosen.map(Path::new), state.map(Path::new), Some(default))
    };
    assert_eq!(at(None, None), Some(PathBuf::from("/state/tidegate/code")));
    assert_eq!(at(None, Some("/s")), Some(PathBuf::from("/s/code")));
    assert_eq!(at(None, Some("off")), None);
    assert_eq!(at(Some("/c"), Some("off")), Some(PathBuf::from("/c")));
    assert_eq!(at(Some("off"), Some("/s")), None);
    assert_eq!(folder(None, None, None), None);
}
