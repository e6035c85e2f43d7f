//! The same tests run natively, on Tidegate and on Envoy.
//!
//! Hashes are from `printf %s KEY | sha256sum` of GNU coreutils.

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
fn a_key_is_found_in_every_place_and_taken_out_of_it_alone() {
    let mut h = anywhere();
    let seen = passes(
        &mut h,
        get("/?a=%20+&key=k-ada-1&b").header("cookie", "a=1; b=2"),
    );
    assert_eq!(seen.path(), "/?a=%20+&b");
    assert_eq!(seen.header("cookie").as_deref(), Some("a=1; b=2"));
    assert_eq!(seen.headers().get_all("x-consumer"), ["ada"]);

    let seen = passes(&mut h, get("/x?%6bey=k%2Dada%2D1"));
    assert_eq!(seen.path(), "/x");

    let seen = passes(
        &mut h,
        get("/?k=1").header("cookie", "a=1; key=k-ada-1; b=2"),
    );
    assert_eq!(seen.header("cookie").as_deref(), Some("a=1; b=2"));
    assert_eq!(seen.path(), "/?k=1");

    let seen = passes(&mut h, get("/").header("cookie", "key=k-ada-1"));
    assert_eq!(seen.header("cookie"), None);

    let seen = passes(&mut h, get("/").header("authorization", "aPIkEY   k-ada-1"));
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.headers().get_all("x-consumer"), ["ada"]);

    let seen = passes(
        &mut h,
        get("/")
            .bearer("for-the-backend")
            .header("x-key", "k-ada-1"),
    );
    assert_eq!(
        seen.header("authorization").as_deref(),
        Some("Bearer for-the-backend")
    );
    assert_eq!(seen.header("x-key"), None);
}

#[test]
fn a_key_with_a_comma_or_beyond_ascii_is_a_key() {
    let mut h = anywhere();
    for (req, consumer) in [
        (get("/").header("x-key", "a,b"), "comma"),
        (get("/?key=a%2Cb"), "comma"),
        (get("/").header("x-key", "käse"), "fromager"),
        (get("/?key=k%C3%A4se"), "fromager"),
    ] {
        let seen = passes(&mut h, req);
        assert_eq!(seen.headers().get_all("x-consumer"), [consumer]);
    }
}

#[test]
fn more_than_one_key_is_refused_even_if_they_are_the_same() {
    let mut h = anywhere();
    for req in [
        get("/")
            .header("x-key", "k-ada-1")
            .header("x-key", "k-ada-1"),
        get("/").header("x-key", "k-ada-1").header("X-KEY", "wrong"),
        get("/?key=k-ada-1").header("x-key", "k-ada-1"),
        get("/?key=k-ada-1&key=k-ada-1"),
        get("/?key=k-ada-1&%6bey="),
        get("/").header("cookie", "key=k-ada-1; key=x"),
        get("/?key=x").header("cookie", "key=k-ada-1"),
        get("/")
            .header("authorization", "ApiKey k-ada-1")
            .header("authorization", "ApiKey x"),
        get("/")
            .header("authorization", "ApiKey k-ada-1")
            .header("cookie", "key=k-ada-1"),
    ] {
        refused(&mut h, req, 400, "several_keys");
    }
}

#[test]
fn a_key_is_forwarded_where_that_is_wanted() {
    let places = json!([{"header": "x-key"}, {"authorization": "ApiKey"}, {"query": "key"}, {"cookie": "key"}]);
    let mut h = configured(json!({"in": places, "forward": true, "consumerHeader": "X-Who"}));
    for (req, name, value) in [
        (get("/").header("x-key", "k-ada-1"), "x-key", "k-ada-1"),
        (
            get("/").header("authorization", "ApiKey k-ada-1"),
            "authorization",
            "ApiKey k-ada-1",
        ),
        (
            get("/").header("cookie", "key=k-ada-1"),
            "cookie",
            "key=k-ada-1",
        ),
    ] {
        let seen = passes(&mut h, req);
        assert_eq!(seen.header(name).as_deref(), Some(value));
        assert_eq!(seen.headers().get_all("x-who"), ["ada"]);
    }
    assert_eq!(passes(&mut h, get("/?key=k-ada-1")).path(), "/?key=k-ada-1");
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

#[test]
fn mistakes_in_the_configuration_say_where_they_are_and_never_show_a_key() {
    let key = |key: Value| json!({"keys": [{"consumer": "ada", "sha256": ADA}, key]});
    let places =
        |places: Value| json!({"keys": [{"consumer": "ada", "sha256": ADA}], "in": places});
    for (config, messages) in [
        (json!({}), ["keys: missing", ""]),
        (json!({"keys": []}), ["keys: expected at least 1", ""]),
        (
            key(json!({"consumer": "b", "sha256": "pl4in-k3y"})),
            ["keys[1].sha256: ", "found text of 9 characters"],
        ),
        (
            key(json!({"consumer": "b", "sha256": 17})),
            ["keys[1].sha256: ", "expected text"],
        ),
        (
            key(json!({"consumer": "b", "sha256": OLD.replace('b', "g")})),
            ["keys[1].sha256: ", "64 hexadecimal digits"],
        ),
        (
            key(
                json!({"consumer": "b", "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}),
            ),
            ["keys[1].sha256: ", "the hash of nothing"],
        ),
        (
            key(json!({"consumer": "b", "sha256": ADA})),
            ["keys: [1].sha256", "the hash of [0] too"],
        ),
        (
            key(json!({"consumer": "", "sha256": OLD})),
            ["keys[1].consumer: ", "at least 1 character"],
        ),
        (
            key(json!({"consumer": "b\nx-role: root", "sha256": OLD})),
            ["keys[1].consumer: ", "control characters"],
        ),
        (
            key(json!({"consumer": "b", "sha256": OLD, "notAfter": "tomorrow"})),
            ["keys[1].notAfter: ", "2027-01-31T00:00:00Z"],
        ),
        (
            key(json!({"consumer": "b", "key": "pl4in-k3y"})),
            ["keys[1].key: unknown field", ""],
        ),
        (places(json!([])), ["in: expected at least 1", ""]),
        (
            places(json!(["header"])),
            ["in[0]: expected data with it", ""],
        ),
        (
            places(json!([{"header": "x key"}])),
            ["in[0].header: ", "x key"],
        ),
        (
            places(json!([{"header": "Host"}])),
            ["in[0].header: ", "belongs to the gateway"],
        ),
        (
            places(json!([{"header": "Cookie"}])),
            ["in: [0]: ", "write cookie: NAME"],
        ),
        (
            places(json!([{"query": "k"}, {"query": "k"}])),
            ["in: [1] is the same place as [0]", ""],
        ),
        (
            places(json!([{"header": "authorization"}, {"authorization": "Bearer"}])),
            ["in: [1] is the same", ""],
        ),
        (
            places(json!([{"authorization": "Api Key"}])),
            ["in[0].authorization: expected one word", ""],
        ),
        (
            json!({"keys": [{"consumer": "ada", "sha256": ADA}], "consumerHeader": "X-Api-Key"}),
            ["consumerHeader: keys are in this header too, by in[0]", ""],
        ),
    ] {
        let Err(refused) = Harness::new(key_auth).config(&config).try_start() else {
            panic!("accepted: {config}");
        };
        for message in messages {
            assert!(refused.contains(message), "{message} in {refused}");
        }
        assert!(!refused.contains("pl4in"), "{refused}");
    }
}
