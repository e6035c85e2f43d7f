//! What a restart finds, whatever happened before it.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use sha2::Digest as _;
use sha2::Sha256;
use tidegate_config::draft::AcceptedDocument;
use tidegate_config::resource::ResourceId;
use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::Isolation;
use tidegate_host_abi::PluginKind;
use tidegate_host_abi::PluginSpec;
use tidegate_host_abi::Shadow;
use tidegate_proxy::Reachable;

use super::StateError;
use super::Store;
use super::Stored;
use super::StoredPlugin;
use super::StoredPlugins;
use super::default_folder;
use crate::plugins::origin::Origin;
use crate::plugins::rights::Rights;

fn resource(kind: &'static str, name: &str) -> ResourceId {
    ResourceId {
        kind,
        namespace: Arc::from("default"),
        name: Arc::from(name),
    }
}

/// A generation whose resource and plugin can be told from those of all others.
fn generation(number: u64, code: &[u8]) -> Stored {
    Stored {
        generation: number,
        documents: vec![AcceptedDocument {
            resource: resource("HTTPRoute", "shop"),
            file: PathBuf::from("/etc/tidegate/routes.yaml"),
            line: 3,
            text: format!("kind: HTTPRoute # {number}\n\"ü\"\n").into(),
            files: vec![("ends.yaml".to_owned(), Arc::from("[]"))],
        }],
        plugins: StoredPlugins {
            served: vec![plugin(code)],
            whole: Vec::new(),
            rights: vec![(
                resource("Plugin", "limit"),
                Rights {
                    backends: vec![Arc::from("default/auth")],
                    dns: true,
                    env: vec!["KEY".to_owned()],
                    shadow_backends: Some(vec![Arc::from("default/auth")]),
                },
            )],
        },
    }
}

/// A version of its plugin.
fn plugin(code: &[u8]) -> StoredPlugin {
    StoredPlugin {
        resource: resource("Plugin", "limit"),
        digest: Sha256::digest(code).into(),
        spec: PluginSpec {
            name: "default/limit".to_owned(),
            config: Bytes::from_static(b"\x00\xff{}"),
            env: vec![("KEY".to_owned(), "secret".to_owned())],
            failure_policy: FailurePolicy::FailOpen,
            isolation: Isolation::Stream,
            kind: PluginKind::Service,
            stop_iteration: Some(true),
            strict: true,
            shadow: Some(Shadow {
                of: "default/limit".to_owned(),
                percent: 50,
                cpu_percent: 5,
                concurrent: 9,
                memory_bytes: 1 << 20,
                backends: vec!["default/auth".to_owned()],
            }),
            ..PluginSpec::default()
        },
        origin: Arc::new(Origin::Image {
            reference: "registry.test/limit:1".to_owned(),
            manifest: Some(format!("sha256:{}", "0".repeat(64))),
        }),
        reachable: Arc::new(Reachable {
            backends: vec![Arc::from("default/auth")],
            dns: true,
        }),
    }
}

fn save(store: &mut Store, stored: &Stored, code: &[u8]) {
    let digest = Sha256::digest(code).into();
    store.keep_module(&digest, code).expect("kept");
    store.save(stored, std::iter::empty()).expect("saved");
}

#[test]
fn what_was_saved_is_found_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a/b");
    assert_eq!(
        Store::open(&path).expect("opened").load().expect("read"),
        None
    );
    for (number, code) in [(1, b"one"), (2, b"two")] {
        let mut store = Store::open(&path).expect("opened");
        save(&mut store, &generation(number, code), code);
        drop(store);
        let again = Store::open(&path).expect("opened");
        let found = again.load().expect("read").expect("something");
        assert_eq!(found, generation(number, code));
        let code_again = again.module(&Sha256::digest(code).into()).expect("code");
        assert_eq!(code_again, &code[..]);
    }
    let modules = std::fs::read_dir(path.join("modules")).expect("listed");
    assert_eq!(modules.count(), 1, "code that nobody names is removed");
}

