//! Which images need a signature, and whose.
//!
//! Owns the patterns of names and which of them decides: the one that says most about the image. The
//! name is the one that a Plugin writes; where the image is pulled from does not matter.

use std::fmt;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;

use crate::quote;
use crate::reference::Reference;
use crate::signatures::Key;
use crate::signatures::Web;

/// What stands for all images.
const ALL: &str = "*";
/// What a pattern of everything below a path ends with.
const BELOW: &str = "/*";

/// What becomes of images without a signature that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Nobody looks.
    #[default]
    Off,
    /// They are used, and it is said.
    Warn,
    /// They are not used.
    Require,
}

/// The images that a rule is for: `*`, a registry, a repository, or all below a path
/// (`registry.example/team/*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// Registry and path; empty for all images.
    name: String,
    /// Whether it is for all that is below the name, and not for the name itself.
    is_below: bool,
}

/// A pattern that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It does not begin with a registry.
    #[error(
        "{text:?} does not begin with a registry: write `docker.io/…` for images of Docker Hub, `*` \
         for all"
    )]
    Registry {
        /// What was written.
        text: String,
    },
    /// It has a tag or digest.
    #[error("{text:?} has a tag or digest: rules are for repositories")]
    Tag {
        /// What was written.
        text: String,
    },
    /// There is a star where none may be.
    #[error("{text:?} has a `*` that does not stand alone behind the last `/`")]
    Star {
        /// What was written.
        text: String,
    },
    /// It is no name.
    #[error("{text:?} is no name of a repository")]
    Name {
        /// What was written.
        text: String,
    },
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// [`PatternError`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let quoted = || quote::short(text);
        if text == ALL {
            return Ok(Self {
                name: String::new(),
                is_below: true,
            });
        }
        let (name, is_below) = match text.strip_suffix(BELOW) {
            Some(name) => (name, true),
            None => (text, false),
        };
        if name.contains('*') {
            return Err(PatternError::Star { text: quoted() });
        }
        let (registry, path) = name.split_once('/').unwrap_or((name, ""));
        if registry != "localhost" && !registry.contains(['.', ':', '[']) {
            return Err(PatternError::Registry { text: quoted() });
        }
        // Any repository tells whether a registry is one, and what it is really called.
        let (probe, ending) = match (path, is_below) {
            ("", _) => (format!("{registry}/x/x"), "/x/x"),
            (_, true) => (format!("{name}/x"), "/x"),
            (_, false) => (name.to_owned(), ""),
        };
        let image: Reference = probe
            .parse()
            .map_err(|_| PatternError::Name { text: quoted() })?;
        if image.digest().is_some() || image.to_string() != format!("{}:latest", image.name()) {
            return Err(PatternError::Tag { text: quoted() });
        }
        let name = image.name();
        let name = name.strip_suffix(ending).unwrap_or(&name);
        Ok(Self {
            name: name.to_owned(),
            // A registry is everything below it.
            is_below: is_below || path.is_empty(),
        })
    }

    /// Whether it is for a repository, by its registry and path.
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        if self.name.is_empty() {
            return true;
        }
        match name.strip_prefix(self.name.as_str()) {
            Some("") => !self.is_below,
            Some(rest) => self.is_below && rest.starts_with('/'),
            None => false,
        }
    }

    /// Whether it is for any image of a registry.
    pub(crate) fn covers(&self, registry: &str) -> bool {
        self.name.is_empty() || self.names(registry)
    }

    /// The same, if it says so.
    pub(crate) fn names(&self, registry: &str) -> bool {
        let rest = self.name.strip_prefix(registry);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The more it says about an image, the larger.
    fn weight(&self) -> (usize, bool) {
        (self.name.len(), !self.is_below)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name.as_str(), self.is_below) {
            ("", _) => f.write_str(ALL),
            (name, true) => write!(f, "{name}{BELOW}"),
            (name, false) => f.write_str(name),
        }
    }
}

