//! The operator's file about signatures: read at the start, and again whenever it or a key changes.
//!
//! Owns the translation into rules of `tidegate-plugin-store`, and what becomes of a file that is broken
//! while the gateway runs: the policy before it stays, and that is said until it is repaired.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use tidegate_config::kinds::signature_policy::SignatureHttp;
use tidegate_config::kinds::signature_policy::SignatureMode;
use tidegate_config::place::Place;
use tidegate_config::problem::Problem;
use tidegate_config::problem::Severity;
use tidegate_config::render::Colour;
use tidegate_config::render::render;
use tidegate_config::signature_policy;
use tidegate_config::signature_policy::Placed;
use tidegate_config::signature_policy::RuleDraft;
use tidegate_plugin_store::Digest;
use tidegate_plugin_store::signatures::Key;
use tidegate_plugin_store::signatures::MAX_KEY_BYTES;
use tidegate_plugin_store::signatures::Mode;
use tidegate_plugin_store::signatures::Pattern;
use tidegate_plugin_store::signatures::Policy;
use tidegate_plugin_store::signatures::PolicyError;
use tidegate_plugin_store::signatures::Rule;
use tidegate_plugin_store::signatures::SharedPolicy;
use tidegate_plugin_store::signatures::Web;

use crate::plugins::chain;
use crate::plugins::in_one_line;

/// How often the files are read, should they change whenever they are.
const MOST_READINGS: u32 = 4;

/// The file, and what came of it.
#[derive(Debug)]
pub(super) struct PolicyFile {
    path: PathBuf,
    policy: Arc<SharedPolicy>,
    last: Mutex<Last>,
}

/// What was read last.
#[derive(Debug)]
struct Last {
    /// Of the content of all files: what did not change is not read again.
    print: Digest,
    files: BTreeSet<PathBuf>,
    error: Option<String>,
}

/// What there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PolicyReport {
    /// The file.
    pub(crate) file: String,
    /// Why what it says now does not count, and the policy before it does.
    pub(crate) error: Option<String>,
}

/// What one reading comes to.
struct Reading {
    policy: Result<Policy, Vec<Problem>>,
    /// The file and the keys that it names.
    files: BTreeSet<PathBuf>,
}

