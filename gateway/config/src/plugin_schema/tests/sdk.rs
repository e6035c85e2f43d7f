//! The gateway refuses what a filter of our SDK refuses, and nothing else: both are asked about the
//! same values.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;
use serde_json::json;
use tidegate_sdk::config::Backend;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Percent;
use tidegate_sdk::config::Secret;
use tidegate_sdk::config::Size;
use tidegate_sdk::manifest::Manifest;
use tidegate_sdk::manifest::as_text;

use crate::plugin_schema::check_bytes;

#[derive(Debug, FilterConfig)]
#[expect(dead_code, reason = "only what it accepts matters")]
struct Config {
    backend: Backend,
    flag: Option<bool>,
    byte: Option<u8>,
    long: Option<i64>,
    longest: Option<u64>,
    #[config(min = -1, max = 1)]
    few: Option<i32>,
    #[config(min = 0.5, max = 100)]
    float: Option<f64>,
    #[config(min_len = 2, max_len = 4)]
    text: Option<String>,
    #[config(default = "a")]
    letter: char,
    #[config(default = "2s", min = "100ms", max = "1h")]
    wait: Duration,
    #[config(default = "1KiB", min = 10, max = "1MiB")]
    size: Size,
    share: Option<Percent>,
    #[config(min_len = 3)]
    secret: Option<Secret>,
    #[config(default, max_len = 2)]
    list: Vec<Item>,
    pair: Option<[u8; 2]>,
    #[config(default)]
    map: BTreeMap<String, bool>,
    #[config(default = "one")]
    choice: Choice,
    variant: Option<Variant>,
    any: Option<Json>,
    nothing: (),
}

#[derive(Debug, FilterConfig)]
#[expect(dead_code, reason = "only what it accepts matters")]
struct Item {
    name: String,
    count: Option<u16>,
}

#[derive(Debug, FilterConfig)]
enum Choice {
    One,
    #[config(rename = "the-other")]
    Other,
}

#[derive(Debug, FilterConfig)]
#[expect(dead_code, reason = "only what it accepts matters")]
enum Variant {
    Plain,
    Number(u8),
    Item(Item),
    Named { first: bool, second: Option<Choice> },
}

const MANIFEST: Manifest = Manifest {
    name: "all",
    version: "1.0.0",
    description: "",
    kind: "http",
    needs: &[],
    capabilities: &[],
    config: Config::SCHEMA,
};
const BYTES: [u8; MANIFEST.len()] = MANIFEST.render();

/// Values that are right for one field and wrong for most.
fn values() -> Vec<Json> {
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(2),
        json!(10),
        json!(255),
        json!(256),
        json!(65_536),
        json!(1_048_577),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1.0),
        json!(1.5),
        json!(0.25),
        json!(1e15),
        json!(9_007_199_254_740_994.0),
        json!(1e19),
        json!(18_446_744_073_709_551_616.0),
        json!(1e300),
        json!(-1e300),
        json!(""),
        json!("a"),
        json!("é"),
        json!("ab"),
        json!("éééé"),
        json!("abcde"),
        json!("one"),
        json!("One"),
        json!("the-other"),
        json!("plain"),
        json!("number"),
        json!("2s"),
        json!("99ms"),
        json!("100ms"),
        json!("1h"),
        json!("1h1ms"),
        json!("1h30"),
        json!("123456ms"),
        json!("1s1s1s1s1s"),
        json!("64KiB"),
        json!("1MiB"),
        json!("1MB"),
        json!("2MB"),
        json!("9B"),
        json!("10"),
        json!("1kb"),
        json!("5%"),
        json!("100%"),
        json!("100.0001%"),
        json!("0.00001%"),
        json!("5 %"),
        json!([]),
        json!([1, 2]),
        json!([1, 2, 3]),
        json!([1, 256]),
        json!([{ "name": "x" }]),
        json!([{ "name": "x", "count": 1 }, { "name": "y", "count": null }]),
        json!([{ "name": "x" }, { "name": "x" }, { "name": "x" }]),
        json!([{ "name": 1 }]),
        json!([{ "nam": "x" }]),
        json!({}),
        json!({ "a": true }),
        json!({ "a": 1 }),
        json!({ "name": "x" }),
        json!({ "plain": {} }),
        json!({ "number": 7 }),
        json!({ "number": 700 }),
        json!({ "item": { "name": "x" } }),
        json!({ "item": { "name": "x", "other": 1 } }),
        json!({ "named": { "first": true } }),
        json!({ "named": { "first": true, "second": "one" } }),
        json!({ "named": { "second": "one" } }),
        json!({ "number": 7, "item": { "name": "x" } }),
    ]
}

#[test]
fn both_accept_the_same_values() {
    let manifest: Json = serde_json::from_str(as_text(&BYTES)).expect("JSON");
    let schema = &manifest["configSchema"];
    let fields = schema["properties"].as_object().expect("fields").keys();
    let names = fields.map(String::as_str).chain(["unknown", "backends"]);
    let (mut accepted, mut refused) = (0, 0);
    for name in names {
        for value in values() {
            let mut config = json!({ "backend": "auth" });
            config[name] = value;
            let by_filter = Config::from_value(&config);
            let by_gateway = check_bytes(schema, config.to_string().as_bytes());
            assert_eq!(
                by_filter.is_ok(),
                by_gateway.is_empty(),
                "{config}: {by_filter:?}, {by_gateway:?}"
            );
            if by_filter.is_ok() {
                accepted += 1;
            } else {
                refused += 1;
            }
        }
    }
    assert!(accepted > 150 && refused > 1_000, "{accepted}, {refused}");
    for config in values() {
        let by_gateway = check_bytes(schema, config.to_string().as_bytes());
        assert!(
            Config::from_value(&config).is_err() && !by_gateway.is_empty(),
            "{config}"
        );
    }
}
