//! Registries and web servers as the flags say, and the cache of what came from them.
//!
//! Owns the translation between the configuration's words and those of `tidegate-plugin-store`, which
//! does the work. The cache is opened when something is wanted first: most gateways want nothing.

mod fetching;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use anyhow::Context as _;
use tidegate_config::draft::PullCredentials;
use tidegate_plugin_store::Digest;
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
use tidegate_plugin_store::progress::Progress;
use tidegate_plugin_store::progress::Silent;
use tidegate_plugin_store::pull::PullLimits;
use tidegate_plugin_store::pull::PullPolicy;
use tidegate_plugin_store::pull::Pulled;
use tidegate_plugin_store::pull::Wanted;
use tidegate_plugin_store::push::Image;
use tidegate_plugin_store::push::Pushed;
use tidegate_plugin_store::registry::HostSettings;
use tidegate_plugin_store::registry::Hosts;
use tidegate_plugin_store::registry::Mirror;
use tidegate_plugin_store::registry::Mirrors;
use tidegate_plugin_store::registry::Tokens;
use tidegate_plugin_store::registry::manifest::Manifest;
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
}

/// A reference that is to get a digest.
#[derive(Debug)]
pub(crate) struct Pinned {
    /// What is asked for.
    pub(crate) by_tag: Reference,
    /// What the digest is written behind.
    pub(crate) written: String,
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

impl Registries {
    /// What a reference is to be pinned as; `None` if it is.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn pin(&self, reference: &str, update: bool) -> anyhow::Result<Option<Pinned>> {
        let image: Reference = reference.parse()?;
        let before = reference.split('@').next().unwrap_or(reference);
        let by_tag = match (image.digest(), image.tag()) {
            (Some(_), Some(tag)) if update => image.with_tag(tag)?,
            (Some(_), _) => return Ok(None),
            (None, _) => image,
        };
        // A tag that goes without saying is said: behind it the digest is.
        let has_tag = before
            .rsplit('/')
            .next()
            .is_some_and(|last| last.contains(':'));
        let written = if has_tag {
            before.to_owned()
        } else {
            format!("{before}:{LATEST}")
        };
        Ok(Some(Pinned { by_tag, written }))
    }

    /// The digest that a tag has now. If its image must be signed, it is pulled by that digest.
    ///
    /// # Errors
    ///
    /// Why it cannot be told, or that its image would be refused for want of a signature.
    pub(crate) async fn locked(
        &self,
        image: &Reference,
        credentials: &PullCredentials,
    ) -> anyhow::Result<Digest> {
        let store = self.store().map_err(anyhow::Error::msg)?;
        let given = given(credentials);
        let wanted = Wanted {
            image,
            given: given.as_ref(),
            policy: PullPolicy::Always,
        };
        let digest = store.resolve(wanted).await?;
        if self.needs_signature(image) {
            let pinned = image.with_digest(digest);
            let wanted = Wanted {
                image: &pinned,
                ..wanted
            };
            store.pull(wanted, &Silent).await?;
        }
        Ok(digest)
    }

    /// An image for a command: newest, or what is in the cache if nobody answers.
    ///
    /// # Errors
    ///
    /// Why it cannot be had.
    pub(crate) async fn get(
        &self,
        image: &Reference,
        given: Option<&Given>,
        progress: &dyn Progress,
    ) -> anyhow::Result<Pulled> {
        let store = self.store().map_err(anyhow::Error::msg)?;
        let wanted = Wanted {
            image,
            given,
            policy: PullPolicy::Always,
        };
        Ok(store.pull(wanted, progress).await?)
    }

    /// When a tag was looked up last, in seconds since 1970; `None` if the cache does not have it.
    pub(crate) fn looked_up(&self, image: &Reference) -> Option<u64> {
        let store = self.store().ok()?;
        Some(store.cache.tag(image)?.checked_at)
    }

    /// Refuses nothing for want of a signature from now on, for who wants to see what is wrong.
    pub(crate) fn be_advisory(&self) {
        if let Some(file) = &self.policy {
            file.policy().set(file.policy().get().advisory());
        }
    }

    /// Whether an image needs a signature.
    pub(crate) fn needs_signature(&self, image: &Reference) -> bool {
        let rules = self.policy.as_ref().map(|file| file.policy().get());
        let mode = rules.and_then(|rules| Some(rules.rule(image)?.mode));
        mode == Some(Mode::Require)
    }

