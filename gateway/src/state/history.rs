//! The versions of plugins on disk: a file for each plugin, so that a change of one writes little.
//!
//! Owns their format. A file that was cut, edited or written by another version is said to be so and
//! not believed: the history begins anew, and nothing else depends on it.

use std::collections::BTreeSet;
use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;
use sha2::Digest as _;
use sha2::Sha256;
use tidegate_config::resource::ResourceId;
use tidegate_core::rollout::history::Bar;
use tidegate_core::rollout::history::End;
use tidegate_core::rollout::history::Entry;
use tidegate_core::rollout::history::History;
use tidegate_core::rollout::history::Why;
use tidegate_core::rollout::probation::Counts;
use tidegate_proxy::Reachable;

use super::StateError;
use super::Store;
use super::StoredPlugin;
use super::format;
use super::format::FormatError;
use super::format::PluginBody;
use super::format::Resource;
use super::format::hex;
use crate::plugins::Version;
use crate::plugins::chain;
use crate::plugins::origin::Origin;
use crate::plugins::versions::Detail;
use crate::plugins::versions::Versions;

/// The folder of histories.
pub(super) const HISTORY: &str = "history";
/// The file with what hashes of settings are made with.
const SALT: &str = "salt";
/// No history is larger: configurations take up to 4 MiB, twice that as digits, and as much as bars.
const MAX_BYTES: u64 = 64 << 20;
/// Histories that are read.
const MOST: usize = 10_000;

#[derive(Serialize, Deserialize)]
struct Body {
    resource: Resource,
    versions: Vec<VersionBody>,
    barred: Vec<BarBody>,
}

#[derive(Serialize, Deserialize)]
struct VersionBody {
    number: u64,
    plugin: PluginBody,
    source: String,
    settings: String,
    began: u64,
    proven: bool,
    ended: Option<(u64, EndBody)>,
}

#[derive(Serialize, Deserialize)]
struct BarBody {
    plugin: PluginBody,
    at: u64,
    why: WhyBody,
}

#[derive(Serialize, Deserialize)]
enum EndBody {
    Replaced,
    RolledBack(WhyBody),
    Removed,
}

#[derive(Serialize, Deserialize)]
enum WhyBody {
    Faults {
        streams: u64,
        traps: u64,
        deadlines: u64,
        millis: u64,
    },
    ByHand,
}

impl Store {
    /// Keeps the versions of a plugin; an empty history is forgotten.
    ///
    /// # Errors
    ///
    /// [`StateError`] if it cannot be written; the one before stays then.
    pub(crate) fn save_history(
        &self,
        resource: &ResourceId,
        versions: &Versions,
    ) -> Result<(), StateError> {
        let name = file_name(resource);
        if versions.entries().is_empty() {
            self.history.remove(&name);
            return Ok(());
        }
        let body = serde_json::to_vec(&print(resource, versions));
        let body = body.map_err(|_| StateError::OddName)?;
        let mut entries = versions.entries().iter();
        let has_shadows = entries.any(|entry| entry.version.is_shadow())
            || versions.bars().iter().any(|bar| bar.version.is_shadow());
        self.history
            .replace(&name, &format::framed(&body, has_shadows)?)
    }

    /// All histories that can be read; what cannot is warned of and removed.
    pub(crate) fn histories(&self) -> Vec<(ResourceId, Versions)> {
        let names = self.history.names().unwrap_or_else(|err| {
            tracing::warn!("the history of plugins is not read: {}", chain(&err));
            Vec::new()
        });
        let files = names.iter().filter(|name| name.ends_with(".json"));
        let read = files.take(MOST).filter_map(|name| {
            let found = self.read_history(name);
            found.unwrap_or_else(|why| {
                let path = self.path.join(HISTORY).join(name);
                let path = path.display();
                tracing::warn!("the history of a plugin begins anew, {path} is not used: {why}");
                self.history.remove(name);
                None
            })
        });
        read.collect()
    }

    fn read_history(&self, name: &str) -> Result<Option<(ResourceId, Versions)>, String> {
        let text = self.history.content(name, MAX_BYTES);
        let Some(text) = text.map_err(|err| chain(&err))? else {
            return Ok(None);
        };
        let parsed = format::unframed(&text)
            .and_then(|body| Ok(serde_json::from_slice(body)?))
            .and_then(parse);
        let (resource, versions) = parsed.map_err(|err| err.to_string())?;
        if file_name(&resource) != name {
            return Err("it is the history of another plugin".to_owned());
        }
        Ok(Some((resource, versions)))
    }

    /// What hashes of settings are made with: what was kept, or from now on this.
    pub(crate) fn salt(&self, fresh: [u8; 16]) -> [u8; 16] {
        let known = self.history.content(SALT, 16).ok().flatten();
        if let Some(known) = known.and_then(|known| known.try_into().ok()) {
            return known;
        }
        if let Err(err) = self.history.replace(SALT, &fresh) {
            tracing::warn!("hashes of settings change with a restart: {}", chain(&err));
        }
        fresh
    }

