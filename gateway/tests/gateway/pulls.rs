//! Plugins from registries: starts with and without them, tags that move, pulls that hang or lie.

#[path = "pulls/bad.rs"]
mod bad;
#[path = "pulls/commands.rs"]
mod commands;
#[path = "pulls/readiness.rs"]
mod readiness;
#[path = "pulls/real.rs"]
mod real;
#[path = "pulls/signatures.rs"]
mod signatures;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use tidegate_testkit::Client;
use tidegate_testkit::Mood;
use tidegate_testkit::Origin;
use tidegate_testkit::Registry;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

use crate::process::Folder;
use crate::process::GATEWAY;
use crate::process::Running;
use crate::process::backend;
use crate::process::route;
use crate::process::tidegate;

/// A module that says in each response who it is.
pub(crate) fn filter(by: &str) -> Vec<u8> {
    let wasm = Wasm::wat(
        "by",
        r#"(import "env" "proxy_add_header_map_value"
            (func $add (param i32 i32 i32 i32 i32) (result i32)))"#,
        &format!(
            r#"(data (i32.const 16) "x-by") (data (i32.const 32) "{by}")
            (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
                (drop (call $add (i32.const 2) (i32.const 16) (i32.const 4) (i32.const 32) (i32.const {})))
                (i32.const 0))"#,
            by.len()
        ),
    );
    wasm.module().to_vec()
}

/// A Plugin in the path of everything. `more` are lines of its spec.
fn plugin(name: &str, reference: &str, more: &str) -> String {
    format!(
        r#"
apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: {{ name: {name} }}
spec:
  source: {{ oci: "{reference}" }}
  targetRefs: [{{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }}]
  {more}
"#
    )
}

/// A registry, an origin, and a configuration with one Plugin `one` of the image `one:1`.
struct World {
    registry: Registry,
    _origin: Origin,
    folder: Folder,
    cache: tempfile::TempDir,
}

impl World {
    fn new(more: &str) -> Self {
        let registry = Registry::start();
        let origin = Origin::answers(200, "apples");
        let reference = registry.reference("one:1");
        let folder = Folder::of(&[
            ("gateway.yaml", GATEWAY),
            ("route.yaml", &route("apples")),
            ("backend.yaml", &backend("apples", origin.address())),
            ("plugin.yaml", &plugin("one", &reference, more)),
        ]);
        Self {
            registry,
            _origin: origin,
            folder,
            cache: tempfile::tempdir().expect("a folder"),
        }
    }

    fn start(&self, args: &[&str]) -> Running {
        let cache = self.cache.path().to_str().expect("UTF-8");
        Running::start(&self.folder, &[&["--plugin-cache", cache], args].concat())
    }
}

/// Who answers, or the status if nobody says so.
fn by(gateway: &Running) -> String {
    let answer = gateway.get("/");
    let status = answer.status().to_string();
    answer.field("x-by").map_or(status, str::to_owned)
}

#[track_caller]
fn serves(gateway: &Running, expected: &str) {
    eventually(expected, || (by(gateway) == expected).then_some(()));
}

/// What /ready says: its status, and its lines.
fn ready(gateway: &Running) -> (u16, String) {
    let answer = gateway.admin("GET /ready");
    (answer.status(), answer.text())
}

/// What /plugins says about where the first plugin is from.
fn source(gateway: &Running, key: &str) -> serde_json::Value {
    let page = gateway.json("/plugins");
    let value = page.pointer(&format!("/plugins/0/source/{key}"));
    value.cloned().unwrap_or_default()
}

/// Everything is asked for again.
fn ask_again(gateway: &Running) {
    gateway.admin("POST /reload");
}

