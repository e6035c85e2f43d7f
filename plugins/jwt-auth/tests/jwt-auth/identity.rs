//! What the backend learns, which no client can say of itself.

use jwt_auth::claims::Validity;
use jwt_auth::config::Config;
use jwt_auth::identity::Identity;
use jwt_auth::token::Limits;
use jwt_auth::token::Token;
use serde_json::Value;
use tidegate_sdk::config::FilterConfig as _;
use tidegate_sdk_testing::get;
use tidegate_sdk_testing::json;

use super::issuer::ISSUER;
use super::issuer::base64;
use super::issuer::builder;
use super::issuer::claims;
use super::issuer::config;
use super::issuer::good;
use super::issuer::issuer;
use super::issuer::start;

#[test]
fn claims_become_headers_by_their_type() {
    let mut h = start(&json!({
        "outputPayloadToHeader": "x-payload",
        "claimsToHeaders": [
            {"claim": "sub", "header": "X-User"},
            {"claim": "level", "header": "x-level"},
            {"claim": "admin", "header": "x-admin"},
            {"claim": "org.unit.name", "header": "x-unit"},
            {"claim": "https://idp.test/team", "header": "x-team"},
            {"claim": "roles", "header": "x-roles"},
            {"claim": "nobody", "header": "x-nobody"},
            {"claim": "sub.name", "header": "x-inside"},
            {"claim": "null", "header": "x-null"},
            {"claim": "empty", "header": "x-empty"},
        ],
    }));
    let mut claims = claims(h.unix_time());
    claims["sub"] = json!("Ädä");
    claims["level"] = json!(1.5);
    claims["admin"] = json!(false);
    claims["org"] = json!({"unit": {"name": "sales, north"}});
    claims["https://idp.test/team"] = json!("blue");
    claims["roles"] = json!(["a", {"b": 1}]);
    claims["null"] = json!(null);
    claims["empty"] = json!("");
    let token = issuer().sign("ES256", &claims);
    let req = get("/")
        .bearer(&token)
        .header("x-nobody", "forged")
        .header("x-inside", "forged")
        .header("x-null", "forged")
        .header("x-empty", "forged");
    assert_eq!(h.send(req).status(), 200);
    let seen = h.app().requests().pop().unwrap();
    let get = |name: &str| seen.header(name);
    assert_eq!(get("x-user").as_deref(), Some("Ädä"));
    assert_eq!(get("x-level").as_deref(), Some("1.5"));
    assert_eq!(get("x-admin").as_deref(), Some("false"));
    assert_eq!(get("x-unit").as_deref(), Some("sales, north"));
    assert_eq!(get("x-team").as_deref(), Some("blue"));
    assert_eq!(get("x-roles"), Some(base64("[\"a\",{\"b\":1}]")));
    assert_eq!(get("x-payload"), Some(base64(claims.to_string())));
    for name in ["x-nobody", "x-inside", "x-null", "x-empty"] {
        assert_eq!(get(name), None, "{name}");
    }
}

#[test]
fn no_client_can_say_who_it_is_whatever_else_it_sends() {
    let mut h = start(&json!({
        "allowMissing": true,
        "outputPayloadToHeader": "x-payload",
        "claimsToHeaders": [
            {"claim": "sub", "header": "x-user"},
            {"claim": "groups", "header": "x-groups"},
        ],
    }));
    let forged = |req: tidegate_sdk_testing::Request| {
        req.header("x-user", "root")
            .header("X-USER", "root")
            .header("X_User", "root")
            .header("x_groups", "wheel")
            .header("x_payload", "e30")
            .header("x-groups", "wheel")
            .header("x-payload", "e30")
    };
    assert_eq!(h.send(forged(get("/"))).status(), 200);
    let seen = h.app().requests().pop().unwrap();
    let others = ["x_user", "x_groups", "x_payload"];
    for name in ["x-user", "x-groups", "x-payload"]
        .into_iter()
        .chain(others)
    {
        assert!(seen.headers().get_all(name).is_empty(), "{name}");
    }
    let claims = claims(h.unix_time());
    let token = issuer().sign("ES256", &claims);
    for _ in 0..2 {
        assert_eq!(h.send(forged(get("/").bearer(&token))).status(), 200);
        let seen = h.app().requests().pop().unwrap();
        assert_eq!(seen.headers().get_all("x-user"), ["ada"]);
        assert_eq!(seen.headers().get_all("x-groups"), Vec::<String>::new());
        assert_eq!(
            seen.headers().get_all("x-payload"),
            [base64(claims.to_string())]
        );
        for name in others {
            assert_eq!(seen.header(name), None, "{name}");
        }
    }
}

