//! Header maps and trailers.

use tidegate_host_abi::{MapKind, pairs};

use super::support::{
    Run, at_headers, filter, old_filter, on_headers, said_at_headers, said_at_tick,
};

const GET: &str =
    r#"(call $num (call $proxy_get_header_map_value (i32.const 0) @"X-A" @out)) (call $got)"#;

#[test]
fn a_field_is_read_without_regard_to_case() {
    let said = said_at_headers(GET, |stream| {
        stream.map(
            MapKind::RequestHeaders,
            &[("x-a", "first"), ("x-a", "second")],
        );
    });
    assert_eq!(said, ["0", "first"]);
}

#[test]
fn an_empty_value_is_ok_and_needs_no_allocation() {
    let said = said_at_headers(
        r#"(i32.store (i32.const 3000) (i32.const 9))
           (call $num (call $proxy_get_header_map_value (i32.const 0) @"x-a" @out))
           (call $num (i32.load (i32.const 3000))) (call $num (i32.load (i32.const 3004)))"#,
        |stream| stream.map(MapKind::RequestHeaders, &[("x-a", "")]),
    );
    assert_eq!(said, ["0", "0", "0"]);
}

#[test]
fn a_missing_field_is_not_found() {
    let said = said_at_headers(GET, |stream| {
        stream.map(MapKind::RequestHeaders, &[("x-b", "1")]);
    });
    assert_eq!(said, ["1", ""]);
}

#[test]
fn a_missing_field_is_empty_in_abi_0_1_0() {
    let mut run = Run::new(&old_filter(&format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32) (result i32) {GET} (i32.const 0))"#
    )));
    let context = run.stream();
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["0", ""]);
}

#[test]
fn a_field_of_an_unavailable_map_is_not_found() {
    assert_eq!(said_at_headers(GET, |_| ()), ["1", ""]);
    assert_eq!(said_at_tick(GET), ["1", ""], "a root context has no stream");
}

#[test]
fn a_number_that_is_no_map_is_a_bad_argument() {
    let said = said_at_headers(
        r#"(call $num (call $proxy_get_header_map_value (i32.const 8) @"x" @out))
           (call $num (call $proxy_get_header_map_pairs (i32.const 8) @out))
           (call $num (call $proxy_get_header_map_size (i32.const 8) (i32.const 3000)))
           (call $num (call $proxy_set_header_map_pairs (i32.const 8) @""))
           (call $num (call $proxy_add_header_map_value (i32.const 8) @"a" @"b"))
           (call $num (call $proxy_replace_header_map_value (i32.const 8) @"a" @"b"))
           (call $num (call $proxy_remove_header_map_value (i32.const 8) @"a"))"#,
        |_| (),
    );
    assert_eq!(said, ["2"; 7]);
}

#[test]
fn pairs_come_in_one_block() {
    let said = said_at_headers(
        r#"(call $num (call $proxy_get_header_map_pairs (i32.const 2) @out)) (call $got)"#,
        |stream| stream.map(MapKind::ResponseHeaders, &[(":status", "200"), ("a", "")]),
    );
    let block = pairs::encode_list(&[(":status", "200"), ("a", "")]);
    assert_eq!(said, ["0".to_owned(), String::from_utf8(block).unwrap()]);
}

#[test]
fn pairs_of_an_unavailable_or_empty_map_are_a_null_pointer() {
    let body = r#"(i32.store (i32.const 3000) (i32.const 9))
        (call $num (call $proxy_get_header_map_pairs (i32.const 0) @out))
        (call $num (i32.load (i32.const 3000))) (call $num (i32.load (i32.const 3004)))"#;
    assert_eq!(said_at_headers(body, |_| ()), ["0", "0", "0"]);
    let empty = said_at_headers(body, |stream| stream.map(MapKind::RequestHeaders, &[]));
    assert_eq!(empty, ["0", "0", "0"]);
    assert_eq!(said_at_tick(body), ["0", "0", "0"]);
}

#[test]
fn the_size_counts_bytes_of_names_and_values() {
    let said = said_at_headers(
        r#"(call $num (call $proxy_get_header_map_size (i32.const 0) (i32.const 3000)))
           (call $num (i32.load (i32.const 3000)))
           (call $num (call $proxy_get_header_map_size (i32.const 1) (i32.const 3000)))
           (call $num (i32.load (i32.const 3000)))"#,
        |stream| stream.map(MapKind::RequestHeaders, &[("abc", "de"), ("f", "")]),
    );
    assert_eq!(said, ["0", "6", "0", "0"]);
}

