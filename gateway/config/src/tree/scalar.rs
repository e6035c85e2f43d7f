//! What plain scalars mean: the core schema of YAML 1.2 (chapter 10.3.2).

use super::Value;

/// The value of a plain scalar, one without quotes.
pub(super) fn resolve(text: &str) -> Value {
    let Some(first) = text.bytes().next() else {
        return Value::Null;
    };
    // Most scalars are words: decide by the first byte.
    match first {
        b'n' | b'N' | b'~' => match text {
            "null" | "Null" | "NULL" | "~" => Value::Null,
            _ => string(text),
        },
        b't' | b'T' | b'f' | b'F' => match text {
            "true" | "True" | "TRUE" => Value::Bool(true),
            "false" | "False" | "FALSE" => Value::Bool(false),
            _ => string(text),
        },
        b'0'..=b'9' | b'-' | b'+' | b'.' => number(text).unwrap_or_else(|| string(text)),
        _ => string(text),
    }
}

fn string(text: &str) -> Value {
    Value::Str(text.into())
}

fn number(text: &str) -> Option<Value> {
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" if text.starts_with('-') => {
            return Some(Value::Float(f64::NEG_INFINITY));
        }
        ".inf" | ".Inf" | ".INF" => return Some(Value::Float(f64::INFINITY)),
        _ => {}
    }
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(Value::Float(f64::NAN));
    }
    if !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        if let Ok(value) = text.parse() {
            return Some(Value::Int(value));
        }
        return text.parse().ok().map(Value::Float);
    }
    is_float(unsigned).then(|| text.parse().ok().map(Value::Float))?
}

/// `[0-9]+` in a base; nothing that overflows, which stays a string.
fn radix(digits: &str, radix: u32) -> Option<Value> {
    // `from_str_radix` would take a sign.
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    i128::from_str_radix(digits, radix).ok().map(Value::Int)
}

/// Whether this is `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let whole_and_part = match mantissa.split_once('.') {
        Some(("", part)) => !part.is_empty() && digits(part),
        Some((whole, part)) => digits(whole) && digits(part),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    whole_and_part && exponent
}

#[cfg(test)]
mod tests {
    use super::Value;
    use super::resolve;

    #[track_caller]
    fn check(text: &str, expected: &Value) {
        assert_eq!(resolve(text), *expected, "{text}");
    }

    #[test]
    fn only_the_core_schema_has_meaning() {
        check("", &Value::Null);
        check("~", &Value::Null);
        check("Null", &Value::Null);
        check("TRUE", &Value::Bool(true));
        check("false", &Value::Bool(false));
        check("80", &Value::Int(80));
        check("-5", &Value::Int(-5));
        check("+5", &Value::Int(5));
        check("0x1F", &Value::Int(31));
        check("0o17", &Value::Int(15));
        check("1.5", &Value::Float(1.5));
        check(".5e1", &Value::Float(5.0));
        check("1e3", &Value::Float(1000.0));
        check("-.inf", &Value::Float(f64::NEG_INFINITY));
    }

    #[test]
    fn words_of_older_yaml_are_strings() {
        for text in [
            "yes", "off", "on", "0b1", "1_000", "1:30", "0x", "0x-1", "-", ".", "1e", "1.2.3",
            "-0x1", "nul", "tRue", "e5", ".e5",
        ] {
            check(text, &Value::Str(text.into()));
        }
    }

    #[test]
    fn a_number_beyond_128_bits_is_a_float() {
        assert!(matches!(resolve(&"9".repeat(60)), Value::Float(value) if value > 1e59));
    }
}
