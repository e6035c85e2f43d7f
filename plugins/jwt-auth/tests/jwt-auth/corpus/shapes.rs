//! Tokens that are none: other parts, other letters, too large.

use jwt_auth::flaw::Reason;
use tidegate_sdk_testing::json;

use super::Base;
use super::Row;

pub(super) fn rows(base: &Base) -> Vec<Row> {
    use Reason::EncryptedToken;
    use Reason::MalformedHeader;
    use Reason::MalformedPayload;
    use Reason::MalformedToken;
    use Reason::TokenTooLarge;

    let [header, payload, signature] = base.parts();
    let last = signature.len() - 1;
    let left_over = if signature.ends_with('A') { "B" } else { "C" };
    vec![
        ("one part", "opaque".to_owned(), MalformedToken),
        ("two parts", [header, payload].join("."), MalformedToken),
        ("four parts", [&base.token, "x"].join("."), MalformedToken),
        (
            "five parts",
            [&base.token, "x", "y"].join("."),
            EncryptedToken,
        ),
        (
            "six parts",
            [&base.token, "x", "y", "z"].join("."),
            MalformedToken,
        ),
        ("dots only", "..".to_owned(), MalformedHeader),
        (
            "no header",
            ["", payload, signature].join("."),
            MalformedHeader,
        ),
        (
            "no payload",
            [header, "", signature].join("."),
            MalformedPayload,
        ),
        (
            "a cut signature",
            base.token[..base.token.len() - 1].to_owned(),
            MalformedToken,
        ),
        (
            "a cut payload",
            [header, &payload[..payload.len() - 4], signature].join("."),
            MalformedPayload,
        ),
        (
            "padding",
            [header, payload, &[signature, "=="].concat()].join("."),
            MalformedToken,
        ),
        (
            "letters of plain base64",
            [header, payload, &["+/", &signature[2..]].concat()].join("."),
            MalformedToken,
        ),
        (
            "bits left over",
            [header, payload, &[&signature[..last], left_over].concat()].join("."),
            MalformedToken,
        ),
        (
            "a blank in it",
            [&base.token[..9], " ", &base.token[9..]].concat(),
            MalformedToken,
        ),
        (
            "17 KiB",
            base.claim("pad", json!("x".repeat(13_000))),
            TokenTooLarge,
        ),
        (
            "a header of 4 KiB",
            base.header("pad", json!("x".repeat(3_500))),
            TokenTooLarge,
        ),
    ]
}
