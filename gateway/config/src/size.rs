//! Sizes as Kubernetes writes quantities: `64Mi`, `1Gi`, `500k`, `1048576`.

/// Not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a size: expected a number of bytes with an optional unit, such as 64Mi")]
pub struct BadSize {
    /// What was given.
    pub text: String,
}

/// Parses a size to bytes.
///
/// # Errors
///
/// [`BadSize`] for anything but a whole number with one of `k M G Ki Mi Gi` or nothing, or one that
/// overflows.
pub fn parse(text: &str) -> Result<usize, BadSize> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let parsed = text.split_at_checked(digits).and_then(|(number, unit)| {
        let number: usize = number.parse().ok()?;
        let factor: usize = match unit {
            "" => 1,
            "k" => 1_000,
            "M" => 1_000_000,
            "G" => 1_000_000_000,
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            "Gi" => 1 << 30,
            _ => return None,
        };
        number.checked_mul(factor)
    });
    parsed.ok_or_else(|| BadSize {
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn units_are_those_of_kubernetes() {
        assert_eq!(parse("64Mi"), Ok(64 << 20));
        assert_eq!(parse("10k"), Ok(10_000));
        assert_eq!(parse("7"), Ok(7));
    }

    #[test]
    fn what_is_not_a_whole_number_of_bytes_is_refused() {
        for bad in ["", "Mi", "1.5Mi", "-1", "64MB", "64 Mi", "99999999999Gi"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
