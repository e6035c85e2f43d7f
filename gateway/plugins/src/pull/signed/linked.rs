//! From a signed digest to the module: the signature is for the manifest, or for the index that names
//! it; the manifest names the layer; the module is what comes out of that layer.
//!
//! Owns these steps for what is in the cache. Each is taken again whenever an image is taken from
//! there, so that nobody can put another module in its place.

use std::io;

use bytes::Bytes;

use super::Judged;
use crate::cache::Cache;
use crate::cache::CacheError;
use crate::cache::ImageRecord;
use crate::cache::Pin;
use crate::digest::Digest;
use crate::digest::Hasher;
use crate::layout::Output;
use crate::layout::unpack;
use crate::pull::PullError;
use crate::reference::Reference;
use crate::registry::FetchedManifest;
use crate::registry::manifest::Parsed;
use crate::signatures::Found;
use crate::signatures::Mode;
use crate::signatures::Policy;
use crate::signatures::Rule;
use crate::signatures::Subject;
use crate::signatures::Unsigned;
use crate::signatures::Verdict;

/// What a signature may be for: the manifest, and the index if that names it.
pub(super) fn subjects(top: &FetchedManifest, manifest: &FetchedManifest) -> Vec<Subject> {
    let subject = |it: &FetchedManifest| Subject {
        digest: it.digest,
        raw: it.raw.clone(),
    };
    let names_it = match top.parse() {
        Ok(Parsed::Index(index)) => index
            .manifests
            .iter()
            .any(|it| it.digest == manifest.digest),
        Ok(Parsed::Image(_)) | Err(_) => false,
    };
    let mut subjects = vec![subject(manifest)];
    if names_it {
        subjects.insert(0, subject(top));
    }
    subjects
}

pub(super) fn judged(
    cache: &Cache,
    policy: &Policy,
    image: &Reference,
    record: &ImageRecord,
    limit: u64,
) -> Result<Judged, PullError> {
    let Some(rule) = policy.rule(image) else {
        return Ok(Judged {
            verdict: Verdict::Off,
            pins: Vec::new(),
        });
    };
    let mut pins = Vec::new();
    let verdict = match from_cache(cache, rule, image, record, limit, &mut pins)? {
        Ok(verdict) => verdict,
        Err(unsigned) if rule.mode == Mode::Require => {
            return Err(PullError::Unsigned(Box::new(unsigned)));
        }
        Err(unsigned) => Verdict::Missing(Box::new(unsigned)),
    };
    Ok(Judged { verdict, pins })
}

fn from_cache(
    cache: &Cache,
    rule: &Rule,
    image: &Reference,
    record: &ImageRecord,
    limit: u64,
    pins: &mut Vec<Pin>,
) -> Result<Result<Verdict, Unsigned>, CacheError> {
    let shown = image.with_digest(record.digest).to_string();
    let unsigned = |found| Unsigned::new(shown, rule, found);
    let subjects = match linked(cache, record, limit, pins)? {
        Ok(subjects) => subjects,
        Err(why) => return Ok(Err(unsigned(Vec::new()).because(why))),
    };
    let mut found = Vec::new();
    for evidence in cache.signatures(&image.name(), record.digest) {
        match evidence.vouched(&subjects, rule, &image.name()) {
            Ok(key) => {
                return Ok(Ok(Verdict::Valid {
                    key: key.name().to_owned(),
                    form: evidence.form(),
                }));
            }
            Err(why) => found.push(Found {
                form: Some(evidence.form()),
                why,
            }),
        }
    }
    if found.is_empty() {
        let why = "the cache has none, and its registry was not asked";
        return Ok(Err(unsigned(found).because(why)));
    }
    Ok(Err(unsigned(found)))
}

/// What signatures may be for if the module comes from there; else why it does not.
pub(super) fn linked(
    cache: &Cache,
    record: &ImageRecord,
    limit: u64,
    pins: &mut Vec<Pin>,
) -> Result<Result<Vec<Subject>, &'static str>, CacheError> {
    let mut fetch = |digest: Digest| {
        let found = cache.blob(digest)?;
        Ok::<_, CacheError>(found.map(|(raw, pin)| {
            pins.push(pin);
            FetchedManifest {
                raw,
                media_type: record.media_type.clone(),
                digest,
            }
        }))
    };
    let (Some(top), Some(manifest)) = (fetch(record.digest)?, fetch(record.manifest)?) else {
        return Ok(Err("its manifest is gone from the cache"));
    };
    let is_linked = match layer_of(&manifest, record) {
        Some(layer) if layer == record.module => true,
        Some(layer) => match fetch(layer)? {
            Some(layer) => module_of(&layer.raw, limit) == Some(record.module),
            None => return Ok(Err("the layer that its module is from is not in the cache")),
        },
        None => false,
    };
    Ok(if is_linked {
        Ok(subjects(&top, &manifest))
    } else {
        Err("the module in the cache is not the one that its manifest names")
    })
}

/// The layer that the manifest has where the module is said to be from.
fn layer_of(manifest: &FetchedManifest, record: &ImageRecord) -> Option<Digest> {
    match manifest.parse() {
        Ok(Parsed::Image(image)) => {
            let at = record.layer.checked_sub(1)?;
            image.layers.get(at).map(|layer| layer.digest)
        }
        Ok(Parsed::Index(_)) | Err(_) => None,
    }
}

/// The digest of the module in a layer.
fn module_of(layer: &Bytes, limit: u64) -> Option<Digest> {
    let mut hashed = Hashed::default();
    unpack(layer.as_ref(), &mut hashed, limit).ok()?;
    Some(hashed.0.finish())
}

/// A module that nobody needs but for its digest.
#[derive(Default)]
struct Hashed(Hasher);

impl io::Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Hashed {
    fn restart(&mut self) -> io::Result<()> {
        self.0 = Hasher::default();
        Ok(())
    }
}
