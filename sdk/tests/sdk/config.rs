//! The derive of configurations: what is read, and what is said of what is not.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use tidegate_sdk::config::Backend;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Percent;
use tidegate_sdk::config::Secret;
use tidegate_sdk::config::Size;

/// Limits a client.
#[derive(Debug, PartialEq, FilterConfig)]
struct Limit {
    /// What is counted.
    key: Key,
    #[config(min = 1, max = 1_000_000)]
    requests: u32,
    #[config(default = "1s", min = "100ms", max = "1h")]
    window: Duration,
}

#[derive(Debug, PartialEq, FilterConfig)]
enum Key {
    /// By address.
    ClientIp,
    /// By a header field.
    Header(String),
    /// By a query parameter.
    Query {
        name: String,
        #[config(default = false)]
        ignore_case: bool,
    },
}

#[derive(Debug, PartialEq, FilterConfig)]
enum Mode {
    Enforce,
    #[config(rename = "dry-run")]
    DryRun,
}

#[derive(Debug, FilterConfig)]
#[config(validate = has_room)]
struct Config {
    limits: Vec<Limit>,
    idp: Option<Backend>,
    #[config(default = "64KiB", max = "1MiB")]
    body: Size,
    #[config(default = "dry-run")]
    mode: Mode,
    #[config(default = ["GET", "HEAD"], max_len = 4)]
    methods: Vec<String>,
    #[config(default)]
    labels: BTreeMap<String, String>,
    #[config(default = 8 * 1024)]
    buffer: usize,
    #[config(default = -0.5, min = -1, max = 1.5)]
    offset: f64,
    #[config(default = "5%")]
    share: Percent,
    #[config(min_len = 8)]
    token: Option<Secret>,
    #[config(rename = "type", validate = is_known, default = "a")]
    kind: String,
    #[config(serde, default)]
    pair: (u8, String),
    extra: Option<Value>,
    separator: Option<char>,
    corners: Option<[i8; 2]>,
}

fn is_known(kind: &str) -> Result<(), String> {
    if matches!(kind, "a" | "b") {
        Ok(())
    } else {
        Err(format!("nobody knows {kind:?}"))
    }
}

fn has_room(config: &Config) -> Result<(), &'static str> {
    if config.buffer == 0 {
        Err("a buffer needs room")
    } else {
        Ok(())
    }
}

fn read(value: &Value) -> Config {
    Config::from_value(value).unwrap()
}

/// All problems of a value.
fn problems(value: &Value) -> Vec<String> {
    match Config::from_value(value) {
        Ok(config) => panic!("accepted: {config:?}"),
        Err(error) => error.problems().iter().map(ToString::to_string).collect(),
    }
}

