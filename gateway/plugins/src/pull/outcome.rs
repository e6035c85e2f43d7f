//! What a pull came to.

use std::fmt;

use crate::PluginCode;
use crate::cache::Pin;
use crate::digest::Digest;
use crate::layout::Artifact;
use crate::pull::PullError;
use crate::signatures::Unsigned;
use crate::signatures::Verdict;

/// The code of a plugin, and where it is from.
#[derive(Debug)]
pub struct Pulled {
    /// The code.
    pub code: PluginCode,
    /// What the reference led to: a manifest or an index. Signatures are made for one of these two.
    pub digest: Digest,
    /// The manifest of the image: the same, unless that was an index.
    pub manifest: Digest,
    /// How the image has the module; `None` if its manifest is no longer in the cache.
    pub artifact: Option<Artifact>,
    /// Where it is from this time.
    pub source: Source,
    /// Whether it is signed as the policy wants it.
    pub signature: Verdict,
    /// What the operator should know.
    pub warnings: Vec<Warning>,
    /// Keeps it in the cache while it is in use.
    pub pins: Vec<Pin>,
}

/// Where code is from.
#[derive(Debug)]
#[non_exhaustive]
pub enum Source {
    /// It was pulled.
    Registry {
        /// From here.
        place: String,
    },
    /// It was in the cache, and a registry says that the tag is still that image.
    Unchanged {
        /// This registry's.
        place: String,
    },
    /// It was in the cache, and nobody was asked.
    Cache,
    /// It was in the cache, and whoever was asked did not answer as they should.
    CacheAfter(Box<PullError>),
}

/// What an operator should know about an image that works.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A tag may be another image tomorrow.
    Tag {
        /// The reference that would stay the same.
        pinned: String,
    },
    /// Anybody on the way can read credentials and change what is asked for by tag.
    PlainHttp {
        /// The registry.
        host: String,
    },
    /// The policy wants a signature, and takes the image without one.
    Unsigned(Box<Unsigned>),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag { pinned } => {
                write!(
                    f,
                    "a tag may be another image tomorrow; today it is {pinned}"
                )
            }
            Self::Unsigned(why) => write!(f, "{why}"),
            Self::PlainHttp { host } => write!(f, "{host} is spoken to without TLS"),
        }
    }
}