    /// Sends an image to a registry.
    ///
    /// # Errors
    ///
    /// Why it is not there.
    pub(crate) async fn push(
        &self,
        to: &Reference,
        given: Option<&Given>,
        image: &Image,
        progress: &Arc<dyn Progress>,
    ) -> anyhow::Result<Pushed> {
        let store = self.store().map_err(anyhow::Error::msg)?;
        Ok(store.push(to, given, image, progress).await?)
    }

    /// What is said about an image that was just pulled.
    pub(crate) fn annotations(&self, pulled: &Pulled) -> BTreeMap<String, String> {
        let manifest = self.store().ok().and_then(|store| {
            let (raw, _) = store.cache.blob(pulled.manifest).ok()??;
            serde_json::from_slice::<Manifest>(&raw).ok()
        });
        manifest.map_or_else(BTreeMap::new, |manifest| manifest.annotations)
    }

    /// Keeps a module in the cache as long as it is in use.
    fn hold(&self, module: [u8; 32], held: Vec<Pin>) {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        pins.insert(module, held);
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
    use crate::plugins::origin::Origin;
    use crate::pulls::fetch::Fetch as _;
    use crate::pulls::tests::source;

    #[test]
    fn what_is_pinned_has_a_tag_and_a_digest_behind_it() {
        let registries = open(&RegistryArgs::default(), None).expect("flags");
        let digest = format!("sha256:{}", "0".repeat(64));
        let pin = |text: &str, update| {
            let pinned = registries.pin(text, update).expect("a reference");
            pinned.map(|pinned| (pinned.by_tag.to_string(), pinned.written))
        };
        let expected = |by_tag: &str, written: &str| Some((by_tag.to_owned(), written.to_owned()));
        assert_eq!(
            pin("r.test/a:1", false),
            expected("r.test/a:1", "r.test/a:1")
        );
        assert_eq!(
            pin("oci://r.test:5000/a", false),
            expected("r.test:5000/a:latest", "oci://r.test:5000/a:latest")
        );
        let both = format!("r.test/a:1@{digest}");
        assert_eq!(pin(&both, false), None);
        assert_eq!(pin(&both, true), expected("r.test/a:1", "r.test/a:1"));
        assert_eq!(pin(&format!("r.test/a@{digest}"), true), None);
        assert!(registries.pin("UPPER", false).is_err());
    }

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
    fn a_version_is_vouched_for_by_where_it_came_from_and_the_unknown_by_the_strictest() {
        let folder = tempfile::tempdir().expect("a folder");
        let policy = folder.path().join("p.yaml");
        let key = include_str!("../../plugins/tests/store/signatures/p256.pub");
        std::fs::write(folder.path().join("a.pub"), key).expect("writable");
        let text = "apiVersion: tidegate.dev/v1alpha1\nkind: SignaturePolicy\n\
                    metadata: { name: p }\nspec:\n  rules:\n  \
                    - { images: a.test, mode: Require, keys: [a.pub] }\n";
        std::fs::write(&policy, text).expect("writable");
        let args = RegistryArgs {
            signature_policy: Some(policy),
            ..RegistryArgs::default()
        };
        let cache = folder.path().join("cache");
        let strict = open(&args, Some(cache.clone())).expect("a policy");
        let lax = open(&RegistryArgs::default(), Some(cache)).expect("flags");
        let image = |reference: &str| Origin::Image {
            reference: reference.to_owned(),
            manifest: None,
        };
        let web = Origin::Web {
            url: "https://files.test/a.wasm".to_owned(),
        };
        let (signed, free) = (source("a.test/x:1"), source("b.test/x:1"));
        for (origin, declared, refused) in [
            (Origin::File("/a.wasm".to_owned()), Some(&signed), None),
            (Origin::Builtin("authz".to_owned()), None, None),
            (image("a.test/x:1"), None, Some("no signed image")),
            (image("a.test/x:1"), Some(&free), Some("no signed image")),
            (image("b.test/x:1"), Some(&signed), None),
            (web, None, Some("http: Allow")),
            (Origin::Unknown, None, Some("an older Tidegate")),
            (Origin::Unknown, Some(&free), Some("an older Tidegate")),
            (Origin::Unknown, Some(&signed), Some("no signed image")),
        ] {
            let declared = declared.map(|declared| &**declared);
            let said = strict.vouch(&origin, declared, &[1; 32]).err();
            let said = said.unwrap_or_default();
            assert_eq!(said.is_empty(), refused.is_none(), "{origin:?}: {said}");
            assert!(
                said.contains(refused.unwrap_or_default()),
                "{origin:?}: {said}"
            );
            assert_eq!(lax.vouch(&origin, declared, &[1; 32]), Ok(()));
        }
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
