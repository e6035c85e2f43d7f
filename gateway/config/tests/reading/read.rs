//! The way from a text to the struct of a kind.

use crate::support::Door;
use crate::support::Shop;
use crate::support::Size;
use crate::support::parse_all;
use tidegate_config::place::At;
use tidegate_config::place::Span;
use tidegate_config::schema::Checker;

const SHOP: &str = r#"# A shop.
---
apiVersion: test/v1
kind: Shop
metadata: { name: corner, labels: { a: b } }
spec:
  port: 80
  hosts:
    - "a.test"
    - b.test
  size: Large
  door:
    locked: { key: gold }
  rooms: { "one": 1, two: 2.5 }
  config: { z: [1, null, "x"], a: -1.5 }
"#;

#[test]
fn a_struct_knows_where_each_value_was_written() {
    let (parsed, mut problems) = parse_all("a.yaml", SHOP);
    let [parsed] = parsed.as_slice() else {
        panic!("{problems:?}");
    };
    let shop: Option<Shop> = Checker::of::<Shop>().read(parsed, &mut problems);
    assert_eq!(problems, []);
    let spec = shop.expect("no problems").spec;

    let place = |span| {
        let place = parsed.place(span);
        (place.line, place.column, place.length)
    };
    assert_eq!((*spec.port, place(spec.port.span)), (80, (7, 9, 2)));
    let hosts: Vec<_> = spec
        .hosts
        .iter()
        .map(|host| (host.0.as_str(), place(host.span)))
        .collect();
    assert_eq!(hosts, [("a.test", (9, 7, 8)), ("b.test", (10, 7, 6))]);
    let size = spec.size.expect("given");
    assert_eq!((&size.value, place(size.span)), (&Size::Large, (11, 9, 5)));
    let Some(Door::Locked { key }) = spec.door else {
        panic!("locked");
    };
    assert_eq!((key.as_str(), place(key.span)), ("gold", (13, 20, 4)));
    let rooms: Vec<_> = spec
        .rooms
        .iter()
        .map(|(name, area)| (name.as_str(), place(name.span), **area, place(area.span)))
        .collect();
    assert_eq!(
        rooms,
        [
            ("one", (14, 12, 5), 1.0, (14, 19, 1)),
            ("two", (14, 22, 3), 2.5, (14, 27, 3)),
        ]
    );
    let config = spec.config.expect("given");
    assert_eq!(config.value.to_string(), r#"{"z":[1,null,"x"],"a":-1.5}"#);
    assert_eq!(place(config.span), (15, 11, 1));
    let name = parsed.metadata.name.as_ref().expect("given");
    assert_eq!((name.as_str(), place(name.span)), ("corner", (5, 19, 6)));
}

/// The text and place of `config` when it is written like this.
#[track_caller]
fn check_config(written: &str, value: &str, expected: (u32, u32, u32)) {
    let text = format!(
        "apiVersion: test/v1\nkind: Shop\nmetadata: {{name: a}}\nspec:\n  port: &p 1\n  config: {written}\n"
    );
    let (parsed, mut problems) = parse_all("a.yaml", &text);
    let shop: Option<Shop> = parsed
        .first()
        .and_then(|parsed| Checker::of::<Shop>().read(parsed, &mut problems));
    assert_eq!(problems, []);
    let config = shop.and_then(|shop| shop.spec.config).expect("a value");
    let place = parsed.first().expect("one").place(config.span);
    assert_eq!(
        (
            config.value.to_string().as_str(),
            (place.line, place.column, place.length)
        ),
        (value, expected),
        "{written}"
    );
}

#[test]
fn a_place_is_where_the_value_begins() {
    check_config("word", r#""word""#, (6, 11, 4));
    check_config("two words # comment", r#""two words""#, (6, 11, 9));
    check_config("ä😀 x", r#""ä😀 x""#, (6, 11, 4));
    check_config("'it''s'", r#""it's""#, (6, 11, 7));
    check_config(r#""\u00e4\n""#, r#""ä\n""#, (6, 11, 10));
    check_config("|\n    one\n    two", r#""one\ntwo\n""#, (7, 5, 1));
    check_config(">-\n    one\n    two", r#""one two""#, (7, 5, 1));
    check_config("one\n    two", r#""one two""#, (6, 11, 1));
    check_config("\n    a: 1\n    b: 2", r#"{"a":1,"b":2}"#, (7, 5, 1));
    check_config("\n  - 1\n  - 2", "[1,2]", (7, 5, 1));
    check_config("{a: 1}", r#"{"a":1}"#, (6, 11, 1));
    check_config("&x {a: 1}", r#"{"a":1}"#, (6, 14, 1));
    check_config("!!str 1", r#""1""#, (6, 17, 1));
    check_config("*p", "1", (6, 11, 2));
    check_config("-1e3", "-1000.0", (6, 11, 4));
    check_config(
        "{\"a\":1,\"b\":[true,null]}",
        r#"{"a":1,"b":[true,null]}"#,
        (6, 11, 1),
    );
}

#[test]
fn a_resource_keeps_its_places_when_its_document_moves() {
    let (first, _) = parse_all("a.yaml", SHOP);
    let (moved, _) = parse_all("a.yaml", &format!("a: b\n...\n{SHOP}"));
    let (first, moved) = (&first[0], &moved[0]);
    assert_eq!(first.root, moved.root);
    assert_ne!(first.origin, moved.origin);
    assert_eq!(
        first.place(first.kind.span).line + 2,
        moved.place(moved.kind.span).line
    );
}

#[test]
fn a_value_of_another_deserializer_stands_nowhere() {
    let shop: Shop = serde_json::from_str(r#"{"spec": {"port": 80}}"#).expect("a shop");
    assert_eq!(shop.spec.port, At::nowhere(80));
    assert_eq!(shop.spec.port.span, Span::NONE);
}
