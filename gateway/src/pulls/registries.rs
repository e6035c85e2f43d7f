//! Registries and web servers as the flags say, and the cache of what came from them.
//!
//! Owns the translation between the configuration's words and those of `tidegate-plugin-store`, which
//! does the work. The cache is opened when something is wanted first: most gateways want nothing. What
//! the gateway fetches is in [`fetching`], what commands ask for in [`commands`].

pub(crate) mod commands;
mod fetching;

use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use anyhow::Context as _;
use tidegate_config::draft::PullCredentials;
use tidegate_plugin_store::Reference;
use tidegate_plugin_store::Store;
use tidegate_plugin_store::cache;
use tidegate_plugin_store::cache::Cache;
use tidegate_plugin_store::cache::Pin;
use tidegate_plugin_store::credentials::Credentials;
use tidegate_plugin_store::credentials::Given;
use tidegate_plugin_store::credentials::Secret;
use tidegate_plugin_store::http::Client;
use tidegate_plugin_store::http::Limits;
use tidegate_plugin_store::http::Networks;
use tidegate_plugin_store::http::Proxies;
use tidegate_plugin_store::memory::Memory;
use tidegate_plugin_store::pull::PullLimits;
use tidegate_plugin_store::registry::HostSettings;
use tidegate_plugin_store::registry::Hosts;
use tidegate_plugin_store::registry::Mirror;
use tidegate_plugin_store::registry::Mirrors;
use tidegate_plugin_store::registry::Tokens;
use tidegate_plugin_store::signatures::Mode;

use crate::cli::RegistryArgs;
use crate::plugins::chain;
use crate::pulls::policy::PolicyFile;

/// The tag that always means the newest.
const LATEST: &str = "latest";

/// See the module.
#[derive(Debug)]
pub(crate) struct Registries {
    networks: Networks,
    proxies: Proxies,
    hosts: Hosts,
    mirrors: Mirrors,
    folder: PathBuf,
    /// Whether the folder goes when this does.
    is_temporary: bool,
    store: Mutex<Option<Arc<Store>>>,
    /// What is in use stays in the cache.
    pins: Mutex<HashMap<[u8; 32], Vec<Pin>>>,
    /// Which images need a signature.
    policy: Option<PolicyFile>,
}

/// Where what was fetched is kept by commands that keep nothing else.
pub(crate) fn folder(chosen: Option<&Path>) -> Option<PathBuf> {
    folder_beside(chosen, None, None)
}

/// Where what was fetched is kept: where `chosen` says, in the state folder if that was chosen, in the
/// user's own folder for such things, or beside the state. `None` is nowhere.
pub(crate) fn folder_beside(
    chosen: Option<&Path>,
    state_dir: Option<&Path>,
    default_state: Option<&Path>,
) -> Option<PathBuf> {
    const NAME: &str = "plugins";

    let state_dir = state_dir.filter(|state| *state != Path::new("off"));
    let variable = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let own = || {
        let cache = variable("XDG_CACHE_HOME")
            .or_else(|| variable("HOME").map(|home| home.join(".cache")))?;
        Some(cache.join("tidegate").join(NAME))
    };
    chosen
        .map(Path::to_owned)
        .or_else(|| state_dir.map(|state| state.join(NAME)))
        .or_else(own)
        .or_else(|| Some(default_state?.parent()?.join(NAME)))
}

/// Takes the flags; asks nobody and opens nothing.
///
/// # Errors
///
/// A flag or variable that cannot be used, by name.
pub(crate) fn open(
    args: &RegistryArgs,
    folder: Option<PathBuf>,
) -> anyhow::Result<Arc<Registries>> {
    let mirror = |(from, to): &(String, String), is_only| Mirror {
        from: from.clone(),
        to: to.clone(),
        is_only,
    };
    let mirrors = args.mirrors.iter().map(|pair| mirror(pair, false));
    let rewrites = args.rewrites.iter().map(|pair| mirror(pair, true));
    let mirrors = Mirrors::new(mirrors.chain(rewrites).collect())
        .context("--registry-mirror or --registry-rewrite")?;
    let mut hosts = Hosts::default();
    for host in &args.plain_http {
        let settings = hosts.by_host.entry(host.to_ascii_lowercase());
        settings.or_default().plain_http = Some(true);
    }
    for (host, file) in &args.authorities {
        let path = PathBuf::from(file);
        anyhow::ensure!(
            path.is_file(),
            "--registry-ca {host}: there is no file {file}"
        );
        let settings: &mut HostSettings =
            hosts.by_host.entry(host.to_ascii_lowercase()).or_default();
        settings.ca_file = Some(path);
    }
    let policy = args.signature_policy.as_deref().map(PolicyFile::open);
    let is_temporary = folder.is_none();
    Ok(Arc::new(Registries {
        networks: Networks {
            allow: args.allow.clone(),
            deny: args.deny.clone(),
        },
        proxies: Proxies::from_env()?,
        hosts,
        mirrors,
        folder: folder.unwrap_or_else(temporary),
        is_temporary,
        store: Mutex::default(),
        pins: Mutex::default(),
        policy: policy.transpose()?,
    }))
}