#[test]
fn who_another_filter_has_let_in_is_nobody_here_without_a_token_for_this_one() {
    let before =
        json!({"iss": "https://other.test", "sub": "eve", "principal": "x/eve"}).to_string();
    let removed = "removed the identity";
    for (more, token) in [
        (json!({"allowMissing": true}), None),
        (json!({"dryRun": true}), None),
        (json!({"dryRun": true}), Some("a.b.c")),
    ] {
        let mut h = builder(&config(&more))
            .property(["tidegate.auth.jwt"], "")
            .start();
        let req = || match token {
            Some(token) => get("/").bearer(token),
            None => get("/"),
        };
        assert_eq!(h.send(req()).status(), 200);
        assert!(!h.logged(removed), "{more}");
        h.property(["tidegate.auth.jwt"], &before);
        let good = good(&h);
        assert_eq!(h.send(get("/").bearer(&good)).status(), 200);
        assert!(!h.logged(removed), "{more}");
        assert_eq!(h.send(req()).status(), 200);
        assert!(h.logged(removed), "{more}");
    }
}

#[test]
fn a_token_may_be_as_large_as_the_limit() {
    let mut h = start(&json!({"claimsToHeaders": [{"claim": "sub", "header": "x-user"}]}));
    let mut claims = claims(h.unix_time());
    claims["groups"] = json!("x".repeat(11_900));
    let token = issuer().sign("ES256", &claims);
    assert!((15_900..16_384).contains(&token.len()), "{}", token.len());
    for _ in 0..2 {
        assert_eq!(h.send(get("/").bearer(&token)).status(), 200);
        let seen = h.app().requests().pop().unwrap();
        assert_eq!(seen.header("x-user").as_deref(), Some("ada"));
    }
    assert_eq!(h.metric("jwt_auth_verifications"), 1);
}

/// What later filters read of a token with these claims.
fn property(claims: &Value) -> Value {
    let config = Config::from_value(&config(&json!({}))).unwrap();
    let text = issuer().sign("HS256", claims);
    let limits = Limits {
        token: 4096,
        header: 1024,
    };
    let token = Token::parse(text.as_bytes(), limits).unwrap();
    let validity = Validity {
        from: 0.0,
        until: 1.0,
    };
    let identity = Identity::new(&token, (0, &config.providers[0]), &[], validity, 0).unwrap();
    serde_json::from_slice(&identity.property).unwrap()
}

#[test]
fn later_filters_read_who_asks_and_all_that_the_token_says() {
    let claims = json!({
        "iss": ISSUER, "sub": "ada", "aud": "shop", "azp": "web", "exp": 1.5,
        "deep": {"er": ["a", null]},
    });
    assert_eq!(
        property(&claims),
        json!({
            "iss": ISSUER, "sub": "ada", "aud": ["shop"], "azp": "web",
            "principal": "https://idp.test/ada", "claims": claims,
        })
    );
    let claims = json!({"iss": ISSUER, "aud": ["a", "b"], "azp": 1});
    assert_eq!(
        property(&claims),
        json!({
            "iss": ISSUER, "sub": null, "aud": ["a", "b"], "azp": null,
            "principal": null, "claims": claims,
        })
    );
}
