//! An image for a command that does nothing else: where it is, with what credentials, and the line on
//! the terminal while it comes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use anyhow::Context as _;
use tidegate_plugin_store::PluginCode;
use tidegate_plugin_store::Reference;
use tidegate_plugin_store::credentials::Given;
use tidegate_plugin_store::progress::Step;
use tidegate_plugin_store::pull::Pulled;
use tidegate_plugin_store::pull::Source;
use tidegate_plugin_store::signatures::Verdict;

use crate::author::versions::date;
use crate::cli::LoginArgs;
use crate::cli::RegistryArgs;
use crate::plugins::chain;
use crate::progress::Progress;
use crate::pulls::registries;
use crate::pulls::registries::Registries;

/// The prefix that says that something is no file.
const SCHEME: &str = "oci://";

/// Runs something to its end that waits for the network.
///
/// # Errors
///
/// The system's, if it has no means left.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot wait for the network")?;
    Ok(runtime.block_on(work))
}

/// The image that a text names, unless it names a file.
///
/// # Errors
///
/// If it says that it is a reference and is none.
pub(crate) fn reference(text: &str) -> anyhow::Result<Option<Reference>> {
    if text.starts_with(SCHEME) {
        return Ok(Some(text.parse()?));
    }
    let (first, _) = text.split_once('/').unwrap_or(("", text));
    // A registry has a port or a dot, and folders that have a dot begin with it.
    let has_registry = first == "localhost"
        || first.contains(':')
        || (first.contains('.') && !first.starts_with('.'));
    if !has_registry || Path::new(text).exists() {
        return Ok(None);
    }
    Ok(text.parse().ok())
}

/// The code of a file. If there is none of that name, it may have been meant as a reference: then why it
/// is none is part of the error.
///
/// # Errors
///
/// Why there is none.
pub(crate) fn file(path: &Path) -> anyhow::Result<PluginCode> {
    let text = path.to_str().filter(|text| text.contains([':', '@']));
    let Some(text) = text.filter(|_| !path.exists()) else {
        return Ok(tidegate_plugin_store::file::load(path)?);
    };
    match text.parse::<Reference>() {
        Ok(image) => {
            anyhow::bail!("there is no file {text}; an image is named with its registry: {image}")
        }
        Err(why) => anyhow::bail!(
            "there is no file {text}, and no image has such a reference: {}",
            chain(&why)
        ),
    }
}

/// What the flags say about credentials.
pub(crate) fn given(login: &LoginArgs) -> Option<Given> {
    match (&login.username, &login.password_file, &login.token_file) {
        (Some(username), Some(password_file), _) => Some(Given::Password {
            username: username.clone(),
            password_file: password_file.clone(),
        }),
        (_, _, Some(file)) => Some(Given::TokenFile(file.clone())),
        _ => None,
    }
}

/// Pulls an image, with a line on a terminal, and what is said about it.
///
/// # Errors
///
/// Why it cannot be had; also if a tag is in the cache and nobody can be asked what it is now.
pub(crate) fn pull(
    image: &Reference,
    given: Option<&Given>,
    args: &RegistryArgs,
) -> anyhow::Result<(Pulled, BTreeMap<String, String>)> {
    let registries = open(args)?;
    let (pulled, said) = get(&registries, image, given)?;
    if let Some(why) = from_cache(&registries, image, &pulled)
        && image.digest().is_none()
    {
        let pinned = image.with_digest(pulled.digest);
        anyhow::bail!("{why}. To have that one: `tidegate plugin pull {pinned}`");
    }
    if let Verdict::Missing(why) = &pulled.signature {
        eprintln!("warning: {why}");
    }
    Ok((pulled, said))
}

