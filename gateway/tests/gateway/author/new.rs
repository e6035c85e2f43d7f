//! `plugin new`, `build` and `test` where they refuse: clearly, and with nothing written.

use super::Done;
use super::names;
use super::plugin;

#[test]
fn a_name_that_is_none_is_wrong_usage_and_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let err = Done::of(&mut plugin(folder.path(), &["new", "my.auth"])).badly(2);
    assert!(
        err.contains("'my.auth'") && err.contains("has no '.'"),
        "{err}"
    );
    assert!(err.contains("use letters, digits, - and _"), "{err}");
    let err = Done::of(&mut plugin(folder.path(), &["new", "crate"])).badly(2);
    assert!(err.contains("a word of Rust"), "{err}");
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn an_unknown_template_lists_those_there_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = ["new", "x", "--template", "oauth"];
    let err = Done::of(&mut plugin(folder.path(), &args)).badly(2);
    for name in ["auth", "rate-limit", "canary", "fault", "body", "headers"] {
        assert!(err.contains(name), "{name}: {err}");
    }
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn what_is_there_already_stays_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("mine")).expect("made");
    std::fs::write(folder.path().join("mine/file"), "x").expect("written");
    let err = Done::of(&mut plugin(folder.path(), &["new", "mine"])).badly(1);
    assert!(
        err.contains("mine is there already, and nothing was written"),
        "{err}"
    );
    assert_eq!(names(folder.path()), ["mine"]);
    assert_eq!(names(&folder.path().join("mine")), ["file"]);
}

#[test]
fn an_sdk_that_is_none_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = ["new", "mine", "--sdk", "/"];
    let err = Done::of(&mut plugin(folder.path(), &args)).badly(1);
    assert!(err.contains("no folder of the crate tidegate-sdk"), "{err}");
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn a_folder_without_a_crate_is_said_to_be_none() {
    let folder = tempfile::tempdir().expect("a folder");
    for command in ["build", "test"] {
        let err = Done::of(&mut plugin(folder.path(), &[command])).badly(1);
        assert!(err.contains(". has no Cargo.toml"), "{err}");
        assert!(err.contains("tidegate plugin new NAME"), "{err}");
    }
}

#[test]
fn a_crate_that_makes_no_module_is_told_what_to_write() {
    let folder = tempfile::tempdir().expect("a folder");
    let manifest = "[package]\nname = \"plain\"\nedition = \"2024\"\n[workspace]\n";
    std::fs::create_dir(folder.path().join("src")).expect("made");
    std::fs::write(folder.path().join("Cargo.toml"), manifest).expect("written");
    std::fs::write(folder.path().join("src/lib.rs"), "").expect("written");
    let err = Done::of(&mut plugin(folder.path(), &["build"])).badly(1);
    assert!(err.contains("plain is built to no module"), "{err}");
    assert!(err.contains("crate-type = [\"cdylib\", \"rlib\"]"), "{err}");
}

#[test]
fn without_a_compiler_for_webassembly_the_command_that_installs_it_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    Done::of(&mut plugin(folder.path(), &["new", "mine"])).well();
    let mine = folder.path().join("mine");
    let before = names(&mine);
    let mut build = plugin(&mine, &["build", "--toolchain", "rustup"]);
    // A compiler that has no such target.
    let rustc = folder.path().join("rustc");
    let script =
        "#!/bin/sh\ncase \"$*\" in *wasm32*) echo /no/such/folder;; *) exec rustc \"$@\";; esac\n";
    std::fs::write(&rustc, script).expect("written");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&rustc, executable).expect("set");
    let err = Done::of(build.env("RUSTC", &rustc)).badly(1);
    assert!(
        err.contains("run: rustup target add wasm32-unknown-unknown"),
        "{err}"
    );
    assert_eq!(names(&mine), before);
    let mut new = plugin(folder.path(), &["new", "other"]);
    let said = Done::of(new.env("RUSTC", &rustc)).well();
    assert!(
        said.contains("rustup target add wasm32-unknown-unknown"),
        "{said}"
    );
}

#[test]
fn without_rust_the_command_that_installs_it_is_said_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    Done::of(&mut plugin(folder.path(), &["new", "mine"])).well();
    let mine = folder.path().join("mine");
    std::fs::remove_dir_all(mine.join(".tidegate")).expect("removed");
    let before = names(&mine);
    for command in ["build", "test", "dev"] {
        let mut command = plugin(&mine, &[command]);
        let err = Done::of(command.env("PATH", folder.path())).badly(1);
        assert!(err.contains("Rust is not installed"), "{err}");
        assert!(err.contains("https://sh.rustup.rs"), "{err}");
    }
    assert_eq!(names(&mine), before);
    let mut new = plugin(folder.path(), &["new", "other"]);
    let err = Done::of(new.env("PATH", folder.path())).badly(1);
    assert!(err.contains("nothing was written: Rust is not"), "{err}");
    assert_eq!(names(folder.path()), ["mine"]);
}

#[test]
fn tests_in_envoy_without_envoy_say_what_to_install() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut test = plugin(folder.path(), &["test", "--envoy"]);
    let err = Done::of(test.env("TIDEGATE_ENVOY", "/no/such/envoy")).badly(1);
    assert!(
        err.contains("/no/such/envoy cannot be run; install Envoy 1.40"),
        "{err}"
    );
}
