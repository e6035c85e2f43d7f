//! bcrypt (Provos and Mazières, A Future-Adaptable Password Scheme, 1999), in slices.
//!
//! `$2y$`, `$2b$` and `$2a$` are the same here: they name mended versions of programs, and differ for
//! passwords that we refuse. A password counts with its first 72 bytes, as everywhere.

use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet::BCRYPT;
use base64::engine::GeneralPurpose;
use base64::engine::GeneralPurposeConfig;
use base64::engine::general_purpose::NO_PAD;
use blowfish::Blowfish;
use subtle::ConstantTimeEq;

/// Rounds of a slice: about a millisecond, a tenth of what a callback may take.
const SLICE: u32 = 16;
/// The least that bcrypt has.
const LEAST_COST: u32 = 4;
/// A second or two of computing.
const MOST_COST: u32 = 14;

/// Its own base64, whose last character may have bits that say nothing.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&BCRYPT, CONFIG.with_decode_allow_trailing_bits(true));
const CONFIG: GeneralPurposeConfig = NO_PAD;

/// A hash.
pub(crate) struct Bcrypt {
    cost: u32,
    salt: [u8; 16],
    /// The last byte of 24 is never kept.
    hash: [u8; 23],
}

impl Bcrypt {
    /// How many rounds it takes.
    pub(super) const fn rounds(&self) -> u32 {
        1 << self.cost
    }

    /// Starts to compute the hash of a password.
    pub(super) fn begin(&self, password: &[u8]) -> Work {
        // With a zero byte after it, and without what is over 72 bytes.
        let mut key: Vec<u8> = password.iter().copied().chain([0]).collect();
        key.truncate(72);
        let mut state = Blowfish::bc_init_state();
        state.salted_expand_key(&self.salt, &key);
        Work {
            state,
            key,
            salt: self.salt,
            hash: self.hash,
            left: self.rounds(),
        }
    }
}

/// A computation that is under way.
pub(crate) struct Work {
    state: Blowfish,
    key: Vec<u8>,
    salt: [u8; 16],
    hash: [u8; 23],
    /// Rounds.
    left: u32,
}

impl Work {
    /// Goes on for a slice; at the end, whether the hash is that of the password.
    pub(crate) fn slice(&mut self) -> Option<bool> {
        let rounds = self.left.min(SLICE);
        for _ in 0..rounds {
            self.state.bc_expand_key(&self.key);
            self.state.bc_expand_key(&self.salt);
        }
        self.left -= rounds;
        (self.left == 0).then(|| self.encrypted().ct_eq(&self.hash).into())
    }

    fn encrypted(&self) -> [u8; 23] {
        let mut bytes = [0; 24];
        let text = b"OrpheanBeholderScryDoubt";
        let (blocks, _) = text.as_chunks::<8>();
        for (block, place) in blocks.iter().zip(bytes.chunks_exact_mut(8)) {
            let [a, b, c, d, e, f, g, h] = *block;
            let mut halves = [[a, b, c, d], [e, f, g, h]].map(u32::from_be_bytes);
            for _ in 0..64 {
                halves = self.state.bc_encrypt(halves);
            }
            place.copy_from_slice(halves.map(u32::to_be_bytes).as_flattened());
        }
        let [kept @ .., _] = bytes;
        kept
    }
}

impl FromStr for Bcrypt {
    type Err = String;

    /// What follows the version: `10$` and 53 characters.
    fn from_str(text: &str) -> Result<Self, String> {
        let malformed =
            || "expected a cost of two digits, $ and 53 characters in a hash of bcrypt".to_owned();
        let (cost, rest) = text.split_once('$').ok_or_else(malformed)?;
        let is_number = cost.len() == 2 && cost.bytes().all(|it| it.is_ascii_digit());
        let cost: u32 = cost
            .parse()
            .ok()
            .filter(|_| is_number)
            .ok_or_else(malformed)?;
        if !(LEAST_COST..=MOST_COST).contains(&cost) {
            return Err(format!(
                "the cost of the hash is {cost}, expected {LEAST_COST} to {MOST_COST}: htpasswd -BC 10 makes one of 10"
            ));
        }
        let (salt, hash) = rest.split_at_checked(22).ok_or_else(malformed)?;
        Ok(Self {
            cost,
            salt: decode(salt).ok_or_else(malformed)?,
            hash: decode(hash).ok_or_else(malformed)?,
        })
    }
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64.decode(text).ok()?.try_into().ok()
}
