//! What filters see of TLS, and their calls to backends over it.

use std::fmt::Write as _;

use tidegate_core::tls::BundleId;
use tidegate_core::tls::Origination;
use tidegate_core::tls::TlsVersion;
use tidegate_core::tls::Trust;
use tidegate_testkit::Authority;
use tidegate_testkit::Gateway;
use tidegate_testkit::Https;
use tidegate_testkit::Leaf;
use tidegate_testkit::Message;
use tidegate_testkit::Origin;
use tidegate_testkit::Rule;
use tidegate_testkit::TlsClient;
use tidegate_testkit::TlsFront;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

use crate::headers;

/// Attributes of a connection with TLS, after `connection.`.
const ATTRIBUTES: [&str; 10] = [
    "mtls",
    "requested_server_name",
    "tls_version",
    "subject_local_certificate",
    "subject_peer_certificate",
    "dns_san_local_certificate",
    "dns_san_peer_certificate",
    "uri_san_local_certificate",
    "uri_san_peer_certificate",
    "sha256_peer_certificate_digest",
];

/// A filter that copies each attribute that there is into a request header of its name.
fn copier() -> Wasm {
    let imports = r#"
        (import "env" "proxy_get_property"
            (func $get (param i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_add_header_map_value"
            (func $add (param i32 i32 i32 i32 i32) (result i32)))"#;
    let mut body = String::new();
    let mut steps = String::new();
    for (at, name) in (0..).map(|place| 256 + place * 128).zip(ATTRIBUTES) {
        let (path, header) = (format!("connection\\00{name}"), format!("x-{name}"));
        writeln!(body, "(data (i32.const {at}) \"{path}\")").expect("a String");
        let header_at = at + 64;
        writeln!(body, "(data (i32.const {header_at}) \"{header}\")").expect("a String");
        let (path_len, header_len) = ("connection.".len() + name.len(), header.len());
        writeln!(
            steps,
            "(if (i32.eqz (call $get (i32.const {at}) (i32.const {path_len})
                    (i32.const 16) (i32.const 20)))
                (then (drop (call $add (i32.const 0) (i32.const {header_at})
                    (i32.const {header_len}) (i32.load (i32.const 16))
                    (i32.load (i32.const 20))))))"
        )
        .expect("a String");
    }
    writeln!(
        body,
        "(func (export \"proxy_on_request_headers\") (param i32 i32 i32) (result i32)
            {steps} (i32.const 0))"
    )
    .expect("a String");
    // A byte of 1 cannot be in a header: whether there is mutual TLS is told by other attributes.
    Wasm::wat("copier", imports, &body.replace("\\00mtls", "\\00none"))
}

fn seen(request: &Message) -> Vec<(&str, &str)> {
    let names = ATTRIBUTES.iter();
    names
        .filter_map(|name| Some((*name, request.field(&format!("x-{name}"))?)))
        .collect()
}

#[test]
fn filters_read_the_tls_of_the_connection() {
    let (servers, clients) = (Authority::root("servers"), Authority::root("clients"));
    let origin = Origin::answers(200, "hello");
    let leaf = Leaf::named("shop.test").uri("spiffe://td/gateway");
    let certificate = servers.sign(&leaf).certificate();
    let gateway = Gateway::to(origin.address())
        .plugin(&copier())
        .certificate(Some(&certificate))
        .bundle(Some(&clients.bundle()))
        .https(Https::at("shop.test", 0).clients(0, true))
        .start();
    let leaf = Leaf::named("client.test").uri("spiffe://td/client");
    let shown = clients.sign(&leaf.for_clients());
    let get = |client: TlsClient| {
        let answer = client.get(gateway.address(), "shop.test", "/");
        assert_eq!(answer.expect("an answer").status(), 200);
        origin.requests().pop().expect("it came")
    };
    let with = get(TlsClient::new(&servers.pem, Some(&shown)));
    let digest: String =
        shown
            .certificate()
            .sha256()
            .iter()
            .fold(String::new(), |mut text, byte| {
                write!(text, "{byte:02x}").expect("a String");
                text
            });
    assert_eq!(
        seen(&with),
        [
            ("requested_server_name", "shop.test"),
            ("tls_version", "TLSv1.3"),
            ("subject_local_certificate", "O=Tests,CN=shop.test"),
            ("subject_peer_certificate", "O=Tests,CN=client.test"),
            ("dns_san_local_certificate", "shop.test"),
            ("dns_san_peer_certificate", "client.test"),
            ("uri_san_local_certificate", "spiffe://td/gateway"),
            ("uri_san_peer_certificate", "spiffe://td/client"),
            ("sha256_peer_certificate_digest", digest.as_str()),
        ]
    );
    let without = get(TlsClient::new(&servers.pem, None));
    assert_eq!(
        seen(&without),
        [
            ("requested_server_name", "shop.test"),
            ("tls_version", "TLSv1.3"),
            ("subject_local_certificate", "O=Tests,CN=shop.test"),
            ("subject_peer_certificate", ""),
            ("dns_san_local_certificate", "shop.test"),
            ("uri_san_local_certificate", "spiffe://td/gateway"),
            ("sha256_peer_certificate_digest", ""),
        ]
    );
}

