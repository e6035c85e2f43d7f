//! All templates, as they are: they build, pass their tests, and check.

use std::path::Path;

use super::Done;
use super::kept;
use super::plugin;

const TEMPLATES: [&str; 6] = ["auth", "body", "canary", "fault", "headers", "rate-limit"];

/// Makes all six beside each other; they share a copy of the SDK and a target folder, so that the
/// SDK is compiled once.
fn make(folder: &Path) {
    for template in TEMPLATES {
        let name = format!("my-{template}");
        let project = folder.join(&name);
        let unchanged = project.join("target");
        // What cargo built of it stays.
        if project.exists() {
            assert!(!unchanged.is_symlink());
            std::fs::remove_dir_all(&project).expect("removed");
        }
        let mut new = plugin(folder, &["new", &name, "--template", template]);
        if template != TEMPLATES[0] {
            new.args(["--sdk", "my-auth/.tidegate/sdk"]);
        }
        let said = Done::of(&mut new).well();
        assert!(said.contains(&format!("made {name}: it ")), "{said}");
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
        assert!(said.contains("test result: ok. ") && !said.contains("ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\n     Running tests"), "{said}");
        let said = run(&["build"]).well();
        assert!(said.contains("without the names of functions"), "{said}");
        let module = project.join(format!("target/my-{template}.wasm"));
        assert!(module.is_file(), "{said}");
        let said = run(&["test", "--wasm"]).well();
        assert!(said.contains("(wasm)"), "{said}");
    }
}
