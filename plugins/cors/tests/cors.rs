//! The same tests run natively, on Tidegate and on Envoy.

#[path = "cors/browser.rs"]
mod browser;

use browser::Wanted;
use cors::cors;
use serde_json::Value;
use tidegate_sdk_testing::{Answer, Harness, Received, Reply, Request, get, json, post, request};

/// A backend that says of everybody that they may do everything.
fn careless(_: &Received) -> Reply {
    Reply::text(200, "secret")
        .header("access-control-allow-origin", "*")
        .header("access-control-allow-credentials", "true")
        .header("access-control-allow-methods", "PURGE")
        .header("access-control-allow-headers", "x-backend")
        .header("access-control-expose-headers", "x-backend")
        .header("access-control-max-age", "86400")
        .header("x-price", "7")
}

fn start(config: &Value) -> Harness {
    Harness::new(cors).config(config).app(careless).start()
}

fn preflight(wanted: &Wanted<'_>) -> Request {
    let mut req = request("OPTIONS", "/cart")
        .header("origin", wanted.origin)
        .header("access-control-request-method", wanted.method);
    if !wanted.headers.is_empty() {
        req = req.header("access-control-request-headers", wanted.headers.join(","));
    }
    if wanted.private {
        req = req.header("access-control-request-private-network", "true");
    }
    req
}

fn of_ours(answer: &Answer) -> Vec<(String, String)> {
    let mut fields = answer.headers().all();
    fields.retain(|(name, _)| name.starts_with("access-control-"));
    fields.sort();
    fields
}

/// One row of the table: what comes of a preflight, for the browser, the backend and the metrics.
fn check(h: &mut Harness, row: &[String], what: &str) {
    let row = <&[String; 5]>::try_from(row).expect("five columns");
    let [origin, method, headers, flags, outcome] = row;
    let wanted = Wanted {
        origin,
        method,
        headers: headers
            .split(',')
            .map(str::trim)
            .filter(|it| !it.is_empty())
            .collect(),
        credentials: flags.contains("credentials"),
        private: flags.contains("private"),
    };
    let count = |h: &Harness, reason: &str| h.metric(&format!("cors_denied_{reason}"));
    let reason = match outcome.as_str() {
        "forwarded" => "origin_not_allowed",
        other => other,
    };
    let (allowed, denied) = (h.metric("cors_allowed"), count(h, reason));
    let forwarded = h.app().requests().len();
    let answer = h.send(preflight(&wanted));

    let context = format!("{what}: {row:?}: {:?}", answer.headers());
    let sends = browser::sends(&wanted, &answer);
    match outcome.as_str() {
        // The backend of these tests allows no preflight of anybody by itself.
        "forwarded" => {
            assert_eq!(h.app().requests().len(), forwarded + 1, "{context}");
            assert_eq!(count(h, reason), denied + 1, "{context}");
            return assert_eq!(answer.text(), "secret", "{context}");
        }
        "allowed" => {
            assert!(sends, "{context}");
            assert_eq!(h.metric("cors_allowed"), allowed + 1, "{context}");
        }
        // We cannot know what the browser refuses then: it does not say that it has credentials.
        "browser" => {
            assert!(!sends, "{context}");
            assert_eq!(h.metric("cors_allowed"), allowed + 1, "{context}");
        }
        reason => {
            assert!(!sends, "{context}");
            assert_eq!(count(h, reason), denied + 1, "{context}");
        }
    }
    assert_eq!(answer.status(), 204, "{context}");
    assert_eq!(h.app().requests().len(), forwarded, "{context}");
    if outcome == "origin_not_allowed" {
        assert!(of_ours(&answer).is_empty(), "{context}");
    }
}

#[test]
fn preflights_come_out_as_the_table_says() {
    let table: Vec<Value> =
        serde_json::from_str(include_str!("cors/preflights.json")).expect("JSON");
    let mut count = 0;
    for group in &table {
        let what = group["what"].as_str().expect("text");
        let rows: Vec<Vec<String>> =
            serde_json::from_value(group["rows"].clone()).expect("rows of text");
        let mut h = start(&group["config"]);
        for row in &rows {
            check(&mut h, row, what);
        }
        count += rows.len();
    }
    assert!(count >= 60, "the table has {count} rows only");
}

