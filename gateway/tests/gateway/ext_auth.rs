//! The filter ext-auth beside Envoy's own ext_authz: the same service, the same requests, and what the
//! service, the backend and the client get.

#[path = "ext_auth/sites.rs"]
mod sites;

use std::net::SocketAddr;

use tidegate_testkit::Client;
use tidegate_testkit::Envoy;
use tidegate_testkit::Gateway;
use tidegate_testkit::Message;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;

/// Two configurations that mean the same.
struct Setting {
    /// Of the filter.
    ours: &'static str,
    /// Of Envoy's, without what all have in common.
    envoys: &'static str,
    requests: &'static [&'static str],
}

const HEADERS: Setting = Setting {
    ours: r#"{
        "backend": "auth", "pathPrefix": "/check", "timeout": "1s",
        "includeRequestHeadersInCheck": ["cookie", "x-t-*"],
        "includeAdditionalHeadersInCheck": {"x-gateway": "edge"},
        "headersToUpstreamOnAllow": ["x-user"],
        "headersToAppendUpstreamOnAllow": ["x-roles", "x-new"],
        "headersToDownstreamOnAllow": ["set-cookie"]
    }"#,
    envoys: r#"
              allowed_headers: { patterns: [{ exact: cookie }, { prefix: x-t- }] }
              http_service:
                server_uri: { uri: "http://auth", cluster: auth, timeout: 1s }
                path_prefix: /check
                authorization_request: { headers_to_add: [{ key: x-gateway, value: edge }] }
                authorization_response:
                  allowed_upstream_headers: { patterns: [{ exact: x-user }] }
                  allowed_upstream_headers_to_append: { patterns: [{ exact: x-roles }, { exact: x-new }] }
                  allowed_client_headers_on_success: { patterns: [{ exact: set-cookie }] }"#,
    requests: &[
        "GET /yes HTTP/1.1\r\nHost: shop.test\r\n\r\n",
        "GET /yes?a=b%20c HTTP/1.1\r\nHost: shop.test:81\r\nAuthorization: Bearer a\r\nCookie: s=1\r\n\
         X-T-One: 1\r\nX-Other: 2\r\nX-Gateway: forged\r\n\r\n",
        "POST /yes HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Type: text/plain\r\n\r\nbody",
        "DELETE /yes HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /identity HTTP/1.1\r\nHost: a\r\nX-User: forged\r\nX-Roles: user\r\nX-Drop: 1\r\n\r\n",
        "GET /groups HTTP/1.1\r\nHost: a\r\nX-User: forged\r\n\r\n",
        "GET /no HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /login HTTP/1.1\r\nHost: a\r\n\r\n",
        "HEAD /no HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /other-2xx HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /error HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /closes HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /stalls HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /garbage HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /cut HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
};

const OPEN: Setting = Setting {
    ours: r#"{
        "backend": "auth", "timeout": "1s", "failOpen": true,
        "headersToDownstreamOnDeny": ["x-why"],
        "includeRequestBodyInCheck": {"maxRequestBytes": 8, "allowPartialMessage": true}
    }"#,
    envoys: r#"
              failure_mode_allow: true
              failure_mode_allow_header_add: true
              with_request_body: { max_request_bytes: 8, allow_partial_message: true }
              http_service:
                server_uri: { uri: "http://auth", cluster: auth, timeout: 1s }
                authorization_response: { allowed_client_headers: { patterns: [{ exact: x-why }] } }"#,
    requests: &[
        "GET /yes HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /yes HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
        "POST /yes HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nbody and all",
        "POST /yes HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        "GET /no HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /login HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /error HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /closes HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /stalls HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
};

const WHOLE: Setting = Setting {
    ours: r#"{
        "backend": "auth", "timeout": "1s", "statusOnError": 503,
        "includeRequestBodyInCheck": {"maxRequestBytes": 8}
    }"#,
    envoys: r#"
              status_on_error: { code: 503 }
              with_request_body: { max_request_bytes: 8 }
              http_service:
                server_uri: { uri: "http://auth", cluster: auth, timeout: 1s }"#,
    requests: &[
        "POST /yes HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nall of 8",
        "POST /yes HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nbody and all",
        "GET /error HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
};

/// What became of a request, for each of the three.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    asked: Vec<String>,
    forwarded: Vec<String>,
    answered: Vec<String>,
}

