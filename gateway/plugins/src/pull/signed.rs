//! Whether an image may be used as far as its signatures go: asked of its registry when it is pulled,
//! and of what was kept whenever it is taken from the cache.
//!
//! Owns the search in a registry, and what the policy makes of it. What a signature is for, and the
//! way from there to the module, is in [`linked`].

mod linked;

use std::sync::Arc;

use crate::cache::CacheError;
use crate::cache::ImageRecord;
use crate::cache::Pin;
use crate::cache::Placed;
use crate::digest::Digest;
use crate::progress::Progress;
use crate::pull::PullError;
use crate::pull::Store;
use crate::pull::blocking;
use crate::pull::place::registry_error;
use crate::pull::resolve::Resolved;
use crate::pull::signed::linked::judged;
use crate::pull::signed::linked::linked;
use crate::pull::signed::linked::subjects;
use crate::reference::Reference;
use crate::registry::FetchedManifest;
use crate::registry::Registry;
use crate::signatures::Collected;
use crate::signatures::Evidence;
use crate::signatures::Found;
use crate::signatures::Mode;
use crate::signatures::Rule;
use crate::signatures::Stage;
use crate::signatures::Subject;
use crate::signatures::Unsigned;
use crate::signatures::Verdict;

/// Most bytes of signatures that are kept of one image, and most signatures.
const MOST_KEPT: (usize, usize) = (256 << 10, 16);

/// What is known of the signatures of an image that is in the cache.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    /// Keeps what the judgement rests on.
    pub(super) pins: Vec<Pin>,
}

impl Store {
    /// Whether the policy has a rule for an image: then its layer is kept too.
    pub(super) fn is_ruled(&self, image: &Reference) -> bool {
        self.signatures.get().rule(image).is_some()
    }

    /// Whether an image that is in the cache may be used; asks nobody.
    ///
    /// # Errors
    ///
    /// [`PullError::Unsigned`] if the policy forbids it, [`PullError::Cache`] if the cache cannot be
    /// read.
    pub fn judge(&self, image: &Reference, record: &ImageRecord) -> Result<Verdict, PullError> {
        let policy = self.signatures.get();
        Ok(judged(
            &self.cache,
            &policy,
            image,
            record,
            self.limits.module_bytes,
        )?
        .verdict)
    }

    /// The same beside everything else.
    pub(super) async fn judge_cached(
        &self,
        image: &Reference,
        record: &ImageRecord,
        progress: &dyn Progress,
    ) -> Result<Judged, PullError> {
        let policy = self.signatures.get();
        if policy.rule(image).is_none() {
            return Ok(Judged {
                verdict: Verdict::Off,
                pins: Vec::new(),
            });
        }
        let memory = self.memory.take(self.limits.layer_bytes, progress).await;
        let cache = Arc::clone(&self.cache);
        let (image, record) = (image.clone(), record.clone());
        let limit = self.limits.module_bytes;
        let judged = blocking(move || {
            // Who asked may have left: it is given back when it is used no more.
            let _memory = memory;
            judged(&cache, &policy, &image, &record, limit)
        });
        judged.await?
    }

    /// Whether the module of an image that is in the cache comes from there; that matters only where
    /// there is a rule. Asks nobody.
    pub(super) async fn link_cached(
        &self,
        image: &Reference,
        record: &ImageRecord,
        progress: &dyn Progress,
    ) -> Result<Option<Judged>, PullError> {
        let mut judged = Judged {
            verdict: Verdict::Off,
            pins: Vec::new(),
        };
        if !self.is_ruled(image) {
            return Ok(Some(judged));
        }
        let memory = self.memory.take(self.limits.layer_bytes, progress).await;
        let (cache, record) = (Arc::clone(&self.cache), record.clone());
        let limit = self.limits.module_bytes;
        let found = blocking(move || {
            let _memory = memory;
            let linked = linked(&cache, &record, limit, &mut judged.pins)?;
            Ok::<_, CacheError>(linked.is_ok().then_some(judged))
        });
        Ok(found.await??)
    }

    /// The record of an image with this module that may be used under the rule for `image`. For
    /// modules that are kept elsewhere as well.
    ///
    /// # Errors
    ///
    /// [`PullError`], if there is a rule that requires one.
    pub fn vouch(&self, image: &Reference, module: Digest) -> Result<(), PullError> {
        let policy = self.signatures.get();
        let Some(rule) = policy.rule(image).filter(|it| it.mode == Mode::Require) else {
            return Ok(());
        };
        let records = self.cache.images_with(module)?;
        for record in &records {
            if self.judge(image, record).is_ok() {
                return Ok(());
            }
        }
        let shown = records.first().map_or_else(
            || image.to_string(),
            |record| image.with_digest(record.digest).to_string(),
        );
        let unsigned = Unsigned::new(shown, rule, Vec::new());
        let why = format!("no signed image in the cache has the module {module}");
        Err(PullError::Unsigned(Box::new(unsigned.because(why))))
    }

