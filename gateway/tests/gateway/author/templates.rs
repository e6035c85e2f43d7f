//! All templates, as they are: they build, pass their tests, and check.

use std::path::Path;

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
        let said = run(&["build"]).well();
        assert!(said.contains("without the names of functions"), "{said}");
        let module = project.join(format!("target/my-{template}.wasm"));
        assert!(module.is_file(), "{said}");
        let said = run(&["check", &format!("target/my-{template}.wasm")]).well();
        assert!(said.contains("it serves here"), "{said}");
    }
}
