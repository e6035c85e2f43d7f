//! The last good generation on disk, so that a restart survives files that went bad meanwhile.
//!
//! Owns the folder: `state.json` with the accepted resources and plugins, `modules/` with their
//! code by digest, `history/` with the versions that served before. The file is replaced as a whole, after the modules that it names and before those
//! that it no longer names: whoever is killed at any point leaves the old generation or the new one.
//! The folder holds secrets: it is ours alone, and anything else is refused.

pub(crate) mod folder;
mod format;
mod history;
mod rollouts;

use std::collections::BTreeSet;
use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use sha2::Digest as _;
use sha2::Sha256;
use tidegate_config::draft::AcceptedDocument;
use tidegate_config::resource::ResourceId;
use tidegate_host_abi::PluginSpec;
use tidegate_plugin_store::MAX_MODULE_BYTES;
use tidegate_proxy::Reachable;

use crate::plugins::origin::Origin;
use crate::plugins::rights::Rights;
use crate::state::folder::Folder;
pub(crate) use crate::state::format::hex;
pub(crate) use crate::state::format::settings_of;
pub(crate) use crate::state::rollouts::Kept;
pub(crate) use crate::state::rollouts::RolloutStore;

/// The file that says what the generation is.
const STATE: &str = "state.json";
/// The folder of plugin code.
const MODULES: &str = "modules";
/// Bytes of code that only the history of plugins names.
const MOST_OLD_CODE: u64 = 256 << 20;
/// No state is larger: configuration is limited to a quarter of it.
const MAX_STATE_BYTES: u64 = 256 << 20;

/// What a restart needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Its number.
    pub(crate) generation: u64,
    /// The accepted resources as they were written.
    pub(crate) documents: Vec<AcceptedDocument>,
    /// The plugins.
    pub(crate) plugins: StoredPlugins,
}

/// What is kept of plugins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StoredPlugins {
    /// As they served.
    pub(crate) served: Vec<StoredPlugin>,
    /// Those that served with less than they had before, or not at all for want of it, as they were before.
    pub(crate) whole: Vec<StoredPlugin>,
    /// What each may have.
    pub(crate) rights: Vec<(ResourceId, Rights)>,
}

/// A plugin that served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredPlugin {
    /// Its resource.
    pub(crate) resource: ResourceId,
    /// SHA-256 of its code, which [`Store::module`] has.
    pub(crate) digest: [u8; 32],
    /// Everything else about it.
    pub(crate) spec: PluginSpec,
    /// Where its code came from.
    pub(crate) origin: Arc<Origin>,
    /// What it may call.
    pub(crate) reachable: Arc<Reachable>,
}

impl StoredPlugins {
    /// All versions of which the code is needed.
    fn with_code(&self) -> impl Iterator<Item = &StoredPlugin> {
        self.served.iter().chain(&self.whole)
    }
}

/// Why a state folder is not used, or its content.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// A step with a file failed.
    #[error("cannot {action} {path}")]
    Io {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// The folder is another user's.
    #[error("the folder {path} belongs to user {owner}, not to us: choose another")]
    NotOurs { path: PathBuf, owner: u32 },
    /// Others could have written what we would trust.
    #[error("others may write to the folder {path}: `chmod 700` it, once you trust its content")]
    Open { path: PathBuf },
    /// Two would overwrite what the other restarts with.
    #[error("another tidegate that runs uses the state folder {path}: choose another --state-dir")]
    InUse { path: PathBuf },
    /// The content is not what we wrote.
    #[error("{path} is not a state of this version of tidegate: {reason}")]
    Foreign { path: PathBuf, reason: String },
    /// A restart could not start a plugin.
    #[error("the code of {plugin} is gone from the state folder")]
    NoModule { plugin: String },
    /// A path is not text.
    #[error("a configuration file has a name that is not UTF-8: its state is not stored")]
    OddName,
}

/// An open state folder.
#[derive(Debug)]
pub(crate) struct Store {
    folder: Folder,
    modules: Folder,
    history: Folder,
    path: PathBuf,
    /// The hash of what was written last.
    written: Option<[u8; 32]>,
    /// Modules whose files have been found to be what their names say.
    checked: Mutex<HashSet<[u8; 32]>>,
}

