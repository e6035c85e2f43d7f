//! Other versions of plugins, as somebody wants them by hand.
//!
//! Owns what can be wanted, and what is said if it cannot be had. What was wanted holds until the
//! plugin's resource asks for another version.

use std::time::SystemTime;

use tidegate_config::resource::ResourceId;
use tidegate_core::rollout::history::Entry;
use tidegate_core::rollout::history::History;
use tidegate_core::rollout::history::Why;

use super::Resolver;
use super::Version;
use super::versions::Detail;
use super::versions::Fallback;
use super::versions::Versions;
use super::versions::good_of;
use super::versions::is_left;
use super::versions::seconds;
use crate::state::Store;
use crate::state::hex;

/// Fewer digits are a number.
const LEAST_DIGEST: usize = 8;

/// What can be asked of a plugin's versions by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Go back to the version before, or to that one: a number, or the beginning of a digest.
    Back(Option<String>),
    /// Serve what the resource asks for again.
    Resume,
}

/// A wish that is fulfilled.
#[derive(Debug)]
pub(crate) struct Fulfilled {
    /// What is to be said.
    pub(crate) said: String,
    /// What has to be done for it.
    pub(crate) then: Then,
}

/// What a wish comes to.
#[derive(Debug)]
pub(crate) enum Then {
    /// Nothing changes.
    Nothing,
    /// This version serves.
    Serves(ResourceId, Box<Fallback>),
    /// The next load finds out what serves.
    Load(ResourceId),
}

/// Why a wish is not fulfilled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WishError {
    #[error("no plugin is called {0}")]
    Unknown(String),
    #[error(
        "{0} is a canary, which has no other versions to serve: its rollout can be aborted, promoted, \
         held or resumed"
    )]
    IsCanary(String),
    #[error("what serves stays: nothing of the change could be taken, the log says why")]
    NotTaken,
    #[error("plugins without a resource have no versions")]
    NoResources,
    #[error(
        "{0} has no version to go back to: this is the first one, or the code of all others is gone"
    )]
    NothingBefore(String),
    #[error("{plugin} has had no version {wanted}; `tidegate plugin history {plugin}` lists them")]
    NoVersion { plugin: String, wanted: String },
    #[error(
        "{plugin} has had several versions whose digest begins with {wanted}: name one by its number"
    )]
    Ambiguous { plugin: String, wanted: String },
    #[error("{plugin} serves its version {number} already")]
    Serves { plugin: String, number: u64 },
    #[error(
        "version {number} of {plugin} only looked on, and the Plugin asks for one that acts: it would let \
         pass what that one refuses; write `mode: Shadow` for that"
    )]
    OnlyLooksOn { plugin: String, number: u64 },
    #[error("the code of version {number} of {plugin} is gone: it is in the state folder no more")]
    CodeGone { plugin: String, number: u64 },
    #[error(
        "version {number} of {plugin} is not signed as the signature policy wants it; the log says why"
    )]
    NotSigned { plugin: String, number: u64 },
    #[error("version {number} of {plugin} does not start any more; the log says why")]
    DoesNotStart { plugin: String, number: u64 },
    #[error(
        "{0} does not serve what was asked for: the log says why, and `tidegate plugin history {0}` what \
         serves"
    )]
    ServesNot(String),
}

impl Resolver {
    /// Fulfils a wish; the next [`Resolver::resolve`] hands out what came of it. A version that serves then
    /// may be put in service before that; [`Resolver::stands`] is due then, or if it does not start
    /// [`Resolver::does_not_stand`].
    pub(crate) fn fulfil(
        &mut self,
        name: &str,
        wish: &Wish,
        store: Option<&Store>,
    ) -> Result<Fulfilled, WishError> {
        let unknown = || WishError::Unknown(name.to_owned());
        let resource = self.chronicle.names.get(name).ok_or_else(unknown)?.clone();
        if self
            .declared
            .get(&resource)
            .is_some_and(|one| one.is_canary)
        {
            return Err(WishError::IsCanary(name.to_owned()));
        }
        match wish {
            Wish::Resume => Ok(self.resume(name, resource, store)),
            Wish::Back(to) => self.go_back(name, resource, to.as_deref(), store),
        }
    }

    fn resume(&mut self, name: &str, resource: ResourceId, store: Option<&Store>) -> Fulfilled {
        let versions = self.chronicle.plugins.get_mut(&resource);
        let lifted = versions.is_some_and(History::lift);
        self.fallbacks.outdate(&resource);
        self.chronicle.unsaved.insert(resource.clone());
        if !lifted {
            return Fulfilled {
                said: format!("no version of {name} was taken back: nothing changes"),
                then: Then::Nothing,
            };
        }
        let then = match self.asked_for(&resource, store) {
            Some(version) => Then::Serves(resource, Box::new(version)),
            None => Then::Load(resource),
        };
        let said = format!("{name} serves what its resource asks for again");
        Fulfilled { said, then }
    }

