//! Signatures of images: what a policy of the operator refuses, keeps, and says.

use std::path::Path;

use tidegate_testkit::Signer;
use tidegate_testkit::eventually;

use super::World;
use super::ask_again;
use super::by;
use super::filter;
use super::plugin;
use super::ready;
use super::serves;
use super::source;
use crate::process::Folder;
use crate::process::Running;
use crate::process::finish;
use crate::process::tidegate;

/// A file that says of all images what is wanted, with the key of a signer.
fn policy(mode: &str, signer: &Signer) -> Folder {
    let folder = Folder::of(&[("team.pub", &signer.public_key())]);
    folder.write("policy.yaml", rules(mode).as_bytes());
    folder
}

fn rules(mode: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: SignaturePolicy\nmetadata: {{ name: test }}\n\
         spec:\n  rules:\n  - {{ images: \"*\", mode: {mode}, keys: [team.pub] }}\n"
    )
}

fn flag(policy: &Folder) -> [String; 2] {
    let file = policy.file("policy.yaml");
    let file = file.to_str().expect("UTF-8").to_owned();
    ["--signature-policy".to_owned(), file]
}

/// A start that keeps its state in a folder.
fn start(world: &World, state: &tempfile::TempDir, policy: &Folder) -> Running {
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let (state, cache) = (text(state.path()), text(world.cache.path()));
    let [flag, file] = flag(policy);
    let args = [
        "--state-dir",
        &state,
        "--plugin-cache",
        &cache,
        &flag,
        &file,
    ];
    Running::start_with(world.folder.path(), &args)
}

#[test]
fn only_signed_images_serve_where_they_must_be_and_the_last_good_one_stays() {
    let signer = Signer::new();
    let policy = policy("Require", &signer);
    let state = tempfile::tempdir().expect("a folder");
    let world = World::new("pullPolicy: Always");
    let image = world.registry.put("one", "1", &filter("v1"));
    let mut gateway = start(&world, &state, &policy);
    let why = eventually("the refusal", || {
        source(&gateway, "lastError").as_str().map(str::to_owned)
    });
    assert!(
        why.contains(&format!("one@{image} has no valid signature"))
            && why.contains("keys tried: team.pub"),
        "{why}"
    );
    assert_eq!(by(&gateway), "503");
    eventually("the condition", || {
        let condition = gateway.resource("Plugin", "one").expect("it is there");
        let condition = condition.to_string();
        condition.contains("SignatureMissing").then_some(())
    });
    let refusals = "tidegate_plugin_signature_refusals_total";
    assert!(gateway.metric(refusals) >= Some(1.0));
    gateway.logs("has no valid signature");

    signer.sign(&world.registry, "one", &image);
    ask_again(&gateway);
    serves(&gateway, "v1");
    let signature = source(&gateway, "signature");
    assert_eq!(signature["valid"], true);
    assert_eq!(
        signature["message"],
        "valid by team.pub (a signature of cosign 2)"
    );
    let valid = "tidegate_plugin_signature_valid{plugin=\"default/one\"}";
    assert_eq!(gateway.metric(valid), Some(1.0));

    // Another image under the same tag, signed by nobody.
    world.registry.put("one", "1", &filter("v2"));
    ask_again(&gateway);
    eventually("the refusal", || {
        let error = source(&gateway, "lastError");
        error
            .as_str()?
            .contains("has no valid signature")
            .then_some(())
    });
    assert_eq!(by(&gateway), "v1");

    // A start without the registry has the signature in its cache.
    gateway.kill();
    world.registry.set_down(true);
    let mut gateway = start(&world, &state, &policy);
    assert_eq!(by(&gateway), "v1");
    assert_eq!(source(&gateway, "signature")["valid"], true);

    // Nor is the last good version of another image that never came forgotten.
    let other = world.registry.reference("one:2");
    let other = plugin("one", &other, "pullPolicy: Always");
    world.folder.write("plugin.yaml", other.as_bytes());
    eventually("the other image", || {
        (source(&gateway, "wanted").as_str()?.ends_with("one:2")).then_some(())
    });
    gateway.kill();
    let gateway = start(&world, &state, &policy);
    assert_eq!(by(&gateway), "v1");
}

#[test]
fn a_policy_that_changes_is_heeded_and_one_that_breaks_leaves_the_one_before() {
    let (signer, other) = (Signer::new(), Signer::new());
    let policy = policy("Require", &signer);
    let state = tempfile::tempdir().expect("a folder");
    let world = World::new("pullPolicy: Always");
    let image = world.registry.put("one", "1", &filter("v1"));
    other.sign(&world.registry, "one", &image);
    let mut gateway = start(&world, &state, &policy);
    eventually("the refusal", || {
        let error = source(&gateway, "lastError");
        error.as_str()?.contains("by another key").then_some(())
    });
    policy.write("policy.yaml", b"rules: [");
    let page = eventually("the mistake", || {
        let page = gateway.json("/plugins")["signaturePolicy"].clone();
        page["error"].is_string().then_some(page)
    });
    assert!(
        page["error"].to_string().contains("policy.yaml:1:"),
        "{page}"
    );
    assert_eq!(
        gateway.metric("tidegate_plugin_signature_policy_ok"),
        Some(0.0)
    );
    gateway.logs("the signature policy before stays in force");
    assert_eq!(by(&gateway), "503");

    policy.write("policy.yaml", rules("Warn").as_bytes());
    serves(&gateway, "v1");
    assert_eq!(source(&gateway, "signature")["valid"], false);
    assert_eq!(
        gateway.metric("tidegate_plugin_signature_policy_ok"),
        Some(1.0)
    );

    // Stricter again: what serves goes on, and is not there for the next start.
    policy.write("policy.yaml", rules("Require").as_bytes());
    eventually("the refusal", || {
        (source(&gateway, "state") == "Failed").then_some(())
    });
    assert_eq!(by(&gateway), "v1");
    gateway.kill();
    let gateway = start(&world, &state, &policy);
    assert_eq!(by(&gateway), "503");
    gateway.logs("the stored version of default/one is not used");
    // The key is believed now.
    policy.write("team.pub", other.public_key().as_bytes());
    serves(&gateway, "v1");
    eventually("readiness", || (ready(&gateway).0 == 200).then_some(()));
}

#[test]
fn a_key_that_is_retired_is_told_at_once_while_what_serves_goes_on() {
    let (signer, other) = (Signer::new(), Signer::new());
    let policy = policy("Require", &signer);
    let state = tempfile::tempdir().expect("a folder");
    let world = World::new("");
    let image = world.registry.put("one", "1", &filter("v1"));
    signer.sign(&world.registry, "one", &image);
    let gateway = start(&world, &state, &policy);
    serves(&gateway, "v1");
    let valid = "tidegate_plugin_signature_valid{plugin=\"default/one\"}";
    assert_eq!(gateway.metric(valid), Some(1.0));

    for is_down in [false, true] {
        world.registry.set_down(is_down);
        policy.write("team.pub", other.public_key().as_bytes());
        let message = eventually("the verdict", || {
            let signature = source(&gateway, "signature");
            let message = signature["message"].as_str()?.to_owned();
            (signature["valid"] == false).then_some(message)
        });
        assert!(message.contains("signature"), "{message}");
        assert_eq!(gateway.metric(valid), Some(0.0));
        eventually("the problem", || {
            let page = gateway.json("/plugins");
            let problems = page["plugins"][0]["problems"].clone();
            (problems[0]["reason"] == "SignatureMissing").then_some(())
        });
        assert_eq!(by(&gateway), "v1");
        policy.write("team.pub", signer.public_key().as_bytes());
        eventually("the key of before", || {
            (source(&gateway, "signature")["valid"] == true).then_some(())
        });
        assert_eq!(gateway.metric(valid), Some(1.0));
    }
}

#[test]
fn lock_writes_no_digest_of_an_image_that_gateways_would_refuse() {
    let signer = Signer::new();
    let policy = policy("Require", &signer);
    let [flag, file] = flag(&policy);
    let world = World::new("");
    let image = world.registry.put("one", "1", &filter("v1"));
    let cache = world.cache.path().to_str().expect("UTF-8");
    let config = world.folder.path().to_str().expect("UTF-8");
    let lock = || {
        let mut command = tidegate();
        command.args(["plugin", "lock", "-c", config, &flag, &file]);
        finish(command.args(["--plugin-cache", cache]))
    };
    let read = || {
        let text = std::fs::read_to_string(world.folder.path().join("plugin.yaml"));
        text.expect("it is there")
    };
    let before = read();
    let (code, out, err) = lock();
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(err.contains("has no valid signature"), "{err}");
    assert_eq!(read(), before);
    signer.sign(&world.registry, "one", &image);
    let (code, out, err) = lock();
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(read().contains(&image), "{}", read());
}

#[test]
fn a_policy_that_cannot_be_used_keeps_a_gateway_from_starting() {
    let signer = Signer::new();
    let policy = policy("Require", &signer);
    policy.write("team.pub", b"nothing");
    let [flag, file] = flag(&policy);
    let world = World::new("");
    let mut command = tidegate();
    command.arg("run").arg("-c").arg(world.folder.path());
    command.args(["--admin", "off", "--state-dir", "off"]);
    command.args([&flag, &file]);
    let (code, _, err) = finish(&mut command);
    assert_eq!(code, Some(1), "{err}");
    assert!(
        err.contains("policy.yaml:6:42: error: ") && err.contains("team.pub cannot be used"),
        "{err}"
    );
}

#[test]
fn commands_heed_the_policy_and_inspect_says_what_is_missing() {
    let signer = Signer::new();
    let policy = policy("Require", &signer);
    let [flag, file] = flag(&policy);
    let world = World::new("");
    let image = world.registry.put("one", "1", &filter("v1"));
    let reference = world.registry.reference("one:1");
    let cache = world.cache.path().to_str().expect("UTF-8");
    let run = |args: &[&str]| {
        let mut command = tidegate();
        command.args(args).args([&flag, &file]);
        finish(command.args(["--plugin-cache", cache]))
    };
    let config = world.folder.path().to_str().expect("UTF-8");
    let pull = ["plugin", "pull", &reference, "-o", "-"];
    for args in [
        pull.as_slice(),
        &["check", "--pull", "-c", config],
        &[
            "proxy",
            "--to",
            "http://127.0.0.1:1",
            "--plugin",
            &reference,
        ],
    ] {
        let (code, out, err) = run(args);
        assert_eq!(code, Some(1), "{args:?}: {out}{err}");
        let all = format!("{out}{err}");
        assert!(all.contains("has no valid signature"), "{args:?}: {all}");
        assert!(all.contains("cosign sign --key"), "{args:?}: {all}");
    }
    let inspect = ["plugin", "inspect", &reference];
    let (code, out, err) = run(&inspect);
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(
        out.contains("signature      ") && out.contains("there is none"),
        "{out}"
    );

    signer.sign(&world.registry, "one", &image);
    let (code, out, err) = run(&inspect);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("signature      valid by team.pub"), "{out}");
    let (code, _, err) = run(&["check", "--pull", "-c", config]);
    assert_eq!(code, Some(0), "{err}");
    let pulled = policy.file("pulled.wasm");
    let pulled = pulled.to_str().expect("UTF-8");
    let (code, _, err) = run(&["plugin", "pull", &reference, "-o", pulled]);
    assert_eq!(code, Some(0), "{err}");
}

