//! Fetching for the gateway: sources of the configuration in, code in the cache out.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::PoisonError;

use bytes::Bytes;
use tidegate_config::draft::PullCredentials;
use tidegate_config::draft::RemoteCode;
use tidegate_config::draft::RemoteSource;
use tidegate_plugin_store::Digest;
use tidegate_plugin_store::Reference;
use tidegate_plugin_store::Store;
use tidegate_plugin_store::again::Again;
use tidegate_plugin_store::layout::Layout;
use tidegate_plugin_store::pull::Download;
use tidegate_plugin_store::pull::PullError;
use tidegate_plugin_store::pull::PullPolicy;
use tidegate_plugin_store::pull::Source;
use tidegate_plugin_store::pull::Wanted;
use tidegate_plugin_store::pull::Warning;
use tidegate_plugin_store::signatures::Verdict;

use super::LATEST;
use super::Registries;
use super::given;
use crate::plugins::chain;
use crate::plugins::origin::Origin;
use crate::pulls::counting::Counting;
use crate::pulls::fetch::Fetch;
use crate::pulls::fetch::FetchError;
use crate::pulls::fetch::Fetched;
use crate::pulls::fetch::Fetching;
use crate::pulls::fetch::Here;
use crate::pulls::fetch::Meaning;
use crate::pulls::fetch::Signature;
use crate::pulls::policy::PolicyFile;
use crate::pulls::policy::PolicyReport;

/// Why a version of an older state is not used.
const NOT_NOTED: &str = "an older Tidegate stored it without where it came from, and the signature policy \
                         requires signatures; it serves again once its Plugin's `source` gives it";

impl Registries {
    /// Whether an image needs a signature, by what is written.
    fn is_required(&self, reference: &str) -> bool {
        let image = reference.parse::<Reference>();
        image.is_ok_and(|image| self.needs_signature(&image))
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
                let shown = url.split(['?', '#']).next().unwrap_or_default();
                let counting = Counting::of(shown);
                let fetched = store.download(&wanted, &counting).await;
                let (code, pins) = fetched.map_err(|err| failed(url, &err))?;
                self.hold(code.digest, pins);
                Ok(Fetched {
                    here: Here {
                        manifest: None,
                        module: code.digest,
                        layout: "module".to_owned(),
                        signature: Signature::Off,
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
        let shown = image.to_string();
        let counting = Counting::of(&shown);
        let pulled = store.pull(wanted, &counting).await;
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
                signature: in_brief(&pulled.signature),
            },
            bytes: counting.bytes(),
            warnings: pulled.warnings.iter().filter_map(told).collect(),
        })
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
        is_unsigned: err.is_unsigned(),
    }
}

/// What the log has of a warning. That tags may move is what `pullPolicy` is about.
fn told(warning: &Warning) -> Option<String> {
    match warning {
        Warning::Tag { .. } => None,
        other => Some(other.to_string()),
    }
}

fn in_brief(verdict: &Verdict) -> Signature {
    match verdict {
        Verdict::Off => Signature::Off,
        Verdict::Missing(why) => Signature::Missing(why.to_string()),
        other => Signature::Valid(other.to_string()),
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
        is_unsigned: false,
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
                let verdict = store.judge(&image, &record).inspect_err(|err| {
                    tracing::warn!("what the plugin cache has is not used: {}", chain(err));
                });
                Some(Here {
                    manifest: Some(digest.to_string()),
                    module: *record.module.as_bytes(),
                    layout: store.layout(&record).map_or_else(String::new, brief),
                    signature: in_brief(&verdict.ok()?),
                })
            }
            RemoteCode::Http { url, sha256 } => {
                let wanted = download(url, *sha256).ok()?;
                let let_in = store.signatures.get().check_web(&wanted.url);
                if let Err(why) = let_in {
                    tracing::warn!("what the plugin cache has is not used: {why}");
                    return None;
                }
                // It is read at once, so it may be read here.
                let (_, pin) = store.cache.blob(Digest::from_bytes(*sha256)).ok()??;
                self.hold(*sha256, vec![pin]);
                Some(Here {
                    manifest: None,
                    module: *sha256,
                    layout: "module".to_owned(),
                    signature: Signature::Off,
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

    fn refresh(&self) -> bool {
        self.policy.as_ref().is_some_and(PolicyFile::refresh)
    }

    fn folder(&self) -> Option<PathBuf> {
        Some(self.folder.clone())
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = self.policy.as_ref().map(PolicyFile::files);
        files.unwrap_or_default()
    }

    fn policy(&self) -> Option<PolicyReport> {
        self.policy.as_ref().map(PolicyFile::report)
    }

    fn vouch(
        &self,
        origin: &Origin,
        declared: Option<&RemoteSource>,
        module: &[u8; 32],
    ) -> Result<(), String> {
        let Some(file) = &self.policy else {
            return Ok(());
        };
        let policy = file.policy().get();
        let of_image = |reference: &str| {
            let image: Reference = reference.parse().map_err(|err| chain(&err))?;
            let vouched = self.store()?.vouch(&image, Digest::from_bytes(*module));
            vouched.map_err(|err| chain(&err))
        };
        match (origin, declared.map(|declared| &declared.code)) {
            // What is on the machine is the operator's.
            (Origin::File(_) | Origin::Builtin(_), _) => Ok(()),
            (Origin::Web { url }, _) => {
                let url = download(url, *module)?.url;
                policy.check_web(&url).map_err(|err| err.to_string())
            }
            (Origin::Image { reference, .. }, _) => of_image(reference),
            (Origin::Unknown, _) if !policy.is_strict() => Ok(()),
            // What the Plugin may have pulled now, it may have from elsewhere.
            (Origin::Unknown, Some(RemoteCode::Oci(reference))) if self.is_required(reference) => {
                of_image(reference)
            }
            (Origin::Unknown, _) => Err(NOT_NOTED.to_owned()),
        }
    }

    fn retain(&self, modules: &HashSet<[u8; 32]>) {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        pins.retain(|module, _| modules.contains(module));
    }
}

#[cfg(test)]
mod tests {
    use super::super::open;
    use crate::cli::RegistryArgs;
    use crate::plugins::origin::Origin;
    use crate::pulls::fetch::Fetch as _;
    use crate::pulls::tests::source;

    #[test]
    fn a_version_is_vouched_for_by_where_it_came_from_and_the_unknown_by_the_strictest() {
        let folder = tempfile::tempdir().expect("a folder");
        let policy = folder.path().join("p.yaml");
        let key = include_str!("../../../plugins/tests/store/signatures/p256.pub");
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
}
