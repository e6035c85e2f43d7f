//! Text made of parts and numbers, without the formatting of the standard library: that is 4 KB
//! of a module, which a filter should pay for only if it formats something itself.

/// The parts, one after the other.
#[must_use]
pub fn concat(parts: &[&str]) -> String {
    let mut text = String::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        text.push_str(part);
    }
    text
}

/// A number in decimal.
#[must_use]
pub fn decimal(number: u64) -> String {
    let mut text = match number / 10 {
        0 => String::with_capacity(20),
        higher => decimal(higher),
    };
    let digit = (number % 10).to_le_bytes()[0];
    text.push(char::from(b'0' + digit));
    text
}

#[cfg(test)]
mod tests {
    use super::{concat, decimal};

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        for number in [0, 7, 10, 99, 100, 65_535, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(decimal(number), number.to_string());
        }
    }

    #[test]
    fn parts_are_put_together_in_their_order() {
        assert_eq!(concat(&["a", "", "bä", "c"]), "abäc");
        assert_eq!(concat(&[]), "");
    }
}