/// A message as text, without what no proxy takes from another message, or says of itself.
fn lines(message: &Message) -> Vec<String> {
    let noise = |name: &str| {
        let own = name.starts_with("x-envoy-") && !name.starts_with("x-envoy-auth-");
        let of_one = [
            "connection",
            "content-length",
            "date",
            "server",
            "transfer-encoding",
        ];
        own || of_one.contains(&name) || name.starts_with("x-forwarded-") || name == "x-request-id"
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

/// An answer without the words that we have for a status and Envoy has not, or others.
fn without_reason(mut answer: Vec<String>) -> Vec<String> {
    let reasons = [
        "Content Too Large\n",
        "Forbidden\n",
        "Payload Too Large",
        "Service Unavailable\n",
    ];
    if answer
        .last()
        .is_some_and(|it| reasons.contains(&it.as_str()))
    {
        answer.pop();
        answer.push(String::new());
        answer.retain(|it| it != "content-type: text/plain");
    }
    answer
}

fn outcome(request: &str, proxy: SocketAddr, auth: &Origin, origin: &Origin) -> Outcome {
    let (asked, forwarded) = (auth.requests().len(), origin.requests().len());
    let mut client = Client::connect(proxy);
    client.send(request);
    let answer = if request.starts_with("HEAD") {
        client.response_head()
    } else {
        client.response()
    };
    let after = |site: &Origin, count: usize| -> Vec<Vec<String>> {
        site.requests().iter().skip(count).map(lines).collect()
    };
    let mut asked = after(auth, asked);
    // Tidegate asks again if a connection that was in use before ends without an answer.
    asked.dedup();
    Outcome {
        asked: asked.concat(),
        forwarded: after(origin, forwarded).concat(),
        answered: without_reason(lines(&answer)),
    }
}

fn on_tidegate(setting: &Setting) -> Vec<Outcome> {
    let (auth, origin) = (sites::auth(), Origin::answers(200, "fine"));
    let module = tidegate_builtins::find("ext-auth")
        .expect("it is built in")
        .module;
    let filter = Wasm::bytes("ext-auth", module.to_vec())
        .config(setting.ours)
        .with(|spec| spec.stop_iteration = Some(setting.ours.contains("Body")));
    let gateway = Gateway::to(origin.address())
        .backend("auth", auth.address())
        .plugin(&filter)
        .start();
    let requests = setting.requests.iter();
    requests
        .map(|request| outcome(request, gateway.address(), &auth, &origin))
        .collect()
}

fn on_envoy(setting: &Setting) -> Vec<Outcome> {
    let (auth, origin) = (sites::auth(), Origin::answers(200, "fine"));
    let config = sites::envoy(setting.envoys, auth.address(), origin.address());
    let envoy =
        Envoy::start(&config.to_string()).until("GET /yes HTTP/1.1\r\nHost: a\r\n\r\n", 200);
    let requests = setting.requests.iter();
    requests
        .map(|request| outcome(request, envoy.address(), &auth, &origin))
        .collect()
}

#[test]
fn the_service_the_backend_and_the_client_get_what_they_get_of_envoys_own_filter() {
    if !Envoy::wanted() {
        return;
    }
    let mut differences = Vec::new();
    for setting in [&HEADERS, &OPEN, &WHOLE] {
        let (ours, envoys) = (on_tidegate(setting), on_envoy(setting));
        for ((request, ours), envoys) in setting.requests.iter().zip(ours).zip(envoys) {
            if ours != envoys {
                differences.push(format!("{request}ours:   {ours:?}\nenvoys: {envoys:?}\n"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn a_bad_service_is_refused_within_its_time_whatever_it_does() {
    for (request, outcome) in HEADERS.requests.iter().zip(on_tidegate(&HEADERS)) {
        let path = request.split(' ').nth(1).expect("a path");
        let is_bad = ["/error", "/closes", "/stalls", "/garbage", "/cut"].contains(&path);
        let expected = if is_bad { "HTTP/1.1 403" } else { "HTTP/1.1" };
        let status = outcome.answered.first().expect("an answer");
        assert!(status.starts_with(expected), "{path}: {status}");
        assert!(!is_bad || outcome.forwarded.is_empty(), "{path}");
    }
}
