//! Where tokens are, and that they do not stay there.

use tidegate_sdk_testing::Harness;
use tidegate_sdk_testing::Request;
use tidegate_sdk_testing::get;
use tidegate_sdk_testing::json;

use super::issuer::good;
use super::issuer::start;

fn everywhere() -> Harness {
    start(&json!({
        "fromHeaders": [
            {"name": "Authorization", "prefix": "Bearer "},
            {"name": "X-Jwt"},
            {"name": "X-Assertion", "prefix": "jwt="},
        ],
        "fromParams": ["access_token", "t"],
        "fromCookies": ["session"],
    }))
}

#[test]
fn a_token_is_found_in_each_place_and_taken_out_and_the_rest_stays() {
    let mut h = everywhere();
    let token = good(&h);
    let with = |name: &str, value: &str| get("/a?b=1").header(name, value);
    let requests: Vec<Request> = vec![
        with("authorization", &format!("Bearer {token}")),
        with("authorization", &format!("BEARER   {token}")),
        with("x-jwt", &token),
        with("x-assertion", &format!("jwt={token}")),
        with("cookie", &format!("a=1; session={token}; b=2")),
        get(&format!("/a?access_token={token}&b=1")),
        get(&format!("/a?b=1&t={token}")),
        get(&format!("/a?b=1&%74={token}")),
    ];
    for (number, request) in requests.into_iter().enumerate() {
        assert_eq!(h.send(request).status(), 200, "request {number}");
        let seen = h.app().requests().pop().unwrap();
        assert_eq!(seen.path(), "/a?b=1", "request {number}");
        let all = format!("{:?}", seen.headers());
        assert!(!all.contains(&token), "request {number}: {all}");
        if number == 4 {
            assert_eq!(seen.header("cookie").as_deref(), Some("a=1; b=2"));
        }
    }
    assert_eq!(
        h.metric("jwt_auth_verifications"),
        1,
        "it is the same token"
    );
}

#[test]
fn a_token_that_is_forwarded_stays_where_it_is() {
    let mut h = start(&json!({"forward": true}));
    let token = good(&h);
    assert_eq!(h.send(get("/").bearer(&token)).status(), 200);
    let seen = h.app().requests().pop().unwrap();
    assert_eq!(
        seen.header("authorization"),
        Some(format!("Bearer {token}"))
    );
}

#[test]
fn a_request_with_several_tokens_is_malformed_even_if_they_are_good() {
    let mut h = everywhere();
    let token = good(&h);
    let twice = vec![
        get("/").bearer(&token).header("x-jwt", &token),
        get(&format!("/?access_token={token}")).bearer(&token),
        get(&format!("/?access_token={token}&access_token={token}")),
        get(&format!("/?access_token={token}&access_token=x")),
        get("/").header("cookie", format!("session={token}; session={token}")),
        get("/").bearer(&token).bearer(&token),
        get("/").bearer(&token).bearer("x"),
        get("/")
            .header("authorization", "Basic YTpi")
            .bearer(&token),
    ];
    let count = twice.len();
    for (number, request) in twice.into_iter().enumerate() {
        let res = h.send(request);
        assert_eq!(res.status(), 400, "request {number}");
        let challenge = res.header("www-authenticate").unwrap();
        assert!(
            challenge.contains("error=\"invalid_request\""),
            "{challenge}"
        );
    }
    let metric = h.metric("jwt_auth_denied_several_tokens");
    assert_eq!(metric, u64::try_from(count).unwrap());
    assert!(h.app().requests().is_empty());
}

#[test]
fn without_a_word_of_it_a_token_is_read_from_authorization_alone() {
    let mut h = start(&json!({}));
    let token = good(&h);
    assert_eq!(
        h.send(get(&format!("/?access_token={token}"))).status(),
        401
    );
    assert_eq!(
        h.send(get("/").header("cookie", format!("access_token={token}")))
            .status(),
        401
    );
    assert_eq!(
        h.send(get("/").header("authorization", &token)).status(),
        401
    );
    assert_eq!(h.metric("jwt_auth_denied_missing_token"), 3);
}