impl Store {
    /// Opens the folder; makes it if there is none, for us alone.
    ///
    /// # Errors
    ///
    /// [`StateError`], also if the folder is not ours alone or another process uses it.
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        let folder = Folder::open(path)?;
        folder.lock()?;
        let modules = Folder::open(&path.join(MODULES))?;
        let history = Folder::open(&path.join(history::HISTORY))?;
        folder.sweep();
        modules.sweep();
        history.sweep();
        Ok(Self {
            folder,
            modules,
            history,
            path: path.to_owned(),
            written: None,
            checked: Mutex::default(),
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the states of rollouts are kept.
    ///
    /// # Errors
    ///
    /// [`StateError`].
    pub(crate) fn rollouts(&self) -> Result<RolloutStore, StateError> {
        RolloutStore::open(&self.path)
    }

    /// What was saved last; `None` if nothing ever was.
    ///
    /// # Errors
    ///
    /// [`StateError`] if it cannot be read or is not what was written: then none of it may be used.
    pub(crate) fn load(&self) -> Result<Option<Stored>, StateError> {
        let Some(text) = self.folder.content(STATE, MAX_STATE_BYTES)? else {
            return Ok(None);
        };
        let foreign = |reason: String| StateError::Foreign {
            path: self.path.join(STATE),
            reason,
        };
        let mut stored = format::parse(&text).map_err(|err| foreign(err.to_string()))?;
        for plugin in &stored.plugins.served {
            // All or nothing: a generation with half its plugins is none that ever served.
            self.module(&plugin.digest)?;
        }
        // These did not serve.
        let whole = &mut stored.plugins.whole;
        whole.retain(|plugin| self.module(&plugin.digest).is_ok());
        Ok(Some(stored))
    }

    /// The code of that digest.
    ///
    /// # Errors
    ///
    /// [`StateError`] if it is not there or is not what was written.
    pub(crate) fn module(&self, digest: &[u8; 32]) -> Result<Bytes, StateError> {
        let name = module_name(digest);
        let foreign = |reason: &str| StateError::Foreign {
            path: self.path.join(MODULES).join(&name),
            reason: reason.to_owned(),
        };
        let code = self.modules.content(&name, MAX_MODULE_BYTES)?;
        let code = code.ok_or_else(|| foreign("the plugin code is missing"))?;
        if Sha256::digest(&code).as_slice() != digest {
            return Err(foreign("the plugin code is not what its name says"));
        }
        Ok(Bytes::from(code))
    }

    /// Keeps plugin code until a state is saved that does not name it. A file that is there is
    /// looked at once by its content, so that a bad one is repaired, and later by its size.
    ///
    /// # Errors
    ///
    /// [`StateError`] if it cannot be written.
    pub(crate) fn keep_module(&self, digest: &[u8; 32], code: &[u8]) -> Result<(), StateError> {
        let name = module_name(digest);
        let is_there = self.modules.size(&name) == u64::try_from(code.len()).ok();
        let is_good = is_there && (self.is_checked(digest) || self.module(digest).is_ok());
        if !is_good {
            self.modules.replace(&name, code)?;
        }
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        checked.insert(*digest);
        Ok(())
    }

    /// Whether that code was kept, and is still there.
    pub(crate) fn keeps(&self, digest: &[u8; 32]) -> bool {
        self.is_checked(digest) && self.modules.size(&module_name(digest)).is_some()
    }

    fn is_checked(&self, digest: &[u8; 32]) -> bool {
        let checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        checked.contains(digest)
    }

    /// Makes this the state that a restart finds. Its modules must have been kept. Code that only the
    /// history names, by these digests, is kept up to a bound.
    ///
    /// # Errors
    ///
    /// [`StateError`], also if a module is not there; the state before it stays then.
    pub(crate) fn save(
        &mut self,
        stored: &Stored,
        history: impl Iterator<Item = [u8; 32]>,
    ) -> Result<(), StateError> {
        let text = format::print(stored)?;
        let hash: [u8; 32] = Sha256::digest(&text).into();
        if self.written == Some(hash) {
            return Ok(());
        }
        for plugin in stored.plugins.with_code() {
            let name = module_name(&plugin.digest);
            if self.modules.size(&name).is_none() {
                let plugin = plugin.resource.to_string();
                return Err(StateError::NoModule { plugin });
            }
        }
        self.folder.replace(STATE, &text)?;
        self.written = Some(hash);
        let used: BTreeSet<String> = stored
            .plugins
            .with_code()
            .map(|plugin| module_name(&plugin.digest))
            .collect();
        self.drop_modules(&used, history, MOST_OLD_CODE)
    }
}

fn module_name(digest: &[u8; 32]) -> String {
    format!("{}.wasm", hex(digest))
}

/// Where the state of the configuration at `config` is kept if nothing was said: in the folder that
/// systemd gives a service, or in the user's own. `None` if there is neither.
pub(crate) fn default_folder(
    config: &Path,
    variable: impl Fn(&str) -> Option<std::ffi::OsString>,
) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    let absolute = |name: &str| {
        let path = PathBuf::from(variable(name)?);
        path.is_absolute().then_some(path)
    };
    // A service may have several, separated by colons.
    let systemd = variable("STATE_DIRECTORY").and_then(|list| {
        let first = list.as_bytes().split(|byte| *byte == b':').next()?;
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(first));
        path.is_absolute().then_some(path)
    });
    let home = || {
        let state = absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
        Some(state.join("tidegate"))
    };
    let digest = Sha256::digest(config.as_os_str().as_bytes());
    let name = hex(digest.get(..8)?);
    Some(systemd.or_else(home)?.join(name))
}

#[cfg(test)]
mod tests;
