//! The parser on input that nobody has thought of. It calls no host, so there is nothing to run elsewhere.

use std::time::Duration;

use jwt_auth::claims;
use jwt_auth::claims::Rules;
use jwt_auth::json;
use jwt_auth::keys::KeySet;
use jwt_auth::token::Limits;
use jwt_auth::token::Token;
use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prelude::prop;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;
use serde_json::Value;

use super::issuer::base64;

const LIMITS: Limits = Limits {
    token: 4096,
    header: 1024,
};

const RULES: Rules<'static> = Rules {
    audiences: &[],
    skew: Duration::from_secs(60),
    max_lifetime: None,
    require_expiration: true,
};

/// Values with names that mean something.
fn value() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        "alg|kid|typ|crit|b64|jwk|iss|sub|aud|exp|nbf|iat|azp|kty|crv|keys|n|e|x|y|k|use|key_ops",
        "[a-z]{0,3}",
    ];
    let leaf = prop_oneof![
        any::<i64>().prop_map(|it| it.to_string()),
        any::<f64>().prop_map(|it| format!("{it:e}")),
        "null|true|\"RS256\"|\"none\"|\"ES256\"|\"RSA\"|\"EC\"|\"P-256\"|\"oct\"|\"sig\"",
        "\"[a-zA-Z0-9_-]{0,44}\"",
        "[\\PC]{0,6}",
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(|list| format!("[{}]", list.join(","))),
            vec((name.clone(), inner), 0..6).prop_map(|members| {
                let member = |(name, value)| format!("\"{name}\":{value}");
                let members: Vec<String> = members.into_iter().map(member).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(text in vec(any::<u8>(), 0..300)) {
        Token::parse(&text, LIMITS).ok();
        json::mapping(&text).ok();
        KeySet::parse(&text).ok();
    }

    #[test]
    fn no_json_makes_the_parser_panic(header in value(), payload in value(), keys in value()) {
        let text = [base64(header), base64(payload), base64("signature")].join(".");
        if let Ok(token) = Token::parse(text.as_bytes(), LIMITS) {
            prop_assert!(token.message.len() < text.len());
            if let Ok(validity) = claims::check(&token.claims, &RULES, Duration::from_secs(1)) {
                prop_assert!(validity.holds(Duration::from_secs(1)));
            }
        }
        KeySet::parse(keys.as_bytes()).ok();
    }

    #[test]
    fn what_is_read_is_what_serde_json_reads(text in value()) {
        // Members that are there twice aside, nobody is stricter than the other.
        let plain: Result<Value, _> = serde_json::from_str(&text);
        match (json::mapping(text.as_bytes()), plain) {
            (Ok(read), plain) => prop_assert_eq!(Value::Object(read), plain.unwrap()),
            (Err(why), Ok(Value::Object(_))) => {
                prop_assert!(why.contains("twice"), "{} of {}", why, text);
            }
            (Err(_), _) => {}
        }
    }

    #[test]
    fn one_token_has_one_spelling(
        bytes in vec(any::<u8>(), 1..80),
        at in any::<prop::sample::Index>(),
        other in "[A-Za-z0-9_=+/. -]",
    ) {
        let header = base64("{\"alg\":\"HS256\"}");
        let signature = base64(&bytes);
        let mut changed = signature.clone();
        let at = at.index(changed.len());
        changed.replace_range(at..=at, &other);
        let parse = |signature: &str| {
            let text = [&header, "e30", signature].join(".");
            Token::parse(text.as_bytes(), LIMITS).map(|it| it.signature).ok()
        };
        prop_assert_eq!(parse(&signature), Some(bytes.clone()));
        if changed != signature {
            prop_assert!(parse(&changed) != Some(bytes));
        }
    }
}
