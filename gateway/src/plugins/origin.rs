//! Where the code of a version came from.
//!
//! Owns what is noted of it with each version that is kept. The signature policy is asked about that,
//! and not about what the version's Plugin names since: whoever writes the Plugin could otherwise take an
//! older image out of the policy's reach.

use std::fmt;

use tidegate_config::draft::PluginSource;
use tidegate_config::draft::RemoteCode;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Origin {
    /// Nobody noted it: it is of a state that an older Tidegate wrote.
    #[default]
    Unknown,
    /// A file of the operator's, by its path.
    File(String),
    /// The binary, by the filter's name.
    Builtin(String),
    /// A registry.
    Image {
        /// The image, as its Plugin named it.
        reference: String,
        /// The digest of the image that this was then.
        manifest: Option<String>,
    },
    /// A web server.
    Web {
        /// The address, without what stands behind its path: that may be a secret.
        url: String,
    },
}

impl Origin {
    /// The origin of code that a source has now; an image has this digest.
    pub(super) fn of(source: &PluginSource, manifest: Option<String>) -> Self {
        match source {
            PluginSource::File(path) => Self::File(path.display().to_string()),
            PluginSource::Builtin(name) => Self::Builtin((*name).to_owned()),
            PluginSource::Remote(source) => match &source.code {
                RemoteCode::Oci(reference) => Self::Image {
                    reference: reference.clone(),
                    manifest,
                },
                RemoteCode::Http { url, .. } => Self::Web {
                    url: url.split(['?', '#']).next().unwrap_or_default().to_owned(),
                },
            },
            PluginSource::Refused => Self::Unknown,
        }
    }

    /// The digest of the image, if it was in one and that is known.
    pub(crate) fn image(&self) -> Option<&str> {
        match self {
            Self::Image { manifest, .. } => manifest.as_deref(),
            Self::Unknown | Self::File(_) | Self::Builtin(_) | Self::Web { .. } => None,
        }
    }
}

/// As it is called in problems and histories.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("an unknown place"),
            Self::File(path) => write!(f, "plugin file {path}"),
            Self::Builtin(name) => write!(f, "builtin filter {name}"),
            Self::Image { reference, .. } => write!(f, "image {reference}"),
            Self::Web { url } => write!(f, "the module of {url}"),
        }
    }
}