    /// The digests of all code that there is.
    pub(crate) fn module_digests(&self) -> HashSet<[u8; 32]> {
        let names = self.modules.names().unwrap_or_default();
        let digests = names.iter().filter_map(|name| {
            let digest = format::unhex(name.strip_suffix(".wasm")?)?;
            digest.try_into().ok()
        });
        digests.collect()
    }

    /// Whether there is code of that digest.
    pub(crate) fn has_module(&self, digest: &[u8; 32]) -> bool {
        self.modules.size(&super::module_name(digest)).is_some()
    }

    /// Removes code that neither the state nor these digests name, and of what only they name the
    /// oldest beyond a bound.
    pub(super) fn drop_modules(
        &self,
        used: &BTreeSet<String>,
        named: impl Iterator<Item = [u8; 32]>,
        most: u64,
    ) -> Result<(), StateError> {
        let named: BTreeSet<String> = named.map(|digest| super::module_name(&digest)).collect();
        let mut entries = self.modules.entries()?;
        // The newest first.
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.modified));
        let mut left = most;
        for entry in entries {
            if used.contains(&entry.name) {
                continue;
            }
            let fits = left.checked_sub(entry.bytes);
            match fits.filter(|_| named.contains(&entry.name)) {
                Some(fits) => left = fits,
                None => self.modules.remove(&entry.name),
            }
        }
        Ok(())
    }
}

/// Names may have any characters and any case; their hash has digits.
fn file_name(resource: &ResourceId) -> String {
    let digest = Sha256::digest(resource.to_string().as_bytes());
    format!("{}.json", hex(digest.get(..16).unwrap_or_default()))
}

fn print(resource: &ResourceId, versions: &Versions) -> Body {
    let plugin = |version: &Version, origin: &Arc<Origin>, reachable: &Arc<Reachable>| {
        format::print_plugin(&StoredPlugin {
            resource: resource.clone(),
            digest: version.digest,
            spec: version.spec.clone(),
            origin: Arc::clone(origin),
            reachable: Arc::clone(reachable),
        })
    };
    let entries = versions.entries().iter().map(|entry| VersionBody {
        number: entry.number,
        plugin: plugin(
            &entry.version,
            &entry.detail.origin,
            &entry.detail.reachable,
        ),
        source: entry.detail.source.clone(),
        settings: entry.detail.settings.clone(),
        began: entry.began,
        proven: entry.proven,
        ended: entry.ended.map(|(at, end)| {
            let end = match end {
                End::Replaced => EndBody::Replaced,
                End::RolledBack(why) => EndBody::RolledBack(print_why(why)),
                End::Removed => EndBody::Removed,
            };
            (at, end)
        }),
    });
    let barred = versions.bars().iter().map(|bar| BarBody {
        plugin: plugin(&bar.version, &Arc::default(), &Arc::default()),
        at: bar.at,
        why: print_why(bar.why),
    });
    Body {
        resource: format::print_resource(resource),
        versions: entries.collect(),
        barred: barred.collect(),
    }
}

fn parse(body: Body) -> Result<(ResourceId, Versions), FormatError> {
    let entries = body.versions.into_iter().map(|entry| {
        let plugin = format::parse_plugin(entry.plugin)?;
        Ok(Entry {
            number: entry.number,
            detail: Detail::new(
                plugin.reachable,
                plugin.origin,
                entry.source,
                entry.settings,
            ),
            version: Version {
                spec: plugin.spec,
                digest: plugin.digest,
            },
            began: entry.began,
            proven: entry.proven,
            ended: entry.ended.map(|(at, end)| {
                let end = match end {
                    EndBody::Replaced => End::Replaced,
                    EndBody::RolledBack(why) => End::RolledBack(parse_why(&why)),
                    EndBody::Removed => End::Removed,
                };
                (at, end)
            }),
        })
    });
    let entries: Result<Vec<_>, FormatError> = entries.collect();
    let barred = body.barred.into_iter().map(|bar| {
        let plugin = format::parse_plugin(bar.plugin)?;
        Ok(Bar {
            version: Version {
                spec: plugin.spec,
                digest: plugin.digest,
            },
            at: bar.at,
            why: parse_why(&bar.why),
        })
    });
    let barred: Result<Vec<_>, FormatError> = barred.collect();
    let resource = format::parse_resource(body.resource)?;
    Ok((resource, History::restored(entries?, barred?)))
}

fn print_why(why: Why) -> WhyBody {
    match why {
        Why::Faults { counts, millis } => WhyBody::Faults {
            streams: counts.streams,
            traps: counts.traps,
            deadlines: counts.deadlines,
            millis,
        },
        Why::ByHand => WhyBody::ByHand,
    }
}

fn parse_why(why: &WhyBody) -> Why {
    match *why {
        WhyBody::Faults {
            streams,
            traps,
            deadlines,
            millis,
        } => Why::Faults {
            counts: Counts {
                streams,
                traps,
                deadlines,
            },
            millis,
        },
        WhyBody::ByHand => Why::ByHand,
    }
}
