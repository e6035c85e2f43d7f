//! From where a declaration says its code is, to the code.
//!
//! Owns what is said if it is not there. Code that is on its way is nobody's mistake: its plugin has
//! a warning, and is refused only as long as there is no version of it.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_config::draft::FailurePolicy;
use tidegate_config::draft::PluginDecl;
use tidegate_config::draft::PluginSource;
use tidegate_config::draft::RemoteSource;
use tidegate_config::problem::Problem;
use tidegate_plugin_store::PluginCode;
use tidegate_plugin_store::file;

use super::Resolver;
use super::origin::Origin;
use super::reason::Reason;
use super::reason::chain;
use super::reason::problems;
use crate::builtin;
use crate::pulls::Known;
use crate::state::hex;

/// The reason of plugins whose code is on its way.
pub(crate) const PENDING: &str = "Pending";
/// The reason of plugins whose code may not be used for want of a signature.
pub(crate) const SIGNATURE_MISSING: &str = "SignatureMissing";

/// Whether a plugin with a problem of this reason waits for its code, or for the code's signature.
pub(crate) fn is_awaited(reason: &str) -> bool {
    matches!(reason, PENDING | SIGNATURE_MISSING)
}

/// Code that is there, perhaps not read yet.
pub(super) struct Found {
    name: String,
    pub(super) digest: [u8; 32],
    /// The digest of the image that it is in, if it is in one.
    pub(super) manifest: Option<String>,
    /// `None`: it is in the cache of what came over the network.
    bytes: Option<Bytes>,
}

impl Resolver {
    /// The code of a plugin by its digest, or why there is none.
    pub(super) fn find(&self, decl: &PluginDecl) -> Result<Found, Vec<Problem>> {
        let unreadable = |message: String| not_there(decl, "SourceNotReadable", message);
        let found = match &decl.source {
            PluginSource::File(path) => file::load_outside(path, &self.kept)
                .map(Found::from)
                .map_err(|err| unreadable(chain(&err)))?,
            PluginSource::Builtin(name) => {
                builtin::code(name).map(Found::from).ok_or_else(|| {
                    unreadable(format!("builtin filter {name} is not in this binary"))
                })?
            }
            PluginSource::Refused => return Err(unreadable(named(&decl.source))),
            PluginSource::Remote(source) => self.find_remote(decl, source)?,
        };
        let expected = decl.sha256.unwrap_or(found.digest);
        if expected == found.digest {
            return Ok(found);
        }
        let mut message = format!(
            "{} has the SHA-256 {}, not {}",
            named(&decl.source),
            hex(&found.digest),
            hex(&expected)
        );
        if found.manifest == Some(format!("sha256:{}", hex(&expected))) {
            message.push_str(
                ": that is the image's digest, which belongs behind the reference (`@sha256:…`); \
                 `sha256` is that of the module in it",
            );
        }
        Err(not_there(decl, "DigestMismatch", message))
    }

    fn find_remote(
        &self,
        decl: &PluginDecl,
        source: &Arc<RemoteSource>,
    ) -> Result<Found, Vec<Problem>> {
        let known = self.pulls.as_ref().map(|pulls| pulls.known(source));
        match known {
            Some(Known::Here {
                digest,
                manifest,
                name,
            }) => Ok(Found {
                name,
                digest,
                manifest,
                bytes: None,
            }),
            Some(Known::Wrong(message)) => Err(not_there(decl, "InvalidReference", message)),
            Some(Known::Pending {
                shown,
                is_unsigned: true,
            }) => Err(vec![unsigned(decl, &shown)]),
            Some(Known::Pending { shown, .. }) => Err(vec![pending(decl, &shown)]),
            None => Err(vec![pending(decl, &named(&decl.source))]),
        }
    }

    /// The code that was found.
    pub(super) fn read(&self, decl: &PluginDecl, found: Found) -> Result<PluginCode, Vec<Problem>> {
        let Found {
            name,
            digest,
            manifest: _,
            bytes,
        } = found;
        let bytes = bytes.or_else(|| {
            let PluginSource::Remote(source) = &decl.source else {
                return None;
            };
            self.pulls.as_ref()?.module(source, &digest)
        });
        // It went out of the cache this moment: it is fetched again.
        let bytes = bytes.ok_or_else(|| vec![pending(decl, &named(&decl.source))])?;
        Ok(PluginCode {
            name,
            bytes,
            digest,
        })
    }
}

impl From<PluginCode> for Found {
    fn from(code: PluginCode) -> Self {
        Self {
            name: code.name,
            digest: code.digest,
            manifest: None,
            bytes: Some(code.bytes),
        }
    }
}

fn not_there(decl: &PluginDecl, reason: &'static str, message: String) -> Vec<Problem> {
    let reason = Reason {
        reason,
        message,
        about_config: false,
        said: None,
    };
    problems(decl, &reason)
}

/// What is said as long as code is on its way. How that goes is known better elsewhere: this must not
/// change with each try.
fn pending(decl: &PluginDecl, shown: &str) -> Problem {
    let message = format!("the code of the Plugin is not here yet: {shown}");
    Problem::warning(decl.source_place.clone(), message)
        .reason(PENDING)
        .about(decl.resource.clone())
}

/// What is said as long as code lacks a signature: the details are known better elsewhere too.
fn unsigned(decl: &PluginDecl, shown: &str) -> Problem {
    let message = format!(
        "the code of the Plugin is not used: {shown} is not signed as the signature policy wants it"
    );
    Problem::warning(decl.source_place.clone(), message)
        .reason(SIGNATURE_MISSING)
        .about(decl.resource.clone())
}

/// What becomes of a plugin's requests while there is no version of it.
pub(super) fn meanwhile(policy: FailurePolicy) -> &'static str {
    match policy {
        FailurePolicy::FailClosed => "its requests are answered with 503 until it is",
        FailurePolicy::FailOpen => "requests pass without it until it is",
    }
}

/// A source as it is called in problems.
pub(super) fn named(source: &PluginSource) -> String {
    match source {
        PluginSource::Refused => "a refused plugin".to_owned(),
        source => Origin::of(source, None).to_string(),
    }
}