#[test]
fn only_what_has_shadows_cannot_be_read_by_those_that_know_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Store::open(folder.path()).expect("opened");
    let mut stored = generation(1, b"code");
    let mut format = |stored: &Stored| {
        save(&mut store, stored, b"code");
        assert_eq!(store.load().expect("read").as_ref(), Some(stored));
        let text = std::fs::read_to_string(folder.path().join("state.json")).expect("read");
        text.split(',').next().map(str::to_owned)
    };
    assert_eq!(format(&stored).as_deref(), Some("{\"format\":2"));
    stored.plugins.served[0].spec.shadow = None;
    assert_eq!(format(&stored).as_deref(), Some("{\"format\":1"));
    stored.plugins.whole.push(plugin(b"code"));
    assert_eq!(format(&stored).as_deref(), Some("{\"format\":2"));
}

#[test]
fn code_of_what_did_not_serve_is_kept_and_if_it_is_gone_all_else_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Store::open(folder.path()).expect("opened");
    let mut stored = generation(1, b"code");
    stored.plugins.whole.push(plugin(b"older"));
    let older: [u8; 32] = Sha256::digest(b"older").into();
    store.keep_module(&older, b"older").expect("kept");
    save(&mut store, &stored, b"code");
    assert_eq!(store.load().expect("read").as_ref(), Some(&stored));
    let module = folder.path().join("modules");
    std::fs::remove_file(module.join(super::module_name(&older))).expect("it was kept");
    stored.plugins.whole.clear();
    assert_eq!(store.load().expect("read"), Some(stored));
}

#[test]
fn a_state_of_a_version_that_kept_no_rights_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Store::open(folder.path()).expect("opened");
    let mut stored = generation(1, b"code");
    stored.plugins.rights.clear();
    save(&mut store, &stored, b"code");
    let text = std::fs::read_to_string(folder.path().join("state.json")).expect("read");
    assert!(
        !text.contains("rights") && !text.contains("whole"),
        "{text}"
    );
    assert_eq!(store.load().expect("read"), Some(stored));
}

#[test]
fn two_processes_do_not_share_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = Store::open(folder.path()).expect("opened");
    let second = Store::open(folder.path());
    assert!(matches!(second, Err(StateError::InUse { .. })));
    drop(first);
    Store::open(folder.path()).expect("free again");
}

#[test]
fn it_is_for_us_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state");
    save(
        &mut Store::open(&path).expect("opened"),
        &generation(1, b"x"),
        b"x",
    );
    let mode = |path: &Path| {
        let metadata = std::fs::metadata(path).expect("there");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("modules")), 0o700);
    assert_eq!(mode(&path.join("state.json")), 0o600);
    let set = |mode| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
    };
    set(0o755);
    Store::open(&path).expect("what others could only read is closed to them");
    assert_eq!(mode(&path), 0o700);
    set(0o777);
    assert!(matches!(Store::open(&path), Err(StateError::Open { .. })));
    set(0o700);
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).expect("linked");
    assert!(matches!(Store::open(&link), Err(StateError::Io { .. })));
}

#[test]
fn what_others_could_have_written_is_not_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    save(
        &mut Store::open(folder.path()).expect("opened"),
        &generation(1, b"x"),
        b"x",
    );
    let file = folder.path().join("state.json");
    let set = |mode| {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("set");
    };
    let load = || Store::open(folder.path()).expect("opened").load();
    set(0o620);
    assert!(matches!(load(), Err(StateError::Foreign { .. })));
    set(0o602);
    assert!(matches!(load(), Err(StateError::Foreign { .. })));
    set(0o600);
    assert!(load().expect("believed again").is_some());
    // Only root can give files away.
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&file, Some(65_534), None).expect("given away");
        assert!(matches!(load(), Err(StateError::Foreign { .. })));
    }
}

