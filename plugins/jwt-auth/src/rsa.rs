//! RSA signatures (RFC 8017, 8.1 and 8.2), for hosts that check none.
//!
//! Owns the two encodings and what a public key may be; the arithmetic is crypto-bigint's. Nothing here is
//! secret, so nothing has to take constant time.

use std::cell::OnceCell;
use std::cmp::Ordering;

use crypto_bigint::BoxedUint;
use crypto_bigint::Odd;
use crypto_bigint::modular::BoxedMontyForm;
use crypto_bigint::modular::BoxedMontyParams;
use sha2::Digest;

/// Sizes of a modulus: below, it can be factored; above, checking takes too long.
const BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A public key.
pub struct PublicKey {
    /// The modulus: big-endian, without zeros in front.
    modulus: Vec<u8>,
    /// The exponent: odd, at least 3.
    exponent: u32,
    /// What multiplication needs; made when it is first used.
    params: OnceCell<BoxedMontyParams>,
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PublicKey(RSA)")
    }
}

impl PublicKey {
    /// A key of two big-endian numbers.
    ///
    /// # Errors
    /// If a number is not what it must be.
    pub fn new(modulus: &[u8], exponent: &[u8]) -> Result<Self, String> {
        let (modulus, exponent) = (number(modulus), number(exponent));
        let spare = modulus.first().map_or(0, |it| it.leading_zeros());
        let spare = usize::try_from(spare).unwrap_or(0);
        let bits = modulus.len() * 8 - spare;
        if !BITS.contains(&bits) {
            return Err(format!("its modulus has {bits} bits, and not 2048 to 8192"));
        }
        let [first @ .., last] = exponent else {
            return Err("its exponent is 0".to_owned());
        };
        let exponent = first.iter().chain([last]);
        let exponent = exponent.fold(0, |sum: u64, it| (sum << 8) | u64::from(*it));
        let exponent = match u32::try_from(exponent) {
            Ok(exponent) if first.len() < 4 && exponent % 2 == 1 && exponent > 1 => exponent,
            _ => return Err("its exponent is even, 1, or over 2^32".to_owned()),
        };
        if modulus.last().is_none_or(|it| it % 2 == 0) {
            return Err("its modulus is even".to_owned());
        }
        Ok(Self {
            modulus: modulus.to_vec(),
            exponent,
            params: OnceCell::new(),
        })
    }

    /// The modulus, big-endian.
    #[must_use]
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// The exponent, big-endian.
    #[must_use]
    pub const fn exponent(&self) -> [u8; 4] {
        self.exponent.to_be_bytes()
    }

    /// Whether this is the signature of a message by RSASSA-PKCS1-v1_5. `prefix` is the encoding of the
    /// hash's name (RFC 8017, 9.2).
    pub(crate) fn verify_pkcs1<D: Digest>(
        &self,
        prefix: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let Some(encoded) = self.open(signature) else {
            return false;
        };
        let hash = D::digest(message);
        let fixed = 3 + prefix.len() + hash.len();
        let Some(padding) = encoded.len().checked_sub(fixed) else {
            return false;
        };
        let expected = [&[0, 1], &vec![0xff; padding][..], &[0], prefix, &hash].concat();
        encoded == expected
    }

    /// Whether this is the signature of a message by RSASSA-PSS, with MGF1 of the same hash and a salt as
    /// long as the hash (RFC 7518, 3.5).
    pub(crate) fn verify_pss<D: Digest>(&self, message: &[u8], signature: &[u8]) -> bool {
        self.open(signature)
            .and_then(|encoded| self.pss_matches::<D>(&encoded, message))
            .unwrap_or(false)
    }

    /// EMSA-PSS-VERIFY (RFC 8017, 9.1.2); `None` if something has the wrong length.
    fn pss_matches<D: Digest>(&self, encoded: &[u8], message: &[u8]) -> Option<bool> {
        let spare = self.modulus.first()?.leading_zeros();
        // The encoding has one bit less than the modulus: a byte less, if that bit is all of one.
        let (encoded, unused) = match spare {
            7 => (encoded.strip_prefix(&[0])?, 0),
            _ => (encoded, spare + 1),
        };
        let hash_len = <D as Digest>::output_size();
        let (rest, trailer) = encoded.split_at_checked(encoded.len().checked_sub(1)?)?;
        let (masked, hash) = rest.split_at_checked(rest.len().checked_sub(hash_len)?)?;
        let top = 0xff_u8.checked_shr(unused)?;
        if trailer != [0xbc] || masked.first()? & !top != 0 {
            return Some(false);
        }
        let mut block = unmask::<D>(masked, hash);
        *block.first_mut()? &= top;
        let (padding, salt) = block.split_at_checked(block.len().checked_sub(hash_len)?)?;
        let (one, zeros) = padding.split_last()?;
        let digest = D::digest(message);
        let again = D::new()
            .chain_update([0; 8])
            .chain_update(&digest)
            .chain_update(salt)
            .finalize();
        Some(*one == 1 && zeros.iter().all(|it| *it == 0) && again[..] == *hash)
    }

    /// The signature to the power of the exponent, as long as the modulus (RFC 8017, 5.2.2); `None` if it
    /// is no number below the modulus of that length.
    fn open(&self, signature: &[u8]) -> Option<Vec<u8>> {
        if signature.len() != self.modulus.len() {
            return None;
        }
        let params = self.params()?;
        let number = BoxedUint::from_be_slice(signature, params.bits_precision()).ok()?;
        if number.cmp_vartime(params.modulus().as_ref()) != Ordering::Less {
            return None;
        }
        let base = BoxedMontyForm::new(number, params);
        let mut power = base.clone();
        let bits = u32::BITS - self.exponent.leading_zeros();
        for bit in (0..bits.saturating_sub(1)).rev() {
            power = power.square();
            if self.exponent >> bit & 1 == 1 {
                power = power.mul(&base);
            }
        }
        let bytes = power.retrieve().to_be_bytes();
        let extra = bytes.len().checked_sub(signature.len())?;
        Some(bytes.get(extra..)?.to_vec())
    }

    fn params(&self) -> Option<&BoxedMontyParams> {
        if let Some(params) = self.params.get() {
            return Some(params);
        }
        let modulus = BoxedUint::from_be_slice_vartime(&self.modulus);
        let modulus = Option::from(Odd::new(modulus))?;
        Some(
            self.params
                .get_or_init(|| BoxedMontyParams::new_vartime(modulus)),
        )
    }
}

/// `masked` with the mask of MGF1 taken off (RFC 8017, B.2.1).
fn unmask<D: Digest>(masked: &[u8], seed: &[u8]) -> Vec<u8> {
    let mut block = masked.to_vec();
    for (counter, chunk) in (0_u32..).zip(block.chunks_mut(<D as Digest>::output_size())) {
        let mask = D::new()
            .chain_update(seed)
            .chain_update(counter.to_be_bytes())
            .finalize();
        for (byte, mask) in chunk.iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }
    block
}

/// A big-endian number without zeros in front.
fn number(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|it| **it == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}
