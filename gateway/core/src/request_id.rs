//! Request ids: random UUIDs (RFC 9562 §5.4), written without allocation.

use http::HeaderValue;

/// The `x-request-id` made from 128 random bits.
pub fn from_random(random: u128) -> HeaderValue {
    const VERSION_4: u128 = 0x4000 << 64;
    const VARIANT: u128 = 0x8000 << 48;
    let bits = random & !(0xf000 << 64) & !(0xc000 << 48) | VERSION_4 | VARIANT;
    let mut text = [b'-'; 36];
    let mut places = text.iter_mut();
    for (at, byte) in bits.to_be_bytes().into_iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            places.next(); // The hyphen that is there already.
        }
        for nibble in [byte >> 4, byte & 0xf] {
            if let Some(place) = places.next() {
                *place = if nibble < 10 {
                    b'0' + nibble
                } else {
                    b'a' + nibble - 10
                };
            }
        }
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("-"))
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
