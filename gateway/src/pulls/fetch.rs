//! What fetches code and keeps it: the seam between when something is pulled and how.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use tidegate_config::draft::RemoteSource;

use crate::plugins::origin::Origin;
use crate::pulls::policy::PolicyReport;

/// What fetches code over the network, and keeps it on disk.
pub(crate) trait Fetch: fmt::Debug + Send + Sync + 'static {
    /// What a source means.
    ///
    /// # Errors
    ///
    /// Why it means nothing: it is never fetched then.
    fn look_at(&self, source: &RemoteSource) -> Result<Meaning, String>;

    /// What was fetched of it before, if that is still here. Asks nobody.
    fn cached(&self, source: &RemoteSource) -> Option<Here>;

    /// Fetches it, unless what is here already is what it is now.
    fn fetch<'a>(&'a self, source: &'a RemoteSource) -> Fetching<'a>;

    /// A module that is here.
    ///
    /// # Errors
    ///
    /// Why it is not here any more.
    fn module(&self, digest: &[u8; 32]) -> Result<Bytes, String>;

    /// Modules that are in use; all others may go.
    fn retain(&self, modules: &HashSet<[u8; 32]>);

    /// Reads again by what rules things are fetched; says whether these are others now.
    fn refresh(&self) -> bool;

    /// The folder that what was fetched is in, if there is one.
    fn folder(&self) -> Option<PathBuf>;

    /// The files of these rules.
    fn files(&self) -> Vec<PathBuf>;

    /// What there is to say about them, if there are any.
    fn policy(&self) -> Option<PolicyReport>;

    /// Whether a module that was kept elsewhere may be put in service, by where it came from. If nobody
    /// knows that, what its Plugin names now must vouch for it.
    ///
    /// # Errors
    ///
    /// Why not.
    fn vouch(
        &self,
        origin: &Origin,
        declared: Option<&RemoteSource>,
        module: &[u8; 32],
    ) -> Result<(), String>;
}

/// Code on its way.
pub(crate) type Fetching<'a> =
    Pin<Box<dyn Future<Output = Result<Fetched, FetchError>> + Send + 'a>>;

/// What a source means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// It as people write it, without secrets.
    pub(crate) shown: String,
    /// What plugins of it are called in logs of their own.
    pub(crate) name: String,
    /// Who is asked, so that one that hangs does not hold up others.
    pub(crate) host: String,
    /// Whether it can never become another one: it is known by its digest.
    pub(crate) is_fixed: bool,
    /// Whether it is the newest of all, by its tag.
    pub(crate) is_latest: bool,
}

/// Code that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Here {
    /// The digest of the image, as registries write it; web servers have none.
    pub(crate) manifest: Option<String>,
    /// SHA-256 of the module.
    pub(crate) module: [u8; 32],
    /// How the image is made.
    pub(crate) layout: String,
    /// Whether it is signed.
    pub(crate) signature: Signature,
}

/// Whether code is signed as the operator wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Signature {
    /// Nobody wants it to be.
    Off,
    /// It is, in these words.
    Valid(String),
    /// It is not, and serves all the same.
    Missing(String),
}

/// What came of a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// What is here now.
    pub(crate) here: Here,
    /// Bytes that came over the network for it.
    pub(crate) bytes: u64,
    /// What its author should know.
    pub(crate) warnings: Vec<String>,
}

/// Why nothing came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchError {
    /// In one line, without secrets.
    pub(crate) message: String,
    /// When to come again, if somebody said so.
    pub(crate) retry_after: Option<Duration>,
    /// Whether what there is lacks a signature.
    pub(crate) is_unsigned: bool,
}