/// The same of an image that is looked at only: one without a signature as well. Says too whether it
/// needs one.
///
/// # Errors
///
/// Why it cannot be had.
pub(crate) fn look_at(
    image: &Reference,
    given: Option<&Given>,
    args: &RegistryArgs,
) -> anyhow::Result<(Pulled, BTreeMap<String, String>, bool)> {
    let registries = open(args)?;
    let needs_signature = registries.needs_signature(image);
    registries.be_advisory();
    let (pulled, said) = get(&registries, image, given)?;
    if let Some(why) = from_cache(&registries, image, &pulled) {
        eprintln!("warning: {why}");
    }
    Ok((pulled, said, needs_signature))
}

/// Why an image is as the cache has it, and since when, if it is because nobody answered.
fn from_cache(registries: &Registries, image: &Reference, pulled: &Pulled) -> Option<String> {
    let Source::CacheAfter(err) = &pulled.source else {
        return None;
    };
    let since = registries.looked_up(image);
    let since = since.map_or_else(String::new, |since| format!(" as of {}", date(since)));
    let (why, digest) = (chain(&**err), pulled.digest);
    Some(format!("{why}; the cache has {image}{since}: {digest}"))
}

fn open(args: &RegistryArgs) -> anyhow::Result<Arc<Registries>> {
    registries::open(args, registries::folder(args.plugin_cache.as_deref()))
}

fn get(
    registries: &Registries,
    image: &Reference,
    given: Option<&Given>,
) -> anyhow::Result<(Pulled, BTreeMap<String, String>)> {
    let line = Line::new(&format!("pulling {image}"));
    let pulled = wait(registries.get(image, given, &line))??;
    line.end();
    let annotations = registries.annotations(&pulled);
    Ok((pulled, annotations))
}

/// The code that a text names: that of a file, or of an image. What is in the cache is taken if nobody
/// can be asked, and that is logged.
///
/// # Errors
///
/// Why there is none.
pub(crate) fn code(text: &Path, args: &RegistryArgs) -> anyhow::Result<PluginCode> {
    let image = text.to_str().map(reference).transpose()?.flatten();
    match image {
        Some(image) => {
            let (pulled, _) = get(&*open(args)?, &image, None)?;
            if let Source::CacheAfter(err) = &pulled.source {
                tracing::warn!("{image} is as it was pulled last: {}", chain(&**err));
            }
            if let Verdict::Missing(why) = &pulled.signature {
                tracing::warn!("{why}");
            }
            Ok(pulled.code)
        }
        None => file(text),
    }
}

/// Shows the steps of a pull or a push.
#[derive(Debug)]
pub(crate) struct Line {
    what: String,
    progress: Mutex<Progress>,
}

impl Line {
    /// Work of that name begins.
    pub(crate) fn new(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            progress: Mutex::new(Progress::new()),
        }
    }

    /// It is done.
    pub(crate) fn end(&self) {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.end();
    }
}

impl tidegate_plugin_store::progress::Progress for Line {
    fn on(&self, step: Step) {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        match step {
            Step::Receiving { bytes, of, .. } | Step::Sending { bytes, of, .. } => {
                progress.bytes(&self.what, bytes, Some(of));
            }
            _ => progress.bytes(&self.what, 0, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::reference;

    #[test]
    fn what_names_a_registry_is_an_image_and_everything_else_a_file() {
        let image = |text: &str| {
            let found = reference(text).expect("it can be told");
            found.map(|image| image.to_string())
        };
        for (text, expected) in [
            ("oci://a/b", Some("docker.io/a/b:latest")),
            ("registry.test/a:1", Some("registry.test/a:1")),
            ("localhost:5000/a", Some("localhost:5000/a:latest")),
            ("localhost/a", Some("localhost/a:latest")),
            ("auth.wasm", None),
            ("target/auth.wasm", None),
            ("./a.b/auth.wasm", None),
            ("../auth.wasm", None),
            ("/tmp/a.b/auth.wasm", None),
            ("src/main.rs", None),
        ] {
            assert_eq!(image(text).as_deref(), expected, "{text}");
        }
        assert!(reference("oci://UPPER").is_err());
    }
}
