//! `verify_signature` and `sign`: Envoy's messages around the embedder's cryptography.
//!
//! Owns the messages and the words of a refusal. A key comes in DER or in PEM, never in both.

use super::super::guest::Guest;
use super::compression::in_time;
use crate::crypto::{Crypto, CryptoError, Hash};
use crate::host_calls::Answer;
use crate::kinds::Status;
use crate::memory::Region;
use crate::protobuf::{Fields, put_bool, put_bytes};
use crate::state::State;

/// Larger keys are refused: what they cost grows faster than they do.
pub(super) const MAX_KEY_BYTES: usize = 8 * 1024;

/// What Envoy 1.40 says of bytes that are no private key; for a public one it refuses the call.
const NO_PRIVATE_KEY: &str = "Invalid key type: private key required for signing operation.";

pub(super) fn verify(guest: &mut Guest<'_, '_>, args: Region, result: &mut Vec<u8>) -> Answer {
    let (memory, state) = guest.parts()?;
    let (mut hash, mut der, mut pem): (_, &[u8], _) = ("", &[], "");
    let (mut signature, mut text): (&[u8], &[u8]) = (&[], &[]);
    for field in Fields::of(args.read(memory)?) {
        match field.map_err(Status::from)? {
            (1, field) => hash = field.text().ok_or(Status::BadArgument)?,
            (2, field) => der = field.bytes().ok_or(Status::BadArgument)?,
            (3, field) => signature = field.bytes().ok_or(Status::BadArgument)?,
            (4, field) => text = field.bytes().ok_or(Status::BadArgument)?,
            (5, field) => pem = field.text().ok_or(Status::BadArgument)?,
            _ => {}
        }
    }
    let key = key(der, pem, "PUBLIC KEY")?;
    bounded(state, text)?;
    in_time(state)?;
    let crypto = state.services.crypto().ok_or(Status::NotFound)?;
    let outcome = with_hash(hash, |hash| crypto.verify(hash, &key, signature, text));
    in_time(state)?;
    let problem = match outcome {
        Ok(()) => String::new(),
        Err(error) => refusal(error, hash, "Failed to verify digest. Error code: 0")?,
    };
    put_bool(result, 1, problem.is_empty());
    put_bytes(result, 2, problem.as_bytes());
    Ok(())
}

pub(super) fn sign(guest: &mut Guest<'_, '_>, args: Region, result: &mut Vec<u8>) -> Answer {
    let (memory, state) = guest.parts()?;
    let (mut hash, mut der, mut pem): (_, &[u8], _) = ("", &[], "");
    let mut text: &[u8] = &[];
    for field in Fields::of(args.read(memory)?) {
        match field.map_err(Status::from)? {
            (1, field) => hash = field.text().ok_or(Status::BadArgument)?,
            (2, field) => der = field.bytes().ok_or(Status::BadArgument)?,
            (3, field) => text = field.bytes().ok_or(Status::BadArgument)?,
            (4, field) => pem = field.text().ok_or(Status::BadArgument)?,
            _ => {}
        }
    }
    let key = key(der, pem, "PRIVATE KEY")?;
    bounded(state, text)?;
    in_time(state)?;
    let crypto: &dyn Crypto = state.services.crypto().ok_or(Status::NotFound)?;
    let outcome = with_hash(hash, |hash| crypto.sign(hash, &key, text));
    in_time(state)?;
    let (signature, problem) = match outcome {
        Ok(signature) => (signature, String::new()),
        Err(CryptoError::Key) => (Vec::new(), NO_PRIVATE_KEY.to_owned()),
        Err(error) => (
            Vec::new(),
            refusal(error, hash, "Failed to create signature.")?,
        ),
    };
    put_bool(result, 1, problem.is_empty());
    put_bytes(result, 2, &signature);
    put_bytes(result, 3, problem.as_bytes());
    Ok(())
}

/// Text that is longer than a body may be is not hashed: that takes the worker's time.
pub(super) fn bounded(state: &State, text: &[u8]) -> Result<(), Status> {
    let limit = state.limits().map_or(0, |limits| limits.buffered_bytes);
    if text.len() > limit {
        return Err(Status::BadArgument);
    }
    Ok(())
}

fn with_hash<T>(
    name: &str,
    run: impl FnOnce(Hash) -> Result<T, CryptoError>,
) -> Result<T, CryptoError> {
    Hash::named(name)
        .ok_or(CryptoError::Unsupported)
        .and_then(run)
}

/// What the guest reads for an error; a key that is none refuses the call instead.
fn refusal(error: CryptoError, hash: &str, failed: &str) -> Result<String, Status> {
    match error {
        CryptoError::Key => Err(Status::BadArgument),
        CryptoError::Unsupported => Ok(format!("{hash} is not supported.")),
        CryptoError::Mismatch | CryptoError::Failed => Ok(failed.to_owned()),
    }
}

/// The one key that was given, in DER.
fn key(der: &[u8], pem: &str, label: &str) -> Result<Vec<u8>, Status> {
    if der.len().max(pem.len()) > MAX_KEY_BYTES {
        return Err(Status::BadArgument);
    }
    match (der.is_empty(), pem.is_empty()) {
        (false, true) => Ok(der.to_vec()),
        (true, false) => from_pem(pem, label).ok_or(Status::BadArgument),
        _ => Err(Status::BadArgument),
    }
}

/// The first block of PEM text whose label ends so: `RSA PRIVATE KEY` is a private key too.
fn from_pem(text: &str, label: &str) -> Option<Vec<u8>> {
    let (_, block) = text.split_once("-----BEGIN ")?;
    let (found, block) = block.split_once("-----")?;
    let end = format!("-----END {found}-----");
    let (body, _) = block.split_once(end.as_str())?;
    found.ends_with(label).then(|| base64(body))?
}

/// Base64 of the standard alphabet; white space does not count.
fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    let text: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_is_read_with_its_label_and_lines() {
        let pem =
            "junk\n-----BEGIN RSA PRIVATE KEY-----\naGVs\r\nbG8=\n-----END RSA PRIVATE KEY-----\n";
        assert_eq!(from_pem(pem, "PRIVATE KEY").unwrap(), b"hello");
        assert_eq!(from_pem(pem, "PUBLIC KEY"), None);
        assert_eq!(
            from_pem("-----BEGIN PUBLIC KEY-----\naGk", "PUBLIC KEY"),
            None
        );
        assert_eq!(base64("a*"), None);
        assert_eq!(base64("aA==x"), None);
    }

    #[test]
    fn exactly_one_key_is_given() {
        let pem = "-----BEGIN PUBLIC KEY-----\naGk=\n-----END PUBLIC KEY-----";
        assert_eq!(key(b"x", "", "PUBLIC KEY").unwrap(), b"x");
        assert_eq!(key(b"", pem, "PUBLIC KEY").unwrap(), b"hi");
        assert_eq!(key(b"x", pem, "PUBLIC KEY"), Err(Status::BadArgument));
        assert_eq!(key(b"", "", "PUBLIC KEY"), Err(Status::BadArgument));
    }

    #[test]
    fn a_key_that_would_cost_too_much_is_refused() {
        let largest = vec![b'a'; MAX_KEY_BYTES];
        let larger = vec![b'a'; MAX_KEY_BYTES + 1];
        assert_eq!(key(&largest, "", "PUBLIC KEY").unwrap(), largest);
        assert_eq!(key(&larger, "", "PUBLIC KEY"), Err(Status::BadArgument));
        let text = String::from_utf8(larger).unwrap();
        assert_eq!(key(b"", &text, "PUBLIC KEY"), Err(Status::BadArgument));
    }
}