/// The one problem of a value.
fn problem(value: &Value) -> String {
    let mut all = problems(value);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn what_is_left_out_is_what_its_attribute_says() {
    let config = read(&json!({ "limits": [{ "key": "clientIp", "requests": 5 }] }));
    assert_eq!(
        config.limits,
        [Limit {
            key: Key::ClientIp,
            requests: 5,
            window: Duration::from_secs(1)
        }]
    );
    assert_eq!(config.idp, None);
    assert_eq!(config.body, Size::of_bytes(65_536));
    assert_eq!(config.mode, Mode::DryRun);
    assert_eq!(config.methods, ["GET", "HEAD"]);
    assert_eq!(config.labels, BTreeMap::new());
    assert_eq!(config.buffer, 8_192);
    assert!((config.offset + 0.5).abs() < f64::EPSILON);
    assert_eq!(config.share.millionths(), 50_000);
    assert_eq!(config.kind, "a");
    assert_eq!(config.pair, (0, String::new()));
    assert_eq!(config.extra, None);
}

#[test]
fn what_is_given_is_read_by_its_type() {
    let config = read(&json!({
        "limits": [
            { "key": { "header": "x-key" }, "requests": 5, "window": "1m30s" },
            { "key": { "query": { "name": "k", "ignoreCase": true } }, "requests": 1e3 },
        ],
        "idp": "auth",
        "body": 4096,
        "mode": "enforce",
        "methods": [],
        "labels": { "a": "b" },
        "buffer": 1,
        "offset": 1,
        "share": "0.25%",
        "token": "01234567",
        "type": "b",
        "pair": [1, "x"],
        "extra": { "anything": [1] },
        "separator": "é",
        "corners": [-1, 1],
    }));
    assert_eq!(config.limits[0].key, Key::Header("x-key".to_owned()));
    assert_eq!(config.limits[0].window, Duration::from_secs(90));
    let key = Key::Query {
        name: "k".to_owned(),
        ignore_case: true,
    };
    assert_eq!(config.limits[1].key, key);
    assert_eq!(config.limits[1].requests, 1_000);
    assert_eq!(config.idp.as_deref(), Some("auth"));
    assert_eq!(config.body.bytes(), 4_096);
    assert_eq!(config.mode, Mode::Enforce);
    assert_eq!(config.labels["a"], "b");
    assert!((config.share.fraction() - 0.0025).abs() < 1e-12);
    assert_eq!(config.token.as_ref().map(Secret::expose), Some("01234567"));
    assert_eq!(format!("{:?}", config.token), "Some(Secret(..))");
    assert_eq!(config.pair, (1, "x".to_owned()));
    assert_eq!(config.extra, Some(json!({ "anything": [1] })));
    assert_eq!(config.separator, Some('é'));
    assert_eq!(config.corners, Some([-1, 1]));
}

#[test]
fn a_problem_has_the_path_of_its_value_and_what_was_expected() {
    let limit = |limit: Value| json!({ "limits": [limit] });
    assert_eq!(
        problem(&limit(
            json!({ "key": "clientIp", "requests": 1, "window": 3 })
        )),
        "limits[0].window: expected a duration such as \"2s\" from 100ms to 1h, found the number 3"
    );
    assert_eq!(
        problem(&limit(json!({ "key": "clientIp", "requests": 0 }))),
        "limits[0].requests: expected a whole number from 1 to 1000000, found the number 0"
    );
    assert_eq!(
        problem(&limit(json!({ "key": "clientIp" }))),
        "limits[0].requests: missing; expected a whole number from 1 to 1000000"
    );
    assert_eq!(
        problem(&limit(json!({ "key": "clientip", "requests": 1 }))),
        "limits[0].key: expected one of `clientIp`, `header: …`, `query: …`, \
         found the string \"clientip\"; did you mean `clientIp`?"
    );
    assert_eq!(
        problem(&limit(json!({ "key": { "headr": "x" }, "requests": 1 }))),
        "limits[0].key.headr: unknown variant; did you mean `header`?"
    );
    assert_eq!(
        problem(&limit(json!({ "key": { "query": {} }, "requests": 1 }))),
        "limits[0].key.query.name: missing; expected text"
    );
    assert_eq!(
        problem(&limit(json!({ "key": "header", "requests": 1 }))),
        "limits[0].key: expected data with it: `header: …`"
    );
    assert_eq!(
        problem(&limit(
            json!({ "key": "clientIp", "requets": 1, "requests": 1 })
        )),
        "limits[0].requets: unknown field; did you mean `requests`?"
    );
}

#[test]
fn limits_of_lengths_are_told_with_what_was_found() {
    let with = |name: &str, value: Value| json!({ "limits": [], name: value });
    assert_eq!(
        problem(&with("methods", json!(["a", "b", "c", "d", "e"]))),
        "methods: expected at most 4 items, found 5"
    );
    assert_eq!(
        problem(&with("token", json!("short"))),
        "token: expected at least 8 characters, found 5"
    );
    assert_eq!(
        problem(&with("corners", json!([1]))),
        "corners: expected at least 2 items, found 1"
    );
    assert_eq!(
        problem(&with("body", json!("2MiB"))),
        "body: expected a size such as \"64KiB\", at most 1MiB, found the string \"2MiB\""
    );
    assert_eq!(
        problem(&with("offset", json!(2.5))),
        "offset: expected a number from -1 to 1.5, found the number 2.5"
    );
}

#[test]
fn a_secret_is_in_no_message() {
    let told = problem(&json!({ "limits": [], "token": 12_345_678 }));
    assert_eq!(told, "token: expected text, found a number");
}

#[test]
fn all_problems_are_told_at_once() {
    let told = problems(&json!({ "mode": 1, "labels": { "a b": 2 }, "nonsense": 3 }));
    assert_eq!(
        told,
        [
            "limits: missing; expected a sequence",
            "mode: expected one of `enforce`, `dry-run`, found the number 1",
            "labels[\"a b\"]: expected text, found the number 2",
            "nonsense: unknown field; known are `limits`, `idp`, `body`, `mode`, `methods`, \
             `labels`, `buffer`, `offset`, `share`, `token`, `type`, `pair`, `extra`, \
             `separator`, `corners`",
        ]
    );
    let many: Vec<Value> = (0..1_000).map(|_| json!(0)).collect();
    assert_eq!(problems(&json!({ "limits": many })).len(), 20);
}

#[test]
fn an_authors_own_checks_come_last() {
    assert_eq!(
        problem(&json!({ "limits": [], "type": "c" })),
        "type: nobody knows \"c\""
    );
    assert_eq!(
        problem(&json!({ "limits": [], "buffer": 0 })),
        "a buffer needs room"
    );
    assert_eq!(
        problem(&json!({ "limits": [], "pair": [1] })),
        "pair: invalid length 1, expected a tuple of size 2"
    );
}

#[test]
fn no_bytes_are_an_empty_mapping_and_broken_ones_are_said_to_be() {
    let message = |bytes: &[u8]| match Config::from_json(bytes) {
        Ok(config) => panic!("accepted: {config:?}"),
        Err(error) => error.to_string(),
    };
    assert_eq!(message(b" "), "limits: missing; expected a sequence");
    assert_eq!(
        message(b"{\"limits\":}"),
        "the configuration is not JSON: expected value at line 1 column 11"
    );
    assert_eq!(message(b"[]"), "expected a mapping, found a sequence");
    let deep = "[".repeat(100_000);
    assert!(message(deep.as_bytes()).contains("recursion limit"));
}

#[test]
fn a_filter_without_configuration_accepts_none() {
    for bytes in [&b""[..], b"{}", b"null", b" { } "] {
        assert!(<()>::from_json(bytes).is_ok());
        let value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
        assert!(<()>::from_value(&value).is_ok());
    }
    for bytes in [&b"{\"a\":1}"[..], b"1", b"[]", b"{"] {
        let told = <()>::from_json(bytes).unwrap_err().to_string();
        assert_eq!(told, "expected nothing: this filter has no configuration");
    }
    assert_eq!(
        <()>::from_value(&json!({ "a": 1 }))
            .unwrap_err()
            .to_string(),
        "a: unknown field; there are none"
    );
}

#[test]
fn serde_reads_what_the_derive_reads() {
    let limit: Limit = serde_json::from_value(json!({ "key": "clientIp", "requests": 5 })).unwrap();
    assert_eq!(limit.requests, 5);
    let refused = serde_json::from_value::<Limit>(json!({ "key": 1 })).unwrap_err();
    assert!(
        refused.to_string().starts_with("key: expected one of"),
        "{refused}"
    );
}

/// A type with one value inside, and one with a type parameter.
#[derive(Debug, PartialEq, FilterConfig)]
struct Port(#[config(min = 1)] u16);

#[derive(Debug, PartialEq, FilterConfig)]
struct Either<T> {
    left: Option<T>,
    right: Box<Nothing>,
}

#[derive(Debug, PartialEq, FilterConfig)]
struct Nothing;

#[test]
fn tuples_of_one_and_type_parameters_are_read_too() {
    let value = json!({ "left": 80, "right": {} });
    let either = Either::<Port>::from_value(&value).unwrap();
    assert_eq!(either.left, Some(Port(80)));
    let told = Either::<Port>::from_value(&json!({ "left": 0, "right": {} }));
    assert_eq!(
        told.unwrap_err().to_string(),
        "left: expected a whole number from 1 to 65535, found the number 0"
    );
}

#[derive(Debug, FilterConfig)]
struct Name(#[config(pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$", max_len = 12)] String);

#[derive(Debug, FilterConfig)]
struct Patterns {
    #[config(default = "x-user", pattern = "^[A-Za-z0-9!#%&'*+.^_`\\|~\\-]+$")]
    header: String,
    #[config(default = [])]
    names: Vec<Name>,
    #[config(pattern = r"^/(api|v[0-9]{1,2})(/[^/]+)*\.json$")]
    path: Option<String>,
    #[config(pattern = "^(a+)+(b|)c{2,}$")]
    nested: Option<String>,
    #[config(pattern = "^[0-9a-f]{4}$")]
    key: Option<Secret>,
}

/// Whether a field of `Patterns` takes a text.
fn takes(field: &str, text: &str) -> bool {
    Patterns::from_value(&json!({ field: text })).is_ok()
}

#[test]
fn text_matches_its_pattern_as_a_whole() {
    for (field, good, bad) in [
        (
            "header",
            &["x-user", "X.Id|~"][..],
            &["", "x user", "x:", "ü"][..],
        ),
        (
            "path",
            &["/api/a.json", "/v12/a/b.json", "/api.json"],
            &["/v123/a.json", "/api/a.jsonx", "/api//a.json", "x/api.json"],
        ),
        (
            "nested",
            &["acc", "aaabcccc"],
            &["abc", "cc", "aabbcc", &"a".repeat(5_000)],
        ),
        (
            "key",
            &["12ab", "0000"][..],
            &["0aF0", "12a", "12abc", "12ab\n"],
        ),
    ] {
        for text in good {
            assert!(takes(field, text), "{field}: {text}");
        }
        for text in bad {
            assert!(!takes(field, text), "{field}: {text}");
        }
    }
}

#[test]
fn a_pattern_is_told_with_what_was_found_and_secrets_are_not() {
    let refused = |value: &Value| match Patterns::from_value(value) {
        Ok(config) => panic!("accepted: {config:?}"),
        Err(error) => error.to_string(),
    };
    assert_eq!(
        refused(&json!({ "names": ["good", "-bad"] })),
        "names[1]: expected text that matches ^[a-z]([a-z0-9-]*[a-z0-9])?$, found the string \"-bad\""
    );
    assert_eq!(
        refused(&json!({ "key": "hunter2" })),
        "key: expected text that matches ^[0-9a-f]{4}$, found a string"
    );
    assert_eq!(
        refused(&json!({ "names": ["much-too-long-a-name"] })),
        "names[0]: expected at most 12 characters, found 20"
    );
    let config = Patterns::from_value(&json!({ "names": ["a"] })).unwrap();
    assert_eq!(
        (config.header.as_str(), config.names[0].0.as_str()),
        ("x-user", "a")
    );
    let unset = (config.path, config.nested, config.key.is_none());
    assert_eq!(unset, (None, None, true));
}
