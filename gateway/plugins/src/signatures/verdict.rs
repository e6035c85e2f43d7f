//! What became of the signatures of an image, in words.

use std::fmt;

use crate::digest::Digest;
use crate::quote;
use crate::signatures::Form;
use crate::signatures::Rule;

/// Most signatures that an error lists.
const MOST_LISTED: usize = 5;

/// Whether an image is signed as the policy wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The policy wants nothing of it.
    Off,
    /// It is.
    Valid {
        /// The key, as the policy names it.
        key: String,
        /// The signature's form.
        form: Form,
    },
    /// It is not, and is used all the same.
    Missing(Box<Unsigned>),
}

/// A signature that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its form; `None` if it is not known.
    pub form: Option<Form>,
    /// Why it does not count.
    pub why: WhyNot,
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WhyNot {
    /// None of the keys made it.
    #[error("by another key, or changed since")]
    OtherKey,
    /// It is about something else.
    #[error("for another image{}", in_brackets(.digest))]
    OtherImage {
        /// That image.
        digest: Option<Digest>,
    },
    /// It is for another repository, or does not say for which.
    #[error("{}", said_for(.said))]
    Repository {
        /// What it says.
        said: Option<String>,
    },
    /// It says something else than that somebody approves.
    #[error("of something else ({kind})")]
    Purpose {
        /// What it says that it is.
        kind: String,
    },
    /// It has a certificate instead of a key.
    #[error("without a key (keyless), which is not supported")]
    Keyless,
    /// It cannot be understood.
    #[error("that cannot be read: {reason}")]
    Form {
        /// What is wrong.
        reason: String,
    },
    /// It is larger than signatures are.
    #[error("of {bytes} bytes, more than {limit}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// There are so many that this one and those after it are not looked at.
    #[error("beyond the {limit} that are looked at")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

fn in_brackets(digest: &Option<Digest>) -> String {
    digest.map_or_else(String::new, |digest| format!(" ({digest})"))
}

fn said_for(said: &Option<String>) -> String {
    match said {
        Some(said) => format!("for {said}, which the rule does not allow"),
        None => "that does not say for which repository it is, as the rule wants".to_owned(),
    }
}

impl WhyNot {
    pub(crate) fn form(err: &serde_json::Error) -> Self {
        Self::Form {
            reason: quote::plain(&err.to_string()),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.form {
            Some(form) => write!(f, "{form} {}", self.why),
            None => write!(f, "a signature {}", self.why),
        }
    }
}

/// Why an image does not count as signed: which keys were tried on which signatures, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    /// The image, by its digest if that is known.
    pub image: String,
    /// The images that the rule is for.
    pub rule: String,
    /// The keys that were tried.
    pub keys: Vec<String>,
    /// The signatures that there are.
    pub found: Vec<Found>,
    /// Why nothing, or not all, is known of its signatures.
    pub unknown: Option<String>,
}

impl Unsigned {
    pub(crate) fn new(image: String, rule: &Rule, found: Vec<Found>) -> Self {
        Self {
            image,
            rule: rule.images.to_string(),
            keys: rule.keys.iter().map(|key| key.name().to_owned()).collect(),
            found,
            unknown: None,
        }
    }

    pub(crate) fn because(mut self, unknown: impl Into<String>) -> Self {
        self.unknown = Some(unknown.into());
        self
    }
}

impl fmt::Display for Unsigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            image,
            rule,
            keys,
            found,
            unknown,
        } = self;
        write!(f, "{image} has no valid signature (rule `{rule}`): ")?;
        match (found.as_slice(), unknown) {
            (_, Some(unknown)) => f.write_str(unknown)?,
            ([], None) => f.write_str("there is none")?,
            (found, None) => {
                let listed = found.iter().take(MOST_LISTED).map(Found::to_string);
                f.write_str(&listed.collect::<Vec<_>>().join(", "))?;
                let more = found.len().saturating_sub(MOST_LISTED);
                if more > 0 {
                    write!(f, " and {more} more")?;
                }
            }
        }
        write!(f, "; keys tried: {}; ", keys.join(", "))?;
        let is_elsewhere = |found: &Found| matches!(found.why, WhyNot::Repository { .. });
        if unknown.is_none() && found.iter().any(is_elsewhere) {
            return f.write_str(
                "what a signature must be for is said by `identity` and `references` of the rule",
            );
        }
        f.write_str("sign it with `cosign sign --key KEY ")?;
        if image.contains('@') {
            return write!(f, "{image}`");
        }
        // A tag may be another image by then.
        let last = image.rfind('/').map_or(0, |slash| slash + 1);
        let tag = image.rfind(':').filter(|colon| *colon >= last);
        let name = tag.and_then(|colon| image.get(..colon)).unwrap_or(image);
        write!(f, "{name}@sha256:…`, by its digest")
    }
}

impl std::error::Error for Unsigned {}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("no rule asks for one"),
            Self::Valid { key, form } => write!(f, "valid by {key} ({form})"),
            Self::Missing(why) => write!(f, "{why}"),
        }
    }
}