#[test]
fn the_answer_to_a_preflight_says_all_that_is_allowed_and_nothing_more() {
    let config = json!({
        "allowOrigins": ["https://app.example"],
        "allowMethods": ["PUT", "DELETE"],
        "allowHeaders": ["X-A", "x-b", "x-a"],
        "exposeHeaders": ["x-price"],
        "allowCredentials": true,
        "allowPrivateNetwork": true,
        "maxAge": "2h30m",
    });
    let mut h = start(&config);
    let wanted = Wanted {
        origin: "https://app.example",
        method: "PUT",
        headers: vec!["x-b"],
        credentials: true,
        private: true,
    };
    let answer = h.send(preflight(&wanted));
    assert_eq!(answer.status(), 204);
    assert!(answer.body().is_empty());
    let expected = [
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-headers", "x-a, x-b"),
        ("access-control-allow-methods", "PUT, DELETE"),
        ("access-control-allow-origin", "https://app.example"),
        ("access-control-allow-private-network", "true"),
        ("access-control-max-age", "9000"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(of_ours(&answer), expected);
    assert_eq!(
        answer.header("vary").as_deref(),
        Some("Origin, Access-Control-Request-Private-Network")
    );
}

#[test]
fn what_is_repeated_is_in_vary_and_only_if_it_is_a_list_of_names() {
    let config = json!({
        "allowOrigins": ["https://app.example"],
        "allowMethods": ["*"],
        "allowHeaders": ["*"],
        "allowCredentials": true,
    });
    let mut h = start(&config);
    let ask = |method: &str, headers: &str| {
        request("OPTIONS", "/")
            .header("origin", "https://app.example")
            .header("access-control-request-method", method)
            .header("access-control-request-headers", headers)
    };
    let answer = h.send(ask("PURGE", "x-a, x-b"));
    let field = |name: &str| answer.header(&format!("access-control-allow-{name}"));
    assert_eq!(field("methods").as_deref(), Some("PURGE"));
    assert_eq!(field("headers").as_deref(), Some("x-a, x-b"));
    assert_eq!(
        answer.header("vary").as_deref(),
        Some("Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
    );
    let answer = h.send(ask("PU(GE)", "x-a, <script>"));
    let field = |name: &str| answer.header(&format!("access-control-allow-{name}"));
    assert_eq!((field("methods"), field("headers")), (None, None));
}

#[test]
fn what_is_no_preflight_reaches_the_backend() {
    let mut h = start(&json!({"allowOrigins": ["https://app.example"]}));
    let app = "https://app.example";
    let requests = [
        request("OPTIONS", "/").header("origin", app),
        request("OPTIONS", "/").header("access-control-request-method", "PUT"),
        get("/")
            .header("origin", app)
            .header("access-control-request-method", "PUT"),
        post("/").header("origin", app),
        get("/"),
        get("/").header("origin", "https://evil.test"),
    ];
    let count = requests.len();
    for request in requests {
        assert_eq!(h.send(request).text(), "secret");
    }
    assert_eq!(h.app().requests().len(), count);
}

#[test]
fn what_the_backend_says_is_replaced_for_all_origins_and_not_doubled() {
    let mut h = start(&json!({
        "allowOrigins": ["https://app.example"],
        "exposeHeaders": ["X-Price", "x-stock"],
        "allowCredentials": true,
    }));
    let answer = h.send(get("/").header("origin", "https://app.example"));
    let expected = [
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-origin", "https://app.example"),
        ("access-control-expose-headers", "x-price, x-stock"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(of_ours(&answer), expected);
    for request in [get("/").header("origin", "https://evil.test"), get("/")] {
        let answer = h.send(request);
        assert!(of_ours(&answer).is_empty(), "{:?}", answer.headers());
        assert_eq!(answer.header("vary").as_deref(), Some("Origin"));
    }
    assert_eq!(h.metric("cors_allowed"), 1);
    assert_eq!(h.metric("cors_denied_origin_not_allowed"), 1);
    assert!(h.logged("https://evil.test"));
}

#[test]
fn with_credentials_all_headers_are_exposed_by_their_names() {
    let mut h = start(&json!({
        "allowOrigins": ["https://app.example"],
        "exposeHeaders": ["*"],
        "allowCredentials": true,
    }));
    let answer = h.send(get("/").header("origin", "https://app.example"));
    let exposed = answer
        .header("access-control-expose-headers")
        .expect("it is there");
    let names: Vec<&str> = exposed.split(", ").collect();
    assert!(
        names.contains(&"x-price") && names.contains(&"content-type"),
        "{exposed}"
    );
    assert!(
        !exposed.contains('*') && !exposed.contains("access-control"),
        "{exposed}"
    );
}

#[test]
fn caches_are_told_that_responses_depend_on_the_origin_where_they_do() {
    // The application says in its Vary what the test asks it to.
    let app = |asked: &Received| match asked.header("x-vary") {
        Some(said) => Reply::text(200, "").header("vary", said),
        None => Reply::text(200, ""),
    };
    let start = |config: Value| Harness::new(cors).config(config).app(app).start();
    let mut some = start(json!({"allowOrigins": ["https://app.example"]}));
    let mut all = start(json!({"allowOrigins": ["https://app.example", "*"]}));
    let mut forward = start(json!({
        "allowOrigins": ["https://app.example"],
        "unmatchedPreflights": "FORWARD",
    }));
    let vary = |h: &mut Harness, origin: Option<&str>, said: Option<&str>| {
        let request = origin.map_or(get("/"), |it| get("/").header("origin", it));
        let request = match said {
            Some(said) => request.header("x-vary", said),
            None => request,
        };
        let lines = h.send(request).headers().get_all("vary");
        lines.join(",").replace(", ", ",")
    };
    let (app, evil) = (Some("https://app.example"), Some("https://evil.test"));
    for (origin, said, expected) in [
        (app, None, "Origin"),
        (evil, None, "Origin"),
        (None, None, "Origin"),
        (None, Some("Accept-Encoding"), "Accept-Encoding,Origin"),
        (None, Some("Accept, origin"), "Accept,origin"),
        (None, Some("*"), "*"),
    ] {
        assert_eq!(
            vary(&mut some, origin, said),
            expected,
            "{origin:?} {said:?}"
        );
    }
    assert_eq!(vary(&mut forward, evil, None), "Origin");
    assert_eq!(vary(&mut all, evil, None), "");
    assert_eq!(vary(&mut all, None, Some("Accept")), "Accept");
}

#[test]
fn where_everybody_may_read_the_response_is_the_same_for_all() {
    let mut h = start(&json!({"allowOrigins": ["*"], "exposeHeaders": ["*"]}));
    let answers = [
        h.send(get("/")),
        h.send(get("/").header("origin", "https://app.example")),
        h.send(get("/").header("origin", "null")),
    ];
    for answer in answers {
        let expected = [
            ("access-control-allow-origin", "*"),
            ("access-control-expose-headers", "*"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(of_ours(&answer), expected);
    }
}

#[test]
fn a_backend_that_decides_about_other_origins_is_not_corrected() {
    let mut h = start(&json!({
        "allowOrigins": ["https://app.example"],
        "unmatchedPreflights": "FORWARD",
    }));
    let answer = h.send(get("/").header("origin", "https://partner.test"));
    assert_eq!(
        answer.header("access-control-allow-origin").as_deref(),
        Some("*")
    );
    let answer = h.send(get("/").header("origin", "https://app.example"));
    assert_eq!(
        answer.headers().get_all("access-control-allow-origin"),
        ["https://app.example"]
    );
}

#[test]
fn a_dry_run_decides_and_changes_nothing() {
    let mut h = start(&json!({"allowOrigins": ["https://app.example"], "dryRun": true}));
    for origin in ["https://evil.test", "https://app.example"] {
        let request = request("OPTIONS", "/")
            .header("origin", origin)
            .header("access-control-request-method", "PUT");
        let answer = h.send(request);
        assert_eq!(answer.text(), "secret");
        assert_eq!(
            answer.header("access-control-allow-methods").as_deref(),
            Some("PURGE")
        );
        assert_eq!(answer.header("vary"), None);
    }
    assert_eq!(h.send(get("/")).header("vary"), None);
    assert_eq!(h.metric("cors_dry_run_denied"), 2);
    assert_eq!(h.metric("cors_denied"), 0);
    assert!(h.logged("method_not_allowed"));
}

#[test]
fn odd_origins_are_nobodys() {
    let mut h = start(&json!({
        "allowOrigins": ["https://*.app.example", "http://localhost:*"],
        "allowOriginRegexes": ["https://(a|b)+\\.example"],
    }));
    let long = format!("https://{}.app.example", "a".repeat(4_000));
    let odd: [&[u8]; 6] = [
        b"",
        b"https://",
        long.as_bytes(),
        b"https://a.app.example https://b.app.example",
        b"https://\xff.app.example",
        b"https://a.app.example, https://b.app.example",
    ];
    for origin in odd {
        let answer = h.send(get("/").header("origin", origin));
        assert_eq!(answer.status(), 200);
        assert!(
            of_ours(&answer).is_empty(),
            "{:?}",
            String::from_utf8_lossy(origin)
        );
    }
}

#[test]
fn mistakes_in_a_configuration_name_their_place() {
    let app = "https://app.example";
    for (config, path, why) in [
        (json!({}), "allowOrigins", "at least one origin"),
        (
            json!({"allowOrigins": []}),
            "allowOrigins",
            "at least one origin",
        ),
        (
            json!({"allowOrigins": [app, "*"], "allowCredentials": true}),
            "allowOrigins[1]",
            "everybody",
        ),
        (
            json!({"allowOrigins": ["null"], "allowCredentials": true}),
            "allowOrigins[0]",
            "everybody",
        ),
        (
            json!({"allowOrigins": ["https://*"], "allowCredentials": true}),
            "allowOrigins[0]",
            "everybody",
        ),
        (
            json!({"allowOriginRegexes": ["https://.*"], "allowCredentials": true}),
            "allowOriginRegexes[0]",
            "everybody",
        ),
        (
            json!({"allowOriginRegexes": ["https://("]}),
            "allowOriginRegexes[0]",
            "regular expression",
        ),
        (
            json!({"allowOriginRegexes": ["((a{1000}){1000}){1000}"]}),
            "allowOriginRegexes[0]",
            "regular expression",
        ),
        (
            json!({"allowOrigins": [app, "app.example"]}),
            "allowOrigins[1]",
            "such as https://",
        ),
        (
            json!({"allowOrigins": ["https://app.example/"]}),
            "allowOrigins[0]",
            "write https://app.example",
        ),
        (
            json!({"allowOrigins": ["https://app.*"]}),
            "allowOrigins[0]",
            "anybody",
        ),
        (
            json!({"allowOrigins": [app], "allowMethods": ["put"]}),
            "allowMethods[0]",
            "write PUT",
        ),
        (
            json!({"allowOrigins": [app], "allowMethods": ["GET", "P T"]}),
            "allowMethods[1]",
            "such as PUT",
        ),
        (
            json!({"allowOrigins": [app], "allowMethods": ["TRACE"]}),
            "allowMethods[0]",
            "no browser",
        ),
        (
            json!({"allowOrigins": [app], "allowHeaders": ["x y"]}),
            "allowHeaders[0]",
            "content-type",
        ),
        (
            json!({"allowOrigins": [app], "maxAge": "25h"}),
            "maxAge",
            "at most",
        ),
        (
            json!({"allowOrigins": [app], "unmatchedPreflights": "DROP"}),
            "unmatchedPreflights",
            "`FORWARD`",
        ),
        (
            json!({"allowOrigins": [app], "allowMethod": []}),
            "allowMethod",
            "allowMethods",
        ),
    ] {
        let refused = Harness::new(cors).config(&config).try_start();
        let refused = refused
            .err()
            .unwrap_or_else(|| panic!("it starts with {config}"));
        assert!(refused.contains(path), "{config}: {refused}");
        assert!(refused.contains(why), "{config}: {refused}");
    }
}
