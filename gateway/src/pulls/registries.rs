//! Registries and web servers as the flags say, and the cache of what came from them.
//!
//! Owns the translation between the configuration's words and those of `tidegate-plugin-store`, which
//! does the work. The cache is opened when something is wanted first: most gateways want nothing.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use anyhow::Context as _;
use bytes::Bytes;
use tidegate_config::draft::PullCredentials;
use tidegate_config::draft::RemoteCode;
use tidegate_config::draft::RemoteSource;
use tidegate_plugin_store::Digest;
use tidegate_plugin_store::Reference;
use tidegate_plugin_store::Store;
use tidegate_plugin_store::again::Again;
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
use tidegate_plugin_store::layout::Layout;
use tidegate_plugin_store::progress::Progress;
use tidegate_plugin_store::pull::Download;
use tidegate_plugin_store::pull::PullError;
use tidegate_plugin_store::pull::PullLimits;
use tidegate_plugin_store::pull::PullPolicy;
use tidegate_plugin_store::pull::Pulled;
use tidegate_plugin_store::pull::Source;
use tidegate_plugin_store::pull::Wanted;
use tidegate_plugin_store::pull::Warning;
use tidegate_plugin_store::push::Image;
use tidegate_plugin_store::push::Pushed;
use tidegate_plugin_store::registry::HostSettings;
use tidegate_plugin_store::registry::Hosts;
use tidegate_plugin_store::registry::Mirror;
use tidegate_plugin_store::registry::Mirrors;
use tidegate_plugin_store::registry::Tokens;
use tidegate_plugin_store::registry::manifest::Manifest;

use crate::cli::RegistryArgs;
use crate::plugins::chain;
use crate::pulls::counting::Counting;
use crate::pulls::fetch::Fetch;
use crate::pulls::fetch::FetchError;
use crate::pulls::fetch::Fetched;
use crate::pulls::fetch::Fetching;
use crate::pulls::fetch::Here;
use crate::pulls::fetch::Meaning;

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
            limits: PullLimits::default(),
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

fn failed(shown: &str, err: &PullError) -> FetchError {
    let message = chain(err);
    // Whoever tells it says what it is about.
    let about = format!("cannot pull {shown}: ");
    FetchError {
        message: message.strip_prefix(&about).unwrap_or(&message).to_owned(),
        retry_after: match err.again() {
            Again::After(pause) => Some(pause),
            Again::Soon | Again::Late => None,
        },
    }
}

/// What the log has of a warning. That tags may move is what `pullPolicy` is about.
fn told(warning: &Warning) -> Option<String> {
    match warning {
        Warning::Tag { .. } => None,
        other => Some(other.to_string()),
    }
}

/// A layout in one word.
fn brief(layout: Layout) -> String {
    let words = layout.to_string();
    words.split(' ').next().unwrap_or_default().to_owned()
}

fn in_words(message: String) -> FetchError {
    FetchError {
        message,
        retry_after: None,
    }
}

