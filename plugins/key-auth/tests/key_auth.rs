//! The same tests run natively, on Tidegate and on Envoy.
//!
//! Hashes are from `printf %s KEY | sha256sum` of GNU coreutils.

#[path = "key_auth/configuration.rs"]
mod configuration;
#[path = "key_auth/places.rs"]
mod places;

use key_auth::key_auth;
use serde_json::Value;
use tidegate_sdk_testing::{Harness, Received, Request, get, json, request};

const ADA: &str = "db4b5df9efb96f846b84b144aedd018e64ae7256a2340994f1027a30aef03ff1"; // k-ada-1
const ADA_NEXT: &str = "sha256:D06879919D5C3A6CFC62F2B7C1B3A822B7C96CA1452A34E415CFEE753572B8D7"; // k-ada-2
const OLD: &str = "b084ac54ffa13c78a77dce7bad936a19c66c287b91ca9d540bf59770474f2a5c"; // k-old
const NEW: &str = "fec4421d43014c13a864d10ff2726b73d97f177972edd382c003e3f2ff928834"; // k-new
const CHEESE: &str = "28f37578d68271283cefa0f170127d2ec9544087515218a80d05b49f592413c9"; // käse
const COMMA: &str = "1eb7c54d52831bbfe8942af0b1c56b7409523a59ed6ca99c1174fef7eb32c1b5"; // a,b

/// A plugin with keys of two consumers, and these fields.
fn configured(fields: Value) -> Harness {
    let keys = json!([
        {"consumer": "ada", "sha256": ADA},
        {"consumer": "ada", "sha256": ADA_NEXT},
        {"consumer": "bob", "sha256": OLD, "notAfter": "2020-01-31T00:00:00Z"},
        {"consumer": "bob", "sha256": NEW, "notAfter": "2200-01-31T00:00:00+01:00"},
        {"consumer": "fromager", "sha256": CHEESE},
        {"consumer": "comma", "sha256": COMMA},
    ]);
    let mut config = fields;
    let mapping = config.as_object_mut().expect("a mapping");
    mapping.insert("keys".to_owned(), keys);
    Harness::new(key_auth).config(config).start()
}

fn anywhere() -> Harness {
    configured(json!({"in": [
        {"header": "X-Key"}, {"authorization": "ApiKey"}, {"query": "key"}, {"cookie": "key"},
    ]}))
}

/// What the backend sees of a request that goes on.
fn passes(h: &mut Harness, req: Request) -> Received {
    let before = h.app().requests().len();
    let answer = h.send(req);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let mut seen = h.app().requests();
    assert_eq!(seen.len(), before + 1);
    seen.pop().expect("it went on")
}

/// That a request is refused, counted and logged by this reason, and nobody behind sees it.
fn refused(h: &mut Harness, req: Request, status: u16, reason: &str) {
    let (before, denied) = (h.app().requests().len(), h.metric("key_auth_denied"));
    let by_reason = format!("key_auth_denied_{reason}");
    let of_reason = h.metric(&by_reason);
    let sent = format!("{req:?}");
    let answer = h.send(req);
    assert_eq!(answer.status(), status, "{sent}");
    let challenged = answer.header("www-authenticate").is_some();
    assert_eq!(challenged, status == 401);
    assert_eq!(h.app().requests().len(), before);
    assert_eq!(h.metric("key_auth_denied"), denied + 1);
    assert_eq!(h.metric(&by_reason), of_reason + 1, "{sent}");
}

#[test]
fn a_good_key_goes_on_as_its_consumer_and_stays_behind() {
    let mut h = configured(json!({}));
    for (key, consumer) in [("k-ada-1", "ada"), ("k-ada-2", "ada"), ("k-new", "bob")] {
        let seen = passes(&mut h, get("/a?b=c").header("X-API-Key", key));
        assert_eq!(seen.headers().get_all("x-consumer"), [consumer]);
        assert_eq!(seen.header("x-api-key"), None);
        assert_eq!(seen.path(), "/a?b=c");
    }
    assert_eq!(h.metric("key_auth_allowed"), 3);
    assert_eq!(h.metric("key_auth_denied"), 0);
}

#[test]
fn no_client_can_say_who_it_is_in_another_spelling() {
    for fields in [
        json!({"allowMissing": true}),
        json!({"dryRun": true}),
        // So many spellings that all headers are looked at.
        json!({"dryRun": true, "consumerHeader": "x-api-key-of-consumer"}),
    ] {
        let name = fields["consumerHeader"].as_str().unwrap_or("x-consumer");
        let (name, forged) = (name.to_owned(), name.replace('-', "_"));
        let mut h = configured(fields);
        for (req, consumer) in [
            (get("/"), None),
            (get("/").header("x-api-key", "k-ada-1"), Some("ada")),
        ] {
            let req = req
                .header(&forged, "bob")
                .header(&forged.to_uppercase(), "bob")
                .header("x_other", "stays");
            let seen = passes(&mut h, req);
            assert_eq!(seen.header(&forged), None);
            assert_eq!(seen.header(&name).as_deref(), consumer);
            assert_eq!(seen.header("x_other").as_deref(), Some("stays"));
        }
    }
}

#[test]
fn a_request_without_a_key_is_challenged() {
    let mut h = configured(
        json!({"realm": "orders", "in": [{"header": "x-key"}, {"authorization": "Bearer"}]}),
    );
    let answer = h.send(get("/"));
    assert_eq!(answer.status(), 401);
    let challenge =
        "ApiKey realm=\"orders\", in=\"header\", name=\"x-key\", Bearer realm=\"orders\"";
    assert_eq!(
        answer.header("www-authenticate").as_deref(),
        Some(challenge)
    );
    refused(&mut h, get("/"), 401, "missing_key");
    // Whose credentials are of another scheme has none of ours.
    refused(
        &mut h,
        get("/").header("authorization", "Basic YTpi"),
        401,
        "missing_key",
    );
}

