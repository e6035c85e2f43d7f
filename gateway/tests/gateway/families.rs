//! Filters of other SDK families do on Tidegate what they do on Envoy: AssemblyScript, C, Go.
//!
//! All of them do the same (`../filters/README.md` says what), so each case is run with each of them
//! on both. Their toolchains are peers: `cargo xtask test --peers` installs them and builds the
//! filters; without that these tests say that they do nothing.

use std::net::SocketAddr;

use tidegate_testkit::Client;
use tidegate_testkit::Envoy;
use tidegate_testkit::EnvoyConfig;
use tidegate_testkit::Gateway;
use tidegate_testkit::Message;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

const GREETING: &str = "good day";

/// A field and the value it must have; `None` is absence.
type Expected<'a> = (&'a str, Option<&'a str>);

/// One request and what comes of it.
struct Case {
    name: &'static str,
    request: &'static str,
    status: u16,
    body: &'static str,
    response: &'static [Expected<'static>],
    /// Fields of the request at the origin; `None` if it must not get there.
    origin: Option<&'static [Expected<'static>]>,
}

const CASES: &[Case] = &[
    Case {
        name: "headers both ways",
        request: "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n",
        status: 200,
        body: "plain",
        response: &[("x-powered-by", None)],
        origin: Some(&[("x-greeting", Some(GREETING)), ("x-user", None)]),
    },
    Case {
        name: "a local answer",
        request: "GET /forbidden HTTP/1.1\r\nHost: a\r\n\r\n",
        status: 403,
        body: "forbidden\n",
        response: &[("x-denied", Some("yes"))],
        origin: None,
    },
    Case {
        name: "a request body that becomes another",
        request: "POST /upper HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello World",
        status: 200,
        body: "HELLO WORLD",
        response: &[],
        origin: Some(&[("x-greeting", Some(GREETING))]),
    },
    Case {
        name: "a request body in chunks",
        request: "POST /upper HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                  3\r\none\r\n5\r\n two3\r\n0\r\n\r\n",
        status: 200,
        body: "ONE TWO3",
        response: &[],
        origin: Some(&[]),
    },
    Case {
        name: "a response body that gets longer",
        request: "GET /text HTTP/1.1\r\nHost: a\r\n\r\n",
        status: 200,
        body: "some text!",
        response: &[("content-type", Some("text/plain"))],
        origin: Some(&[]),
    },
    Case {
        name: "a call-out that says yes",
        request: "GET /authorized HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n\r\n",
        status: 200,
        body: "plain",
        response: &[],
        origin: Some(&[("x-user", Some("ada")), ("x-greeting", Some(GREETING))]),
    },
    Case {
        name: "a call-out that says no",
        request: "GET /authorized HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer bad\r\n\r\n",
        status: 401,
        body: "unauthorized\n",
        response: &[],
        origin: None,
    },
];

fn origin() -> Origin {
    Origin::script(|connection| {
        while let Ok(request) = connection.request() {
            let path = request.start.split(' ').nth(1).unwrap_or_default();
            let body = match path {
                "/upper" => request.text(),
                "/text" => "some text".to_owned(),
                _ => "plain".to_owned(),
            };
            let length = body.len();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\
                 x-powered-by: tests\r\n\r\n{body}"
            ))?;
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
fn behaves(who: &str, family: &str, address: SocketAddr, origin: &Origin) {
    for case in CASES {
        let Case {
            name,
            request,
            status,
            body,
            response: fields,
            origin: at_origin,
        } = case;
        let name = format!("{family} on {who}: {name}");
        let before = origin.requests().len();
        let mut client = Client::connect(address);
        client.send(request);
        let response = client.response();
        let got = (response.status(), response.text());
        assert_eq!(got, (*status, (*body).to_owned()), "{name}");
        assert_fields(&name, &response, &[("x-family", Some(family))]);
        assert_fields(&name, &response, fields);
        let mut seen = origin.requests().split_off(before);
        match at_origin {
            None => assert_eq!(seen, [], "{name}"),
            Some(fields) => {
                assert_eq!(seen.len(), 1, "{name}");
                assert_fields(&name, &seen.remove(0), fields);
            }
        }
    }
    eventually("the filter's timer", || {
        let response = Client::connect(address).get("/ticks");
        let text = response.text();
        let got = (response.status(), text.as_str());
        let expected = [(200, "ticking\n"), (503, "not yet\n")];
        assert!(expected.contains(&got), "{family} on {who}: {got:?}");
        (got == expected[0]).then_some(())
    });
}

#[track_caller]
fn assert_fields(name: &str, message: &Message, fields: &[Expected<'_>]) {
    for (field, value) in fields {
        assert_eq!(message.field(field), *value, "{name}: {field}");
    }
}

/// Runs every case with a family's filter on both proxies.
#[track_caller]
fn on_both(family: &str) {
    if !Envoy::wanted() {
        return;
    }
    let wasm = format!("family-{family}");
    let (origin, auth) = (origin(), auth());
    let plugin = Wasm::built(&wasm).config(GREETING).with(|spec| {
        // Go's start counts in milliseconds, and test machines are slow.
        spec.limits.call_timeout = std::time::Duration::from_secs(1);
    });
    let gateway = Gateway::to(origin.address())
        .backend("auth", auth.address())
        .plugin(&plugin)
        .start();
    behaves("tidegate", family, gateway.address(), &origin);
    assert!(gateway.metrics().plugin_faults.is_empty());
    drop(gateway);
    let envoy = Envoy::start(&envoy_config(&wasm, &origin, &auth));
    behaves("envoy", family, envoy.address(), &origin);
}

#[test]
fn a_filter_in_assemblyscript_behaves_as_on_envoy() {
    on_both("assemblyscript");
}

#[test]
fn a_filter_in_c_behaves_as_on_envoy() {
    on_both("c");
}

#[test]
fn a_filter_in_go_behaves_as_on_envoy() {
    on_both("go");
}

fn envoy_config(wasm: &str, origin: &Origin, auth: &Origin) -> String {
    EnvoyConfig::new()
        .wasm("family", &Wasm::built_path(wasm), GREETING)
        .cluster("origin", origin.address())
        .cluster("auth", auth.address())
        .to_string()
}
