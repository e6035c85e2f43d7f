//! Finding the signatures of an image in its registry.
//!
//! Owns where they are and how many of them, how large, are looked at. Whoever may push there may push
//! as many as they like: those beyond the limits are named, and not fetched.

use crate::digest::Digest;
use crate::registry::Descriptor;
use crate::registry::Registry;
use crate::registry::RegistryError;
use crate::registry::manifest::Manifest;
use crate::registry::manifest::Parsed;
use crate::signatures::Evidence;
use crate::signatures::Form;
use crate::signatures::Found;
use crate::signatures::WhyNot;
use crate::signatures::bundle;
use crate::signatures::simple;
use crate::signatures::statement;

/// What cosign 2 calls its signatures where it makes them referrers.
const OLD_REFERRER: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// The annotation in which cosign says what a bundle states.
const PREDICATE: &str = "dev.sigstore.bundle.predicateType";
/// Most signatures of one kind that are looked at.
const MOST: usize = 32;
/// Most bytes of a bundle: most of it are entries of logs.
const MAX_BUNDLE: u64 = 1 << 20;
/// Most bytes of what is signed.
const MAX_PAYLOAD: u64 = 64 << 10;

/// Where signatures are looked for, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Artifacts that refer to the image.
    Referrers,
    /// The tag `sha256-HEX.sig`.
    Tag,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) evidence: Vec<Evidence>,
    /// What is none.
    pub(crate) odd: Vec<Found>,
}

impl Collected {
    fn add(&mut self, form: Form, read: Result<Evidence, WhyNot>) {
        match read {
            Ok(evidence) => self.evidence.push(evidence),
            Err(why) => self.odd.push(Found {
                form: Some(form),
                why,
            }),
        }
    }

    fn too_many(&mut self) {
        self.odd.push(Found {
            form: None,
            why: WhyNot::TooMany { limit: MOST },
        });
    }

    /// The signatures of a digest that are found there.
    ///
    /// # Errors
    ///
    /// [`RegistryError`]. That there are none is no error.
    pub(crate) async fn from(
        registry: &Registry,
        stage: Stage,
        of: Digest,
    ) -> Result<Self, RegistryError> {
        let mut collected = Self::default();
        match stage {
            Stage::Referrers => collected.referrers(registry, of).await?,
            Stage::Tag => {
                let tag = format!("sha256-{}.sig", of.to_hex());
                collected.manifest(registry, &tag).await?;
            }
        }
        Ok(collected)
    }

    async fn referrers(&mut self, registry: &Registry, of: Digest) -> Result<(), RegistryError> {
        let referrers = registry.referrers_where(of, None, may_sign).await?;
        for (at, referrer) in referrers.iter().enumerate() {
            if at >= MOST {
                self.too_many();
                break;
            }
            self.manifest(registry, &referrer.digest.to_string())
                .await?;
        }
        Ok(())
    }

    /// What the layers of a manifest are, if there is one.
    async fn manifest(&mut self, registry: &Registry, name: &str) -> Result<(), RegistryError> {
        let fetched = match registry.manifest(name).await {
            Ok(fetched) => fetched,
            Err(RegistryError::NotFound { .. }) => return Ok(()),
            Err(err) => return Err(err),
        };
        let manifest = match fetched.parse() {
            Ok(Parsed::Image(manifest)) => manifest,
            Ok(Parsed::Index(_)) => return Ok(()),
            Err(reason) => {
                self.odd.push(Found {
                    form: None,
                    why: WhyNot::Form { reason },
                });
                return Ok(());
            }
        };
        self.layers(registry, &manifest).await
    }

    async fn layers(
        &mut self,
        registry: &Registry,
        manifest: &Manifest,
    ) -> Result<(), RegistryError> {
        for layer in &manifest.layers {
            let is_simple = layer.media_type == simple::SIMPLE_LAYER;
            if !is_simple && !layer.media_type.starts_with(bundle::BUNDLE) {
                continue;
            }
            if self.evidence.len() + self.odd.len() >= MOST {
                self.too_many();
                break;
            }
            if is_simple {
                let read = old_form(registry, layer).await?;
                self.add(Form::Simple, read);
            } else {
                let text = content(registry, layer, MAX_BUNDLE).await?;
                let read = text.and_then(|text| bundle::read(&text)).and_then(small);
                self.add(Form::Statement, read);
            }
        }
        Ok(())
    }
}

/// Whether an artifact may be a signature, by what the list says of it.
fn may_sign(referrer: &Descriptor) -> bool {
    let states = referrer.annotations.get(PREDICATE);
    if states.is_some_and(|predicate| predicate != statement::SIGNED) {
        return false;
    }
    match referrer.artifact_type.as_deref() {
        Some(kind) => kind == OLD_REFERRER || kind.starts_with(bundle::BUNDLE),
        // The list does not say; the layers will.
        None => true,
    }
}

async fn old_form(
    registry: &Registry,
    layer: &Descriptor,
) -> Result<Result<Evidence, WhyNot>, RegistryError> {
    let annotations = &layer.annotations;
    let signature = annotations.get(simple::SIGNATURE);
    let certificate = annotations.get(simple::CERTIFICATE);
    if certificate.is_some_and(|it| !it.is_empty()) {
        return Ok(Err(WhyNot::Keyless));
    }
    let Some(signature) = signature else {
        return Ok(Err(WhyNot::Form {
            reason: format!("it has no annotation {}", simple::SIGNATURE),
        }));
    };
    let signature = match bundle::decoded(simple::SIGNATURE, signature) {
        Ok(signature) => signature,
        Err(why) => return Ok(Err(why)),
    };
    let payload = content(registry, layer, MAX_PAYLOAD).await?;
    Ok(payload
        .map(|payload| Evidence::Simple { payload, signature })
        .and_then(small))
}

/// What is signed is short, whatever is around it.
fn small(evidence: Evidence) -> Result<Evidence, WhyNot> {
    let bytes = u64::try_from(evidence.bytes()).unwrap_or(u64::MAX);
    if bytes > MAX_PAYLOAD {
        return Err(WhyNot::TooLarge {
            bytes,
            limit: MAX_PAYLOAD,
        });
    }
    Ok(evidence)
}

async fn content(
    registry: &Registry,
    layer: &Descriptor,
    limit: u64,
) -> Result<Result<Vec<u8>, WhyNot>, RegistryError> {
    if layer.size > limit {
        return Ok(Err(WhyNot::TooLarge {
            bytes: layer.size,
            limit,
        }));
    }
    let mut blob = match registry.blob(layer, limit).await {
        Ok(blob) => blob,
        Err(
            err @ (RegistryError::NotFound { .. }
            | RegistryError::BlobTooLarge { .. }
            | RegistryError::BlobLength { .. }),
        ) => {
            let reason = err.to_string();
            return Ok(Err(WhyNot::Form { reason }));
        }
        Err(err) => return Err(err),
    };
    let mut text = Vec::new();
    loop {
        match blob.piece().await {
            Ok(Some(piece)) => text.extend_from_slice(&piece),
            Ok(None) => return Ok(Ok(text)),
            // Somebody else's lie hides no good signature.
            Err(err @ (RegistryError::BlobDigest { .. } | RegistryError::BlobLength { .. })) => {
                let reason = err.to_string();
                return Ok(Err(WhyNot::Form { reason }));
            }
            Err(err) => return Err(err),
        }
    }
}
