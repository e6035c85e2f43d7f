//! A backend for gRPC as hosts take it: Envoy's message `GrpcService`, serialised.
//!
//! Hosts take plain names too, but Envoy takes for a message what reads as one, and ends at one that
//! names nobody: `users` is a field of four bytes.

/// The field 1, which has bytes with a length: `envoy_grpc`, and in it `cluster_name`.
const FIELD: u8 = 0x0a;

/// `envoy_grpc { cluster_name: NAME }`
#[must_use]
pub fn describe(name: &[u8]) -> Vec<u8> {
    let mut inner = Vec::with_capacity(name.len() + 12);
    push(&mut inner, name);
    let mut whole = Vec::with_capacity(inner.len() + 6);
    push(&mut whole, &inner);
    whole
}

fn push(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(FIELD);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(0x80 | low(length));
        length >>= 7;
    }
    out.push(low(length));
    out.extend_from_slice(bytes);
}

/// The lowest seven bits.
fn low(number: usize) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn a_name_is_two_fields_deep() {
        assert_eq!(describe(b"grpc"), b"\x0a\x06\x0a\x04grpc");
        let long = describe(&[b'a'; 200]);
        assert_eq!(&long[..6], b"\x0a\xcb\x01\x0a\xc8\x01");
        assert_eq!(long.len(), 206);
    }
}