#[test]
fn a_start_without_registry_and_cache_waits_in_readiness_and_answers_503() {
    let world = World::new("");
    world.registry.put("one", "1", &filter("v1"));
    world.registry.set_down(true);
    let gateway = world.start(&[]);
    let reference = world.registry.reference("one:1");
    assert_eq!(by(&gateway), "503");
    let why = eventually("the reason", || {
        let (status, text) = ready(&gateway);
        assert_eq!(status, 503, "{text}");
        text.contains("503: ").then_some(text)
    });
    assert!(why.contains("waiting for plugins"), "{why}");
    assert!(
        why.contains(&format!("default/one: {reference} is not here yet")),
        "{why}"
    );
    assert_eq!(source(&gateway, "state"), "Failed");
    let condition = gateway.resource("Plugin", "one").expect("it is there");
    assert!(condition.to_string().contains("PullFailed"), "{condition}");
    assert_eq!(
        gateway.metric("tidegate_plugin_pulled{plugin=\"default/one\"}"),
        Some(0.0)
    );
    world.registry.set_down(false);
    ask_again(&gateway);
    serves(&gateway, "v1");
    // Workers have it a moment before it is told.
    eventually("readiness", || {
        (ready(&gateway) == (200, "ready\n".to_owned())).then_some(())
    });
    assert_eq!(source(&gateway, "state"), "Pulled");
    assert_eq!(source(&gateway, "wanted"), reference);
    let pulls = gateway.metric("tidegate_plugin_pulls_total{result=\"success\"}");
    assert_eq!(pulls, Some(1.0));
    gateway.logs("cannot pull");
    gateway.logs("pulled");
}

#[test]
fn readiness_waits_no_longer_than_it_is_told() {
    let world = World::new("failurePolicy: FailOpen");
    let gateway = world.start(&["--pull-wait", "0s"]);
    let (status, text) = ready(&gateway);
    assert_eq!(status, 200, "{text}");
    assert!(
        text.contains("is not here yet, requests pass without it"),
        "{text}"
    );
    assert_eq!(by(&gateway), "200");
}

#[test]
fn a_restart_without_registry_serves_from_the_cache_and_readiness_says_why() {
    let world = World::new("pullPolicy: Always");
    let image = world.registry.put("one", "1", &filter("v1"));
    let mut gateway = world.start(&[]);
    serves(&gateway, "v1");
    gateway.kill();
    world.registry.set_down(true);
    let gateway = world.start(&[]);
    assert_eq!(by(&gateway), "v1", "from its first request on");
    let text = eventually("the reason", || {
        let (status, text) = ready(&gateway);
        assert_eq!(status, 200, "{text}");
        text.contains(&format!("from the cache ({image}): "))
            .then_some(text)
    });
    assert!(text.starts_with("ready\ndefault/one: "), "{text}");
    assert_eq!(source(&gateway, "state"), "Cached");
    assert_eq!(source(&gateway, "imageDigest"), image);
    assert_eq!(
        gateway.metric("tidegate_plugin_pull_failing{plugin=\"default/one\"}"),
        Some(1.0)
    );
    world.registry.set_down(false);
    world.registry.put("one", "1", &filter("v2"));
    ask_again(&gateway);
    serves(&gateway, "v2");
    assert_eq!(ready(&gateway).1, "ready\n");
}

#[test]
fn the_log_says_once_that_a_pull_fails_and_once_that_it_works_again() {
    let world = World::new("pullPolicy: Always");
    world.registry.put("one", "1", &filter("v1"));
    let gateway = world.start(&[]);
    serves(&gateway, "v1");
    let failed = || gateway.metric("tidegate_plugin_pulls_total{result=\"failure\"}");
    world.registry.set_down(true);
    for count in [1.0, 2.0, 3.0] {
        ask_again(&gateway);
        eventually("another failure", || (failed()? >= count).then_some(()));
    }
    gateway.logs("; what is in the cache serves; it is tried again");
    let log = gateway.log();
    let told = log.iter().filter(|line| line.contains("cannot pull"));
    assert_eq!(told.count(), 1, "{log:#?}");
    world.registry.set_down(false);
    ask_again(&gateway);
    gateway.logs("can be pulled again, it is what it was");
}