#[test]
fn a_wrong_key_is_refused_whatever_it_looks_like() {
    let mut h = configured(json!({}));
    let hash_itself = ADA;
    for key in [
        "k-ada",
        "k-ada-11",
        "K-ADA-1",
        hash_itself,
        "\u{fffd}",
        "*",
        "k-ada-1;",
        "%6B-ada-1",
    ] {
        refused(
            &mut h,
            get("/").header("x-api-key", key),
            401,
            "unknown_key",
        );
    }
    refused(
        &mut h,
        get("/").header("x-api-key", b"k\xff\xfe"),
        401,
        "unknown_key",
    );
    refused(
        &mut h,
        get("/").header("x-api-key", ""),
        401,
        "malformed_key",
    );
    refused(
        &mut h,
        get("/").header("x-api-key", "k".repeat(1025)),
        401,
        "malformed_key",
    );
    refused(
        &mut h,
        get("/").header("x-api-key", "k".repeat(1024)),
        401,
        "unknown_key",
    );
    assert!(h.app().requests().is_empty());
}

#[test]
fn no_character_of_a_key_can_be_another() {
    let mut h = configured(json!({}));
    let good = "k-ada-1";
    let mut mutants = vec![format!("\"{good}\""), good.to_uppercase(), good.repeat(2)];
    for at in 0..good.len() {
        let (before, rest) = good.split_at(at);
        let after = rest.get(1..).expect("ASCII");
        mutants.push(format!("{before}{after}"));
        for other in ["a", "0", "-", "%", "\u{2010}", ","] {
            mutants.push(format!("{before}{other}{after}"));
            mutants.push(format!("{before}{other}{rest}"));
        }
    }
    mutants.retain(|it| it != good);
    for key in mutants {
        let answer = h.send(get("/").header("x-api-key", &key));
        assert_eq!(answer.status(), 401, "{key}");
    }
    assert!(h.app().requests().is_empty());
}

#[test]
fn no_refusal_and_no_log_line_has_the_key() {
    let mut h = configured(json!({}));
    let answer = h.send(get("/").header("x-api-key", "s3cret-guess"));
    assert!(!answer.text().contains("s3cret"));
    h.wait_for("the refusal in the log", |h| h.logged("unknown_key"));
    assert!(!h.logged("s3cret"));
}

#[test]
fn an_expired_key_is_refused_and_said_at_the_start() {
    let mut h = configured(json!({}));
    refused(
        &mut h,
        get("/").header("x-api-key", "k-old"),
        401,
        "expired_key",
    );
    assert!(h.logged("a key has expired consumer=bob"));
}

#[test]
fn what_a_client_says_of_its_consumer_never_reaches_the_backend() {
    let forged = |req: Request| {
        req.header("x-consumer", "root")
            .header("X-Consumer", "admin")
    };
    let mut h = configured(json!({"allowMissing": true}));
    let seen = passes(&mut h, forged(get("/").header("x-api-key", "k-ada-1")));
    assert_eq!(seen.headers().get_all("x-consumer"), ["ada"]);
    let seen = passes(&mut h, forged(get("/")));
    assert!(seen.headers().get_all("x-consumer").is_empty());

    let mut h = configured(json!({"dryRun": true}));
    for key in ["wrong", "k-old", ""] {
        let seen = passes(&mut h, forged(get("/").header("x-api-key", key)));
        assert!(seen.headers().get_all("x-consumer").is_empty());
    }
    let seen = passes(&mut h, forged(get("/")));
    assert!(seen.headers().get_all("x-consumer").is_empty());
}

#[test]
fn requests_without_a_key_may_pass_where_that_is_wanted_and_those_with_a_wrong_one_do_not() {
    let mut h = configured(json!({"allowMissing": true}));
    passes(&mut h, get("/"));
    refused(
        &mut h,
        get("/").header("x-api-key", "wrong"),
        401,
        "unknown_key",
    );
    refused(
        &mut h,
        get("/").header("x-api-key", "k-old"),
        401,
        "expired_key",
    );
    refused(
        &mut h,
        get("/").header("x-api-key", ""),
        401,
        "malformed_key",
    );
    assert_eq!(h.metric("key_auth_allowed"), 1);
}

#[test]
fn a_dry_run_counts_what_it_would_refuse_and_lets_it_pass() {
    let mut h = configured(json!({"dryRun": true}));
    let seen = passes(&mut h, get("/").header("x-api-key", "k-ada-1"));
    assert_eq!(seen.headers().get_all("x-consumer"), ["ada"]);
    let seen = passes(&mut h, get("/").header("x-api-key", "wrong"));
    assert_eq!(seen.header("x-api-key").as_deref(), Some("wrong"));
    passes(&mut h, get("/"));
    assert_eq!(h.metric("key_auth_dry_run_denied"), 2);
    assert_eq!(h.metric("key_auth_denied"), 0);
    assert_eq!(h.metric("key_auth_allowed"), 1);
}

#[test]
fn every_method_is_treated_the_same_and_bodies_pass() {
    let mut h = configured(json!({}));
    for method in ["POST", "DELETE", "OPTIONS"] {
        refused(&mut h, request(method, "/").body("x"), 401, "missing_key");
        let seen = passes(
            &mut h,
            request(method, "/").body("x").header("x-api-key", "k-new"),
        );
        assert_eq!(seen.text(), "x");
    }
}