/// A folder that nobody has.
fn temporary() -> PathBuf {
    use std::hash::BuildHasher as _;
    use std::hash::Hasher as _;

    let random = std::collections::hash_map::RandomState::new();
    let random = random.build_hasher().finish();
    std::env::temp_dir().join(format!("tidegate-{}-{random:016x}", std::process::id()))
}

impl Registries {
    /// What does the work; with its cache, which can be somebody else's or gone.
    fn store(&self) -> Result<Arc<Store>, String> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = &*store {
            return Ok(Arc::clone(store));
        }
        let cache = Cache::open(&self.folder, cache::USUAL_BYTES)
            .map_err(|err| format!("the plugin cache cannot be used: {}", chain(&err)))?;
        if self.is_temporary {
            tracing::warn!(
                "pulled plugins are kept in {} until the end only: --plugin-cache names a folder",
                self.folder.display()
            );
        }
        let opened = Arc::new(Store {
            client: Arc::new(Client::new(
                self.networks.clone(),
                self.proxies.clone(),
                Limits::default(),
            )),
            tokens: Arc::new(Tokens::default()),
            cache: Arc::new(cache),
            credentials: Credentials::from_env(),
            hosts: self.hosts.clone(),
            mirrors: self.mirrors.clone(),
            signatures: self
                .policy
                .as_ref()
                .map_or_else(Arc::default, |file| Arc::clone(file.policy())),
            limits: PullLimits::default(),
            memory: Memory::default(),
        });
        *store = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Whether an image needs a signature.
    pub(crate) fn needs_signature(&self, image: &Reference) -> bool {
        let rules = self.policy.as_ref().map(|file| file.policy().get());
        let mode = rules.and_then(|rules| Some(rules.rule(image)?.mode));
        mode == Some(Mode::Require)
    }

    /// Keeps a module in the cache as long as it is in use.
    fn hold(&self, module: [u8; 32], held: Vec<Pin>) {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        pins.insert(module, held);
    }
}

/// Credentials in the words of the store; `None` for what there is on this machine.
fn given(credentials: &PullCredentials) -> Option<Given> {
    let origin = || "the pull secret".to_owned();
    match credentials {
        PullCredentials::Ambient => None,
        PullCredentials::DockerConfig(text) => Some(Given::DockerConfig {
            text: Secret::new(String::from_utf8_lossy(text)),
            origin: origin(),
        }),
        PullCredentials::Basic { username, password } => Some(Given::Basic {
            username: username.clone(),
            password: Secret::new(password),
            origin: origin(),
        }),
        PullCredentials::DockerConfigFile(file) => Some(Given::DockerConfigJson(file.clone())),
        PullCredentials::BasicFiles { username, password } => Some(Given::PasswordFiles {
            username_file: username.clone(),
            password_file: password.clone(),
        }),
        PullCredentials::TokenFile(file) => Some(Given::TokenFile(file.clone())),
    }
}

impl Drop for Registries {
    fn drop(&mut self) {
        if self.is_temporary {
            // There is nothing if nothing was wanted.
            std::fs::remove_dir_all(&self.folder).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::path::PathBuf;

    use super::folder_beside;
    use super::open;
    use crate::cli::RegistryArgs;

    #[test]
    fn what_was_chosen_is_where_things_are_kept() {
        let chosen = Some(Path::new("/chosen"));
        let state = Some(Path::new("/state"));
        assert_eq!(
            folder_beside(chosen, state, None),
            Some(PathBuf::from("/chosen"))
        );
        assert_eq!(
            folder_beside(None, state, None),
            Some(PathBuf::from("/state/plugins"))
        );
    }

    #[test]
    fn flags_that_cannot_be_meant_are_named() {
        let wrong = RegistryArgs {
            mirrors: vec![("docker.io".to_owned(), "a b".to_owned())],
            ..RegistryArgs::default()
        };
        let err = open(&wrong, None).expect_err("it is no registry");
        assert!(format!("{err:#}").contains("--registry-mirror"), "{err:#}");
        let wrong = RegistryArgs {
            authorities: vec![("r.test".to_owned(), "/no/such".to_owned())],
            ..RegistryArgs::default()
        };
        let err = open(&wrong, None).expect_err("there is no file");
        assert!(err.to_string().contains("--registry-ca r.test"), "{err}");
    }
}