/// What is wanted of some images.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The images.
    pub images: Pattern,
    /// What becomes of those that are not signed.
    pub mode: Mode,
    /// One of these must have signed.
    pub keys: Vec<Key>,
    /// Whether a signature must say that it is for the image's own repository. Sigstore bundles do
    /// not say what they are for.
    pub same_repository: bool,
    /// Other repositories that a signature may be for. If there are any, it must say one of them, or
    /// the image's own if `same_repository`.
    pub references: Vec<Pattern>,
}

impl Rule {
    /// Whether a signature may be for this repository, by what it says; for an image of that name.
    pub(crate) fn allows(&self, image: &str, said: Option<&str>) -> bool {
        if !self.same_repository && self.references.is_empty() {
            return true;
        }
        let said = said.and_then(|text| text.parse::<Reference>().ok());
        let Some(said) = said.map(|it| it.name()) else {
            return false;
        };
        let is_same = self.same_repository && said == image;
        is_same || self.references.iter().any(|pattern| pattern.fits(&said))
    }
}

/// The operator's rules.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    rules: Vec<Rule>,
    web: Option<Web>,
}

/// Rules that cannot stand together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Two rules are for the same images.
    #[error("there are two rules for `{pattern}`")]
    Twice {
        /// What both are for.
        pattern: String,
        /// Which rule the second is, from 0.
        at: usize,
    },
}

impl Policy {
    /// These rules.
    ///
    /// # Errors
    ///
    /// [`PolicyError`].
    pub fn new(rules: Vec<Rule>) -> Result<Self, PolicyError> {
        for (at, rule) in rules.iter().enumerate() {
            let mut before = rules.iter().take(at);
            if before.any(|other| other.images == rule.images) {
                return Err(PolicyError::Twice {
                    pattern: rule.images.to_string(),
                    at,
                });
            }
        }
        Ok(Self { rules, web: None })
    }

    /// The same with what becomes of modules of web servers. If nobody says it, they are refused as soon
    /// as a rule requires a signature: whoever wants signatures wants no way around them.
    #[must_use]
    pub fn with_web(self, web: Option<Web>) -> Self {
        Self { web, ..self }
    }

    pub(super) fn web(&self) -> Web {
        self.web.unwrap_or(match self.is_strict() {
            true => Web::Refuse,
            false => Web::Allow,
        })
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule for an image; `None` if nobody looks at its signatures.
    #[must_use]
    pub fn rule(&self, image: &Reference) -> Option<&Rule> {
        self.rule_of(&image.name())
    }

    /// The same by registry and path.
    pub(super) fn rule_of(&self, name: &str) -> Option<&Rule> {
        let fitting = self.rules.iter().filter(|rule| rule.images.fits(name));
        let rule = fitting.max_by_key(|rule| rule.images.weight())?;
        (rule.mode != Mode::Off).then_some(rule)
    }

    /// Whether there is anything that is not used without a signature.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.web == Some(Web::Refuse) || self.rules.iter().any(|rule| rule.mode == Mode::Require)
    }

    /// The same rules for somebody who wants to see what is wrong: nothing is refused.
    #[must_use]
    pub fn advisory(&self) -> Self {
        let mut rules = self.rules.clone();
        for rule in rules.iter_mut().filter(|rule| rule.mode == Mode::Require) {
            rule.mode = Mode::Warn;
        }
        Self {
            rules,
            web: Some(Web::Allow),
        }
    }
}

/// The policy of now. Who has taken it keeps it to the end of what they do.
#[derive(Debug, Default)]
pub struct SharedPolicy(RwLock<Arc<Policy>>);

impl SharedPolicy {
    /// A policy.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self(RwLock::new(Arc::new(policy)))
    }

    /// The policy of now.
    #[must_use]
    pub fn get(&self) -> Arc<Policy> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another one in its place.
    pub fn set(&self, policy: Policy) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }
}