#[test]
fn what_is_not_exactly_what_was_written_is_not_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Store::open(folder.path()).expect("opened");
    save(&mut store, &generation(1, b"code"), b"code");
    let file = folder.path().join("state.json");
    let good = std::fs::read(&file).expect("read");
    let refused = |bytes: &[u8]| {
        std::fs::write(&file, bytes).expect("written");
        matches!(store.load(), Err(StateError::Foreign { .. }))
    };
    for cut in 0..good.len() {
        assert!(refused(&good[..cut]), "cut to {cut} bytes");
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(refused(&bad), "byte {at} changed");
    }
    assert!(refused(b"{\"format\":3,\"sha256\":\"\"}\n{}\n"));
    std::fs::write(&file, &good).expect("written");
    assert!(store.load().is_ok());
    let module = super::module_name(&Sha256::digest(b"code").into());
    std::fs::write(folder.path().join("modules").join(module), b"cod").expect("written");
    assert!(matches!(store.load(), Err(StateError::Foreign { .. })));
}

#[test]
fn a_state_never_names_code_that_is_not_there_and_bad_code_is_repaired() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Store::open(folder.path()).expect("opened");
    save(&mut store, &generation(1, b"one"), b"one");
    let digest: [u8; 32] = Sha256::digest(b"one").into();
    let file = folder
        .path()
        .join("modules")
        .join(super::module_name(&digest));
    std::fs::remove_file(&file).expect("removed");
    let refused = store.save(&generation(2, b"one"), std::iter::empty());
    assert!(matches!(refused, Err(StateError::NoModule { .. })));
    store.keep_module(&digest, b"one").expect("kept");
    store
        .save(&generation(3, b"one"), std::iter::empty())
        .expect("saved");
    // Of the same size, so that only a look at the content tells.
    std::fs::write(&file, b"two").expect("written");
    drop(store);
    let store = Store::open(folder.path()).expect("opened");
    assert!(store.load().is_err());
    store.keep_module(&digest, b"one").expect("kept");
    let found = store.load().expect("read").expect("something");
    assert_eq!(found, generation(3, b"one"));
}

#[test]
fn what_was_left_unfinished_is_swept_away_unless_somebody_is_at_it() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(Store::open(folder.path()).expect("opened"));
    let mut other = std::process::Command::new("cat");
    let mut other = other
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("cat runs");
    let file = |pid: u32| folder.path().join(format!("modules/a.wasm.{pid}.new"));
    let (ours, theirs) = (file(std::process::id()), file(other.id()));
    for file in [&ours, &theirs] {
        std::fs::write(file, b"half").expect("written");
    }
    drop(Store::open(folder.path()).expect("opened"));
    assert!(!ours.exists() && theirs.exists());
    drop(other.stdin.take());
    other.wait().expect("it ends");
    drop(Store::open(folder.path()).expect("opened"));
    assert!(!theirs.exists());
}

#[test]
fn its_place_follows_the_surroundings_and_the_configuration() {
    let place = |pairs: &[(&str, &str)], config: &str| {
        default_folder(Path::new(config), |name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        })
    };
    let parent = |path: Option<PathBuf>| path.and_then(|path| Some(path.parent()?.to_owned()));
    let home = ("HOME", "/home/me");
    assert_eq!(
        parent(place(&[home], "/a")),
        Some("/home/me/.local/state/tidegate".into())
    );
    assert_eq!(
        parent(place(&[home, ("XDG_STATE_HOME", "/s")], "/a")),
        Some("/s/tidegate".into())
    );
    assert_eq!(
        parent(place(&[home, ("STATE_DIRECTORY", "/var/lib/x:/y")], "/a")),
        Some("/var/lib/x".into())
    );
    assert_eq!(place(&[("HOME", "relative")], "/a"), None);
    assert_ne!(place(&[home], "/a"), place(&[home], "/b"));
}