    /// Asks a registry for the signatures of an image, and puts them in the cache.
    pub(super) async fn judge_at(
        &self,
        image: &Reference,
        place: &Reference,
        registry: &Registry,
        resolved: &Resolved,
    ) -> Result<(Verdict, Option<Placed>), PullError> {
        let policy = self.signatures.get();
        let Some(rule) = policy.rule(image) else {
            return Ok((Verdict::Off, None));
        };
        let mut search = Search::new(image, rule, &resolved.top, &resolved.fetched);
        let verdict = search.run(registry).await;
        let (name, digest) = (image.name(), resolved.top.digest);
        let cache = Arc::clone(&self.cache);
        let before = blocking(move || (cache.signatures(&name, digest), name)).await?;
        let (before, name) = before;
        let kept = search.worth_keeping(&before);
        let placed = if kept == before {
            None
        } else {
            let cache = Arc::clone(&self.cache);
            Some(blocking(move || cache.keep_signatures(&name, digest, kept)).await??)
        };
        match (verdict, rule.mode) {
            (Ok(verdict), _) => Ok((verdict, placed)),
            (Err(NotFound { unsigned, error }), Mode::Require) => match error {
                // Nobody knows whether there is a signature.
                Some(source) => Err(registry_error(place, source)),
                None => Err(PullError::Unsigned(unsigned)),
            },
            (Err(NotFound { unsigned, error }), _) => {
                let unsigned = match error {
                    Some(error) => Box::new(unsigned.because(crate::chain(&error))),
                    None => unsigned,
                };
                Ok((Verdict::Missing(unsigned), placed))
            }
        }
    }
}

/// The search for a signature in a registry.
struct Search<'a> {
    rule: &'a Rule,
    image: &'a Reference,
    subjects: Vec<Subject>,
    evidence: Vec<Evidence>,
    found: Vec<Found>,
}

/// What a search in vain comes to.
struct NotFound {
    unsigned: Box<Unsigned>,
    error: Option<crate::registry::RegistryError>,
}

impl<'a> Search<'a> {
    fn new(
        image: &'a Reference,
        rule: &'a Rule,
        top: &FetchedManifest,
        manifest: &FetchedManifest,
    ) -> Self {
        Self {
            rule,
            image,
            subjects: subjects(top, manifest),
            evidence: Vec::new(),
            found: Vec::new(),
        }
    }

    async fn run(&mut self, registry: &Registry) -> Result<Verdict, NotFound> {
        let mut error = None;
        let digests: Vec<Digest> = self.subjects.iter().map(|it| it.digest).collect();
        for digest in digests {
            for stage in [Stage::Referrers, Stage::Tag] {
                let collected = match Collected::from(registry, stage, digest).await {
                    Ok(collected) => collected,
                    Err(err) => {
                        error = error.or(Some(err));
                        continue;
                    }
                };
                if let Some(verdict) = self.take(collected) {
                    return Ok(verdict);
                }
            }
        }
        let found = std::mem::take(&mut self.found);
        let digest = self.subjects.first().map(|it| it.digest);
        let image = digest.map_or_else(
            || self.image.to_string(),
            |digest| self.image.with_digest(digest).to_string(),
        );
        Err(NotFound {
            unsigned: Box::new(Unsigned::new(image, self.rule, found)),
            error,
        })
    }

    /// Takes what was found; the one that counts goes to the front of what is kept.
    fn take(&mut self, collected: Collected) -> Option<Verdict> {
        self.found.extend(collected.odd);
        let mut verdict = None;
        for evidence in collected.evidence {
            let name = self.image.name();
            match evidence.vouched(&self.subjects, self.rule, &name) {
                Ok(key) if verdict.is_none() => {
                    verdict = Some(Verdict::Valid {
                        key: key.name().to_owned(),
                        form: evidence.form(),
                    });
                    self.evidence.insert(0, evidence);
                }
                Ok(_) => self.evidence.push(evidence),
                Err(why) => {
                    self.found.push(Found {
                        form: Some(evidence.form()),
                        why,
                    });
                    // Another policy may know its key.
                    self.evidence.push(evidence);
                }
            }
        }
        verdict
    }

    /// What was found and what was known `before`. Those that count come first: who may push others, as
    /// many as they like, takes away none of them.
    fn worth_keeping(&mut self, before: &[Evidence]) -> Vec<Evidence> {
        let (most_bytes, most) = MOST_KEPT;
        let mut left = most_bytes;
        let mut kept: Vec<Evidence> = Vec::new();
        for one in std::mem::take(&mut self.evidence).iter().chain(before) {
            if !kept.contains(one) {
                kept.push(one.clone());
            }
        }
        let name = self.image.name();
        kept.sort_by_cached_key(|one| one.vouched(&self.subjects, self.rule, &name).is_err());
        kept.truncate(most);
        kept.retain(|evidence| match left.checked_sub(evidence.bytes()) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        });
        kept
    }
}
