//! How bodies are cut into the chunks that a filter sees.

/// Where bodies are cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Split {
    /// Nowhere but where the test cut them.
    #[default]
    AsGiven,
    /// After this many bytes.
    At(usize),
    /// After every byte.
    EveryByte,
    /// At places that follow from a seed.
    Seed(u64),
}

impl Split {
    /// The chunks of `body`; the seed moves on, so that no two bodies are cut alike.
    pub(crate) fn cut(&mut self, body: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let bytes = body.concat();
        match self {
            Self::AsGiven => body.iter().filter(|it| !it.is_empty()).cloned().collect(),
            Self::At(at) => {
                let (head, tail) = bytes.split_at((*at).min(bytes.len()));
                let parts = [head, tail].into_iter().filter(|it| !it.is_empty());
                parts.map(<[u8]>::to_vec).collect()
            }
            Self::EveryByte => bytes.chunks(1).map(<[u8]>::to_vec).collect(),
            Self::Seed(seed) => {
                let mut rest = bytes.as_slice();
                let mut chunks = Vec::new();
                while !rest.is_empty() {
                    let most = u64::try_from(rest.len()).unwrap_or(u64::MAX).min(16);
                    let size = usize::try_from(1 + random(seed) % most).unwrap_or(1);
                    let (chunk, tail) = rest.split_at(size.min(rest.len()));
                    chunks.push(chunk.to_vec());
                    rest = tail;
                }
                chunks
            }
        }
    }
}

/// The next number of a sequence that `seed` begins (SplitMix64).
pub(crate) fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        let body = vec![b"hello, ".to_vec(), b"world of chunks".to_vec()];
        let cuts = [
            Split::AsGiven,
            Split::At(3),
            Split::At(99),
            Split::EveryByte,
            Split::Seed(1),
            Split::Seed(2),
        ];
        for mut split in cuts {
            let chunks = split.cut(&body);
            assert_eq!(chunks.concat(), body.concat());
            assert!(chunks.iter().all(|it| !it.is_empty()), "{split:?}");
        }
        assert_ne!(Split::Seed(1).cut(&body), Split::Seed(2).cut(&body));
    }
}
