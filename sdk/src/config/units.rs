//! Durations, sizes and percentages as people write them, read at compile time and at run time.

/// Most parts of a duration (GEP-2257).
const MAX_PARTS: u32 = 4;
/// Most digits of a part of a duration (GEP-2257).
const MAX_DIGITS: u32 = 5;

/// The milliseconds of a duration such as `2s`, `150ms` or `1h30m` (GEP-2257).
pub(super) const fn duration(text: &str) -> Option<u64> {
    let mut rest = text.as_bytes();
    let mut total: u64 = 0;
    let mut parts = 0;
    while !rest.is_empty() {
        let (number, digits, after) = number(rest);
        let (unit, after) = match after {
            [b'm', b's', after @ ..] => (1, after),
            [b's', after @ ..] => (1_000, after),
            [b'm', after @ ..] => (60_000, after),
            [b'h', after @ ..] => (3_600_000, after),
            _ => return None,
        };
        parts += 1;
        if digits == 0 || digits > MAX_DIGITS || parts > MAX_PARTS {
            return None;
        }
        // At most 4 times 99,999 hours.
        total += number * unit;
        rest = after;
    }
    if parts == 0 { None } else { Some(total) }
}

/// The bytes of a size such as `64KiB`, `1MB`, `64Mi` or `512`.
pub(super) const fn size(text: &str) -> Option<u64> {
    let (number, digits, unit) = number(text.as_bytes());
    let factor = match unit {
        b"" | b"B" => 1,
        b"k" | b"kB" | b"KB" => 1_000,
        b"M" | b"MB" => 1_000_000,
        b"G" | b"GB" => 1_000_000_000,
        b"Ki" | b"KiB" => 1 << 10,
        b"Mi" | b"MiB" => 1 << 20,
        b"Gi" | b"GiB" => 1 << 30,
        _ => return None,
    };
    if digits == 0 || digits > 18 {
        return None;
    }
    number.checked_mul(factor)
}

/// The millionths of a percentage from `0%` to `100%` with at most four decimals.
pub(super) const fn percent(text: &str) -> Option<u32> {
    let (whole, digits, after) = number(text.as_bytes());
    if digits == 0 || digits > 3 {
        return None;
    }
    let (decimals, after) = match after {
        [b'.', after @ ..] => {
            let (mut decimals, mut digits, after) = number(after);
            if digits == 0 || digits > 4 {
                return None;
            }
            while digits < 4 {
                decimals *= 10;
                digits += 1;
            }
            (decimals, after)
        }
        after => (0, after),
    };
    let millionths = whole * 10_000 + decimals;
    if matches!(after, b"%") && millionths <= 1_000_000 {
        #[expect(clippy::cast_possible_truncation, reason = "at most a million")]
        let millionths = millionths as u32;
        Some(millionths)
    } else {
        None
    }
}

/// The digits at the beginning: their value, how many there are, and what follows.
const fn number(text: &[u8]) -> (u64, u32, &[u8]) {
    let mut rest = text;
    let mut value: u64 = 0;
    let mut digits = 0;
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        value = value.wrapping_mul(10).wrapping_add((*digit - b'0') as u64);
        digits += 1;
        rest = after;
    }
    (value, digits, rest)
}

/// How many characters a text has.
pub(super) const fn count_chars(text: &str) -> usize {
    let mut rest = text.as_bytes();
    let mut count = 0;
    while let [byte, after @ ..] = rest {
        // All bytes but those that go on with a character.
        if *byte & 0xc0 != 0x80 {
            count += 1;
        }
        rest = after;
    }
    count
}

/// Whether two texts are the same.
pub(super) const fn same(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    while let ([a, one_after @ ..], [b, other_after @ ..]) = (one, other) {
        if *a != *b {
            return false;
        }
        (one, other) = (one_after, other_after);
    }
    one.is_empty() && other.is_empty()
}

#[cfg(test)]
mod tests {
    use super::duration;
    use super::percent;
    use super::size;

    #[test]
    fn durations_are_numbers_with_units_that_add_up() {
        assert_eq!(duration("2s"), Some(2_000));
        assert_eq!(duration("150ms"), Some(150));
        assert_eq!(duration("1h30m"), Some(5_400_000));
        assert_eq!(duration("0s"), Some(0));
        for bad in [
            "",
            "2",
            "s",
            "1.5s",
            "-1s",
            "1 s",
            "1d",
            "123456s",
            "1s1s1s1s1s",
            "1S",
        ] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_are_numbers_with_decimal_or_binary_units() {
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size("64Ki"), Some(65_536));
        assert_eq!(size("1MB"), Some(1_000_000));
        assert_eq!(size("512"), Some(512));
        assert_eq!(size("2GiB"), Some(2 << 30));
        for bad in [
            "",
            "MB",
            "1.5MB",
            "-1",
            "1 MB",
            "1TB",
            "999999999999999999GB",
            "1mb",
        ] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn percentages_end_at_a_hundred() {
        assert_eq!(percent("5%"), Some(50_000));
        assert_eq!(percent("0.5%"), Some(5_000));
        assert_eq!(percent("0.0001%"), Some(1));
        assert_eq!(percent("100%"), Some(1_000_000));
        for bad in [
            "", "%", "5", "101%", "100.1%", "-1%", ".5%", "1.%", "0.00001%", "5 %",
        ] {
            assert_eq!(percent(bad), None, "{bad}");
        }
    }
}
