//! Who the gateway is, as guests read it from `xds.node`.
//!
//! Owns the names of its parts and its form as an `envoy.config.core.v3.Node` message.

/// What a gateway calls itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// Its own name: `xds.node.id`.
    pub id: String,
    /// The name that it shares with its replicas: `xds.node.cluster`.
    pub cluster: String,
}

impl Node {
    /// Appends what a guest reads at `path` below the node; false if there is no such thing.
    pub(crate) fn read(&self, path: &[u8], out: &mut Vec<u8>) -> bool {
        match path {
            b"" => {
                field(1, &self.id, out);
                field(2, &self.cluster, out);
            }
            b"id" => out.extend_from_slice(self.id.as_bytes()),
            b"cluster" => out.extend_from_slice(self.cluster.as_bytes()),
            _ => return false,
        }
        true
    }
}

/// A text field of a protobuf message; an empty one is left out.
fn field(number: u8, text: &str, out: &mut Vec<u8>) {
    /// The wire type of bytes with their length.
    const LENGTH_DELIMITED: u8 = 2;
    if text.is_empty() {
        return;
    }
    out.push(number << 3 | LENGTH_DELIMITED);
    let mut rest = text.len();
    while rest > 0x7f {
        out.push(low_bits(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low_bits(rest));
    out.extend_from_slice(text.as_bytes());
}

fn low_bits(number: usize) -> u8 {
    let [low, ..] = number.to_le_bytes();
    low & 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_a_message_and_its_parts_are_text() {
        let node = Node {
            id: "gateway-1".into(),
            cluster: "e".repeat(200),
        };
        let read = |path: &[u8]| {
            let mut out = Vec::new();
            node.read(path, &mut out).then_some(out)
        };
        let mut message = b"\x0a\x09gateway-1\x12\xc8\x01".to_vec();
        message.extend_from_slice(node.cluster.as_bytes());
        assert_eq!(read(b""), Some(message));
        assert_eq!(read(b"id"), Some(b"gateway-1".to_vec()));
        assert_eq!(read(b"cluster"), Some(node.cluster.clone().into_bytes()));
        assert_eq!(read(b"metadata\0x"), None);
    }
}
