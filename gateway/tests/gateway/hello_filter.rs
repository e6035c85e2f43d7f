//! The example filter does on Tidegate what it does on Envoy: same module, same traffic.
//!
//! Each case is one request, sent to both, and what must be equal: status, body, the fields that
//! filters may touch, and what the origin got. Envoy is a peer: `cargo xtask test --peers` installs
//! it and sets `TIDEGATE_PEERS`; without that only Tidegate's half runs, against the same
//! expectations.

use std::net::SocketAddr;

use tidegate_testkit::Client;
use tidegate_testkit::Envoy;
use tidegate_testkit::EnvoyConfig;
use tidegate_testkit::Gateway;
use tidegate_testkit::Message;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;

const CONFIG: &str = r#"{"greeting":"ahoy","backend":"auth"}"#;

/// One request and what comes of it.
struct Case {
    name: &'static str,
    request: &'static str,
    status: u16,
    body: &'static str,
    /// Response fields with the values they must have; `None` is absence.
    response: &'static [(&'static str, Option<&'static str>)],
    /// Fields of the request at the origin; `None` if it must not get there.
    origin: Option<&'static [(&'static str, Option<&'static str>)]>,
}

const CASES: &[Case] = &[
    Case {
        name: "a header both ways",
        request: "GET /plain HTTP/1.1\r\nHost: a\r\nX-Hello: mine\r\n\r\n",
        status: 200,
        body: "plain",
        response: &[("x-hello-filter", Some("1.0")), ("x-powered-by", None)],
        origin: Some(&[("x-hello", Some("ahoy")), ("x-auth-user", None)]),
    },
    Case {
        name: "403 on one path",
        request: "GET /forbidden?really HTTP/1.1\r\nHost: a\r\n\r\n",
        status: 403,
        body: "forbidden by hello-filter\n",
        response: &[
            ("x-denied-by", Some("hello-filter")),
            ("x-hello-filter", Some("1.0")),
        ],
        origin: None,
    },
    Case {
        name: "a JSON response gets a member",
        request: "GET /json HTTP/1.1\r\nHost: a\r\n\r\n",
        status: 200,
        body: r#"{"a":1,"filtered":true}"#,
        response: &[("content-type", Some("application/json"))],
        origin: Some(&[]),
    },
    Case {
        name: "what only claims to be JSON passes unchanged",
        request: "GET /not-json HTTP/1.1\r\nHost: a\r\n\r\n",
        status: 200,
        body: "{oops",
        response: &[("x-hello-filter", Some("1.0"))],
        origin: Some(&[]),
    },
    Case {
        name: "a JSON request gets a member",
        request: "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
                  Content-Length: 7\r\n\r\n{\"b\":2}",
        status: 200,
        body: r#"{"b":2,"seen_by":"hello-filter"}"#,
        response: &[],
        origin: Some(&[]),
    },
    Case {
        name: "a call-out that says yes",
        request: "GET /authorized HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n\r\n",
        status: 200,
        body: "plain",
        response: &[],
        origin: Some(&[("x-auth-user", Some("ada"))]),
    },
    Case {
        name: "a call-out that says no",
        request: "GET /authorized HTTP/1.1\r\nHost: a\r\n\r\n",
        status: 401,
        body: r#"{"error":"unauthorized"}"#,
        response: &[],
        origin: None,
    },
    Case {
        name: "a local answer",
        request: "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
        status: 200,
        body: "hello number 1\n",
        response: &[],
        origin: None,
    },
    Case {
        name: "an answer to HEAD",
        request: "HEAD /plain HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        status: 200,
        body: "",
        response: &[("x-hello-filter", Some("1.0")), ("x-powered-by", None)],
        origin: Some(&[("x-hello", Some("ahoy"))]),
    },
];

fn origin() -> Origin {
    Origin::script(|connection| {
        while let Ok(request) = connection.request() {
            let path = request.start.split(' ').nth(1).unwrap_or_default();
            let (kind, body) = match path {
                "/json" => ("application/json", r#"{"a":1}"#.to_owned()),
                "/not-json" => ("application/json", "{oops".to_owned()),
                "/echo" => ("text/plain", request.text()),
                _ => ("text/plain", "plain".to_owned()),
            };
            let length = body.len();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
                 x-powered-by: tests\r\n\r\n"
            ))?;
            if !request.start.starts_with("HEAD") {
                connection.send(body)?;
            }
        }
        Ok(())
    })
}

fn auth() -> Origin {
    Origin::script(|connection| {
        while let Ok(request) = connection.request() {
            connection.send(match request.field("authorization") {
                Some("Bearer good") => {
                    "HTTP/1.1 200 OK\r\nx-user: ada\r\ncontent-length: 0\r\n\r\n"
                }
                _ => "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
            })?;
        }
        Ok(())
    })
}

/// Runs every case through the proxy at `address`.
#[track_caller]
fn behaves(who: &str, address: SocketAddr, origin: &Origin) {
    for case in CASES {
        let Case {
            name,
            request,
            status,
            body,
            response: fields,
            origin: at_origin,
        } = case;
        let before = origin.requests().len();
        let mut client = Client::connect(address);
        client.send(request);
        let response = if request.starts_with("HEAD") {
            client.response_head()
        } else {
            client.response()
        };
        assert_eq!(
            (response.status(), response.text().as_str()),
            (*status, *body),
            "{who}: {name}"
        );
        assert_fields(who, name, &response, fields);
        let mut seen = origin.requests().split_off(before);
        match at_origin {
            None => assert_eq!(seen, [], "{who}: {name}"),
            Some(fields) => {
                assert_eq!(seen.len(), 1, "{who}: {name}");
                assert_fields(who, name, &seen.remove(0), fields);
            }
        }
    }
}

#[track_caller]
fn assert_fields(who: &str, name: &str, message: &Message, fields: &[(&str, Option<&str>)]) {
    for (field, value) in fields {
        assert_eq!(message.field(field), *value, "{who}: {name}: {field}");
    }
}

#[test]
fn hello_filter_behaves_on_tidegate_as_expected() {
    let (origin, auth) = (origin(), auth());
    let gateway = Gateway::to(origin.address())
        .backend("auth", auth.address())
        .plugin(&Wasm::built("hello-filter").config(CONFIG))
        .start();
    behaves("tidegate", gateway.address(), &origin);
}

#[test]
fn hello_filter_behaves_on_envoy_as_on_tidegate() {
    if !Envoy::wanted() {
        return;
    }
    let (origin, auth) = (origin(), auth());
    let envoy = Envoy::start(&envoy_config(origin.address(), auth.address()));
    let envoy = envoy.until("GET /forbidden HTTP/1.1\r\nHost: a\r\n\r\n", 403);
    behaves("envoy", envoy.address(), &origin);
}

fn envoy_config(origin: SocketAddr, auth: SocketAddr) -> String {
    EnvoyConfig::new()
        .wasm("hello-filter", &Wasm::built_path("hello-filter"), CONFIG)
        .cluster("origin", origin)
        .cluster("auth", auth)
        .to_string()
}