#[test]
fn edits_reach_the_map() {
    let mut run = Run::new(&at_headers(
        r#"(call $num (call $proxy_add_header_map_value (i32.const 0) @"a" @"2"))
           (call $num (call $proxy_replace_header_map_value (i32.const 0) @"b" @"3"))
           (call $num (call $proxy_remove_header_map_value (i32.const 0) @"c"))
           (call $num (call $proxy_remove_header_map_value (i32.const 0) @"never"))"#,
    ));
    let context = run.stream();
    let fields = [("a", "1"), ("b", "1"), ("b", "2"), ("c", "1")];
    run.streams
        .get(context)
        .map(MapKind::RequestHeaders, &fields);
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["0"; 4]);
    let expected: Vec<_> = [("a", "1"), ("a", "2"), ("b", "3")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    assert_eq!(
        run.streams.get(context).maps[&MapKind::RequestHeaders],
        expected
    );
}

#[test]
fn a_whole_map_is_replaced_and_a_malformed_one_empties_it() {
    let mut run = Run::new(&at_headers(
        r#"(call $num (call $proxy_set_header_map_pairs (i32.const 0)
                @"\01\00\00\00\01\00\00\00\01\00\00\00a\00b\00"))
           (call $num (call $proxy_set_header_map_pairs (i32.const 2) @"\01\00\00\00a"))"#,
    ));
    let context = run.stream();
    let stream = run.streams.get(context);
    stream.map(MapKind::RequestHeaders, &[("x", "y")]);
    stream.map(MapKind::ResponseHeaders, &[("x", "y")]);
    run.headers(context).unwrap();
    assert_eq!(run.said(), ["0", "0"]);
    let maps = &run.streams.get(context).maps;
    assert_eq!(
        maps[&MapKind::RequestHeaders],
        [("a".to_owned(), "b".to_owned())]
    );
    assert_eq!(maps[&MapKind::ResponseHeaders], []);
}

#[test]
fn an_edit_that_cannot_take_effect_is_ok_and_noted() {
    let edit = r#"(call $num (call $proxy_replace_header_map_value (i32.const 2) @"a" @"b"))"#;
    let mut run = Run::new(&filter(&format!(
        "{} {}",
        on_headers(edit),
        super::support::on_tick(edit)
    )));
    let context = run.stream();
    run.headers(context).unwrap();
    run.tick().unwrap();
    assert_eq!(run.said(), ["0", "0"]);
    assert_eq!(
        run.notes(),
        [
            "an edit of ResponseHeaders has no effect, the map is not there now",
            "an edit of ResponseHeaders has no effect, the context is no stream",
        ]
    );
}

#[test]
fn maps_of_calls_cannot_be_edited() {
    let said = said_at_headers(
        r#"(call $num (call $proxy_add_header_map_value (i32.const 4) @"a" @"b"))
           (call $num (call $proxy_add_header_map_value (i32.const 6) @"a" @"b"))"#,
        |_| (),
    );
    assert_eq!(said, ["0", "0"]);
}

#[test]
fn bad_addresses_are_refused_before_anything_else() {
    let said = said_at_headers(
        r#"(call $num (call $proxy_get_header_map_value (i32.const 99) (i32.const -1) (i32.const 2) @out))
           (call $num (call $proxy_get_header_map_value (i32.const 0) @"x-a" (i32.const 262141) (i32.const 0)))
           (call $num (call $proxy_get_header_map_pairs (i32.const 0) (i32.const 0) (i32.const -1)))
           (call $num (call $proxy_get_header_map_size (i32.const 0) (i32.const 262144)))
           (call $num (call $proxy_set_header_map_pairs (i32.const 0) (i32.const 262144) (i32.const 1)))
           (call $num (call $proxy_add_header_map_value (i32.const 0) @"a" (i32.const 262144) (i32.const 1)))
           (call $num (call $proxy_remove_header_map_value (i32.const 0) (i32.const -4) (i32.const 8)))"#,
        |stream| stream.map(MapKind::RequestHeaders, &[("x-a", "1")]),
    );
    assert_eq!(said, ["6"; 7]);
}
