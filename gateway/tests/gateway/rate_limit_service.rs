//! The filter rate-limit beside Envoy's own ratelimit filter: the same rate limit service, the same
//! requests, and what the service, the backend and the client get.

#[path = "rate_limit_service/sites.rs"]
mod sites;

use std::net::SocketAddr;

use tidegate_testkit::Client;
use tidegate_testkit::Envoy;
use tidegate_testkit::Gateway;
use tidegate_testkit::GrpcService;
use tidegate_testkit::Message;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;

/// Two configurations that mean the same.
struct Setting {
    /// The filter's limits, each without its store.
    ours: &'static [&'static str],
    failure_mode: &'static str,
    /// The limits of Envoy's route.
    limits: &'static str,
    /// Of Envoy's filter, without what all have in common.
    filter: &'static str,
    requests: &'static [&'static str],
}

const CLOSED: Setting = Setting {
    ours: &[
        r#""name": "a", "key": ["clientIp"]"#,
        r#""name": "b", "key": [{"header": "x-case"}, {"const": "shop"}],
           "descriptorKeys": ["case", "generic_key"]"#,
        r#""name": "c", "key": [{"header": "x-user"}, {"const": "all"}], "whenMissing": "share",
           "descriptorKeys": ["user", "kind"]"#,
        r#""name": "d", "key": ["method", "host", {"query": "page"}]"#,
        r#""name": "e", "match": [{"headers": {"x-case": "over*"}}], "key": [{"const": "yes"}],
           "descriptorKeys": ["header_match"]"#,
        r#""name": "f", "except": [{"query": {"page": "*"}}], "key": [{"const": "none"}],
           "descriptorKeys": ["query_match"]"#,
    ],
    failure_mode: "closed",
    limits: r#"
                  - actions: [{ remote_address: {} }]
                  - actions:
                    - request_headers: { header_name: x-case, descriptor_key: case }
                    - generic_key: { descriptor_value: shop }
                  - actions:
                    - request_headers: { header_name: x-user, descriptor_key: user, skip_if_absent: true }
                    - generic_key: { descriptor_key: kind, descriptor_value: all }
                  - actions:
                    - request_headers: { header_name: ":method", descriptor_key: method }
                    - request_headers: { header_name: ":authority", descriptor_key: host }
                    - query_parameters: { query_parameter_name: page, descriptor_key: page }
                  - actions:
                    - header_value_match:
                        descriptor_value: "yes"
                        headers: [{ name: x-case, string_match: { prefix: over } }]
                  - actions:
                    - query_parameter_value_match:
                        descriptor_value: none
                        expect_match: false
                        query_parameters: [{ name: page, present_match: true }]"#,
    filter: r#"
              failure_mode_deny: true
              status_on_error: { code: 503 }"#,
    requests: &[
        "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: shop.test\r\nX-Case: fine\r\nX-User: ann\r\n\r\n",
        "GET /?page= HTTP/1.1\r\nHost: shop.test\r\nX-Case: fine\r\nX-User: ann\r\nX-User: bob\r\n\r\n",
        "GET /?page=a%20b&page=c HTTP/1.1\r\nHost: shop.test\r\nX-Case: \r\n\r\n",
        "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\nX-Case: fine\r\n\r\nbody",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Case: said\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Case: limits\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Case: over\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Case: over-bare\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\nX-Case: over\r\n\r\n",
        "POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\
         X-Case: over-bare\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Case: fails\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Case: stalls\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Case: resets\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Case: garbage\r\n\r\n",
    ],
};

const OPEN: Setting = Setting {
    ours: &[
        r#""name": "a", "key": [{"header": "x-case"}], "cost": 5"#,
        r#""name": "b", "key": [{"const": "one"}], "cost": 1"#,
    ],
    failure_mode: "open",
    limits: " []",
    filter: r#"
              rate_limits:
              - actions: [{ request_headers: { header_name: x-case, descriptor_key: x-case } }]
                hits_addend: { number: 5 }
              - actions: [{ generic_key: { descriptor_value: one } }]
                hits_addend: { number: 1 }"#,
    requests: &[
        "GET / HTTP/1.1\r\nHost: a\r\nX-Case: fine\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Case: over\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Case: fails\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Case: stalls\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Case: resets\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Case: garbage\r\n\r\n",
    ],
};

/// What became of a request, for each of the three.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    asked: Vec<String>,
    forwarded: Vec<String>,
    answered: Vec<String>,
}