#[test]
fn a_policy_that_asks_once_never_asks_again() {
    let world = World::new("pullPolicy: IfNotPresent");
    world.registry.put("one", "1", &filter("v1"));
    let mut gateway = world.start(&[]);
    serves(&gateway, "v1");
    gateway.kill();
    world.registry.put("one", "1", &filter("v2"));
    let asked = world.registry.asked().len();
    let gateway = world.start(&[]);
    assert_eq!(by(&gateway), "v1");
    ask_again(&gateway);
    assert_eq!(by(&gateway), "v1");
    assert_eq!(world.registry.asked().len(), asked);
}

#[test]
fn a_tag_that_moves_there_and_back_under_traffic_is_swapped_without_a_failed_request() {
    let world = World::new("pullPolicy: Always");
    let first = world.registry.put("one", "1", &filter("v1"));
    let gateway = world.start(&[]);
    serves(&gateway, "v1");
    let address = gateway.address().expect("it listens");
    let over = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    let traffic = std::thread::spawn(move || {
        let mut client = Client::connect(address);
        let mut seen = Vec::new();
        while !is_over.load(Ordering::SeqCst) {
            let answer = client.get("/");
            assert_eq!(answer.status(), 200);
            seen.push(answer.field("x-by").expect("a filter").to_owned());
        }
        seen.dedup();
        seen
    });
    let second = world.registry.put("one", "1", &filter("v2"));
    ask_again(&gateway);
    serves(&gateway, "v2");
    for (image, who) in [(&first, "v1"), (&second, "v2"), (&first, "v1")] {
        world.registry.tag("one", "1", image);
        ask_again(&gateway);
        serves(&gateway, who);
        assert_eq!(source(&gateway, "imageDigest"), *image);
    }
    over.store(true, Ordering::SeqCst);
    let seen = traffic.join().expect("no failed request");
    assert_eq!(seen.first().map(String::as_str), Some("v1"));
    assert_eq!(seen.last().map(String::as_str), Some("v1"));
    assert!(seen.contains(&"v2".to_owned()), "{seen:?}");
}

#[test]
fn a_pull_that_hangs_leaves_every_other_resource_loading_and_serving() {
    let world = World::new("pullPolicy: Always");
    world.registry.put("one", "1", &filter("v1"));
    world.registry.put("slow", "1", &filter("slow"));
    world.registry.treat("slow", Mood::HangsAtBlobs);
    let gateway = world.start(&[]);
    serves(&gateway, "v1");
    let slow = plugin(
        "slow",
        &world.registry.reference("slow:1"),
        "failurePolicy: FailOpen",
    );
    world.folder.write("slow.yaml", slow.as_bytes());
    eventually("the pull", || {
        let page = gateway.json("/plugins");
        page.to_string().contains("\"pulling\":true").then_some(())
    });
    assert_eq!(ready(&gateway).0, 200, "it was ready before");
    // Another plugin, and other resources.
    world.registry.put("one", "1", &filter("v2"));
    ask_again(&gateway);
    serves(&gateway, "v2");
    let pears = Origin::answers(200, "pears");
    world.folder.write(
        "backend.yaml",
        backend("apples", pears.address()).as_bytes(),
    );
    eventually("pears", || {
        (gateway.get("/").text() == "pears").then_some(())
    });
    assert!(
        gateway
            .json("/plugins")
            .to_string()
            .contains("\"pulling\":true")
    );
}

#[test]
fn what_is_not_what_it_should_be_leaves_the_last_good_version_serving() {
    let world = World::new("pullPolicy: Always");
    world.registry.put("one", "1", &filter("v1"));
    let gateway = world.start(&[]);
    serves(&gateway, "v1");
    world.registry.put("one", "1", &filter("v2"));
    world.registry.treat("one", Mood::WrongBlobs);
    ask_again(&gateway);
    eventually("the failure", || {
        source(&gateway, "lastError").as_str().map(str::to_owned)
    });
    assert_eq!(by(&gateway), "v1");
    // No module at all, under the right digest.
    world.registry.treat("one", Mood::Fine);
    world.registry.put("one", "1", b"this is no module");
    ask_again(&gateway);
    eventually("a refusal", || {
        let now = gateway
            .resource("Plugin", "one")
            .expect("it is there")
            .to_string();
        let failing = source(&gateway, "lastError").to_string();
        (now.contains("InvalidModule") || failing.contains("WebAssembly")).then_some(())
    });
    assert_eq!(by(&gateway), "v1");
    world.registry.put("one", "1", &filter("v3"));
    ask_again(&gateway);
    serves(&gateway, "v3");
}

