//! All templates, as they are: they build, pass their tests, and check.

use std::path::Path;
use std::process::Command;

use tidegate_testkit::Envoy;

use super::Done;
use super::kept;
use super::plugin;

const TEMPLATES: [&str; 6] = ["auth", "body", "canary", "fault", "headers", "rate-limit"];

/// Makes all six beside each other. They share a copy of the SDK, which stays from run to run if it
/// is the same, and a target folder, so that the SDK is compiled once.
fn make(folder: &Path) {
    let fresh = folder.join("fresh");
    let shared = folder.join("shared");
    remove(&fresh);
    Done::of(&mut plugin(folder, &["new", "fresh"])).well();
    let version = |place: &Path| std::fs::read_to_string(place.join("VERSION")).ok();
    let copy = fresh.join(".tidegate");
    if version(&shared) != version(&copy) {
        remove(&shared);
        std::fs::rename(&copy, &shared).expect("moved");
    }
    for template in TEMPLATES {
        let name = format!("my-{template}");
        remove(&folder.join(&name));
        let args = ["new", &name, "--template", template, "--sdk", "shared/sdk"];
        let said = Done::of(&mut plugin(folder, &args)).well();
        assert!(said.contains(&format!("made {name}: it ")), "{said}");
    }
}

/// Removes what a run before has left.
fn remove(folder: &Path) {
    if folder.exists() {
        std::fs::remove_dir_all(folder).expect("removed");
    }
}

#[test]
fn all_six_templates_build_and_pass_their_tests_as_they_are() {
    let folder = kept("templates");
    make(&folder);
    let target = folder.join("target");
    for template in TEMPLATES {
        let project = folder.join(format!("my-{template}"));
        let run = |args: &[&str]| {
            let mut command = plugin(&project, args);
            Done::of(command.env("CARGO_TARGET_DIR", &target))
        };
        let said = run(&["test"]).well();
        assert!(said.contains("test result: ok. "), "{said}");
        clippy(&project, &target).well();
        let said = run(&["build"]).well();
        assert!(said.contains("without the names of functions"), "{said}");
        let module = project.join(format!("target/my-{template}.wasm"));
        assert!(module.is_file(), "{said}");
        let said = run(&["test", "--wasm", "--", "--test", "filter"]).well();
        assert!(
            said.contains("(wasm)") && said.contains("test result: ok. "),
            "{said}"
        );
        if Envoy::wanted() {
            let peers = std::env::var_os("TIDEGATE_PEERS_DIR").expect("xtask says where peers are");
            let mut test = plugin(&project, &["test", "--envoy", "--", "--test", "filter"]);
            test.env("CARGO_TARGET_DIR", &target);
            test.env("TIDEGATE_ENVOY", Path::new(&peers).join("envoy/bin/envoy"));
            let said = Done::of(&mut test).well();
            assert!(said.contains("(envoy)"), "{said}");
        }
        let said = run(&["check", &format!("target/my-{template}.wasm")]).well();
        assert!(said.contains("it serves here"), "{said}");
        let mut check = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        let check = check.args(["check", "-c", "tidegate.yaml"]);
        let said = Done::of(check.current_dir(&project)).well();
        assert!(said.contains(" resources, no problems"), "{said}");
    }
    a_filter_that_uses_what_a_module_does_not_have_is_refused(&folder.join("my-headers"), &target);
}

/// The lints of a filter are denied, each with what there is instead.
fn a_filter_that_uses_what_a_module_does_not_have_is_refused(project: &Path, target: &Path) {
    let file = project.join("src/lib.rs");
    let mut source = std::fs::read_to_string(&file).expect("read");
    source.push_str(
        "pub fn bad() { let _ = (std::time::Instant::now(), std::collections::HashMap::<u8, u8>::new()); }",
    );
    std::fs::write(&file, source).expect("written");
    let err = clippy(project, target).badly(101);
    for instead in ["cx.now()", "BTreeMap"] {
        assert!(err.contains(instead), "{instead}: {err}");
    }
}

/// Lints a filter as its Cargo.toml and clippy.toml say.
fn clippy(project: &Path, target: &Path) -> Done {
    let mut clippy = Command::new("cargo");
    clippy.args(["clippy", "--all-targets", "-q", "--", "-D", "warnings"]);
    let clippy = clippy.current_dir(project).env("CARGO_TARGET_DIR", target);
    Done::of(clippy.env("CARGO_NET_OFFLINE", "true"))
}
