//! What keys are called in Redis, and which part of the servers has which.
//!
//! Owns the names: they tell nobody whose they are. A part is a slot of a cluster, of one of the servers.

use sha2::Digest as _;
use sha2::Sha256;

use super::script::Wanted;
use crate::config::RedisConfig;
use crate::store::Ask;

/// How keys are named and divided.
#[derive(Debug)]
pub(super) struct Keys {
    domain: String,
    servers: u32,
    /// Into how many parts the keys of a server are divided.
    slots: u32,
}

impl Keys {
    pub(super) fn new(config: &RedisConfig, domain: String) -> Self {
        let more = u32::try_from(config.shards.len()).unwrap_or(0);
        Self {
            domain,
            servers: more.saturating_add(1),
            slots: config.slots.max(1),
        }
    }

    /// How many parts a server has.
    pub(super) const fn slots(&self) -> u32 {
        self.slots
    }

    /// What is wanted so that this is admitted.
    pub(super) fn wanted(&self, ask: &Ask<'_>) -> Wanted {
        let hash = Sha256::digest(ask.key.as_bytes());
        let part = match self.servers.saturating_mul(self.slots) {
            1 => 0,
            parts => part_of(hash.as_slice(), parts),
        };
        Wanted {
            key: self.key(&ask.limit.name, part, hash.as_slice()),
            part,
            rate: ask.limit.rate,
            want: ask.cost,
            least: ask.cost,
        }
    }

    /// The key in Redis: the limit's name, and a hash of whose it is. Clients' addresses and secrets in
    /// headers do not leave the gateway. What is in braces puts keys into one slot of a cluster, where one
    /// script may use them together.
    fn key(&self, limit: &str, part: u32, hash: &[u8]) -> Vec<u8> {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut key = Vec::with_capacity(self.domain.len() + limit.len() + 54);
        key.extend_from_slice(b"tidegate:{");
        key.extend_from_slice(self.domain.as_bytes());
        if self.slots > 1 {
            key.push(b'#');
            key.extend_from_slice(part.to_string().as_bytes());
        }
        key.extend_from_slice(b"}:");
        key.extend_from_slice(limit.as_bytes());
        key.push(b':');
        for byte in hash.iter().take(16) {
            for nibble in [byte >> 4, byte & 15] {
                key.push(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0'));
            }
        }
        key
    }
}

/// Whether all keys can be asked at once.
pub(super) fn is_one_part(wanted: &[Wanted]) -> bool {
    let mut parts = wanted.iter().map(|it| it.part);
    let first = parts.next();
    parts.all(|part| Some(part) == first)
}

/// What is wanted, by parts.
pub(super) fn parts(mut wanted: Vec<Wanted>) -> Vec<Vec<Wanted>> {
    wanted.sort_by_key(|it| it.part);
    let parts = wanted.chunk_by(|one, other| one.part == other.part);
    parts.map(<[Wanted]>::to_vec).collect()
}

/// The part of a key, of so many (Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm"):
/// of one more, as many keys move there as it shall have, and none move elsewhere.
fn part_of(hash: &[u8], parts: u32) -> u32 {
    let mut key = hash.last_chunk().map_or(0, |it| u64::from_le_bytes(*it));
    let mut part = 0;
    loop {
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        // (part + 1) × 2^31 / (high bits + 1)
        let next = ((part + 1) << 31) / ((key >> 33) + 1);
        if next >= u64::from(parts) {
            return u32::try_from(part).unwrap_or(0);
        }
        part = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many keys each part has.
    fn spread(parts: u32) -> Vec<u32> {
        let mut counts = vec![0; parts as usize];
        for key in 0..10_000_u32 {
            let hash = Sha256::digest(key.to_le_bytes());
            counts[part_of(hash.as_slice(), parts) as usize] += 1;
        }
        counts
    }

    #[test]
    fn parts_have_equal_shares_and_a_new_one_takes_its_share_and_moves_nothing_else() {
        for parts in [1, 2, 3, 16] {
            for count in spread(parts) {
                let share = 10_000 / parts;
                assert!(count.abs_diff(share) < share / 5 + 1, "{count} of {share}");
            }
        }
        for key in 0..1_000_u32 {
            let hash = Sha256::digest(key.to_le_bytes());
            let (before, after) = (part_of(hash.as_slice(), 3), part_of(hash.as_slice(), 4));
            assert!(after == before || after == 3, "{key}");
        }
    }
}
