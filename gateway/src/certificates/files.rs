//! Pairs and bundles from files and texts.
//!
//! Owns reading within bounds, and that what did not change stays the same `Arc`.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use sha2::Digest as _;
use sha2::Sha256;
use tidegate_proxy::Bundle;
use tidegate_proxy::Certificate;

use crate::certificates::Good;
use crate::plugins::chain;

/// No file of certificates or keys is longer: the machine's own bundles are a quarter of it.
const MAX_BYTES: u64 = 1 << 20;
/// No file of revoked certificates is longer: it has room for some hundred thousand.
const MAX_LIST_BYTES: u64 = 16 << 20;

/// Certificate and key from files. They are two: somebody may have replaced one of them just now.
pub(super) fn files(
    certificate: &Path,
    key: &Path,
    before: Option<&Good<Certificate>>,
) -> Result<Good<Certificate>, String> {
    let read = || Ok::<_, String>((file(certificate, MAX_BYTES)?, file(key, MAX_BYTES)?));
    let (chain, secret) = read()?;
    let first = pair(&chain, &secret, before);
    if first.is_ok() {
        return first;
    }
    let (again, secret_again) = read()?;
    if (&again, &secret_again) == (&chain, &secret) {
        return first;
    }
    pair(&again, &secret_again, before)
}

/// The content of a file of at most so many bytes, whole MiB.
fn file(path: &Path, most: u64) -> Result<Bytes, String> {
    let failed = |err: std::io::Error| format!("cannot read {}: {}", path.display(), chain(&err));
    // Without NONBLOCK, opening a pipe waits for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|err| failed(err.into()))?;
    let file = File::from(file);
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(format!("{} is not a regular file", path.display()));
    }
    let mut text = Vec::new();
    file.take(most + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > most {
        let most = most >> 20;
        return Err(format!("{} is longer than {most} MiB", path.display()));
    }
    Ok(Bytes::from(text))
}

/// A pair, or the one that it was before.
pub(super) fn pair(
    certificate: &Bytes,
    key: &Bytes,
    before: Option<&Good<Certificate>>,
) -> Result<Good<Certificate>, String> {
    let mut hash = Sha256::new();
    hash.update((certificate.len() as u64).to_le_bytes());
    hash.update(certificate);
    hash.update(key);
    made(hash.finalize().into(), before, || {
        Certificate::from_pem(certificate, key).map_err(|err| err.to_string())
    })
}

/// A bundle, or the one that it was before.
pub(super) fn bundle(
    authorities: &Bytes,
    revoked: Option<&Bytes>,
    before: Option<&Good<Bundle>>,
) -> Result<Good<Bundle>, String> {
    let mut hash = Sha256::new();
    hash.update((authorities.len() as u64).to_le_bytes());
    hash.update(authorities);
    hash.update([u8::from(revoked.is_some())]);
    hash.update(revoked.map_or(&[][..], |lists| lists));
    made(hash.finalize().into(), before, || {
        let bundle = Bundle::from_pem(authorities).map_err(|err| err.to_string())?;
        match revoked {
            Some(lists) => bundle.with_revoked(lists).map_err(|err| err.to_string()),
            None => Ok(bundle),
        }
    })
}

/// The same from files.
pub(super) fn bundle_files(
    authorities: &Path,
    revoked: Option<&Path>,
    before: Option<&Good<Bundle>>,
) -> Result<Good<Bundle>, String> {
    let text = file(authorities, MAX_BYTES)?;
    let lists = revoked.map(|path| file(path, MAX_LIST_BYTES)).transpose()?;
    bundle(&text, lists.as_ref(), before).map_err(|message| match revoked {
        Some(revoked) => {
            let (authorities, revoked) = (authorities.display(), revoked.display());
            format!("{message} (authorities {authorities}, revoked {revoked})")
        }
        None => format!("{}: {message}", authorities.display()),
    })
}

fn made<T>(
    digest: [u8; 32],
    before: Option<&Good<T>>,
    make: impl FnOnce() -> Result<T, String>,
) -> Result<Good<T>, String> {
    match before {
        Some(before) if before.digest == digest => Ok(before.clone()),
        _ => Ok(Good {
            digest,
            made: Arc::new(make()?),
        }),
    }
}
