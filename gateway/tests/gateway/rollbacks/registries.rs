//! Going back to versions whose registry does not have them any more.

use tidegate_testkit::Registry;

use super::*;

/// A gateway whose filter comes from a registry, and has had versions 1, 2 and 3 of it.
fn with_three(registry: &Registry, args: &[&str]) -> (Folder, Origin, Running) {
    let (folder, origin) = folder("");
    let source = format!("source: {{ oci: \"{}\" }}", registry.reference("stamp:1"));
    let text = plugin("  pullPolicy: Always\n").replace("source: { file: stamp.wasm }", &source);
    registry.put("stamp", "1", &version(201, WELL));
    folder.write("plugin.yaml", text.as_bytes());
    let gateway = Running::start_with(folder.path(), args);
    serves(&gateway, 201);
    for status in [202, 203] {
        registry.put("stamp", "1", &version(status, WELL));
        gateway.admin("POST /reload");
        serves(&gateway, status);
    }
    // Nobody can have any of them from there.
    registry.untag("stamp", "1");
    registry.set_down(true);
    (folder, origin, gateway)
}

#[track_caller]
fn serves(gateway: &Running, status: u16) {
    eventually(&format!("{status}"), || {
        (gateway.get("/").status() == status).then_some(())
    });
}

fn back_to(gateway: &Running, number: u32) -> (u16, String) {
    let answer = gateway.admin(&format!("POST /plugins/default/stamp/rollback?to={number}"));
    (answer.status(), answer.text())
}

#[test]
fn a_version_that_its_registry_has_no_more_can_be_gone_back_to() {
    let registry = Registry::start();
    let home = tempfile::tempdir().expect("a folder");
    let text = |name: &str| home.path().join(name).to_str().expect("text").to_owned();
    let (state, cache) = (text("state"), text("cache"));
    let args = ["--state-dir", &state, "--plugin-cache", &cache];
    let (folder, _origin, gateway) = with_three(&registry, &args);
    let (status, said) = back_to(&gateway, 1);
    assert_eq!(status, 200, "{said}");
    serves(&gateway, 201);
    drop(gateway); // Killed.
    let gateway = Running::start_with(folder.path(), &args);
    assert_eq!(gateway.get("/").status(), 201, "also over a restart");
    let (status, said) = back_to(&gateway, 2);
    assert_eq!(status, 200, "{said}");
    serves(&gateway, 202);
}

#[test]
fn a_version_of_which_no_code_is_left_is_refused_and_what_serves_stays() {
    let registry = Registry::start();
    let home = tempfile::tempdir().expect("a folder");
    let text = |name: &str| home.path().join(name).to_str().expect("text").to_owned();
    let (state, cache) = (text("state"), text("cache"));
    let args = ["--state-dir", &state, "--plugin-cache", &cache];
    let (_folder, _origin, gateway) = with_three(&registry, &args);
    let history = gateway.json("/plugins/default/stamp/history");
    let image = history.pointer("/versions/0/imageDigest");
    let image = image.and_then(|it| it.as_str()).expect("an image");
    let address = gateway.admin_address().to_string();
    let mut command = tidegate();
    command.args(["plugin", "history", "stamp", "--admin", &address]);
    let (_, out, _) = finish(&mut command);
    let brief = image.strip_prefix("sha256:").and_then(|hex| hex.get(..12));
    assert!(out.contains(brief.expect("a digest")), "{image}: {out}");
    let first = history["versions"].as_array().and_then(|all| all.last());
    let digest = first
        .and_then(|it| it["digest"].as_str())
        .expect("a digest");
    std::fs::remove_dir_all(&cache).expect("removed");
    let modules = home.path().join("state").join("modules");
    let mut removed = 0;
    for entry in std::fs::read_dir(modules).expect("a folder") {
        let entry = entry.expect("readable");
        if entry.file_name().to_string_lossy().starts_with(digest) {
            std::fs::remove_file(entry.path()).expect("removed");
            removed += 1;
        }
    }
    assert_eq!(removed, 1);
    let (status, said) = back_to(&gateway, 1);
    let gone =
        "the code of version 1 of default/stamp is gone: it is in the state folder no more\n";
    assert_eq!((status, said.as_str()), (409, gone));
    assert_eq!(gateway.get("/").status(), 203);
    let (status, said) = back_to(&gateway, 2);
    assert_eq!(status, 200, "the others are there: {said}");
    serves(&gateway, 202);
}
