//! The wire form of header maps: pairs of byte strings in one block of guest memory.
//!
//! Owns encoding and decoding. A block is a count, then one (name length, value length) for each
//! pair, then each name and value with a NUL behind it; all numbers are little-endian `u32`.
//!
//! Invariant: whatever a guest sends decodes; what is malformed or too much decodes to no pairs at
//! all, as in Envoy's host, because the SDKs know no error here.

/// The largest block a guest may send.
pub const MAX_BLOCK_BYTES: usize = 1024 * 1024;

/// The largest number of pairs a guest may send.
pub const MAX_PAIRS: usize = 1024;

/// Bytes of one length or count.
const NUMBER: usize = 4;

/// The pairs of `block`, borrowed from it; empty if it is malformed or over a limit.
#[must_use]
pub fn decode(block: &[u8]) -> Vec<(&[u8], &[u8])> {
    if block.len() > MAX_BLOCK_BYTES {
        return Vec::new();
    }
    try_decode(block).unwrap_or_default()
}

fn try_decode(block: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let (count, rest) = take_number(block)?;
    if count > MAX_PAIRS {
        return None;
    }
    let (mut lengths, mut data) = rest.split_at_checked(count.checked_mul(2 * NUMBER)?)?;
    let mut pairs = Vec::with_capacity(count);
    while !lengths.is_empty() {
        let (name_len, after) = take_number(lengths)?;
        let (value_len, after) = take_number(after)?;
        lengths = after;
        let (name, after) = take_text(data, name_len)?;
        let (value, after) = take_text(after, value_len)?;
        data = after;
        pairs.push((name, value));
    }
    data.is_empty().then_some(pairs)
}

fn take_number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<NUMBER>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

fn take_text(bytes: &[u8], len: usize) -> Option<(&[u8], &[u8])> {
    let (text, rest) = bytes.split_at_checked(len)?;
    let (&nul, rest) = rest.split_first()?;
    (nul == 0).then_some((text, rest))
}

/// Takes one pair.
pub type Visit<'v> = dyn FnMut(&[u8], &[u8]) + 'v;

/// Appends the wire form of the pairs that `visit` yields to `out`.
///
/// `visit` is run twice and must yield the same pairs both times. An empty map is no bytes at all:
/// guests take a null pointer for "no headers".
pub fn encode(out: &mut Vec<u8>, visit: &mut dyn FnMut(&mut Visit<'_>)) {
    let start = out.len();
    let mut count: u32 = 0;
    out.extend_from_slice(&count.to_le_bytes());
    visit(&mut |name, value| {
        count = count.saturating_add(1);
        out.extend_from_slice(&length(name).to_le_bytes());
        out.extend_from_slice(&length(value).to_le_bytes());
    });
    if count == 0 {
        out.truncate(start);
        return;
    }
    if let Some(slot) = out.get_mut(start..start + NUMBER) {
        slot.copy_from_slice(&count.to_le_bytes());
    }
    visit(&mut |name, value| {
        for text in [name, value] {
            out.extend_from_slice(text);
            out.push(0);
        }
    });
}

/// The wire form of a list of pairs.
#[must_use]
pub fn encode_list<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(N, V)]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out, &mut |visit| {
        for (name, value) in pairs {
            visit(name.as_ref(), value.as_ref());
        }
    });
    out
}

/// A guest's memory ends at 4 GiB, so a longer text cannot be handed over anyway.
fn length(text: &[u8]) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(numbers: &[u32], text: &[u8]) -> Vec<u8> {
        let mut block: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        block.extend_from_slice(text);
        block
    }

    #[test]
    fn an_empty_map_is_no_bytes() {
        assert_eq!(encode_list::<&[u8], &[u8]>(&[]), b"");
        assert_eq!(decode(b""), []);
        assert_eq!(decode(&[0; 4]), []);
    }

    #[test]
    fn a_block_has_counts_then_lengths_then_texts_with_nuls() {
        let wire = encode_list(&[(":path", "/"), ("x", "")]);
        assert_eq!(wire, block(&[2, 5, 1, 1, 0], b":path\0/\0x\0\0"));
    }

    #[test]
    fn a_malformed_block_has_no_pairs() {
        for bad in [
            block(&[1, 1, 1], b"a\0b"),
            block(&[1, 1, 1], b"a\0b\0 "),
            block(&[1, 1, 1], b"a.b\0"),
            block(&[1, u32::MAX, 1], b"a\0b\0"),
            block(&[u32::MAX], b""),
            block(&[2, 1, 1], b"a\0b\0"),
            vec![1, 0],
        ] {
            assert_eq!(decode(&bad), [], "{bad:?}");
        }
    }

    #[test]
    fn more_than_the_limits_are_no_pairs() {
        let many = vec![("a", "b"); MAX_PAIRS];
        assert_eq!(decode(&encode_list(&many)).len(), MAX_PAIRS);
        assert_eq!(decode(&encode_list(&vec![("a", "b"); MAX_PAIRS + 1])), []);
        let long = "v".repeat(MAX_BLOCK_BYTES);
        assert_eq!(decode(&encode_list(&[("a", long.as_str())])), []);
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(
            pairs in proptest::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..40)
        ) {
            let wire = encode_list(&pairs);
            let back: Vec<_> = decode(&wire).iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
            prop_assert_eq!(back, pairs);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in any::<Vec<u8>>()) {
            let pairs = decode(&bytes).len();
            prop_assert!(pairs <= MAX_PAIRS);
        }

        #[test]
        fn a_changed_byte_never_reads_outside_the_block(
            pairs in proptest::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 1..8),
            at in any::<proptest::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut wire = encode_list(&pairs);
            let at = at.index(wire.len());
            wire[at] = byte;
            prop_assert!(decode(&wire).len() <= MAX_PAIRS);
        }
    }
}