fn download(url: &str, sha256: [u8; 32]) -> Result<Download, String> {
    let url = url
        .parse()
        .map_err(|err| format!("{url:?} is no URL: {err}"))?;
    Ok(Download {
        url,
        sha256: Digest::from_bytes(sha256),
    })
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

    /// The digest that a tag has now.
    ///
    /// # Errors
    ///
    /// Why it cannot be told.
    pub(crate) async fn digest_of(
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
        Ok(store.resolve(wanted).await?)
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

    async fn fetch_now(&self, source: &RemoteSource) -> Result<Fetched, FetchError> {
        let store = self.store().map_err(in_words)?;
        match &source.code {
            RemoteCode::Oci(reference) => {
                let image = reference.parse().map_err(|err| in_words(chain(&err)))?;
                self.fetch_image(&store, &image, &source.credentials).await
            }
            RemoteCode::Http { url, sha256 } => {
                let wanted = download(url, *sha256).map_err(in_words)?;
                let fetched = store.download(&wanted).await;
                let (code, pins) = fetched.map_err(|err| failed(url, &err))?;
                self.hold(code.digest, pins);
                Ok(Fetched {
                    here: Here {
                        manifest: None,
                        module: code.digest,
                        layout: "module".to_owned(),
                    },
                    bytes: u64::try_from(code.bytes.len()).unwrap_or(u64::MAX),
                    warnings: Vec::new(),
                })
            }
        }
    }

    async fn fetch_image(
        &self,
        store: &Store,
        image: &Reference,
        credentials: &PullCredentials,
    ) -> Result<Fetched, FetchError> {
        let given = given(credentials);
        let wanted = Wanted {
            image,
            given: given.as_ref(),
            policy: PullPolicy::Always,
        };
        let counting = Counting::default();
        let pulled = store.pull(wanted, &counting).await;
        let shown = image.to_string();
        let pulled = pulled.map_err(|err| failed(&shown, &err))?;
        if let Source::CacheAfter(err) = &pulled.source {
            // It is here, as before: what is to be told is that nobody answers.
            return Err(failed(&shown, err));
        }
        self.hold(pulled.code.digest, pulled.pins);
        Ok(Fetched {
            here: Here {
                manifest: Some(pulled.digest.to_string()),
                module: pulled.code.digest,
                layout: pulled
                    .artifact
                    .map_or_else(String::new, |artifact| brief(artifact.layout)),
            },
            bytes: counting.bytes(),
            warnings: pulled.warnings.iter().filter_map(told).collect(),
        })
    }

    /// Keeps a module in the cache as long as it is in use.
    fn hold(&self, module: [u8; 32], held: Vec<Pin>) {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        pins.insert(module, held);
    }
}

impl Fetch for Registries {
    fn look_at(&self, source: &RemoteSource) -> Result<Meaning, String> {
        match &source.code {
            RemoteCode::Oci(reference) => {
                let image: Reference = reference.parse().map_err(|err| chain(&err))?;
                let name = image.repository().rsplit('/').next();
                Ok(Meaning {
                    shown: image.to_string(),
                    name: name.unwrap_or_default().to_owned(),
                    host: image.registry().to_owned(),
                    is_fixed: image.digest().is_some(),
                    is_latest: image.tag() == Some(LATEST),
                })
            }
            RemoteCode::Http { url, sha256 } => {
                let wanted = download(url, *sha256)?;
                let file = wanted.url.path().rsplit('/').next().unwrap_or_default();
                Ok(Meaning {
                    // What stands behind the path may be a secret.
                    shown: url.split(['?', '#']).next().unwrap_or_default().to_owned(),
                    name: file.strip_suffix(".wasm").unwrap_or(file).to_owned(),
                    host: wanted.url.host_str().unwrap_or_default().to_owned(),
                    is_fixed: true,
                    is_latest: false,
                })
            }
        }
    }

    fn cached(&self, source: &RemoteSource) -> Option<Here> {
        let store = self.store().ok()?;
        match &source.code {
            RemoteCode::Oci(reference) => {
                let image: Reference = reference.parse().ok()?;
                let digest = image
                    .digest()
                    .or_else(|| Some(store.cache.tag(&image)?.digest))?;
                let record = store.cache.image(digest)?;
                Some(Here {
                    manifest: Some(digest.to_string()),
                    module: *record.module.as_bytes(),
                    layout: String::new(),
                })
            }
            RemoteCode::Http { sha256, .. } => {
                // It is read at once, so it may be read here.
                let (_, pin) = store.cache.blob(Digest::from_bytes(*sha256)).ok()??;
                self.hold(*sha256, vec![pin]);
                Some(Here {
                    manifest: None,
                    module: *sha256,
                    layout: "module".to_owned(),
                })
            }
        }
    }

    fn fetch<'a>(&'a self, source: &'a RemoteSource) -> Fetching<'a> {
        Box::pin(self.fetch_now(source))
    }

    fn module(&self, digest: &[u8; 32]) -> Result<Bytes, String> {
        let store = self.store()?;
        let digest = Digest::from_bytes(*digest);
        match store.cache.blob(digest) {
            Ok(Some((bytes, pin))) => {
                self.hold(*digest.as_bytes(), vec![pin]);
                Ok(bytes)
            }
            Ok(None) => Err(format!("{digest} is gone from the cache")),
            Err(err) => Err(chain(&err)),
        }
    }

    fn retain(&self, modules: &HashSet<[u8; 32]>) {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        pins.retain(|module, _| modules.contains(module));
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
