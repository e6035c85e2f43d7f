//! Where keys are, and what is left of a request without its key.

use tidegate_sdk_testing::{get, json};

use crate::{anywhere, configured, passes, refused};

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
