//! Keys that a backend has, in its good and bad days.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use tidegate_sdk_testing::Builder;
use tidegate_sdk_testing::Harness;
use tidegate_sdk_testing::Mode;
use tidegate_sdk_testing::Reply;
use tidegate_sdk_testing::get;
use tidegate_sdk_testing::json;
use tidegate_sdk_testing::mode;
use tidegate_sdk_testing::not_in;

use super::issuer::builder;
use super::issuer::claims;
use super::issuer::config;
use super::issuer::header;
use super::issuer::issuer;
use super::issuer::stranger;

/// What a backend answers, to be changed while it runs.
#[derive(Clone)]
struct Idp(Arc<Mutex<Reply>>);

impl Idp {
    fn new(reply: Reply) -> Self {
        Self(Arc::new(Mutex::new(reply)))
    }

    fn now_answers(&self, reply: Reply) {
        *self.0.lock().unwrap() = reply;
    }

    /// The filter that gets its keys here.
    fn builder(&self, more: &Value) -> Builder {
        let mut remote = json!({"backend": "idp", "path": "/keys"});
        for (name, value) in more.as_object().unwrap() {
            remote[name] = value.clone();
        }
        let this = self.clone();
        builder(&config(&json!({"jwks": {"remote": remote}})))
            .endless_tasks(1)
            .backend("idp", move |_| this.0.lock().unwrap().clone())
    }
}

fn keys() -> Reply {
    Reply::json(200, &issuer().jwks())
}

/// Keys were fetched so often. In programs other instances may have done it too: spares, and what Envoy
/// tries a configuration with.
#[track_caller]
fn assert_fetches(h: &Harness, count: usize) {
    let calls = h.calls("idp").len();
    let others = if mode() == Mode::Native { 0 } else { 3 };
    assert!((count..=count + others).contains(&calls), "{calls} fetches");
}

fn token(h: &Harness) -> String {
    issuer().sign("ES256", &claims(h.unix_time()))
}

fn status(h: &mut Harness) -> u16 {
    let token = token(h);
    h.send(get("/").bearer(&token)).status()
}

#[test]
fn keys_are_fetched_once_before_the_first_request() {
    let idp = Idp::new(keys());
    let mut h = idp
        .builder(&json!({"host": "idp.test:8443", "timeout": "1s"}))
        .start();
    for _ in 0..3 {
        assert_eq!(status(&mut h), 200);
    }
    assert_fetches(&h, 1);
    for call in h.calls("idp") {
        let asked = (call.method(), call.path(), call.host());
        assert_eq!(asked, ("GET", "/keys", "idp.test:8443"));
    }
    assert_eq!(h.metric("jwt_auth_jwks_fetch_failures"), 0);
    let now = h.unix_time().as_secs();
    let updated = h.metric("jwt_auth_jwks_updated_seconds_idp_test");
    assert!(now - updated < 60, "{updated} at {now}");
}

#[test]
fn without_keys_tokens_are_answered_with_503_until_they_are_there() {
    for bad in [
        Reply::status(500),
        Reply::status(302).header("location", "/"),
        Reply::text(200, "<html>"),
        Reply::json(200, &json!({"keys": []})),
        Reply::json(200, &json!({"keys": "none"})),
        Reply::json(200, &json!([])),
        Reply::text(200, "x".repeat(20_000)),
        Reply::reset(),
        Reply::json(200, &issuer().jwks()).after(Duration::from_secs(2)),
    ] {
        let what = format!("{bad:?}");
        let idp = Idp::new(bad);
        let mut h = idp
            .builder(&json!({"timeout": "100ms", "maxSize": "16KiB"}))
            .start();
        let token = token(&h);
        let res = h.send(get("/").bearer(&token));
        assert_eq!(
            (res.status(), res.header("retry-after").as_deref()),
            (503, Some("5")),
            "{what}"
        );
        assert_eq!(h.send(get("/").bearer("no.such.thing")).status(), 401);
        assert_eq!(h.send(get("/")).status(), 401);
        idp.now_answers(keys());
        h.advance(Duration::from_millis(1_500));
        h.wait_for("keys", |h| h.send(get("/").bearer(&token)).status() == 200);
        assert!(h.metric("jwt_auth_jwks_fetch_failures") >= 1, "{what}");
        assert!(h.logged("cannot fetch keys"));
    }
}

#[test]
fn a_backend_that_is_down_does_not_keep_the_plugin_from_starting() {
    let remote = json!({"remote": {"backend": "idp", "timeout": "500ms"}});
    let mut h = builder(&config(&json!({"jwks": remote})))
        .endless_tasks(1)
        .backend_down("idp")
        .start();
    assert_eq!(status(&mut h), 503);
    assert_eq!(h.metric("jwt_auth_denied_jwks_unavailable"), 1);
}

#[test]
fn the_last_good_keys_work_while_new_ones_cannot_be_fetched() {
    let idp = Idp::new(keys());
    let mut h = idp
        .builder(&json!({"refresh": "1s", "timeout": "100ms"}))
        .start();
    assert_eq!(status(&mut h), 200);
    for bad in [
        Reply::status(503),
        Reply::text(200, "{"),
        Reply::never(),
        Reply::json(200, &json!({"keys": []})),
    ] {
        let before = h.metric("jwt_auth_jwks_fetch_failures");
        idp.now_answers(bad);
        h.advance(Duration::from_millis(1_900));
        h.wait_for("a failure", |h| {
            h.metric("jwt_auth_jwks_fetch_failures") > before
        });
        assert_eq!(status(&mut h), 200);
        idp.now_answers(keys());
        let fetches = h.metric("jwt_auth_jwks_fetches");
        h.advance(Duration::from_millis(1_900));
        h.wait_for("a fetch", |h| h.metric("jwt_auth_jwks_fetches") > fetches);
    }
}