#[test]
fn who_writes_resources_cannot_change_the_policy() {
    let world = World::new("");
    world.folder.write("mine.yaml", rules("Off").as_bytes());
    world
        .folder
        .write("plugin.yaml", plugin("one", "a.test/b:1", "").as_bytes());
    let mut command = tidegate();
    command.arg("check").arg("-c").arg(world.folder.path());
    let (code, out, _) = finish(&mut command);
    assert_eq!(code, Some(1), "{out}");
    assert!(
        out.contains("a SignaturePolicy is no part of the configuration"),
        "{out}"
    );
}

/// The Plugin `one` with a file for its source.
fn of_file(world: &World, file: &str) {
    let text = plugin("one", "IMAGE", "");
    let text = text.replace("oci: \"IMAGE\"", &format!("file: {file}"));
    world.folder.write("plugin.yaml", text.as_bytes());
}

#[test]
fn an_image_that_served_needs_its_signature_also_once_its_plugin_names_a_file() {
    let signer = Signer::new();
    let policy = policy("Warn", &signer);
    let state = tempfile::tempdir().expect("a folder");
    let world = World::new("");
    world.registry.put("one", "1", &filter("v1"));
    let mut gateway = start(&world, &state, &policy);
    serves(&gateway, "v1");
    world.folder.write("local.wasm", &filter("v2"));
    of_file(&world, "local.wasm");
    serves(&gateway, "v2");

    policy.write("policy.yaml", rules("Require").as_bytes());
    gateway.logs("the signature policy");
    let answer = gateway.admin("POST /plugins/default/one/rollback");
    assert_eq!(answer.status(), 409, "{}", answer.text());
    assert!(answer.text().contains("is not signed"), "{}", answer.text());
    assert_eq!(by(&gateway), "v2");

    // A file is the operator's: its last good version needs no signature, also at a start.
    gateway.kill();
    world.folder.write("local.wasm", b"broken");
    let mut gateway = start(&world, &state, &policy);
    assert_eq!(by(&gateway), "v2");
    // Nor does the image come back after the restart.
    let answer = gateway.admin("POST /plugins/default/one/rollback?to=1");
    assert_eq!(answer.status(), 409, "{}", answer.text());
    assert!(answer.text().contains("is not signed"), "{}", answer.text());
    gateway.kill();
    policy.write("policy.yaml", rules("Off").as_bytes());
    let gateway = start(&world, &state, &policy);
    let answer = gateway.admin("POST /plugins/default/one/rollback?to=1");
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(by(&gateway), "v1");
}
