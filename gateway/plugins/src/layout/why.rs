//! Why a layer gives no module, in words for who made the image.

use std::fmt;

use crate::layout::MODULE_NAME;
use crate::layout::sniff::Kind;

/// Why a layer gives no module.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhyNot {
    /// It is something else.
    Is(Kind),
    /// It is compressed twice.
    Twice,
    /// What is in it is too large.
    TooLarge {
        /// Most bytes that may come out of it.
        limit: u64,
    },
    /// It cannot be unpacked.
    Damaged(String),
    /// An archive without such a file; some names of what it has.
    NoFile(Vec<String>),
    /// An archive with several, and none of them is called `plugin.wasm`; some of their names.
    Several(Vec<String>),
    /// The only file of that kind is a link, or has holes, or a path that leaves the archive.
    Unusable {
        /// Its path.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file in an archive is no module.
    FileIs {
        /// Its path.
        path: String,
        /// What it is.
        kind: Kind,
    },
    /// It deletes the file that lower layers may have.
    Deleted,
    /// It was not looked at.
    Skipped(&'static str),
}

impl WhyNot {
    /// Whether the module was found, and is the problem.
    pub(crate) const fn is_about_the_module(&self) -> bool {
        match self {
            Self::Is(kind) | Self::FileIs { kind, .. } => {
                matches!(kind, Kind::Component | Kind::UnknownWasm(_))
            }
            _ => false,
        }
    }
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String]| names.join(", ");
        match self {
            Self::Is(kind) => about(f, "it", *kind),
            Self::FileIs { path, kind } => about(f, path, *kind),
            Self::Twice => f.write_str("it is compressed twice"),
            Self::TooLarge { limit } => write!(f, "more than {limit} bytes come out of it"),
            Self::Damaged(reason) => write!(f, "it is damaged: {reason}"),
            Self::NoFile(names) if names.is_empty() => f.write_str("an archive without files"),
            Self::NoFile(names) => write!(
                f,
                "an archive with {}, and neither {MODULE_NAME} nor another file *.wasm",
                list(names)
            ),
            Self::Several(names) => write!(
                f,
                "an archive with several modules ({}): the one that is meant must be called \
                 {MODULE_NAME}",
                list(names)
            ),
            Self::Unusable { path, reason } => write!(f, "{path} cannot be used: {reason}"),
            Self::Deleted => f.write_str("it deletes the module that layers below it may have"),
            Self::Skipped(reason) => write!(f, "not looked at: {reason}"),
        }
    }
}

fn about(f: &mut fmt::Formatter<'_>, what: &str, kind: Kind) -> fmt::Result {
    match kind {
        Kind::Component => write!(
            f,
            "{what} is a component; Proxy-Wasm needs a core module: build it for wasm32-wasip1 or \
             wasm32-unknown-unknown, not for wasm32-wasip2"
        ),
        kind => write!(f, "{what} is {kind}"),
    }
}
