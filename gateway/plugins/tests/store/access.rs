//! Credentials: who gets them, and who never does.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidegate_plugin_store::again::Again;
use tidegate_plugin_store::credentials::Credentials;
use tidegate_plugin_store::credentials::Given;

use crate::kit::WASM;
use crate::kit::chain;
use crate::kit::module;
use crate::kit::pull;
use crate::kit::pull_always;
use crate::kit::pull_given;
use crate::kit::reference;
use crate::kit::refused;
use crate::kit::store;
use crate::stub::Reply;
use crate::stub::Stub;

const USER: &str = "Basic bWU6czNjcmV0"; // me:s3cret

fn given(folder: &Path) -> Given {
    let password_file = folder.join("password");
    std::fs::write(&password_file, "s3cret\n").unwrap();
    Given::Password {
        username: "me".to_owned(),
        password_file,
    }
}

fn unauthorized(challenge: &str) -> Reply {
    let error = serde_json::json!({ "errors": [{ "code": "UNAUTHORIZED", "message": "no" }] });
    Reply::json(401, &error).with("WWW-Authenticate", challenge)
}

/// A registry that wants tokens, and the server that gives them to who has this right. The token is
/// `token-1`, then `token-2`, ….
fn with_tokens(stub: &Stub, right: Option<&'static str>, expires_in: u64) -> Arc<AtomicUsize> {
    let realm = format!("http://{}/token", stub.address);
    let given = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&given);
    stub.rule(move |seen| {
        if let Some(query) = seen.target.strip_prefix("/token?") {
            assert!(query.contains("service=reg"), "{query}");
            assert!(query.contains("scope=repository%3Aa%2Fb%3Apull"), "{query}");
            if seen.header("authorization") != right {
                return Some(unauthorized("Basic"));
            }
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            let token = format!("token-{number}");
            let answer = serde_json::json!({ "token": token, "expires_in": expires_in });
            return Some(Reply::json(200, &answer));
        }
        let is_known = seen
            .header("authorization")
            .is_some_and(|it| it.starts_with("Bearer token-"));
        let challenge =
            format!(r#"Bearer realm="{realm}",service="reg",scope="repository:a/b:pull""#);
        (!is_known).then(|| unauthorized(&challenge))
    });
    given
}

fn with_image() -> (Stub, tempfile::TempDir) {
    let stub = Stub::start();
    stub.image("a/b", "1", &[(WASM, &module(1))]);
    (stub, tempfile::tempdir().unwrap())
}

#[tokio::test]
async fn a_registry_that_wants_a_password_gets_it_and_no_other() {
    let (stub, folder) = with_image();
    let store = store(folder.path());
    let image = reference(&stub, "a/b:1");
    stub.rule(|seen| {
        (seen.header("authorization") != Some(USER)).then(|| unauthorized("Basic realm=\"x\""))
    });
    let outcome = pull(&store, &image).await;
    let err = refused(
        outcome,
        &[
            "401",
            "no credentials for it were found",
            "name some in the Plugin's `pullSecret`",
            "docker login",
        ],
    );
    assert_eq!(err.again(), Again::Late);
    let given = given(folder.path());
    let pulled = pull_given(&store, &image, &given).await.unwrap();
    assert_eq!(pulled.code.bytes, module(1));

    std::fs::write(folder.path().join("password"), "wrong").unwrap();
    stub.image("a/b", "1", &[(WASM, &module(2))]);
    // What is in the cache goes on serving, and the failure is told.
    let pulled = pull_given(&store, &image, &given).await.unwrap();
    let tidegate_plugin_store::pull::Source::CacheAfter(err) = pulled.source else {
        panic!("{:?}", pulled.source);
    };
    let text = chain(&err);
    assert!(
        text.contains("/password were refused") && !text.contains("wrong"),
        "{text}"
    );
}