#[test]
fn a_module_with_another_sha256_than_the_plugin_says_is_refused() {
    let zeros = "0".repeat(64);
    let world = World::new(&format!("sha256: \"{zeros}\""));
    world.registry.put("one", "1", &filter("v1"));
    let gateway = world.start(&[]);
    eventually("the refusal", || {
        let now = gateway
            .resource("Plugin", "one")
            .expect("it is there")
            .to_string();
        now.contains("has the SHA-256").then_some(())
    });
    assert_eq!(by(&gateway), "503");
}

#[test]
fn a_login_in_a_secret_that_changes_is_used_at_once() {
    let secret = |password: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: login }}\n\
             type: kubernetes.io/basic-auth\n\
             stringData: {{ username: user, password: {password} }}\n"
        )
    };
    let world = World::new("pullSecret: { name: login }");
    world.registry.put("one", "1", &filter("v1"));
    // user:sesame
    world.registry.want_login(Some("Basic dXNlcjpzZXNhbWU="));
    world
        .folder
        .write("secret.yaml", secret("wrong").as_bytes());
    let gateway = world.start(&[]);
    let why = eventually("the refusal", || {
        source(&gateway, "lastError").as_str().map(str::to_owned)
    });
    assert!(why.contains("401"), "{why}");
    assert_eq!(by(&gateway), "503");
    world
        .folder
        .write("secret.yaml", secret("sesame").as_bytes());
    serves(&gateway, "v1");
    let log = gateway.log().join("\n");
    assert!(!log.contains("sesame") && !log.contains("dXNlcj"), "{log}");
}

#[test]
fn a_login_in_files_that_change_is_used_at_once() {
    let world = World::new("pullSecret: { usernameFile: user, passwordFile: password }");
    world.registry.put("one", "1", &filter("v1"));
    world.registry.want_login(Some("Basic dXNlcjpzZXNhbWU="));
    world.folder.write("user", b"user\n");
    world.folder.write("password", b"wrong\n");
    let gateway = world.start(&[]);
    eventually("the refusal", || {
        source(&gateway, "lastError").as_str().map(str::to_owned)
    });
    world.folder.write("password", b"sesame\n");
    serves(&gateway, "v1");
}

#[test]
fn a_reference_that_cannot_be_one_is_refused_at_its_place() {
    let world = World::new("");
    let wrong = plugin("one", "registry.test/UPPER:1", "");
    world.folder.write("plugin.yaml", wrong.as_bytes());
    let mut command = tidegate();
    command.arg("check").arg("-c").arg(world.folder.path());
    let (code, out, _) = crate::process::finish(&mut command);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("plugin.yaml:6:18: error"), "{out}");
    assert!(out.contains("UPPER"), "{out}");
}

