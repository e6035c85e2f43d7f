//! Method, header and query matches, and how they decide between rules of one path.

use super::check;
use super::table;

#[test]
fn a_method_decides_before_headers_and_headers_before_the_query() {
    let table = table(&[
        "prefix /",
        "prefix / ?q=1",
        "prefix / x-a=1",
        "prefix / GET",
    ]);
    check(&table, "GET /?q=1 x-a=1", Some(3));
    check(&table, "POST /?q=1 x-a=1", Some(2));
    check(&table, "POST /?q=1", Some(1));
    check(&table, "POST /", Some(0));
}

#[test]
fn more_headers_and_more_parameters_come_first() {
    let headers = table(&["prefix / x-a=1", "prefix / x-a=1 x-b=1"]);
    check(&headers, "GET / x-a=1 x-b=1", Some(1));
    let query = table(&["prefix / ?a=1", "prefix / ?a=1 ?b=1"]);
    check(&query, "GET /?b=1&a=1", Some(1));
}

#[test]
fn the_earlier_rule_wins_where_all_else_is_equal() {
    let table = table(&["prefix /a x-a=1", "prefix /a x-b=1", "prefix /a/ x-c=1"]);
    check(&table, "GET /a x-c=1 x-b=1", Some(1));
    check(&table, "GET /a x-c=1 x-b=1 x-a=1", Some(0));
}

#[test]
fn a_header_value_is_compared_as_a_whole() {
    let table = table(&["prefix / x-a=1", "prefix / x-a~[a-c]+"]);
    check(&table, "GET / X-A=1", Some(0));
    check(&table, "GET / x-a=abc", Some(1));
    check(&table, "GET / x-a=abcd", None);
    check(&table, "GET /", None);
}

#[test]
fn lines_of_one_field_are_one_value() {
    let table = table(&["prefix / x-a=1,2", "prefix / x-a~1.3"]);
    check(&table, "GET / x-a=1 x-a=2", Some(0));
    check(&table, "GET / x-a=1 x-a=3", Some(1));
    check(&table, "GET / x-a=2 x-a=1", None);
}

#[test]
fn the_host_field_is_the_authority() {
    check(&table(&["prefix / host=a.test"]), "GET /", Some(0));
    check(&table(&["prefix / host=b.test"]), "GET /", None);
}

#[test]
fn the_first_match_of_one_name_counts() {
    let headers = table(&["prefix / x-a=1 x-a=2", "prefix / x-a=1"]);
    check(&headers, "GET / x-a=1", Some(0));
    let query = table(&["prefix / ?a=1 ?a=2"]);
    check(&query, "GET /?a=1", Some(0));
}

#[test]
fn a_parameter_is_decoded_and_its_first_value_counts() {
    let table = table(&["prefix / ?a=b", "prefix / ?a~b.c"]);
    check(&table, "GET /?a=b&a=c", Some(0));
    check(&table, "GET /?a=c&a=b", None);
    check(&table, "GET /?%61=%62", Some(0));
    check(&table, "GET /?a=b+c", Some(1));
    check(&table, "GET /?a=b%20c", Some(1));
    check(&table, "GET /?a", None);
    check(&table, "GET /", None);
}

#[test]
fn methods_are_compared_with_their_case() {
    check(&table(&["prefix / get"]), "GET /", None);
    check(&table(&["prefix / get"]), "get /", Some(0));
}
