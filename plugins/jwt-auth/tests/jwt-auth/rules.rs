//! What is wanted of a request: whose tokens, how many, and when they are good.

use serde_json::Value;
use tidegate_sdk_testing::get;
use tidegate_sdk_testing::json;
use tidegate_sdk_testing::request;

use super::issuer::ISSUER;
use super::issuer::builder;
use super::issuer::claims;
use super::issuer::config;
use super::issuer::good;
use super::issuer::header;
use super::issuer::issuer;
use super::issuer::start;
use super::issuer::stranger;

/// The filter trusts the issuer in `Authorization`, and a partner in `x-partner`.
fn two(more: &Value) -> Value {
    let mut config = json!({"providers": [
        {"issuer": ISSUER, "audiences": ["shop"], "jwks": {"inline": issuer().jwks()}},
        {
            "issuer": "https://partner.test",
            "jwks": {"inline": stranger().jwks()},
            "fromHeaders": [{"name": "X-Partner"}],
        },
    ]});
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

fn partners(now: std::time::Duration) -> String {
    let mut claims = claims(now);
    claims["iss"] = json!("https://partner.test");
    stranger().sign("RS256", &claims)
}

#[test]
fn a_request_without_a_token_is_told_to_bring_one_and_nothing_else() {
    let mut h = start(&json!({"realm": "shop"}));
    let res = h.send(get("/"));
    assert_eq!(res.status(), 401);
    assert_eq!(
        res.header("www-authenticate").as_deref(),
        Some("Bearer realm=\"shop\"")
    );
    assert_eq!(
        h.send(get("/").header("authorization", "Basic YTpi"))
            .status(),
        401
    );
    assert_eq!(h.metric("jwt_auth_denied_missing_token"), 2);
    assert!(h.app().requests().is_empty());
}

#[test]
fn a_token_may_be_missing_where_that_is_allowed_and_a_bad_one_is_refused_all_the_same() {
    let mut h = start(&json!({"allowMissing": true}));
    assert_eq!(h.send(get("/")).status(), 200);
    assert_eq!(
        h.send(get("/").header("authorization", "Basic YTpi"))
            .status(),
        200
    );
    for bad in ["x", "", "a.b.c", "a,b"] {
        let res = h.send(get("/").header("authorization", format!("bearer {bad}")));
        assert_ne!(res.status(), 200, "{bad:?}");
    }
    assert_eq!(h.app().requests().len(), 2);
    assert_eq!(h.metric("jwt_auth_allowed"), 2);
    assert_eq!(h.metric("jwt_auth_denied"), 4);
}

#[test]
fn a_preflight_needs_no_token_if_it_is_one_and_the_operator_wants_that() {
    let preflight = || {
        request("OPTIONS", "/")
            .header("origin", "https://shop.test")
            .header("access-control-request-method", "PUT")
    };
    let mut h = start(&json!({"bypassCorsPreflight": true}));
    assert_eq!(h.send(preflight()).status(), 200);
    assert_eq!(h.send(request("OPTIONS", "/")).status(), 401);
    assert_eq!(
        h.send(get("/").header("origin", "https://shop.test"))
            .status(),
        401
    );
    let mut strict = start(&json!({}));
    assert_eq!(strict.send(preflight()).status(), 401);
}

#[test]
fn clocks_may_be_apart_by_the_skew_and_no_further() {
    let mut h = start(&json!({"clockSkew": "30s"}));
    let now = h.unix_time();
    let sign = |name: &str, seconds: i64| {
        let mut claims = claims(now);
        claims[name] = json!(i64::try_from(now.as_secs()).unwrap() + seconds);
        issuer().sign("ES256", &claims)
    };
    for (name, seconds, status) in [
        ("exp", -20, 200),
        ("exp", -31, 401),
        ("nbf", 25, 200),
        ("nbf", 60, 401),
        ("iat", 25, 200),
        ("iat", 60, 401),
    ] {
        let res = h.send(get("/").bearer(&sign(name, seconds)));
        assert_eq!(res.status(), status, "{name} {seconds}");
    }
}

#[test]
fn times_may_have_fractions_and_be_further_away_than_clocks_count() {
    let mut h = start(&json!({}));
    let now = h.unix_time().as_secs_f64();
    for (name, value) in [
        ("exp", json!(now + 1.5)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(1e300)),
        ("nbf", json!(now - 0.5)),
        ("nbf", json!(-1e300)),
        ("iat", json!(0)),
    ] {
        let mut claims = claims(h.unix_time());
        claims[name] = value.clone();
        let token = issuer().sign("ES256", &claims);
        for _ in 0..2 {
            assert_eq!(
                h.send(get("/").bearer(&token)).status(),
                200,
                "{name} {value}"
            );
        }
    }
}

#[test]
fn a_token_that_never_expires_is_good_where_that_is_allowed() {
    let mut claims = claims(std::time::Duration::from_secs(1));
    claims.as_object_mut().unwrap().remove("exp");
    let token = issuer().sign("ES256", &claims);
    let mut strict = start(&json!({}));
    assert_eq!(strict.send(get("/").bearer(&token)).status(), 401);
    let mut h = start(&json!({"requireExpiration": false}));
    assert_eq!(h.send(get("/").bearer(&token)).status(), 200);
}

#[test]
fn a_type_is_compared_without_case_and_with_or_without_application() {
    let mut h = start(&json!({"types": ["application/at+jwt"]}));
    for (kind, status) in [("at+jwt", 200), ("application/AT+JWT", 200), ("JWT", 401)] {
        let mut header = header("ES256");
        header["typ"] = json!(kind);
        let token = issuer().sign_with("ES256", &header, &claims(h.unix_time()));
        assert_eq!(h.send(get("/").bearer(&token)).status(), status, "{kind}");
    }
}

#[test]
fn a_token_of_any_issuer_will_do_where_that_issuer_may_leave_it() {
    let mut h = builder(&two(&json!({}))).start();
    let (ours, theirs) = (good(&h), partners(h.unix_time()));
    assert_eq!(h.send(get("/").bearer(&ours)).status(), 200);
    assert_eq!(h.send(get("/").header("x-partner", &theirs)).status(), 200);
    let both = || get("/").bearer(&ours).header("x-partner", &theirs);
    assert_eq!(h.send(both()).status(), 200);
    // In the other's place, also once it is known.
    assert_eq!(h.send(get("/").bearer(&theirs)).status(), 401);
    assert_eq!(h.send(get("/").header("x-partner", &ours)).status(), 401);
    assert_eq!(h.metric("jwt_auth_denied_unknown_issuer"), 2);
    // A bad one beside a good one.
    assert_eq!(
        h.send(get("/").bearer(&ours).header("x-partner", "x.y.z"))
            .status(),
        401
    );
}

#[test]
fn a_request_needs_a_token_of_each_issuer_where_all_are_wanted() {
    let mut h = builder(&two(&json!({"require": "all"}))).start();
    let (ours, theirs) = (good(&h), partners(h.unix_time()));
    let both = get("/").bearer(&ours).header("x-partner", &theirs);
    assert_eq!(h.send(both).status(), 200);
    assert_eq!(h.send(get("/").bearer(&ours)).status(), 401);
    assert_eq!(h.send(get("/").header("x-partner", &theirs)).status(), 401);
    assert_eq!(h.metric("jwt_auth_denied_missing_token"), 2);
}

#[test]
fn an_issuer_may_be_trusted_twice_with_rules_of_its_own_for_each_audience() {
    let provider = |audience: &str, key: &str| json!({"issuer": ISSUER, "audiences": [audience], "jwks": {"inline": issuer().jwk(key)}});
    let config = json!({"providers": [provider("shop", "RS256"), provider("bank", "ES256")]});
    let mut h = builder(&config).start();
    let mut bank = claims(h.unix_time());
    bank["aud"] = json!("bank");
    assert_eq!(
        h.send(get("/").bearer(&issuer().sign("RS256", &claims(h.unix_time()))))
            .status(),
        200
    );
    assert_eq!(
        h.send(get("/").bearer(&issuer().sign("ES256", &bank)))
            .status(),
        200
    );
    assert_eq!(
        h.send(get("/").bearer(&issuer().sign("RS256", &bank)))
            .status(),
        401
    );
}

#[test]
fn a_good_token_is_verified_once_and_again_when_it_has_changed() {
    let mut h = start(&json!({}));
    let token = good(&h);
    for _ in 0..5 {
        assert_eq!(h.send(get("/").bearer(&token)).status(), 200);
    }
    assert_eq!(h.metric("jwt_auth_verifications"), 1);
    let (text, signature) = token.rsplit_once('.').unwrap();
    let (_, other) = text.split_once('.').unwrap();
    let forged = [
        super::issuer::base64("{\"alg\":\"ES256\"}"),
        other.to_owned(),
        signature.to_owned(),
    ];
    assert_eq!(h.send(get("/").bearer(&forged.join("."))).status(), 401);
    assert_eq!(h.metric("jwt_auth_verifications"), 2);
    assert_eq!(h.metric("jwt_auth_allowed"), 5);
}

#[test]
fn a_known_token_is_refused_once_it_has_expired() {
    let mut h = start(&json!({"clockSkew": "0s"}));
    let mut claims = claims(h.unix_time());
    claims["exp"] = json!(h.unix_time().as_secs() + 2);
    let token = issuer().sign("ES256", &claims);
    assert_eq!(h.send(get("/").bearer(&token)).status(), 200);
    h.advance(std::time::Duration::from_secs(2));
    assert_eq!(h.send(get("/").bearer(&token)).status(), 401);
    assert_eq!(h.metric("jwt_auth_denied_expired"), 1);
}

#[test]
fn without_a_cache_every_token_is_verified() {
    let mut h = start(&json!({"cache": 0}));
    let token = good(&h);
    for _ in 0..3 {
        assert_eq!(h.send(get("/").bearer(&token)).status(), 200);
    }
    assert_eq!(h.metric("jwt_auth_verifications"), 3);
}

#[test]
fn a_dry_run_refuses_nobody_and_counts_whom_it_would_have_refused() {
    let config = config(&json!({
        "dryRun": true,
        "claimsToHeaders": [{"claim": "sub", "header": "x-user"}],
    }));
    let mut h = builder(&config).start();
    let bad = get("/").bearer("a.b.c").header("x-user", "root");
    assert_eq!(h.send(bad).status(), 200);
    let seen = h.app().requests().pop().unwrap();
    assert_eq!(seen.header("x-user"), None, "nobody may say who they are");
    assert_eq!(
        seen.header("authorization").as_deref(),
        Some("Bearer a.b.c")
    );
    let token = good(&h);
    assert_eq!(h.send(get("/").bearer(&token)).status(), 200);
    let seen = h.app().requests().pop().unwrap();
    assert_eq!(seen.header("x-user").as_deref(), Some("ada"));
    assert_eq!(h.metric("jwt_auth_dry_run_denied"), 1);
    assert_eq!(h.metric("jwt_auth_denied"), 0);
    assert!(h.logged("malformed"));
}

#[test]
fn the_log_says_what_a_refused_token_was_about_and_not_the_token() {
    let mut h = start(&json!({}));
    let mut other = header("ES256");
    other["kid"] = json!("\nforged=1");
    let token = issuer().sign_with("ES256", &other, &claims(h.unix_time()));
    assert_eq!(h.send(get("/").bearer(&token)).status(), 401);
    h.wait_for("the line", |h| {
        h.logged("reason=unknown_key why=\"\\nforged=1\"")
    });
    let (_, signature) = token.rsplit_once('.').unwrap();
    assert!(!h.logged(signature));
}