#[test]
fn a_module_of_a_web_server_is_fetched_once_and_must_be_what_it_should_be() {
    let module = filter("web");
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
        module.len()
    );
    let digest: String = <sha2::Sha256 as sha2::Digest>::digest(&module)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let answer = [std::mem::take(&mut answer).into_bytes(), module].concat();
    let web = Origin::replies(answer);
    let world = World::new("");
    let written = |digest: &str| {
        let text = plugin("one", "REFERENCE", "");
        let source = format!(
            r#"source: {{ http: {{ url: "http://{}/one.wasm?token=hidden", sha256: "{digest}" }} }}"#,
            web.address()
        );
        text.replace("source: { oci: \"REFERENCE\" }", &source)
    };
    world
        .folder
        .write("plugin.yaml", written(&digest).as_bytes());
    let mut gateway = world.start(&[]);
    serves(&gateway, "web");
    gateway.kill();
    let gateway = world.start(&[]);
    assert_eq!(by(&gateway), "web");
    assert_eq!(
        web.requests().len(),
        1,
        "the second start has it in the cache"
    );
    // Another digest: it is not that, and what serves stays.
    let zeros = "0".repeat(64);
    world
        .folder
        .write("plugin.yaml", written(&zeros).as_bytes());
    let why = eventually("the failure", || {
        source(&gateway, "lastError").as_str().map(str::to_owned)
    });
    assert!(why.contains("digest"), "{why}");
    assert_eq!(by(&gateway), "web");
    let page = gateway.json("/plugins").to_string() + &gateway.json("/resources").to_string();
    assert!(!page.contains("hidden"), "{page}");
    assert!(!gateway.log().join("\n").contains("hidden"));
}

#[test]
fn a_cache_that_others_may_write_to_is_not_used_and_the_reason_is_said() {
    use std::os::unix::fs::PermissionsExt as _;

    let world = World::new("");
    world.registry.put("one", "1", &filter("v1"));
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(world.cache.path(), open).expect("it is ours");
    let gateway = world.start(&[]);
    let why = eventually("the reason", || {
        source(&gateway, "lastError").as_str().map(str::to_owned)
    });
    assert!(why.contains("can be written to by others"), "{why}");
    assert_eq!(by(&gateway), "503");
    let ours = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(world.cache.path(), ours).expect("it is ours");
    ask_again(&gateway);
    serves(&gateway, "v1");
}

#[test]
fn two_gateways_share_a_cache() {
    let world = World::new("pullPolicy: Always");
    world.registry.put("one", "1", &filter("v1"));
    let gateways = [world.start(&[]), world.start(&[])];
    for gateway in &gateways {
        serves(gateway, "v1");
    }
    world.registry.put("one", "1", &filter("v2"));
    for gateway in &gateways {
        ask_again(gateway);
        serves(gateway, "v2");
    }
}

#[test]
fn a_damaged_cache_is_pulled_again() {
    let world = World::new("");
    world.registry.put("one", "1", &filter("v1"));
    let mut gateway = world.start(&[]);
    serves(&gateway, "v1");
    gateway.kill();
    let blobs = world.cache.path().join("blobs/sha256");
    for blob in std::fs::read_dir(&blobs).expect("blobs") {
        let blob = blob.expect("readable").path();
        if blob.is_file() {
            std::fs::write(&blob, b"damaged").expect("it is ours");
        }
    }
    let gateway = world.start(&[]);
    serves(&gateway, "v1");
}

#[test]
fn many_plugins_start_from_the_cache_without_their_registry() {
    let world = World::new("");
    let count = 20;
    let mut all = String::new();
    for at in 0..count {
        let name = format!("p{at}");
        world.registry.put(&name, "1", &filter(&name));
        all.push_str(&plugin(
            &name,
            &world.registry.reference(&format!("{name}:1")),
            "",
        ));
        all.push_str("---");
    }
    world
        .folder
        .write("plugin.yaml", all.trim_end_matches("---").as_bytes());
    let code = tempfile::tempdir().expect("a folder");
    let code = code.path().to_str().expect("UTF-8");
    let mut gateway = world.start(&["--code-cache", code]);
    let names = |gateway: &Running| gateway.get("/").values("x-by").len();
    eventually("all", || (names(&gateway) == count).then_some(()));
    gateway.kill();
    world.registry.set_down(true);
    let begin = std::time::Instant::now();
    let gateway = world.start(&["--code-cache", code]);
    let took = begin.elapsed();
    assert_eq!(names(&gateway), count, "from the first request on");
    println!("{count} plugins from the cache: {took:?} until the admin API answers");
}
