//! What the service answers, and what comes of it.

use tidegate_sdk_testing::{Received, Reply, get, json};

use super::{start, yes};

#[test]
fn what_a_yes_says_reaches_the_backend_by_the_lists() {
    let fields = json!({
        "headersToUpstreamOnAllow": ["x-user", "x-group", "x-auth-*"],
        "headersToAppendUpstreamOnAllow": ["x-roles", "x-new"],
    });
    let mut h = start(&fields, |_: &Received| {
        Reply::text(200, "a body that nobody gets")
            .header("X-User", "ada")
            .header("x-group", "one")
            .header("x-group", "two")
            .header("x-auth-level", "7")
            .header("x-roles", "admin")
            .header("x-new", "yes")
            .header("x-other", "no")
            .header(
                "x-envoy-auth-headers-to-remove",
                "Cookie, x-drop,:path , host",
            )
    });
    let req = get("/kept")
        .header("x-user", "forged")
        .header("x-user", "twice")
        .header("x-auth-admin", "forged")
        .header("x-roles", "user")
        .header("x-other", "client")
        .header("x-drop", "1")
        .header("cookie", "a=1");
    let res = h.send(req);
    assert_eq!((res.status(), res.text().as_str()), (200, ""));
    let seen = h.app().request();
    let all = |name: &str| seen.headers().get_all(name).join(",");
    assert_eq!(all("x-user"), "ada");
    assert_eq!(all("x-group"), "one,two");
    assert_eq!(all("x-auth-level"), "7");
    assert_eq!(all("x-auth-admin"), "");
    assert_eq!(all("x-roles"), "user,admin");
    assert_eq!(all("x-new"), "yes");
    assert_eq!(all("x-other"), "client");
    assert_eq!(all("x-drop"), "");
    assert_eq!(all("cookie"), "");
    assert_eq!(all("x-envoy-auth-headers-to-remove"), "");
    assert_eq!(seen.path(), "/kept");
    assert_eq!(seen.host(), "app.test");
}

#[test]
fn a_clients_claim_goes_also_if_the_service_was_told_it_and_credentials_stay_if_it_was() {
    let told = json!({
        "headersToUpstreamOnAllow": ["x-user", "authorization", "x-tenant"],
        "includeRequestHeadersInCheck": ["x-tenant"],
    });
    let mut h = start(&told, yes);
    let req = get("/")
        .bearer("t0k")
        .header("X-User", "root")
        .header("x-tenant", "7");
    assert_eq!(h.send(req).status(), 200);
    let seen = h.app().request();
    assert_eq!(seen.header("x-user"), None);
    assert_eq!(seen.header("authorization").as_deref(), Some("Bearer t0k"));
    // A service that does not care says yes all the same.
    assert_eq!(seen.header("x-tenant"), None);

    let untold = json!({
        "headersToUpstreamOnAllow": ["authorization", "cookie"],
        "excludeRequestHeadersFromCheck": ["authorization"],
        "includeRequestHeadersInCheck": ["cookie"],
    });
    let mut h = start(&untold, yes);
    let req = get("/").bearer("t0k").header("cookie", "a=1");
    assert_eq!(h.send(req).status(), 200);
    let seen = h.app().request();
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.header("cookie").as_deref(), Some("a=1"));
}

#[test]
fn bytes_of_an_answer_that_are_no_text_go_on_as_they_are() {
    let fields = json!({
        "headersToUpstreamOnAllow": ["x-user"],
        "headersToAppendUpstreamOnAllow": ["x-role"],
        "headersToDownstreamOnAllow": ["x-greeting"],
    });
    let mut h = start(&fields, |_: &Received| {
        Reply::status(200)
            .header("x-user", b"caf\xe9")
            .header("x-role", b"r\xe8")
            .header("x-greeting", b"\xff")
    });
    let res = h.send(get("/"));
    assert_eq!(res.headers().get_bytes("x-greeting"), Some(&b"\xff"[..]));
    let seen = h.app().request();
    let seen = seen.headers();
    assert_eq!(seen.get_bytes("x-user"), Some(&b"caf\xe9"[..]));
    assert_eq!(seen.get_bytes("x-role"), Some(&b"r\xe8"[..]));
}

#[test]
fn a_claim_in_another_spelling_goes_whatever_the_service_says() {
    let fields = json!({
        "headersToUpstreamOnAllow": ["x-user", "x-auth-*", "x_team"],
        // The service is told, and may not know how backends read it.
        "includeRequestHeadersInCheck": ["x_user", "x_team", "x_other"],
    });
    let forged = || {
        get("/")
            .header("X_User", "root")
            .header("x_auth_level", "9")
            .header("x-auth_level", "9")
            .header("x_envoy_auth_failure_mode_allowed", "false")
            .header("x-team", "1")
            .header("x_team", "2")
            .header("x_other", "3")
    };
    let check = |seen: &Received, user: Option<&str>| {
        for name in [
            "x_user",
            "x_auth_level",
            "x-auth_level",
            "x_envoy_auth_failure_mode_allowed",
            "x-team",
            "x_team",
        ] {
            assert_eq!(seen.header(name), None, "{name}");
        }
        assert_eq!(seen.header("x-user").as_deref(), user);
        assert_eq!(seen.header("x_other").as_deref(), Some("3"));
    };
    let mut h = start(&fields, |_: &Received| {
        Reply::status(200).header("x-user", "ada")
    });
    assert_eq!(h.send(forged()).status(), 200);
    check(&h.app().request(), Some("ada"));
    for more in ["failOpen", "dryRun"] {
        let mut fields = fields.clone();
        fields[more] = json!(true);
        let mut h = start(&fields, |_: &Received| Reply::status(500));
        assert_eq!(h.send(forged()).status(), 200);
        check(&h.app().request(), None);
    }
}

