//! `tidegate.verify`: checks a JSON Web Signature by the embedder's cryptography.
//!
//! Owns the arguments, in little-endian numbers: `u8` version (1), `u8` algorithm, `u16` zero, `u32`
//! lengths of key, signature and text, then the three. The result is one byte: 1 for a good
//! signature, 0 for another. What a key may be is decided here, before any of it is computed with.

use super::super::guest::Guest;
use super::compression::in_time;
use super::signature::{MAX_KEY_BYTES, bounded};
use crate::crypto::{CryptoError, JwsAlgorithm, JwsKey};
use crate::host_calls::Answer;
use crate::kinds::Status;
use crate::memory::Region;

/// The one version of the arguments.
const VERSION: u8 = 1;
/// Sizes of an RSA modulus in bits: smaller ones can be broken, larger ones cost too much.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// The longest public exponent of RSA.
const EXPONENT_BYTES: usize = 4;

pub(super) fn verify(guest: &mut Guest<'_, '_>, args: Region, result: &mut Vec<u8>) -> Answer {
    let (memory, state) = guest.parts()?;
    let args = Arguments::read(args.read(memory)?).ok_or(Status::BadArgument)?;
    bounded(state, args.text)?;
    in_time(state)?;
    let crypto = state.services.crypto().ok_or(Status::NotFound)?;
    let outcome = crypto.verify_jws(args.algorithm, args.key, args.signature, args.text);
    in_time(state)?;
    match outcome {
        Ok(()) => result.push(1),
        Err(CryptoError::Mismatch) => result.push(0),
        Err(CryptoError::Key) => return Err(Status::BadArgument.into()),
        Err(CryptoError::Unsupported) => return Err(Status::NotFound.into()),
        Err(CryptoError::Failed) => return Err(Status::InternalFailure.into()),
    }
    Ok(())
}

/// What is to be verified.
#[derive(Debug, PartialEq, Eq)]
struct Arguments<'a> {
    algorithm: JwsAlgorithm,
    key: JwsKey<'a>,
    signature: &'a [u8],
    text: &'a [u8],
}

impl<'a> Arguments<'a> {
    /// Reads all of `bytes`; `None` if they are malformed or the key is none of the algorithm.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<4>()?;
        let [VERSION, algorithm, 0, 0] = *head else {
            return None;
        };
        let algorithm = JwsAlgorithm::of(algorithm)?;
        let (key, rest) = length(rest)?;
        let (signature, rest) = length(rest)?;
        let (text, rest) = length(rest)?;
        let (key, rest) = rest.split_at_checked(key)?;
        let (signature, rest) = rest.split_at_checked(signature)?;
        if rest.len() != text || key.len() > MAX_KEY_BYTES {
            return None;
        }
        Some(Self {
            algorithm,
            key: read_key(algorithm, key)?,
            signature,
            text: rest,
        })
    }
}

fn read_key(algorithm: JwsAlgorithm, bytes: &[u8]) -> Option<JwsKey<'_>> {
    use JwsAlgorithm as Jws;

    match algorithm {
        Jws::Rs256 | Jws::Rs384 | Jws::Rs512 | Jws::Ps256 | Jws::Ps384 | Jws::Ps512 => rsa(bytes),
        Jws::Es256 => point(bytes, 32),
        Jws::Es384 => point(bytes, 48),
        Jws::Es512 => point(bytes, 66),
        Jws::EdDsa => (bytes.len() == 32).then_some(JwsKey::Ed25519(bytes)),
        Jws::Hs256 | Jws::Hs384 | Jws::Hs512 => {
            (!bytes.is_empty()).then_some(JwsKey::Secret(bytes))
        }
    }
}

/// `u32` length of the modulus, the modulus, and the exponent in what is left.
fn rsa(bytes: &[u8]) -> Option<JwsKey<'_>> {
    let (len, rest) = length(bytes)?;
    let (modulus, exponent) = rest.split_at_checked(len)?;
    let (modulus, exponent) = (number(modulus), number(exponent));
    let spare = modulus.first()?.leading_zeros();
    let bits = modulus.len() * 8 - usize::try_from(spare).ok()?;
    let one = exponent == [1];
    let good = RSA_BITS.contains(&bits) && exponent.len() <= EXPONENT_BYTES && !one;
    (good && odd(modulus) && odd(exponent)).then_some(JwsKey::Rsa { modulus, exponent })
}

/// An uncompressed point of a curve whose coordinates have so many bytes.
fn point(bytes: &[u8], coordinate: usize) -> Option<JwsKey<'_>> {
    let good = bytes.len() == 1 + 2 * coordinate && bytes.first() == Some(&4);
    good.then_some(JwsKey::Point(bytes))
}

/// A big-endian number without the zeros in front of it.
fn number(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

fn odd(number: &[u8]) -> bool {
    number.last().is_some_and(|byte| byte & 1 == 1)
}

/// A length, and what follows it.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    Some((length, rest))
}

#[cfg(test)]
mod tests;