/// A message as text, without what no proxy takes from another message, or says of itself, and without
/// what Envoy never says.
fn lines(message: &Message) -> Vec<String> {
    let noise = |name: &str| {
        let own = name.starts_with("x-envoy-") && name != "x-envoy-ratelimited";
        let of_one = [
            "connection",
            "content-length",
            "date",
            "retry-after",
            "server",
            "transfer-encoding",
            "x-request-id",
        ];
        own || of_one.contains(&name) || name.starts_with("x-forwarded-")
    };
    let fields = message.fields.iter();
    let mut fields: Vec<String> = fields
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .filter(|(name, _)| !noise(name))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    fields.sort();
    // The reason is nobody's business (RFC 9112, 4).
    let start = message.start.splitn(3, ' ').take(2);
    let mut all = vec![start.collect::<Vec<_>>().join(" ")];
    all.extend(fields);
    all.push(message.text());
    all
}

/// An answer without the words that we have for a status and Envoy has not.
fn without_reason(mut answer: Vec<String>) -> Vec<String> {
    let reasons = ["Service Unavailable\n", "Too Many Requests\n"];
    if answer
        .last()
        .is_some_and(|it| reasons.contains(&it.as_str()))
    {
        answer.pop();
        answer.push(String::new());
        answer.retain(|it| it != "content-type: text/plain");
    }
    answer.retain(|it| !it.starts_with("grpc-message: "));
    answer
}

fn outcome(request: &str, proxy: SocketAddr, limiter: &GrpcService, origin: &Origin) -> Outcome {
    let (asked, forwarded) = (limiter.calls().len(), origin.requests().len());
    let mut client = Client::connect(proxy);
    client.send(request);
    let answer = if request.starts_with("HEAD") {
        client.response_head()
    } else {
        client.response()
    };
    let calls = limiter.calls().into_iter().skip(asked);
    let requests = origin.requests().into_iter().skip(forwarded);
    Outcome {
        // As it is on the wire: fields, their order, and what is left out.
        asked: calls
            .map(|(_, message)| message.escape_ascii().to_string())
            .collect(),
        forwarded: requests.flat_map(|it| lines(&it)).collect(),
        answered: without_reason(lines(&answer)),
    }
}

fn on_tidegate(setting: &Setting) -> Vec<Outcome> {
    let (limiter, origin) = (sites::limiter(), Origin::answers(200, "fine"));
    let module = tidegate_builtins::find("rate-limit")
        .expect("it is built in")
        .module;
    let store = r#""store": {"rls": {"backend": "limiter", "domain": "edge", "timeout": "500ms"}}"#;
    let mode = setting.failure_mode;
    let limits = setting.ours.iter();
    let limits: Vec<String> = limits
        .map(|limit| format!(r#"{{{limit}, "failureMode": "{mode}", {store}}}"#))
        .collect();
    let config = format!(
        r#"{{"headers": "legacy", "limits": [{}]}}"#,
        limits.join(",")
    );
    let filter = Wasm::bytes("rate-limit", module.to_vec()).config(&config);
    let gateway = Gateway::to(origin.address())
        .backend("limiter", limiter.address())
        .plugin(&filter)
        .start();
    let requests = setting.requests.iter();
    requests
        .map(|request| outcome(request, gateway.address(), &limiter, &origin))
        .collect()
}

fn on_envoy(setting: &Setting) -> Vec<Outcome> {
    let (limiter, origin) = (sites::limiter(), Origin::answers(200, "fine"));
    let config = sites::envoy(
        setting.filter,
        setting.limits,
        limiter.address(),
        origin.address(),
    );
    let envoy =
        Envoy::start(&config.to_string()).until("GET /ready HTTP/1.1\r\nHost: a\r\n\r\n", 200);
    let requests = setting.requests.iter();
    requests
        .map(|request| outcome(request, envoy.address(), &limiter, &origin))
        .collect()
}

#[test]
fn the_service_the_backend_and_the_client_get_what_they_get_of_envoys_own_filter() {
    if !Envoy::wanted() {
        return;
    }
    let mut differences = Vec::new();
    for setting in [&CLOSED, &OPEN] {
        let (ours, envoys) = (on_tidegate(setting), on_envoy(setting));
        for ((request, ours), envoys) in setting.requests.iter().zip(ours).zip(envoys) {
            if ours != envoys {
                differences.push(format!("{request}ours:   {ours:?}\nenvoys: {envoys:?}\n"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
