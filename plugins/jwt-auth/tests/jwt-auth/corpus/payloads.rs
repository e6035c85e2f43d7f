//! Payloads that are not what RFC 7519 wants, and claims that are wrong.

use jwt_auth::flaw::Reason;
use tidegate_sdk_testing::json;

use super::super::issuer::ISSUER;
use super::super::issuer::claims;
use super::Base;
use super::Row;

pub(super) fn rows(base: &Base) -> Vec<Row> {
    use Reason::BadClaim;
    use Reason::Expired;
    use Reason::IssuedInFuture;
    use Reason::LifetimeTooLong;
    use Reason::MalformedPayload;
    use Reason::MissingExpiration;
    use Reason::NotYetValid;
    use Reason::UnknownIssuer;
    use Reason::WrongAudience;

    let deep = ["{\"a\":", &"[".repeat(2_000), &"]".repeat(2_000), "}"].concat();
    let twice = claims(base.now)
        .to_string()
        .replacen('{', "{\"sub\":\"root\",", 1);
    let expires = |text: &str| {
        [
            "{\"iss\":\"https://idp.test\",\"aud\":\"shop\",\"exp\":",
            text,
            "}",
        ]
        .concat()
    };
    vec![
        (
            "a payload that is no JSON",
            base.payload("sub=ada"),
            MalformedPayload,
        ),
        (
            "a payload that is a list",
            base.payload("[]"),
            MalformedPayload,
        ),
        (
            "a payload that is a token",
            base.payload(&base.token),
            MalformedPayload,
        ),
        (
            "a payload that is no UTF-8",
            base.payload(b"{\"sub\":\"\xc3\x28\"}"),
            MalformedPayload,
        ),
        (
            "half a surrogate",
            base.payload(r#"{"sub":"\ud800"}"#),
            MalformedPayload,
        ),
        (
            "a claim that is there twice",
            base.payload(twice),
            MalformedPayload,
        ),
        ("a nested payload", base.payload(deep), MalformedPayload),
        (
            "an end that is no number",
            base.payload(expires("Infinity")),
            MalformedPayload,
        ),
        (
            "an end that no number can be",
            base.payload(expires("1e999")),
            MalformedPayload,
        ),
        ("an end in 1970", base.claim("exp", json!(0)), Expired),
        (
            "an end before 1970",
            base.claim("exp", json!(-1e300)),
            Expired,
        ),
        (
            "an end an hour ago",
            base.claim("exp", json!(base.in_seconds(-3_600))),
            Expired,
        ),
        (
            "an end beyond the skew",
            base.claim("exp", json!(base.in_seconds(-61))),
            Expired,
        ),
        (
            "an end as text",
            base.claim("exp", json!(base.in_seconds(300).to_string())),
            BadClaim,
        ),
        (
            "an end that is null",
            base.claim("exp", json!(null)),
            BadClaim,
        ),
        (
            "an end that is true",
            base.claim("exp", json!(true)),
            BadClaim,
        ),
        (
            "an end in a list",
            base.claim("exp", json!([base.in_seconds(300)])),
            BadClaim,
        ),
        ("no end", base.without("exp"), MissingExpiration),
        (
            "a begin in an hour",
            base.claim("nbf", json!(base.in_seconds(3_600))),
            NotYetValid,
        ),
        ("a begin as text", base.claim("nbf", json!("0")), BadClaim),
        (
            "issued in an hour",
            base.claim("iat", json!(base.in_seconds(3_600))),
            IssuedInFuture,
        ),
        (
            "issued in a mapping",
            base.claim("iat", json!({})),
            BadClaim,
        ),
        (
            "good for a day",
            base.claim("exp", json!(base.in_seconds(86_400))),
            LifetimeTooLong,
        ),
        (
            "good for ever",
            base.claim("exp", json!(1e300)),
            LifetimeTooLong,
        ),
        (
            "no time when it was issued",
            base.without("iat"),
            LifetimeTooLong,
        ),
        (
            "another audience",
            base.claim("aud", json!("bank")),
            WrongAudience,
        ),
        (
            "an audience in other letters",
            base.claim("aud", json!("Shop")),
            WrongAudience,
        ),
        (
            "an audience that begins like ours",
            base.claim("aud", json!("shopping")),
            WrongAudience,
        ),
        (
            "other audiences",
            base.claim("aud", json!(["bank", "post"])),
            WrongAudience,
        ),
        ("no audiences", base.claim("aud", json!([])), WrongAudience),
        ("no audience", base.without("aud"), WrongAudience),
        (
            "an audience that is a number",
            base.claim("aud", json!(1)),
            BadClaim,
        ),
        (
            "a number among audiences",
            base.claim("aud", json!(["shop", 1])),
            BadClaim,
        ),
        (
            "audiences in a mapping",
            base.claim("aud", json!({"shop": true})),
            BadClaim,
        ),
        (
            "another issuer",
            base.claim("iss", json!("https://evil.test")),
            UnknownIssuer,
        ),
        (
            "an issuer with a slash more",
            base.claim("iss", json!("https://idp.test/")),
            UnknownIssuer,
        ),
        (
            "an issuer in other letters",
            base.claim("iss", json!("https://IDP.test")),
            UnknownIssuer,
        ),
        ("no issuer", base.without("iss"), UnknownIssuer),
        (
            "an issuer that is null",
            base.claim("iss", json!(null)),
            BadClaim,
        ),
        (
            "issuers in a list",
            base.claim("iss", json!([ISSUER])),
            BadClaim,
        ),
        (
            "a subject that is a number",
            base.claim("sub", json!(1)),
            BadClaim,
        ),
        (
            "a claim that would be another header",
            base.claim("name", json!("ada\r\nx-admin: 1")),
            Reason::UnusableClaim,
        ),
        (
            "a claim with a blank after it",
            base.claim("name", json!("admin ")),
            Reason::UnusableClaim,
        ),
    ]
}
