//! What a request looks like when it reaches filters and origins.

use tidegate_testkit::Gateway;
use tidegate_testkit::Message;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;

/// What the origin got for this request.
#[track_caller]
fn forwarded(request: &str) -> Message {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send(request);
    assert_eq!(client.response().status(), 200, "{request:?}");
    origin.only_request()
}

/// A filter that answers 418 if it can see the named header.
fn tattletale(header: &str) -> Wasm {
    let length = header.len();
    Wasm::wat(
        "tattletale",
        r#"(import "env" "proxy_get_header_map_value"
               (func $get (param i32 i32 i32 i32 i32) (result i32)))
           (import "env" "proxy_send_local_response"
               (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#,
        &format!(
            r#"(data (i32.const 16) "{header}")
               (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                   (if (i32.eqz (call $get (i32.const 0) (i32.const 16) (i32.const {length})
                                           (i32.const 0) (i32.const 4)))
                       (then (drop (call $answer (i32.const 418) (i32.const 0) (i32.const 0)
                           (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))))
                   (i32.const 0))"#
        ),
    )
}

/// A filter that copies a property of the request, its parts separated by `\\00`, into `x-found`.
pub(crate) fn copier(path: &str) -> Wasm {
    let length = path.replace("\\00", "0").len();
    Wasm::wat(
        "copier",
        r#"(import "env" "proxy_get_property" (func $get (param i32 i32 i32 i32) (result i32)))
           (import "env" "proxy_add_header_map_value"
               (func $add (param i32 i32 i32 i32 i32) (result i32)))"#,
        &format!(
            r#"(data (i32.const 16) "{path}") (data (i32.const 96) "x-found")
               (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                   (if (i32.eqz (call $get (i32.const 16) (i32.const {length})
                                           (i32.const 0) (i32.const 4)))
                       (then (drop (call $add (i32.const 0) (i32.const 96) (i32.const 7)
                           (i32.load (i32.const 0)) (i32.load (i32.const 4))))))
                   (i32.const 0))"#
        ),
    )
}

#[test]
fn filters_read_the_client_that_is_trusted_and_the_peer_apart() {
    for (hops, path, expected) in [
        (0, "source\\00address", "127.0.0.1:"),
        (1, "source\\00address", "1.2.3.4:0"),
        (1, "filter_state\\00tidegate.peer_address", "127.0.0.1:"),
    ] {
        let origin = Origin::answers(200, "fine");
        let gateway = Gateway::to(origin.address())
            .trusted_hops(hops)
            .plugin(&copier(path))
            .start();
        let mut client = gateway.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6, 1.2.3.4\r\n\r\n");
        assert_eq!(client.response().status(), 200);
        let seen = origin.only_request();
        let found = seen.field("x-found").unwrap_or("nothing");
        assert!(found.starts_with(expected), "{hops} {path}: {found}");
    }
}

#[test]
fn hop_by_hop_and_connection_named_headers_go_before_the_first_filter() {
    for header in [
        "x-secret",
        "keep-alive",
        "proxy-authorization",
        "te",
        "connection",
    ] {
        let origin = Origin::answers(200, "fine");
        let gateway = Gateway::to(origin.address())
            .plugin(&tattletale(header))
            .start();
        let mut client = gateway.client();
        client.send(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Secret, te\r\nX-Secret: 1\r\n\
             Keep-Alive: 5\r\nProxy-Authorization: b\r\nTE: trailers\r\n\r\n",
        );
        assert_eq!(client.response().status(), 200, "a filter saw {header}");
        let seen = origin.only_request();
        assert_eq!(
            (seen.field("x-secret"), seen.field("keep-alive")),
            (None, None)
        );
    }
    // The filter does see what is not hop-by-hop.
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .plugin(&tattletale("x-kept"))
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Kept: 1\r\n\r\n");
    assert_eq!(client.response().status(), 418);
}

#[test]
fn response_hop_by_hop_headers_do_not_reach_the_client() {
    let origin = Origin::replies(
        "HTTP/1.1 200 OK\r\nconnection: x-internal\r\nx-internal: 1\r\nkeep-alive: timeout=5\r\n\
         content-length: 0\r\n\r\n",
    );
    let gateway = Gateway::to(origin.address()).start();
    let response = gateway.get("/");
    assert_eq!(
        (response.field("x-internal"), response.field("keep-alive")),
        (None, None)
    );
    assert_eq!(response.field("connection"), None);
}

#[test]
fn forwarded_headers_and_request_id_are_ours_without_trusted_hops() {
    let seen = forwarded(
        "GET / HTTP/1.1\r\nHost: Shop.Test:80\r\nX-Forwarded-For: 6.6.6.6\r\n\
         X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Request-Id: mine\r\n\r\n",
    );
    assert_eq!(seen.values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.values("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.values("x-forwarded-host"), ["shop.test:80"]);
    let id = seen.field("x-request-id").expect("an id").to_owned();
    assert!(id.len() == 36 && id != "mine", "{id}");
}

#[test]
fn forwarded_headers_of_trusted_hops_are_kept() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address()).trusted_hops(1).start();
    let mut client = gateway.client();
    client.send(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6, 1.2.3.4\r\n\
         X-Forwarded-Proto: https\r\nX-Request-Id: theirs\r\n\r\n",
    );
    client.response();
    let seen = origin.only_request();
    assert_eq!(
        seen.values("x-forwarded-for"),
        ["6.6.6.6, 1.2.3.4, 127.0.0.1"]
    );
    assert_eq!(seen.values("x-forwarded-proto"), ["https"]);
    assert_eq!(seen.values("x-request-id"), ["theirs"]);
    // The client's address, not the proxy's, is the one that counts.
    assert!(gateway.log_lines(1)[0].contains(" web 1.2.3.4 "));
}

#[test]
fn an_absolute_form_target_becomes_path_and_host() {
    let seen = forwarded("GET http://Shop.test./a?b HTTP/1.1\r\nHost: other\r\n\r\n");
    assert_eq!(seen.start, "GET /a?b HTTP/1.1");
    assert_eq!(seen.values("host"), ["shop.test"]);
}

#[test]
fn paths_and_hosts_reach_the_origin_in_one_form() {
    for (given, expected) in [
        ("/a/../b/./c", "/b/c"),
        ("/%7euser/%2fx", "/~user/%2Fx"),
        ("/a//b?x=../y", "/a//b?x=../y"),
        ("/../../etc", "/etc"),
    ] {
        let seen = forwarded(&format!("GET {given} HTTP/1.1\r\nHost: SHOP.test.\r\n\r\n"));
        assert_eq!(seen.start, format!("GET {expected} HTTP/1.1"));
        assert_eq!(seen.values("host"), ["shop.test"]);
    }
}

#[test]
fn paths_that_parsers_read_differently_are_400() {
    for path in ["/a\\b", "/a%00", "/a#b", "/%zz", "/a%5cb"] {
        let origin = Origin::answers(200, "reached");
        let gateway = Gateway::to(origin.address()).start();
        assert_eq!(gateway.get(path).status(), 400, "{path}");
        assert_eq!(origin.requests(), []);
    }
}

#[test]
fn an_options_star_is_forwarded_as_it_is() {
    assert_eq!(
        forwarded("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").start,
        "OPTIONS * HTTP/1.1"
    );
}

#[test]
fn header_values_of_any_bytes_are_forwarded() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Bytes: \xe4\xff\r\nX-Empty:\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    let raw = origin.only_request().raw;
    assert!(raw.windows(2).any(|pair| pair == b"\xe4\xff"));
    assert_eq!(origin.only_request().field("x-empty"), Some(""));
}

#[test]
fn repeated_headers_stay_repeated_and_in_order() {
    let seen = forwarded("GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-B: 2\r\nX-A: 3\r\n\r\n");
    assert_eq!(seen.values("x-a"), ["1", "3"]);
    let origin = Origin::replies(
        "HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 0\r\n\r\n",
    );
    let gateway = Gateway::to(origin.address()).start();
    assert_eq!(gateway.get("/").values("set-cookie"), ["a=1", "b=2"]);
}

#[test]
fn connect_is_refused_and_an_offer_of_http2_ignored() {
    let origin = Origin::answers(200, "reached");
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
    assert_eq!(client.response().status(), 501);
    assert_eq!(origin.requests(), []);
    // An offer of HTTP/2 may be ignored: curl --http2 sends it with every request.
    let seen = forwarded(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    );
    assert_eq!(
        (seen.field("upgrade"), seen.field("http2-settings")),
        (None, None)
    );
}