#[test]
fn the_last_good_keys_do_not_work_for_ever() {
    let idp = Idp::new(keys());
    let mut h = idp
        .builder(&json!({"refresh": "1s", "staleFor": "1s", "timeout": "100ms"}))
        .start();
    let token = token(&h);
    assert_eq!(h.send(get("/").bearer(&token)).status(), 200);
    idp.now_answers(Reply::status(500));
    h.advance(Duration::from_millis(1_900));
    h.wait_for("the end of the keys", |h| {
        h.send(get("/").bearer(&token)).status() == 503
    });
    assert!(h.logged("too old"));
    idp.now_answers(keys());
    h.advance(Duration::from_millis(1_900));
    h.wait_for("keys", |h| h.send(get("/").bearer(&token)).status() == 200);
}

#[test]
fn a_key_that_is_no_longer_published_is_no_longer_good_also_for_known_tokens() {
    let idp = Idp::new(keys());
    let mut h = idp.builder(&json!({"refresh": "1s"})).start();
    let token = token(&h);
    assert_eq!(h.send(get("/").bearer(&token)).status(), 200);
    idp.now_answers(Reply::json(200, &stranger().jwks()));
    h.advance(Duration::from_millis(1_100));
    h.wait_for("the new keys", |h| {
        h.send(get("/").bearer(&token)).status() == 401
    });
    assert!(h.metric("jwt_auth_denied_bad_signature") >= 1);
}

/// A token by a key with this id.
fn named(h: &Harness, kid: &str) -> String {
    let mut header = header("ES256");
    header["kid"] = json!(kid);
    issuer().sign_with("ES256", &header, &claims(h.unix_time()))
}

fn renamed(kid: &str) -> Reply {
    let mut key = issuer().jwk("ES256");
    key["kid"] = json!(kid);
    Reply::json(200, &json!({"keys": [key]}))
}

#[test]
fn a_new_key_is_fetched_when_the_first_token_names_it_and_not_again_and_again() {
    if not_in(Mode::Envoy, "seconds pass") {
        return;
    }
    let idp = Idp::new(renamed("old"));
    let mut h = idp.builder(&json!({"cooldown": "10s"})).start();
    let (old, new, other) = (named(&h, "old"), named(&h, "new"), named(&h, "other"));
    assert_eq!(h.send(get("/").bearer(&old)).status(), 200);
    idp.now_answers(renamed("new"));
    // The last fetch was just now.
    assert_eq!(h.send(get("/").bearer(&new)).status(), 401);
    assert_fetches(&h, 1);
    h.advance(Duration::from_secs(10));
    assert_eq!(h.send(get("/").bearer(&new)).status(), 200);
    assert_eq!(h.send(get("/").bearer(&old)).status(), 401);
    for _ in 0..20 {
        assert_eq!(h.send(get("/").bearer(&other)).status(), 401);
    }
    assert_fetches(&h, 2);
    h.advance(Duration::from_secs(10));
    assert_eq!(h.send(get("/").bearer(&other)).status(), 401);
    assert_eq!(h.send(get("/").bearer(&new)).status(), 200);
    assert_fetches(&h, 3);
}

#[test]
fn all_requests_that_wait_for_a_key_wait_for_one_fetch() {
    if not_in(Mode::Envoy, "seconds pass") {
        return;
    }
    let idp = Idp::new(renamed("old"));
    let mut h = idp.builder(&json!({"cooldown": "10s"})).start();
    let new = named(&h, "new");
    idp.now_answers(renamed("new").after(Duration::from_secs(1)));
    h.advance(Duration::from_secs(10));
    let waiting: Vec<_> = (0..8).map(|_| h.begin(get("/").bearer(&new))).collect();
    h.wait_for("the fetch", |h| h.calls("idp").len() >= 2);
    h.advance(Duration::from_secs(1));
    for exchange in waiting {
        assert_eq!(exchange.finish().status(), 200);
    }
    assert_fetches(&h, 2);
}

#[test]
fn a_key_without_an_id_that_has_changed_is_fetched_too() {
    if not_in(Mode::Envoy, "seconds pass") {
        return;
    }
    let plain = |from: &super::issuer::Issuer| {
        let mut key = from.jwk("ES256");
        key.as_object_mut().unwrap().remove("kid");
        Reply::json(200, &key)
    };
    let idp = Idp::new(plain(stranger()));
    let mut h = idp.builder(&json!({})).start();
    let claims = claims(h.unix_time());
    let token = issuer().sign_with("ES256", &json!({"alg": "ES256"}), &claims);
    assert_eq!(h.send(get("/").bearer(&token)).status(), 401);
    idp.now_answers(plain(issuer()));
    h.advance(Duration::from_secs(10));
    assert_eq!(h.send(get("/").bearer(&token)).status(), 200);
}

#[test]
fn a_set_may_have_a_hundred_keys() {
    let named = |number: usize| {
        let mut key = issuer().jwk("RS256");
        key["kid"] = json!(format!("key-{number}"));
        key
    };
    let keys: Vec<Value> = (0..100).map(named).collect();
    let idp = Idp::new(Reply::json(200, &json!({"keys": keys})));
    let mut h = idp.builder(&json!({})).start();
    let mut header = header("RS256");
    header["kid"] = json!("key-99");
    let token = issuer().sign_with("RS256", &header, &claims(h.unix_time()));
    assert_eq!(h.send(get("/").bearer(&token)).status(), 200);
}
