//! Request ids: random UUIDs (RFC 9562 §5.4), written without allocation.

use http::HeaderValue;

/// The `x-request-id` made from 128 random bits.
pub fn from_random(random: u128) -> HeaderValue {
    const VERSION_4: u128 = 0x4000 << 64;
    const VARIANT: u128 = 0x8000 << 48;
    let bits = random & !(0xf000 << 64) & !(0xc000 << 48) | VERSION_4 | VARIANT;
    let mut text = [b'-'; 36];
    let [a, b, c, d] = quarters(bits);
    // 8-4-4-4-12 digits, with the hyphens that are there already.
    for (at, digits) in [
        (0, &a[..]),
        (9, &b[..4]),
        (14, &b[4..]),
        (19, &c[..4]),
        (24, &c[4..]),
        (28, &d[..]),
    ] {
        if let Some(place) = text.get_mut(at..at + digits.len()) {
            place.copy_from_slice(digits);
        }
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

/// The hexadecimal digits of the four quarters.
fn quarters(bits: u128) -> [[u8; 8]; 4] {
    [96, 64, 32, 0].map(|shift| {
        let quarter = (bits >> shift) & u128::from(u32::MAX);
        digits(u32::try_from(quarter).unwrap_or_default())
    })
}

/// Eight hexadecimal digits, all at once: each nibble in a byte of its own, then made a letter.
fn digits(quarter: u32) -> [u8; 8] {
    let mut nibbles = u64::from(quarter);
    nibbles = (nibbles | nibbles << 16) & 0x0000_ffff_0000_ffff;
    nibbles = (nibbles | nibbles << 8) & 0x00ff_00ff_00ff_00ff;
    nibbles = (nibbles | nibbles << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // 1 in each byte that is 10 or more.
    let letters = ((nibbles + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    let text = nibbles + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'0' - 10);
    text.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::from_random;

    #[test]
    fn ids_are_version_4_uuids() {
        assert_eq!(
            from_random(u128::MAX),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
        assert_eq!(from_random(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(
            from_random(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
            "01234567-89ab-4def-8123-456789abcdef"
        );
    }
}
