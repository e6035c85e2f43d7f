//! Headers that are not what RFC 7515 wants, and algorithms that nobody should accept.

use jwt_auth::flaw::Reason;
use tidegate_sdk_testing::json;

use super::Base;
use super::Row;

pub(super) fn rows(base: &Base) -> Vec<Row> {
    use Reason::CriticalHeader;
    use Reason::MalformedHeader;
    use Reason::UnsupportedAlgorithm;
    use Reason::WrongType;

    let deep = [
        "{\"alg\":\"RS256\",\"a\":",
        &"[".repeat(200),
        &"]".repeat(200),
        "}",
    ]
    .concat();
    vec![
        (
            "a header that is no JSON",
            base.header_text("alg=RS256"),
            MalformedHeader,
        ),
        (
            "a header that is a list",
            base.header_text("[\"RS256\"]"),
            MalformedHeader,
        ),
        (
            "a header that is text",
            base.header_text("\"RS256\""),
            MalformedHeader,
        ),
        (
            "two algorithms",
            base.header_text(r#"{"alg":"none","alg":"RS256"}"#),
            MalformedHeader,
        ),
        (
            "two algorithms, one escaped",
            base.header_text(r#"{"alg":"RS256","\u0061lg":"none"}"#),
            MalformedHeader,
        ),
        ("a nested header", base.header_text(deep), MalformedHeader),
        (
            "a header that is no UTF-8",
            base.header_text(b"{\"alg\":\"RS256\",\"x\":\"\xff\"}"),
            MalformedHeader,
        ),
        (
            "a header with something after it",
            base.header_text("{\"alg\":\"RS256\"}{}"),
            MalformedHeader,
        ),
        (
            "a byte order mark",
            base.header_text("\u{feff}{\"alg\":\"RS256\"}"),
            MalformedHeader,
        ),
        (
            "no algorithm",
            base.header_text("{\"kid\":\"rsa\"}"),
            MalformedHeader,
        ),
        (
            "an algorithm that is a number",
            base.header("alg", json!(1)),
            MalformedHeader,
        ),
        (
            "an algorithm that is null",
            base.header("alg", json!(null)),
            MalformedHeader,
        ),
        (
            "an algorithm that is a list",
            base.header("alg", json!(["RS256"])),
            MalformedHeader,
        ),
        (
            "a key id that is a number",
            base.header("kid", json!(1)),
            MalformedHeader,
        ),
        (
            "a key id that is a mapping",
            base.header("kid", json!({"a": 1})),
            MalformedHeader,
        ),
        (
            "a key id of 2 KiB",
            base.header("kid", json!("x".repeat(2_000))),
            MalformedHeader,
        ),
        (
            "a type that is a number",
            base.header("typ", json!(1)),
            MalformedHeader,
        ),
        (
            "another type",
            base.header("typ", json!("secevent+jwt")),
            WrongType,
        ),
        (
            "no type",
            base.header_text(r#"{"alg":"RS256","kid":"rsa"}"#),
            WrongType,
        ),
        (
            "critical extensions",
            base.header("crit", json!(["exp"])),
            CriticalHeader,
        ),
        (
            "no critical extensions, at length",
            base.header("crit", json!([])),
            CriticalHeader,
        ),
        (
            "a payload that is not encoded",
            base.header("b64", json!(false)),
            CriticalHeader,
        ),
        (
            "algorithm rs256",
            base.header("alg", json!("rs256")),
            UnsupportedAlgorithm,
        ),
        (
            "algorithm ES256K",
            base.header("alg", json!("ES256K")),
            UnsupportedAlgorithm,
        ),
        (
            "algorithm ES512",
            base.header("alg", json!("ES512")),
            UnsupportedAlgorithm,
        ),
        (
            "algorithm \"\"",
            base.header("alg", json!("")),
            UnsupportedAlgorithm,
        ),
        (
            "algorithm none with a signature",
            base.header("alg", json!("none")),
            UnsupportedAlgorithm,
        ),
        (
            "algorithm none",
            base.forged(&json!({"alg": "none"}), |_| Vec::new()),
            UnsupportedAlgorithm,
        ),
        (
            "algorithm None",
            base.forged(&json!({"alg": "None"}), |_| Vec::new()),
            UnsupportedAlgorithm,
        ),
        (
            "algorithm nOnE",
            base.forged(&json!({"alg": "nOnE"}), |_| Vec::new()),
            UnsupportedAlgorithm,
        ),
    ]
}
