//! Adds one member to a JSON object without touching the rest of it.
//!
//! The text is parsed only to be sure of what it is; the new member is then spliced in before the
//! last brace. So the order of members, white space, and numbers too large for a machine type
//! stay what the sender wrote.

use serde_json::Value;

/// `body` with `"name": value` as its last member.
///
/// `None`, and the body should go on unchanged, if it is no valid JSON, not an object, or
/// already has a member of that name. `name` must not need escaping.
#[must_use]
pub fn with_member(body: &[u8], name: &str, value: &Value) -> Option<Vec<u8>> {
    let Value::Object(members) = serde_json::from_slice(body).ok()? else {
        return None;
    };
    if members.contains_key(name) {
        return None;
    }
    // Valid JSON that is an object ends in its own brace, with only white space behind.
    let brace = body.iter().rposition(|byte| *byte == b'}')?;
    let (inside, end) = body.split_at(brace);
    let comma = if members.is_empty() { "" } else { "," };
    Some([inside, format!("{comma}\"{name}\":{value}").as_bytes(), end].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Option<&str>) {
        let changed = with_member(body.as_bytes(), "filtered", &Value::Bool(true));
        assert_eq!(changed.as_deref(), expected.map(str::as_bytes), "{body}");
    }

    #[test]
    fn an_object_gets_one_more_member() {
        check("{}", Some(r#"{"filtered":true}"#));
        check("{ }\n", Some("{ \"filtered\":true}\n"));
        check(
            r#"{"a":{"b":"}"}}"#,
            Some(r#"{"a":{"b":"}"},"filtered":true}"#),
        );
    }

    #[test]
    fn order_and_large_numbers_stay() {
        check(
            r#"{"z": 12345678901234567890123, "a": 1.10}"#,
            Some(r#"{"z": 12345678901234567890123, "a": 1.10,"filtered":true}"#),
        );
    }

    #[test]
    fn what_is_no_object_stays_as_it_is() {
        for body in [
            "", "[1]", "\"{}\"", "null", "{", "{}{}", "{\"a\":}", "not json",
        ] {
            check(body, None);
        }
    }

    #[test]
    fn a_member_of_that_name_is_kept() {
        check(r#"{"filtered":false}"#, None);
    }

    #[test]
    fn endless_nesting_is_refused_not_followed() {
        check(&"{\"a\":".repeat(100_000), None);
    }
}
