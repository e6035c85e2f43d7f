//! Lists of names and values as the ABI serialises them: number of pairs, their lengths, then
//! each name and value with a zero byte behind it (v0.2.1, "Serialization").

use crate::host::Pairs;

/// The bytes of `pairs`.
#[must_use]
pub fn encode(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let lengths: usize = pairs
        .iter()
        .map(|(name, value)| name.len() + value.len() + 10)
        .sum();
    let mut bytes = Vec::with_capacity(4 + lengths);
    put(&mut bytes, pairs.len());
    for (name, value) in pairs {
        put(&mut bytes, name.len());
        put(&mut bytes, value.len());
    }
    for part in pairs.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(part);
        bytes.push(0);
    }
    bytes
}

/// The pairs in `bytes`, or `None` if the bytes are not such a list.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Pairs> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let (count, mut lengths) = take(bytes)?;
    let mut content = lengths.get(count.checked_mul(8)?..)?;
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        let (name, rest) = take(lengths)?;
        let (value, rest) = take(rest)?;
        lengths = rest;
        let (name, rest) = text(content, name)?;
        let (value, rest) = text(rest, value)?;
        content = rest;
        pairs.push((name, value));
    }
    Some(pairs)
}

fn put(bytes: &mut Vec<u8>, number: usize) {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn take(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

fn text(bytes: &[u8], length: usize) -> Option<(Vec<u8>, &[u8])> {
    let (text, rest) = bytes.split_at_checked(length)?;
    Some((text.to_vec(), rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_with_empty_values_and_zero_bytes() {
        let pairs: [(&[u8], &[u8]); 3] = [(b"a", b""), (b":path", b"/x"), (b"z", b"\0\xff")];
        let read = decode(&encode(&pairs)).expect("our own bytes");
        let read: Vec<(&[u8], &[u8])> = read.iter().map(|(n, v)| (&n[..], &v[..])).collect();
        assert_eq!(read, pairs);
    }

    #[test]
    fn a_list_that_is_cut_anywhere_is_none() {
        let bytes = encode(&[(b"name", b"value"), (b"x", b"y")]);
        for end in 1..bytes.len() {
            assert_eq!(decode(&bytes[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn a_count_beyond_the_bytes_is_none_and_allocates_nothing() {
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0x1f, 0, 0, 0, 0]), None);
    }
}
