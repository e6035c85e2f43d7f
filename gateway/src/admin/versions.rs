//! What there is to say about the versions of plugins: at /plugins, /resources, /metrics and in their
//! own pages.
//!
//! Owns the words and shapes, and the orders that may be given. Settings are never among them: a hash
//! tells one from another.

use std::time::SystemTime;

use http::StatusCode;
use serde_json::Value;
use serde_json::json;
use tidegate_config::draft::CANARY;
use tidegate_config::draft::Condition;
use tidegate_core::rollout::history::End;
use tidegate_core::rollout::history::Why;

use crate::admin::dump;
use crate::admin::exposition::Exposition;
use crate::admin::exposition::Kind;
use crate::admin::rollouts;
use crate::plugins::versions::BY_HAND;
use crate::plugins::versions::ROLLED_BACK;
use crate::plugins::versions::in_words;
use crate::plugins::wishes::Wish;
use crate::plugins::wishes::WishError;
use crate::status::HeldStatus;
use crate::status::Status;
use crate::status::VersionStatus;
use crate::status::VersionsStatus;

/// What a path below `/plugins/` asks for, with the plugin's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked<'a> {
    /// GET: all its versions.
    History(&'a str),
    /// POST: another version, which the query may name.
    Back(&'a str),
    /// POST: what its resource asks for.
    Resume(&'a str),
}

impl<'a> Asked<'a> {
    /// `None` if there is no such page.
    pub(super) fn of(path: &'a str) -> Option<Self> {
        let (name, what) = path.strip_prefix("/plugins/")?.rsplit_once('/')?;
        match what {
            "history" => Some(Self::History(name)),
            "rollback" => Some(Self::Back(name)),
            "resume" => Some(Self::Resume(name)),
            _ => None,
        }
    }

    /// Whether it changes anything.
    pub(super) fn is_order(&self) -> bool {
        !matches!(self, Self::History(_))
    }
}

/// The order that a request gives, with the plugin's name; an error is what is wrong with its query.
pub(super) fn wish<'a>(
    asked: &Asked<'a>,
    query: Option<&str>,
) -> Result<Option<(&'a str, Wish)>, &'static str> {
    let query = query.filter(|query| !query.is_empty());
    match (asked, query) {
        (Asked::History(_), _) => Ok(None),
        (Asked::Resume(name), None) => Ok(Some((name, Wish::Resume))),
        (Asked::Back(name), None) => Ok(Some((name, Wish::Back(None)))),
        (Asked::Back(name), Some(query)) => {
            let to = query.strip_prefix("to=");
            // Numbers and digests need no escapes.
            let is_plain = |to: &&str| {
                let mut bytes = to.bytes();
                (1..=80).contains(&to.len())
                    && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b':')
            };
            let to = to.filter(is_plain).ok_or("expected ?to=VERSION\n")?;
            Ok(Some((name, Wish::Back(Some(to.to_owned())))))
        }
        (Asked::Resume(_), Some(_)) => Err("there is nothing to be said in the query\n"),
    }
}

/// The status that goes with an error.
pub(super) fn status_of(err: &WishError) -> StatusCode {
    match err {
        WishError::Unknown(_) | WishError::NoVersion { .. } => StatusCode::NOT_FOUND,
        _ => StatusCode::CONFLICT,
    }
}

/// GET /plugins/NAME/history; `None` if there is no such plugin.
pub(super) fn page(status: &Status, name: &str) -> Option<Vec<u8>> {
    let versions = status.versions.get(name)?;
    let all: Vec<Value> = versions.all.iter().rev().map(version).collect();
    Some(dump::page(&json!({
        "name": name,
        "versions": all,
        "probation": probation(versions),
        "held": versions.held.as_ref().map(held),
        "rollout": rollout(status, name),
    })))
}

/// How the rollout stands that a canary is of.
fn rollout(status: &Status, name: &str) -> Value {
    let plugin = name.strip_suffix(CANARY);
    plugin.map_or(Value::Null, |plugin| rollouts::field(status, plugin))
}

/// The fields of /plugins that are about versions.
pub(super) fn fields(status: &Status, name: &str) -> [(&'static str, Value); 4] {
    let versions = status.versions.get(name);
    let current = versions.and_then(|versions| versions.all.last());
    let current = current.filter(|version| version.ended.is_none());
    let resource = |problem: &&tidegate_config::problem::Problem| {
        let resource = problem.resource.as_ref();
        resource.is_some_and(|id| {
            id.kind == "Plugin" && name == format!("{}/{}", id.namespace, id.name)
        })
    };
    let problems = status.problems.iter().filter(resource);
    let problems = problems
        .map(|problem| json!({ "reason": problem.reason, "message": problem.message }))
        .collect::<Vec<_>>();
    [
        ("version", current.map_or(Value::Null, version)),
        ("probation", versions.map_or(Value::Null, probation)),
        (
            "held",
            versions
                .and_then(|versions| versions.held.as_ref())
                .map_or(Value::Null, held),
        ),
        ("problems", Value::Array(problems)),
    ]
}

fn version(version: &VersionStatus) -> Value {
    let (ended, end, why) = match &version.ended {
        None => (None, None, None),
        Some((at, End::Replaced)) => (Some(at), Some("Replaced"), None),
        Some((at, End::Removed)) => (Some(at), Some("Removed"), None),
        Some((at, End::RolledBack(why))) => (Some(at), Some(reason(why)), Some(in_words(why))),
    };
    json!({
        "number": version.number,
        "digest": version.digest,
        "imageDigest": version.image,
        "settings": version.settings,
        "source": version.source,
        "began": version.began,
        "proven": version.proven,
        "ended": ended,
        "end": end,
        "why": why,
        "kept": version.is_kept,
    })
}

fn probation(versions: &VersionsStatus) -> Value {
    let Some((until, fallback)) = versions.probation else {
        return Value::Null;
    };
    json!({ "until": seconds(until), "goesBackTo": fallback })
}

fn held(held: &HeldStatus) -> Value {
    json!({
        "digest": held.digest,
        "at": held.at,
        "reason": reason(&held.why),
        "why": in_words(&held.why),
    })
}

fn reason(why: &Why) -> &'static str {
    match why {
        Why::Faults { .. } => ROLLED_BACK,
        Why::ByHand => BY_HAND,
    }
}

/// The condition of a Plugin that does not serve what it asks for.
pub(super) fn condition(status: &Status, name: &str) -> Option<Condition> {
    let versions = status.versions.get(name)?;
    let held = versions.held.as_ref()?;
    let serves = versions.all.last();
    let serves = serves.map_or_else(String::new, |one| {
        format!("; version {} serves", one.number)
    });
    Some(Condition {
        kind: "Programmed",
        status: false,
        reason: reason(&held.why),
        message: format!("{}{serves}", in_words(&held.why)),
        about: None,
    })
}

/// The numbers.
pub(super) fn metrics(out: &mut Exposition, status: &Status) {
    let mut family = out.family(
        "tidegate_plugin_rollbacks_total",
        Kind::Counter,
        "Versions of plugins that were taken back: for traps, for calls that ran out of time \
         (deadline), or by hand (by_hand).",
    );
    for ((plugin, reason), count) in &status.rollbacks {
        family.sample(&[("plugin", plugin), ("reason", reason)], count);
    }
    let mut family = out.family(
        "tidegate_plugin_on_probation",
        Kind::Gauge,
        "Whether the version of a plugin that serves is on probation.",
    );
    for (plugin, versions) in status.versions.iter() {
        family.sample(
            &[("plugin", plugin)],
            u8::from(versions.probation.is_some()),
        );
    }
    let mut family = out.family(
        "tidegate_plugin_rolled_back",
        Kind::Gauge,
        "Whether a plugin serves an older version because the one that is asked for was taken back.",
    );
    for (plugin, versions) in status.versions.iter() {
        family.sample(&[("plugin", plugin)], u8::from(versions.held.is_some()));
    }
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::Asked;
    use super::wish;
    use crate::plugins::wishes::Wish;

    #[test]
    fn paths_and_queries_are_orders_and_nothing_else_is() {
        let asked = |path, query| {
            let asked = Asked::of(path).expect("a page");
            let wish = wish(&asked, query);
            wish.map(|found| found.map(|(name, wish)| (name.to_owned(), wish)))
        };
        let order = |name: &str, wish| Ok(Some((name.to_owned(), wish)));
        assert_eq!(asked("/plugins/default/a/history", None), Ok(None));
        assert_eq!(
            asked("/plugins/default/a/rollback", Some("")),
            order("default/a", Wish::Back(None))
        );
        assert_eq!(
            asked("/plugins/default/a/rollback", Some("to=sha256:0a")),
            order("default/a", Wish::Back(Some("sha256:0a".to_owned())))
        );
        assert_eq!(
            asked("/plugins/default/edge/rbac/resume", None),
            order("default/edge/rbac", Wish::Resume)
        );
        for query in ["to=", "to=a/b", "to=%41", "x=1", "to=1&to=2"] {
            assert!(
                asked("/plugins/a/b/rollback", Some(query)).is_err(),
                "{query}"
            );
        }
        assert!(asked("/plugins/a/b/resume", Some("to=1")).is_err());
        for path in ["/plugins", "/plugins/", "/plugins/a", "/plugins/a/b/other"] {
            assert_eq!(Asked::of(path), None, "{path}");
        }
    }
}