    fn go_back(
        &mut self,
        name: &str,
        resource: ResourceId,
        to: Option<&str>,
        store: Option<&Store>,
    ) -> Result<Fulfilled, WishError> {
        let target = self.target(name, &resource, to, store)?;
        self.promise(&resource);
        let versions = self.chronicle.plugins.entry(resource.clone()).or_default();
        let number = target.number;
        let version = &target.good.version;
        versions.unbar(version);
        // Without what it may have no longer it is another one than it was.
        let before = versions.entries().iter();
        let before = before.filter(|entry| entry.number == number);
        let before: Vec<Version> = before.map(|entry| entry.version.clone()).collect();
        before.iter().for_each(|version| versions.unbar(version));
        // What is wanted must not come back by itself.
        let wanted = self.chronicle.wanted.get(&resource);
        if let Some(wanted) = wanted.filter(|wanted| *wanted != version)
            && versions.barred(wanted).is_none()
        {
            versions.bar(wanted, Why::ByHand, seconds(SystemTime::now()));
        }
        self.takes(&resource, &target);
        self.chronicle.unsaved.insert(resource.clone());
        Ok(Fulfilled {
            said: format!("{name} goes back to its version {number}"),
            then: Then::Serves(resource, Box::new(target)),
        })
    }

    /// Whether a version that somebody went back to serves.
    pub(crate) fn serves(&self, resource: &ResourceId, version: &Fallback) -> bool {
        let serves = self.good.get(resource);
        serves.is_some_and(|good| good.version == version.good.version)
    }

    /// Whether what a plugin's resource asks for serves, or will once long streams have ended.
    pub(crate) fn serves_what_is_asked(&self, resource: &ResourceId) -> bool {
        let serves = self.good.get(resource).map(|good| &good.version);
        let wanted = self.chronicle.wanted.get(resource);
        serves.is_some() && serves == wanted
    }

    /// What a plugin's resource asks for, compiled, if that served before and does not now.
    fn asked_for(&mut self, resource: &ResourceId, store: Option<&Store>) -> Option<Fallback> {
        let wanted = self.chronicle.wanted.get(resource)?;
        let serves = self.good.get(resource);
        if serves.is_some_and(|good| good.version == *wanted) || self.fails(resource, wanted) {
            return None;
        }
        let mut entries = self.chronicle.of(resource)?.entries().iter().rev();
        let entry = entries.find(|entry| entry.version == *wanted)?;
        if !self.may_stand_in(resource, wanted) || !is_left(entry, store) {
            return None;
        }
        let (number, good) = (entry.number, good_of(entry));
        if !self.is_vouched(resource, &good) {
            return None;
        }
        self.bring_back(resource, (number, good), store)
    }

    /// The version that somebody wants back, compiled.
    fn target(
        &mut self,
        name: &str,
        resource: &ResourceId,
        to: Option<&str>,
        store: Option<&Store>,
    ) -> Result<Fallback, WishError> {
        let plugin = || name.to_owned();
        let versions = self.chronicle.of(resource);
        let versions = versions.ok_or_else(|| WishError::NothingBefore(plugin()))?;
        let serves = self.good.get(resource).map(|good| &good.version);
        let entry = match to {
            Some(wanted) => find(name, versions, wanted)?,
            None => {
                let serves = serves.ok_or_else(|| WishError::NothingBefore(plugin()))?;
                let mut behind = versions.behind(serves);
                let found = behind.find(|entry| {
                    self.may_stand_in(resource, &entry.version) && is_left(entry, store)
                });
                found.ok_or_else(|| WishError::NothingBefore(plugin()))?
            }
        };
        let (number, whole) = (entry.number, good_of(entry));
        if Some(&entry.version) == serves {
            return Err(WishError::Serves {
                plugin: plugin(),
                number,
            });
        }
        if !self.may_stand_in(resource, &entry.version) {
            return Err(WishError::OnlyLooksOn {
                plugin: plugin(),
                number,
            });
        }
        if !is_left(entry, store) {
            return Err(WishError::CodeGone {
                plugin: plugin(),
                number,
            });
        }
        if !self.is_vouched(resource, &whole) {
            return Err(WishError::NotSigned {
                plugin: plugin(),
                number,
            });
        }
        let found = self.bring_back(resource, (number, whole), store);
        found.ok_or_else(|| WishError::DoesNotStart {
            plugin: plugin(),
            number,
        })
    }
}

/// The version of that number, or the newest of the one digest that begins so.
fn find<'a>(
    name: &str,
    versions: &'a Versions,
    wanted: &str,
) -> Result<&'a Entry<Version, Detail>, WishError> {
    let entries = || versions.entries().iter().rev();
    let none = || WishError::NoVersion {
        plugin: name.to_owned(),
        wanted: wanted.to_owned(),
    };
    if let Ok(number) = wanted.parse::<u64>()
        && wanted.len() < LEAST_DIGEST
    {
        return entries()
            .find(|entry| entry.number == number)
            .ok_or_else(none);
    }
    let prefix = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    let prefix = prefix.to_ascii_lowercase();
    if prefix.len() < LEAST_DIGEST {
        return Err(none());
    }
    let mut found = entries().filter(|entry| hex(&entry.version.digest).starts_with(&prefix));
    let first = found.next().ok_or_else(none)?;
    if found.any(|other| other.version != first.version) {
        return Err(WishError::Ambiguous {
            plugin: name.to_owned(),
            wanted: wanted.to_owned(),
        });
    }
    Ok(first)
}
