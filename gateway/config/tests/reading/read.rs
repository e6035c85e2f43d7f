//! The way from a text to the struct of a kind.

use crate::support::Door;
use crate::support::Shop;
use crate::support::Size;
use crate::support::parse_all;
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