#[tokio::test]
async fn a_403_says_whose_credentials_were_not_enough() {
    let (stub, folder) = with_image();
    stub.rule(|_| {
        let error = serde_json::json!({ "errors": [{ "code": "DENIED", "message": "not yours" }] });
        Some(Reply::json(403, &error))
    });
    let given = given(folder.path());
    let outcome = pull_given(&store(folder.path()), &reference(&stub, "a/b:1"), &given).await;
    refused(
        outcome,
        &[
            "403",
            "DENIED not yours",
            "/password were refused, or give no right to this",
        ],
    );
}

#[tokio::test]
async fn an_anonymous_token_is_asked_for_once_and_used_until_it_is_old() {
    let (stub, folder) = with_image();
    let store = store(folder.path());
    let given = with_tokens(&stub, None, 3600);
    let image = reference(&stub, "a/b:1");
    pull_always(&store, &image).await.unwrap();
    pull_always(&store, &image).await.unwrap();
    assert_eq!(given.load(Ordering::SeqCst), 1);
    let (stub, _) = with_image();
    let given = with_tokens(&stub, None, 2);
    let image = reference(&stub, "a/b:1");
    let start = Instant::now();
    while given.load(Ordering::SeqCst) < 2 {
        pull_always(&store, &image).await.unwrap();
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "it is used for ever"
        );
    }
    // The first was asked for after the start, and has nine tenths of two seconds.
    assert!(
        start.elapsed() >= Duration::from_millis(1800),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_token_that_is_taken_back_is_asked_for_again() {
    let (stub, folder) = with_image();
    let store = store(folder.path());
    let given = with_tokens(&stub, None, 3600);
    let image = reference(&stub, "a/b:1");
    pull_always(&store, &image).await.unwrap();
    // The first token is worth nothing any more; the rule before this one knows no better.
    stub.forget_rules();
    let realm = format!("http://{}/token", stub.address);
    let count = Arc::clone(&given);
    stub.rule(move |seen| {
        if seen.target.starts_with("/token?") {
            count.fetch_add(1, Ordering::SeqCst);
            return Some(Reply::json(
                200,
                &serde_json::json!({ "access_token": "new" }),
            ));
        }
        let challenge =
            format!(r#"Bearer realm="{realm}",service="reg",scope="repository:a/b:pull""#);
        (seen.header("authorization") != Some("Bearer new")).then(|| unauthorized(&challenge))
    });
    stub.image("a/b", "1", &[(WASM, &module(2))]);
    let pulled = pull_always(&store, &image).await.unwrap();
    assert_eq!(pulled.code.bytes, module(2));
    assert_eq!(given.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_password_goes_to_the_token_server_and_the_registry_sees_the_token() {
    let (stub, folder) = with_image();
    with_tokens(&stub, Some(USER), 3600);
    let store = store(folder.path());
    let image = reference(&stub, "a/b:1");
    let outcome = pull(&store, &image).await;
    refused(outcome, &["gave no token", "401", "none were found"]);
    stub.take_seen();
    let given = given(folder.path());
    pull_given(&store, &image, &given).await.unwrap();
    for seen in stub.seen() {
        let is_password = seen.header("authorization") == Some(USER);
        assert_eq!(
            is_password,
            seen.target.starts_with("/token?"),
            "{}",
            seen.target
        );
    }
}

#[tokio::test]
async fn an_identity_token_is_given_in_the_body_of_a_post() {
    let (stub, folder) = with_image();
    let realm = format!("http://{}/token", stub.address);
    stub.rule(move |seen| {
        if seen.target == "/token" {
            let body = String::from_utf8(seen.body.clone()).unwrap();
            let expected = "grant_type=refresh_token&service=reg&scope=repository%3Aa%2Fb%3Apull\
                            &client_id=tidegate&refresh_token=iden%2Btity";
            assert_eq!((seen.method.as_str(), body.as_str()), ("POST", expected));
            return Some(Reply::json(
                200,
                &serde_json::json!({ "access_token": "t" }),
            ));
        }
        // Without a scope: ours is asked for.
        let challenge = format!(r#"Bearer realm="{realm}",service="reg""#);
        (seen.header("authorization") != Some("Bearer t")).then(|| unauthorized(&challenge))
    });
    let config = folder.path().join("config.json");
    let auths = serde_json::json!({ "auths": { stub.address.to_string(): { "identitytoken": "iden+tity" } } });
    std::fs::write(&config, auths.to_string()).unwrap();
    let mut store = store(folder.path());
    store.credentials = Credentials::from_files([config]);
    pull(&store, &reference(&stub, "a/b:1")).await.unwrap();
}

#[tokio::test]
async fn a_token_server_that_misbehaves_is_named() {
    let (stub, folder) = with_image();
    let store = store(folder.path());
    let image = reference(&stub, "a/b:1");
    for (reply, because, again) in [
        (
            Reply::new(503, "").with("Retry-After", "5"),
            "503",
            Again::After(Duration::from_secs(5)),
        ),
        (
            Reply::new(200, "<html>secret-in-it"),
            "not the JSON of a token",
            Again::Late,
        ),
        (Reply::new(200, "{}"), "no token in it", Again::Late),
        (
            Reply::new(200, "{\"token\":\"a\\nb\"}"),
            "cannot be sent",
            Again::Late,
        ),
        (
            Reply::new(200, vec![b' '; 300_000]),
            "not the JSON of a token",
            Again::Late,
        ),
    ] {
        let reply = std::sync::Mutex::new(Some(reply));
        let realm = format!("http://{}/token", stub.address);
        stub.forget_rules();
        stub.rule(move |seen| {
            if seen.target.starts_with("/token") {
                return reply.lock().unwrap().take();
            }
            Some(unauthorized(&format!("Bearer realm=\"{realm}\"")))
        });
        let err = refused(pull(&store, &image).await, &["gave no token", because]);
        assert_eq!(err.again(), again, "{because}");
        assert!(!chain(&err).contains("secret-in-it"));
    }
    for (challenge, because) in [
        ("Bearer realm=\"file:///etc/passwd\"", "is not HTTPS"),
        ("Bearer realm=\"::\"", "is no address"),
        ("Negotiate", "it knows Negotiate"),
        (
            "Bearer realm=\"http://registry.example/token\"",
            "plain HTTP",
        ),
    ] {
        stub.forget_rules();
        stub.rule(move |_| Some(unauthorized(challenge)));
        refused(pull(&store, &image).await, &[because]);
    }
}

#[tokio::test]
async fn a_token_server_that_refuses_is_told_apart_from_credentials_that_are_wrong_or_missing() {
    const MISSING: &str = "it wants credentials, and none were found";
    const WRONG: &str = "the credentials that were found are not the right ones";
    let (stub, folder) = with_image();
    let store = store(folder.path());
    let image = reference(&stub, "a/b:1");
    let given = given(folder.path());
    for (status, anonymous, with_password) in [
        (400, None, Some(WRONG)),
        (401, Some(MISSING), Some(WRONG)),
        (403, Some(MISSING), Some(WRONG)),
        (404, None, None),
    ] {
        let realm = format!("http://{}/token", stub.address);
        stub.forget_rules();
        stub.rule(move |seen| {
            if seen.target.starts_with("/token") {
                return Some(Reply::new(status, ""));
            }
            Some(unauthorized(&format!("Bearer realm=\"{realm}\"")))
        });
        let outcomes = [
            (pull_always(&store, &image).await, anonymous),
            (pull_given(&store, &image, &given).await, with_password),
        ];
        for (outcome, advice) in outcomes {
            let text = chain(&refused(outcome, &["gave no token", &status.to_string()]));
            for one in [MISSING, WRONG] {
                assert_eq!(text.contains(one), advice == Some(one), "{status}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn credentials_never_reach_another_host_by_a_redirect() {
    let (stub, folder) = with_image();
    let elsewhere = Stub::start();
    elsewhere.rule(|seen| (seen.target == "/store?signed").then(|| Reply::new(200, module(1))));
    let to = format!("http://{}/store?signed", elsewhere.address);
    stub.rule(move |seen| {
        if seen.header("authorization") != Some(USER) {
            return Some(unauthorized("Basic"));
        }
        seen.target
            .contains("/blobs/")
            .then(|| Reply::new(307, "").with("Location", to.clone()))
    });
    let given = given(folder.path());
    let pulled = pull_given(&store(folder.path()), &reference(&stub, "a/b:1"), &given).await;
    assert_eq!(pulled.unwrap().code.bytes, module(1));
    let seen = elsewhere.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("authorization"), None);
    // And a store that wants credentials is not given any.
    elsewhere.forget_rules();
    elsewhere.rule(|_| Some(unauthorized("Basic")));
    stub.image("a/b", "2", &[(WASM, &module(2))]);
    let given = self::given(folder.path());
    let outcome = pull_given(&store(folder.path()), &reference(&stub, "a/b:2"), &given).await;
    refused(outcome, &["401", &elsewhere.address.to_string()]);
    assert!(
        elsewhere
            .seen()
            .iter()
            .all(|it| it.header("authorization").is_none())
    );
}

#[tokio::test]
async fn what_was_given_for_an_image_never_reaches_its_mirror() {
    let (stub, folder) = with_image();
    let mirror = Stub::start();
    mirror.rule(|_| Some(unauthorized("Basic")));
    stub.rule(|seen| (seen.header("authorization") != Some(USER)).then(|| unauthorized("Basic")));
    let mut store = store(folder.path());
    store.mirrors = tidegate_plugin_store::registry::Mirrors::new(vec![
        tidegate_plugin_store::registry::Mirror {
            from: stub.address.to_string(),
            to: format!("{}/hub", mirror.address),
            is_only: false,
        },
    ])
    .unwrap();
    let given = given(folder.path());
    pull_given(&store, &reference(&stub, "a/b:1"), &given)
        .await
        .unwrap();
    let seen = mirror.seen();
    assert!(!seen.is_empty());
    assert!(seen.iter().all(|it| it.target.starts_with("/v2/hub/a/b/")));
    assert!(seen.iter().all(|it| it.header("authorization").is_none()));
}

/// A folder with a credential helper, and what its programs are called.
fn helper(folder: &Path, name: &str, script: &str) -> PathBuf {
    let path = folder.join(format!("docker-credential-{name}"));
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Runs one of the tests below in a process that finds the helpers of a folder.
fn in_a_process_with(test: &str, folder: &Path) {
    let path = std::env::var("PATH").unwrap();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env("PATH", format!("{}:{path}", folder.display()))
        .env(INSIDE, folder)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{printed}"
    );
}

/// Where the helpers are, in a process that was started for them.
const INSIDE: &str = "TIDEGATE_TEST_HELPERS";

#[tokio::test]
async fn credential_helpers_are_asked_and_ended_in_time() {
    let Some(folder) = std::env::var_os(INSIDE).map(PathBuf::from) else {
        let folder = tempfile::tempdir().unwrap();
        let answer = r#"read server; echo "{\"Username\":\"me\",\"Secret\":\"s3cret\"}"; echo "$server" > "$0.asked""#;
        helper(folder.path(), "good", answer);
        helper(
            folder.path(),
            "none",
            "echo credentials not found in native keychain; exit 1",
        );
        helper(folder.path(), "bad", "echo s3cret; exit 3");
        helper(folder.path(), "odd", "echo s3cret");
        helper(folder.path(), "loud", "yes s3cret");
        // Its child would live on, and it says which one it is.
        helper(
            folder.path(),
            "slow",
            "sleep 600 & echo $! > \"$0.child\"; wait",
        );
        in_a_process_with(
            "access::credential_helpers_are_asked_and_ended_in_time",
            folder.path(),
        );
        return;
    };
    let (stub, work) = with_image();
    stub.rule(|seen| (seen.header("authorization") != Some(USER)).then(|| unauthorized("Basic")));
    let host = stub.address.to_string();
    let config = work.path().join("config.json");
    let mut store = store(work.path());
    let image = reference(&stub, "a/b:1");
    let write = |content: serde_json::Value| std::fs::write(&config, content.to_string()).unwrap();
    store.credentials = Credentials::from_files([config.clone()]);

    let entry = serde_json::json!({ "auth": STANDARD.encode("me:s3cret") });
    // A helper that has none leaves it to the file.
    write(serde_json::json!({ "credHelpers": { &host: "none" }, "auths": { &host: entry } }));
    pull_always(&store, &image).await.unwrap();
    for (field, value) in [
        ("credHelpers", serde_json::json!({ &host: "good" })),
        ("credsStore", serde_json::json!("good")),
    ] {
        std::fs::remove_file(folder.join("docker-credential-good.asked")).ok();
        write(serde_json::json!({ field: value }));
        pull_always(&store, &image).await.unwrap();
        let asked = std::fs::read_to_string(folder.join("docker-credential-good.asked"));
        assert_eq!(asked.unwrap().trim(), host);
    }
    stub.image("a/b", "2", &[(WASM, &module(2))]);
    let image = reference(&stub, "a/b:2");
    for (name, because) in [
        ("bad", "ended with exit status: 3"),
        ("odd", "did not print the JSON"),
        ("loud", "more than 65536 bytes"),
        (
            "missing",
            "cannot run the credential helper docker-credential-missing",
        ),
        ("../evil", "\"../evil\""),
    ] {
        write(serde_json::json!({ "credsStore": name }));
        let err = refused(pull(&store, &image).await, &[because]);
        assert!(!chain(&err).contains("s3cret"), "{}", chain(&err));
    }
    write(serde_json::json!({ "credsStore": "slow" }));
    // Long enough for it to say which child it has.
    let limit = Duration::from_secs(4);
    store.credentials = Credentials::from_files([config.clone()]).with_helper_limit(limit);
    let start = Instant::now();
    let err = refused(pull(&store, &image).await, &["ended after 4 s"]);
    assert_eq!(err.again(), Again::Soon);
    assert!(start.elapsed() < Duration::from_secs(30));
    let child = std::fs::read_to_string(folder.join("docker-credential-slow.child")).unwrap();
    let child = child.trim().parse().unwrap();
    let child = rustix::process::Pid::from_raw(child).unwrap();
    // It was killed with its parent; who collects it may take a moment.
    let until = Instant::now() + Duration::from_secs(20);
    while is_running(child) {
        assert!(Instant::now() < until, "what the helper started still runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether a process does anything any more; one that nobody collected does not.
fn is_running(pid: rustix::process::Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|it| {
        it.rsplit(") ")
            .next()
            .is_some_and(|rest| !rest.starts_with('Z'))
    })
}

#[tokio::test]
async fn a_plugins_own_file_runs_no_program() {
    let (stub, folder) = with_image();
    stub.rule(|seen| (seen.header("authorization") != Some(USER)).then(|| unauthorized("Basic")));
    let config = folder.path().join("dockerconfigjson");
    let given = Given::DockerConfigJson(config.clone());
    let store = store(folder.path());
    let image = reference(&stub, "a/b:1");
    std::fs::write(&config, r#"{"credsStore":"anything"}"#).unwrap();
    let outcome = pull_given(&store, &image, &given).await;
    refused(
        outcome,
        &[
            "dockerconfigjson",
            "programs are run only for the gateway's own files",
        ],
    );
    let entry = serde_json::json!({ "auth": STANDARD.encode("me:s3cret") });
    let auths = serde_json::json!({ "auths": { stub.reference("a"): entry } });
    std::fs::write(&config, auths.to_string()).unwrap();
    pull_given(&store, &image, &given).await.unwrap();
}
