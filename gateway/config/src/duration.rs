//! Durations as the Gateway API writes them (GEP-2257): `10s`, `1m30s`, `250ms`.

use std::time::Duration;

/// Not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a duration: expected numbers with units, such as 500ms, 10s, 1m30s or 2h")]
pub struct BadDuration {
    /// What was given.
    pub text: String,
}

/// Most parts a duration may have (GEP-2257).
const MAX_PARTS: usize = 4;
/// Most digits a part may have (GEP-2257).
const MAX_DIGITS: usize = 5;

/// Parses a duration.
///
/// # Errors
///
/// [`BadDuration`] for anything that is not one to four parts of one to five digits with a unit of
/// `h`, `m`, `s` or `ms`.
pub fn parse(text: &str) -> Result<Duration, BadDuration> {
    let bad = || BadDuration {
        text: text.to_owned(),
    };
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits).ok_or_else(bad)?;
        let units = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at_checked(units).ok_or_else(bad)?;
        parts += 1;
        if digits == 0 || digits > MAX_DIGITS || parts > MAX_PARTS {
            return Err(bad());
        }
        let number: u64 = number.parse().map_err(|_| bad())?;
        total += match unit {
            "h" => Duration::from_secs(number * 3_600),
            "m" => Duration::from_secs(number * 60),
            "s" => Duration::from_secs(number),
            "ms" => Duration::from_millis(number),
            _ => return Err(bad()),
        };
        rest = after;
    }
    if parts == 0 { Err(bad()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse;

    #[test]
    fn parts_add_up() {
        assert_eq!(parse("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("1h0m0s250ms"), Ok(Duration::from_millis(3_600_250)));
        assert_eq!(parse("0s"), Ok(Duration::ZERO));
    }

    #[test]
    fn a_number_without_unit_is_not_a_duration() {
        for bad in [
            "",
            "10",
            "s",
            "1.5s",
            "-1s",
            "1 s",
            "1d",
            "123456s",
            "1s1s1s1s1s",
            "ä",
        ] {
            let err = parse(bad).expect_err(bad);
            assert!(err.to_string().contains("such as 500ms"), "{err}");
        }
    }
}
