//! The truth tables: policies, requests, and what comes of them, written from Istio's documentation.

use std::collections::BTreeMap;

use authz::authz;
use serde::Deserialize;
use serde_json::Value;
use tidegate_sdk_testing::Harness;
use tidegate_sdk_testing::Mode;
use tidegate_sdk_testing::Request;
use tidegate_sdk_testing::json;
use tidegate_sdk_testing::mode;
use tidegate_sdk_testing::request;

use crate::oracle::Oracle;

/// Policies, and requests that they are asked about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    of: String,
    policies: Value,
    rows: Vec<(String, Given, String)>,
    /// First lines of rows that are decided otherwise in Istio, as the page of authz says.
    #[serde(default)]
    unlike_istio: Vec<String>,
}

/// What is known of a request beside its first line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    #[serde(default)]
    headers: BTreeMap<String, Values>,
    /// The client's address, as the host trusts it.
    client: Option<String>,
    /// The other end of the connection.
    peer: Option<String>,
    /// Where the connection was accepted.
    destination: Option<String>,
    sni: Option<String>,
    /// The URI name of the client's certificate.
    principal: Option<String>,
    token: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Several(Vec<String>),
}

/// Asks about every row of a table.
pub(crate) fn check(table: &str) {
    let groups: Vec<Group> = serde_json::from_str(table).expect("a table");
    for group in groups {
        let mut h = Harness::new(authz)
            .config(json!({"policies": group.policies}))
            .property(["tidegate.auth.jwt"], "")
            .start();
        for (line, given, expected) in &group.rows {
            let row = format!("{}: {line} {}", group.of, describe(given));
            set_properties(&mut h, given);
            let logged = h.logs().len();
            let res = h.send(to_request(line, given));
            if expected == "allowed" {
                assert_eq!(res.status(), 200, "{row}");
                continue;
            }
            assert_eq!(res.status(), 403, "{row}");
            assert_eq!(res.text(), "RBAC: access denied", "{row}");
            let detail = detail(expected);
            h.wait_for(&format!("{row}: {detail} in the log"), |h| {
                let logs = h.logs();
                let mut new = logs.iter().skip(logged);
                new.any(|line| line.text.contains(&detail))
            });
        }
    }
}

/// Asks Envoy's own filter about every row of a table.
pub(crate) fn check_with_oracle(table: &str) {
    let groups: Vec<Group> = serde_json::from_str(table).expect("a table");
    let policies: Vec<&Value> = groups.iter().map(|it| &it.policies).collect();
    let oracle = Oracle::start(&policies);
    for (at, group) in groups.iter().enumerate() {
        for (line, given, expected) in &group.rows {
            let expected = match &**expected {
                "allowed" => "allowed".to_owned(),
                expected => detail(expected),
            };
            let found = oracle.ask(at, line, &headers(given));
            let is_alike = !group.unlike_istio.contains(line);
            let row = format!("{}: {line} {}: {found}", group.of, describe(given));
            assert_eq!(found == expected, is_alike, "{row}");
        }
    }
}

/// `p 0` is rule 0 of policy `p` in the default namespace.
fn detail(expected: &str) -> String {
    let rule = match expected.split_once(' ') {
        Some((policy, rule)) => format!("ns[default]-policy[{policy}]-rule[{rule}]"),
        None => expected.to_owned(),
    };
    format!("rbac_access_denied_matched_policy[{rule}]")
}

fn describe(given: &Given) -> String {
    let facts = [
        ("client", &given.client),
        ("peer", &given.peer),
        ("destination", &given.destination),
        ("sni", &given.sni),
        ("principal", &given.principal),
    ];
    let facts = facts.iter();
    let facts = facts.filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
    let mut all: Vec<String> = facts.collect();
    all.extend(given.token.as_ref().map(|it| format!("token {it}")));
    all.extend(given.headers.keys().map(|it| format!("header {it}")));
    all.join(", ")
}

/// Tells a host that is not Envoy what a row says of the connection.
fn set_properties(h: &mut Harness, given: &Given) {
    let token = given.token.as_ref().map(|it| with_claims(it).to_string());
    h.property(["tidegate.auth.jwt"], token.unwrap_or_default());
    if mode() == Mode::Envoy {
        return;
    }
    let text = |text: &Option<String>, or: &str| text.clone().unwrap_or_else(|| or.to_owned());
    let destination = text(&given.destination, "127.0.0.1:80");
    let port = destination
        .rsplit(':')
        .next()
        .and_then(|it| it.parse().ok());
    let port: i64 = port.expect("a port");
    h.property(
        ["source", "address"],
        with_port(&text(&given.client, "127.0.0.1")),
    );
    h.property(
        ["filter_state", "tidegate.peer_address"],
        text(&given.peer, "127.0.0.1:40000"),
    );
    h.property(["destination", "address"], destination);
    h.property(["destination", "port"], port.to_le_bytes());
    h.property(
        ["connection", "requested_server_name"],
        text(&given.sni, ""),
    );
    h.property(
        ["connection", "uri_san_peer_certificate"],
        text(&given.principal, ""),
    );
}

fn with_port(address: &str) -> String {
    match address.contains(':') {
        true => format!("[{address}]:0"),
        false => format!("{address}:0"),
    }
}

/// What jwt-auth writes of a token.
fn with_claims(token: &Value) -> Value {
    let of = |name: &str| token.get(name).cloned().unwrap_or_default();
    let text = |name: &str| of(name).as_str().unwrap_or_default().to_owned();
    json!({
        "iss": of("iss"),
        "sub": of("sub"),
        "aud": of("aud"),
        "azp": of("azp"),
        "principal": format!("{}/{}", text("iss"), text("sub")),
        "claims": token.get("claims").cloned().unwrap_or_else(|| json!({})),
    })
}

fn to_request(line: &str, given: &Given) -> Request {
    let (method, url) = line.split_once(' ').expect("a method and a URL");
    let (host, path) = url.split_once('/').expect("a host and a path");
    let mut req = request(method, &format!("/{path}")).host(host);
    for (name, value) in headers(given) {
        req = req.header(&name, value);
    }
    req
}

/// The headers of a row; Envoy has the client's address by one.
fn headers(given: &Given) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (name, values) in &given.headers {
        let values = match values {
            Values::One(value) => std::slice::from_ref(value),
            Values::Several(values) => values,
        };
        all.extend(values.iter().map(|value| (name.clone(), value.clone())));
    }
    if let Some(client) = given.client.clone().filter(|_| mode() == Mode::Envoy) {
        all.push(("x-forwarded-for".to_owned(), client));
    }
    all
}