#[test]
fn filters_read_all_uri_names_of_a_client() {
    let clients = Authority::root("clients");
    let origin = Origin::answers(200, "hello");
    let servers = Authority::root("servers");
    let certificate = servers.sign(&Leaf::named("shop.test")).certificate();
    let gateway = Gateway::to(origin.address())
        .plugin(&headers::copier("filter_state\\00tidegate.peer_uri_sans"))
        .certificate(Some(&certificate))
        .bundle(Some(&clients.bundle()))
        .https(Https::at("shop.test", 0).clients(0, true))
        .start();
    let found = |shown: Option<&Leaf>| {
        let shown = shown.map(|leaf| clients.sign(&leaf.clone().for_clients()));
        let client = TlsClient::new(&servers.pem, shown.as_ref());
        let answer = client.get(gateway.address(), "shop.test", "/");
        assert_eq!(answer.expect("an answer").status(), 200);
        let seen = origin.requests().pop().expect("it came");
        seen.field("x-found").map(str::to_owned)
    };
    let none = Leaf::named("client.test");
    let one = none.clone().uri("https://a.test/");
    let two = one.clone().uri("spiffe://td/b");
    assert_eq!(found(None), None);
    assert_eq!(found(Some(&none)), None);
    assert_eq!(found(Some(&one)).as_deref(), Some("https://a.test/"));
    assert_eq!(
        found(Some(&two)).as_deref(),
        Some("https://a.test/,spiffe://td/b")
    );
}

/// A filter that calls the backend `side` and passes its answer's body on as a header.
pub(crate) fn caller() -> Wasm {
    Wasm::wat(
        "caller",
        r#"
        (import "env" "proxy_http_call"
            (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
        (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
        (import "env" "proxy_get_header_map_value"
            (func $get (param i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_add_header_map_value"
            (func $add (param i32 i32 i32 i32 i32) (result i32)))"#,
        r#"
        (data (i32.const 100) "side")
        ;; Pairs: :method GET, :path /, :authority a
        (data (i32.const 200) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00a\00")
        (data (i32.const 400) ":status")
        (data (i32.const 420) "x-side")
        (global $stream (mut i32) (i32.const 0))
        (func (export "proxy_on_request_headers") (param $id i32) (param i32 i32) (result i32)
            (global.set $stream (local.get $id))
            (drop (call $call (i32.const 100) (i32.const 4) (i32.const 200) (i32.const 61)
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                (i32.const 5000) (i32.const 16)))
            (i32.const 1))
        (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
            (drop (call $get (i32.const 6) (i32.const 400) (i32.const 7)
                (i32.const 16) (i32.const 20)))
            (drop (call $effective (global.get $stream)))
            (drop (call $add (i32.const 0) (i32.const 420) (i32.const 6)
                (i32.load (i32.const 16)) (i32.load (i32.const 20))))
            (drop (call $continue (i32.const 0))))"#,
    )
}

#[test]
fn calls_of_filters_and_mirrors_go_over_tls_too() {
    let authority = Authority::root("root");
    let (origin, side) = (Origin::answers(200, "hello"), Origin::answers(204, ""));
    let pair = authority.server("side.test");
    let front = TlsFront::new(side.address(), &pair, &["http/1.1"], None);
    let settings = Origination {
        hostname: "side.test".into(),
        trust: Trust::Bundles(vec![BundleId(0)]),
        subject_alt_names: Vec::new(),
        client_certificate: None,
        min_version: TlsVersion::Tls12,
    };
    let gateway = Gateway::to(origin.address())
        .backend("side", front.address())
        .backend_tls("side", settings)
        .bundle(Some(&authority.bundle()))
        .plugin(&caller())
        .rule(Rule::at("/").to("origin", 1).mirror("side"))
        .start();
    assert_eq!(gateway.get("/").status(), 200);
    assert_eq!(origin.only_request().field("x-side"), Some("204"));
    eventually("the call and the copy", || {
        (side.requests().len() == 2).then_some(())
    });
    let names = front.seen().into_iter().map(|one| one.server_name);
    assert!(names.flatten().all(|name| name == "side.test"));
}
