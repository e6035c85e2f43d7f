//! A signature as it was found, and what it proves.
//!
//! Owns the order of the questions: first whether one of the keys made it, then what it says. What
//! nobody signed is not read.

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

use crate::digest::Digest;
use crate::signatures::Key;
use crate::signatures::Rule;
use crate::signatures::WhyNot;
use crate::signatures::simple;
use crate::signatures::statement;

/// The form of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A document that names the digest, beside the image under the tag `sha256-….sig`.
    Simple,
    /// A statement about the digest, in a Sigstore bundle.
    Statement,
    /// The manifest itself is signed, in a Sigstore bundle.
    Message,
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Simple => "a signature of cosign 2",
            Self::Statement | Self::Message => "a Sigstore bundle",
        })
    }
}

/// A signature with what is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "camelCase")]
pub enum Evidence {
    /// See [`Form::Simple`].
    Simple {
        /// The document.
        #[serde(with = "text")]
        payload: Vec<u8>,
        /// Of the document.
        #[serde(with = "text")]
        signature: Vec<u8>,
    },
    /// See [`Form::Statement`].
    Statement {
        /// What the statement is said to be; it is signed too.
        payload_type: String,
        /// The statement.
        #[serde(with = "text")]
        payload: Vec<u8>,
        /// Of both.
        #[serde(with = "text")]
        signature: Vec<u8>,
    },
    /// See [`Form::Message`].
    Message {
        /// What it is said to be for; nobody signed that.
        digest: Option<Digest>,
        /// Of the manifest.
        #[serde(with = "text")]
        signature: Vec<u8>,
    },
}

/// Something that a signature may be for: the manifest that is loaded, or the index that names it.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) digest: Digest,
    pub(crate) raw: Bytes,
}

impl Evidence {
    /// Its form.
    #[must_use]
    pub const fn form(&self) -> Form {
        match self {
            Self::Simple { .. } => Form::Simple,
            Self::Statement { .. } => Form::Statement,
            Self::Message { .. } => Form::Message,
        }
    }

    /// How much room it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Simple { payload, signature } => payload.len() + signature.len(),
            Self::Statement {
                payload_type,
                payload,
                signature,
            } => payload_type.len() + payload.len() + signature.len(),
            Self::Message { signature, .. } => signature.len(),
        }
    }

    /// The key that vouches with it for one of the subjects, under a rule, for an image of that name.
    pub(crate) fn vouched<'a>(
        &self,
        subjects: &[Subject],
        rule: &'a Rule,
        image: &str,
    ) -> Result<&'a Key, WhyNot> {
        match self {
            Self::Simple { payload, signature } => {
                let key = key_of(rule, payload, signature)?;
                let (digest, said) = simple::read(payload)?;
                one_of(subjects, &[digest])?;
                identity(rule, image, said.as_deref())?;
                Ok(key)
            }
            Self::Statement {
                payload_type,
                payload,
                signature,
            } => {
                let signed = statement::signed_bytes(payload_type, payload);
                let key = key_of(rule, &signed, signature)?;
                one_of(subjects, &statement::read(payload_type, payload)?)?;
                identity(rule, image, None)?;
                Ok(key)
            }
            Self::Message { digest, signature } => {
                if let Some(digest) = digest {
                    one_of(subjects, &[*digest])?;
                }
                let mut keys = subjects.iter();
                let key = keys.find_map(|subject| key_of(rule, &subject.raw, signature).ok());
                let key = key.ok_or(WhyNot::OtherKey)?;
                identity(rule, image, None)?;
                Ok(key)
            }
        }
    }
}

fn key_of<'a>(rule: &'a Rule, message: &[u8], signature: &[u8]) -> Result<&'a Key, WhyNot> {
    let mut keys = rule.keys.iter();
    keys.find(|key| key.signed(message, signature))
        .ok_or(WhyNot::OtherKey)
}

fn one_of(subjects: &[Subject], digests: &[Digest]) -> Result<(), WhyNot> {
    let is_known = |digest: &Digest| subjects.iter().any(|subject| subject.digest == *digest);
    if digests.iter().any(is_known) {
        return Ok(());
    }
    Err(WhyNot::OtherImage {
        digest: digests.first().copied(),
    })
}

fn identity(rule: &Rule, image: &str, said: Option<&str>) -> Result<(), WhyNot> {
    if rule.allows(image, said) {
        return Ok(());
    }
    Err(WhyNot::Repository {
        said: said.map(crate::quote::plain),
    })
}

/// Bytes as base64, for records.
mod text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::Deserialize as _;
    use serde::Deserializer;
    use serde::Serializer;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(from)?;
        STANDARD
            .decode(text.as_bytes())
            .map_err(serde::de::Error::custom)
    }
}