impl PolicyFile {
    /// Reads the file first. What is wrong is printed, as of the configuration.
    ///
    /// # Errors
    ///
    /// That something is wrong.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let path = std::path::absolute(path)?;
        let (policy, files, print) = settled(BTreeSet::new(), || read(&path));
        match policy {
            Ok(policy) => Ok(Self {
                policy: Arc::new(SharedPolicy::new(policy)),
                last: Mutex::new(Last {
                    print,
                    files,
                    error: None,
                }),
                path,
            }),
            Err(problems) => {
                eprint!("{}", render(&problems, Colour::Never));
                anyhow::bail!("--signature-policy {}: it is refused", path.display())
            }
        }
    }

    /// The policy of now.
    pub(super) fn policy(&self) -> &Arc<SharedPolicy> {
        &self.policy
    }

    /// Reads it again if something changed; says whether it is another policy now.
    pub(super) fn refresh(&self) -> bool {
        let mut last = self.last();
        let now = print(&last.files);
        if now == last.print {
            return false;
        }
        let known = std::mem::take(&mut last.files);
        let (policy, files, print) = settled(known, || read(&self.path));
        last.files = files;
        last.print = print;
        match policy {
            Ok(policy) => {
                tracing::info!("the signature policy {} is new", self.path.display());
                self.policy.set(policy);
                last.error = None;
                true
            }
            Err(problems) => {
                let words = words(&problems);
                tracing::error!("the signature policy before stays in force: {words}");
                last.error = Some(words);
                false
            }
        }
    }

    /// What is to be watched.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.last().files.iter().cloned().collect()
    }

    /// What there is to say about it.
    pub(super) fn report(&self) -> PolicyReport {
        PolicyReport {
            file: self.path.display().to_string(),
            error: self.last().error.clone(),
        }
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Problems in one line, each with its place.
fn words(problems: &[Problem]) -> String {
    let words = problems.iter().map(|problem| match &problem.place {
        Some(Place {
            file, line, column, ..
        }) => format!("{}:{line}:{column}: {}", file.display(), problem.message),
        None => problem.message.clone(),
    });
    in_one_line(&words.collect::<Vec<_>>().join("; "))
}

/// A digest of the content of files; those that cannot be read differ from all others.
fn print(files: &BTreeSet<PathBuf>) -> Digest {
    let mut all = Vec::new();
    for file in files {
        let content = content(file).map(|content| Digest::of(&content).to_hex());
        let content = content.unwrap_or_else(|err| err.to_string());
        all.extend_from_slice(format!("{}\n{content}\n", file.display()).as_bytes());
    }
    Digest::of(&all)
}

/// Reads until nothing changes meanwhile, and gives the files that count with their digest. Should they
/// never stop changing, it is the digest of before the last time: the next look sees that.
fn settled(
    mut known: BTreeSet<PathBuf>,
    mut read: impl FnMut() -> Reading,
) -> (Result<Policy, Vec<Problem>>, BTreeSet<PathBuf>, Digest) {
    let mut left = MOST_READINGS;
    loop {
        let before = print(&known);
        let Reading { policy, mut files } = read();
        if policy.is_err() {
            // A key that is repaired must be noticed, and one that is missing as well.
            files.extend(known.iter().cloned());
        }
        let is_settled = files == known && print(&files) == before;
        left -= 1;
        if is_settled || left == 0 {
            return (policy, files, before);
        }
        known = files;
    }
}

/// A file that is not larger than a policy may be.
fn content(path: &Path) -> std::io::Result<Vec<u8>> {
    const MOST: usize = tidegate_config::source::MAX_FILE_BYTES;

    let file = std::fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    let mut content = Vec::new();
    file.take(MOST as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

fn read(path: &Path) -> Reading {
    let (draft, mut problems) = signature_policy::read(path);
    let drafts = draft.rules;
    let mut files = BTreeSet::from([path.to_owned()]);
    for draft in &drafts {
        files.extend(draft.keys.iter().map(|((_, file), _)| file.clone()));
    }
    let rules: Vec<Rule> = drafts
        .iter()
        .filter_map(|draft| rule(draft, &mut problems))
        .collect();
    let is_error = |problem: &Problem| problem.severity == Severity::Error;
    if problems.iter().any(is_error) {
        return Reading {
            policy: Err(problems),
            files,
        };
    }
    let web = draft.http.map(|http| match http {
        SignatureHttp::Allow => Web::Allow,
        SignatureHttp::Refuse => Web::Refuse,
    });
    let policy = Policy::new(rules).map_err(|err| {
        let at = match &err {
            PolicyError::Twice { at, .. } => drafts.get(*at),
            _ => None,
        };
        let place = at.map(|draft| draft.images.1.clone());
        vec![Problem::error(place, chain(&err)).hint("remove one of the two")]
    });
    let policy = policy.map(|policy| policy.with_web(web));
    Reading { policy, files }
}

fn rule(draft: &RuleDraft, problems: &mut Vec<Problem>) -> Option<Rule> {
    let before = problems.len();
    let images = pattern(&draft.images, problems);
    let references = draft.references.iter();
    let references: Vec<Pattern> = references
        .filter_map(|one| pattern(one, problems))
        .collect();
    let keys = draft.keys.iter();
    let keys: Vec<Key> = keys.filter_map(|one| key(one, problems)).collect();
    let images = images.filter(|_| problems.len() == before)?;
    Some(Rule {
        images,
        mode: match draft.mode {
            SignatureMode::Require => Mode::Require,
            SignatureMode::Warn => Mode::Warn,
            SignatureMode::Off => Mode::Off,
        },
        keys,
        same_repository: draft.same_repository,
        references,
    })
}

fn pattern((text, place): &Placed<String>, problems: &mut Vec<Problem>) -> Option<Pattern> {
    Pattern::parse(text)
        .map_err(|err| problems.push(Problem::error(place.clone(), chain(&err))))
        .ok()
}

fn key(
    ((name, file), place): &Placed<(String, PathBuf)>,
    problems: &mut Vec<Problem>,
) -> Option<Key> {
    let mut error = |message: String| problems.push(Problem::error(place.clone(), message));
    let text = match content(file) {
        Ok(text) if text.len() <= MAX_KEY_BYTES => text,
        Ok(_) => {
            let most = MAX_KEY_BYTES >> 10;
            error(format!("{} is larger than {most} KiB", file.display()));
            return None;
        }
        Err(err) => {
            error(format!("cannot read {}: {err}", file.display()));
            return None;
        }
    };
    match Key::from_pem(name, &text) {
        Ok(key) => Some(key),
        Err(err) => {
            error(format!(
                "{} cannot be used: {}",
                file.display(),
                chain(&err)
            ));
            None
        }
    }
}

#[cfg(test)]
mod tests;