#[test]
fn a_yes_can_have_headers_for_the_client() {
    let fields = json!({"headersToDownstreamOnAllow": ["set-cookie", "x-session-*"]});
    let mut h = start(&fields, |_: &Received| {
        Reply::status(200)
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .header("x-session-ttl", "60")
            .header("x-internal", "no")
    });
    let res = h.send(get("/"));
    assert_eq!(res.headers().get_all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(res.header("x-session-ttl").as_deref(), Some("60"));
    assert_eq!(res.header("x-internal"), None);
}

#[test]
fn a_no_is_answered_to_the_client_as_the_service_says_it() {
    let mut h = start(&json!({}), |asked: &Received| match asked.path() {
        "/login" => Reply::status(302)
            .header("location", "https://login.example/?next=%2Flogin")
            .header("set-cookie", "state=1")
            .header("set-cookie", "nonce=2"),
        "/binary" => Reply::status(403)
            .header("content-type", "application/octet-stream")
            .body(b"\x00\xff\x01"),
        _ => Reply::json(401, &json!({"error": "no token"}))
            .header("www-authenticate", "Bearer realm=\"shop\"")
            .header("x-why", "missing"),
    });
    let res = h.send(get("/"));
    assert_eq!(res.status(), 401);
    assert_eq!(res.json::<serde_json::Value>()["error"], "no token");
    for (name, expected) in [
        ("content-type", "application/json"),
        ("www-authenticate", "Bearer realm=\"shop\""),
        ("x-why", "missing"),
    ] {
        assert_eq!(res.headers().get_all(name), [expected], "{name}");
    }
    assert_eq!(res.header("x-envoy-upstream-service-time"), None);

    let res = h.send(get("/login"));
    assert_eq!(res.status(), 302);
    assert_eq!(
        res.header("location").as_deref(),
        Some("https://login.example/?next=%2Flogin")
    );
    assert_eq!(res.headers().get_all("set-cookie"), ["state=1", "nonce=2"]);

    let res = h.send(get("/binary"));
    assert_eq!((res.status(), res.body()), (403, &b"\x00\xff\x01"[..]));

    assert!(h.app().requests().is_empty());
    assert_eq!(h.metric("ext_auth_denied"), 3);
    assert_eq!(h.metric("ext_auth_denied_by_service"), 3);
    assert_eq!(h.metric("ext_auth_allowed"), 0);
    assert!(h.logged("status 302"));
}

#[test]
fn a_list_limits_what_of_a_no_the_client_gets() {
    let fields = json!({"headersToDownstreamOnDeny": ["x-why"]});
    let mut h = start(&fields, |_: &Received| {
        Reply::text(401, "no")
            .header("x-why", "missing")
            .header("www-authenticate", "Bearer")
            .header("location", "/login")
            .header("set-cookie", "a=1")
            .header("x-internal", "10.0.0.7")
    });
    let res = h.send(get("/"));
    for name in ["x-why", "www-authenticate", "location"] {
        assert!(res.header(name).is_some(), "{name}");
    }
    for name in ["set-cookie", "x-internal"] {
        assert_eq!(res.header(name), None, "{name}");
    }
}

#[test]
fn only_200_is_a_yes_and_with_forward_auth_every_2xx() {
    let answer = |asked: &Received| {
        let wanted = asked.header("x-forwarded-uri");
        let wanted = wanted.unwrap_or_else(|| asked.path().to_owned());
        let status = wanted.trim_start_matches("/").parse();
        Reply::status(status.expect("a status"))
    };
    let mut of_envoy = start(&json!({}), answer);
    let mut of_nginx = start(&json!({"forwardAuth": "/verify"}), answer);
    for (status, plain, forward) in [
        (200, 200, 200),
        (202, 202, 200),
        (204, 204, 200),
        (299, 299, 200),
        (301, 301, 301),
        (400, 400, 400),
        (404, 404, 404),
        (429, 429, 429),
        (499, 499, 499),
        (500, 403, 403),
        (503, 403, 403),
    ] {
        for (h, expected) in [(&mut of_envoy, plain), (&mut of_nginx, forward)] {
            let before = h.app().requests().len();
            let answer = h.send(get(&format!("/{status}")));
            assert_eq!(answer.status(), expected, "{status}");
            let passed = h.app().requests().len() - before;
            assert_eq!(passed, usize::from(expected == 200), "{status}");
        }
    }
}

#[test]
fn a_dry_run_asks_and_lets_pass_and_takes_claims_away() {
    let fields = json!({"dryRun": true, "headersToUpstreamOnAllow": ["x-user"]});
    let mut h = start(&fields, |asked: &Received| match asked.path() {
        "/yes" => Reply::status(200).header("x-user", "ada"),
        "/no" => Reply::status(401).header("x-user", "ada"),
        _ => Reply::status(500),
    });
    for (path, expected) in [("/yes", Some("ada")), ("/no", None), ("/error", None)] {
        let res = h.send(get(path).header("x-user", "root"));
        assert_eq!(res.status(), 200, "{path}");
        let seen = h.app().requests().pop().expect("it went on");
        assert_eq!(seen.header("x-user").as_deref(), expected, "{path}");
    }
    assert_eq!(h.metric("ext_auth_allowed"), 1);
    assert_eq!(h.metric("ext_auth_dry_run_denied"), 2);
    assert_eq!(h.metric("ext_auth_denied"), 0);
    assert_eq!(h.metric("ext_auth_error"), 1);
}
