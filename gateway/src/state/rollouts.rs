//! How far rollouts are, on disk: a restart goes on where a rollout was, does not try again what was
//! aborted, and tells those who are still to be told.
//!
//! Owns the file `rollouts.json` of the state folder. It is replaced as a whole, so that an event is
//! in it with the notices about it or not at all.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use tidegate_core::rollout::machine::Phase;
use tidegate_core::rollout::machine::State;
use tidegate_core::rollout::machine::VersionId;
use tidegate_core::rollout::machine::Why;
use tidegate_core::rollout::split::Share;

use crate::control::rollouts::webhooks::Notice;
use crate::control::rollouts::webhooks::Receiver;
use crate::state::StateError;
use crate::state::folder::Folder;

/// The file.
const ROLLOUTS: &str = "rollouts.json";
/// Another number is another format.
const FORMAT: u32 = 1;
/// No file is larger.
const MAX_BYTES: u64 = 16 << 20;
/// No attempt to tell somebody takes longer, whatever the file says.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(60);
/// Bytes of the reason of an abort that are kept.
const MAX_REASON: usize = 4096;

/// Where the states of rollouts are kept.
#[derive(Debug)]
pub(crate) struct RolloutStore {
    folder: Folder,
    path: PathBuf,
}

/// What is kept of rollouts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// How far each is, by the plugin's name.
    pub(crate) states: BTreeMap<Arc<str>, State>,
    /// What receivers are still to be told, the oldest first for each.
    pub(crate) notices: Vec<(Receiver, Notice)>,
}

#[derive(Serialize, Deserialize)]
struct Body {
    format: u32,
    rollouts: BTreeMap<Arc<str>, One>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notices: Vec<OneNotice>,
}

#[derive(Serialize, Deserialize)]
struct OneNotice {
    plugin: Arc<str>,
    backend: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    path: String,
    timeout_millis: u64,
    event: String,
    body: String,
}

#[derive(Serialize, Deserialize)]
struct One {
    stable: Arc<str>,
    canary: Arc<str>,
    phase: PhaseName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default)]
    by_hand: bool,
    /// Hundredths of a percent.
    reached: u16,
    since_millis: u64,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "camelCase")]
enum PhaseName {
    Running,
    Held,
    Promoted,
    Aborted,
}

impl RolloutStore {
    /// In that state folder, which must be open.
    ///
    /// # Errors
    ///
    /// [`StateError`].
    pub(super) fn open(path: &Path) -> Result<Self, StateError> {
        Ok(Self {
            folder: Folder::open(path)?,
            path: path.join(ROLLOUTS),
        })
    }

    /// What was saved last.
    ///
    /// # Errors
    ///
    /// [`StateError`] if it cannot be read or is not what was written.
    pub(crate) fn load(&self) -> Result<Kept, StateError> {
        let Some(text) = self.folder.content(ROLLOUTS, MAX_BYTES)? else {
            return Ok(Kept::default());
        };
        let foreign = |reason: String| StateError::Foreign {
            path: self.path.clone(),
            reason,
        };
        let body: Body = serde_json::from_slice(&text).map_err(|err| foreign(err.to_string()))?;
        if body.format != FORMAT {
            return Err(foreign(format!(
                "it has format {}, this is {FORMAT}",
                body.format
            )));
        }
        let parse = |(name, one): (Arc<str>, One)| match state(one) {
            Some(state) => Ok((name, state)),
            None => Err(foreign("it has a share that is none".to_owned())),
        };
        let states = body.rollouts.into_iter().map(parse);
        Ok(Kept {
            states: states.collect::<Result<_, _>>()?,
            notices: body.notices.into_iter().map(notice).collect(),
        })
    }

    /// Makes these what a restart finds.
    ///
    /// # Errors
    ///
    /// [`StateError`]; what was there before stays then.
    pub(crate) fn save(&self, kept: &Kept) -> Result<(), StateError> {
        let Kept { states, notices } = kept;
        let rollouts = states.iter();
        let rollouts = rollouts.map(|(name, state)| (Arc::clone(name), one(state)));
        let body = Body {
            format: FORMAT,
            rollouts: rollouts.collect(),
            notices: notices.iter().map(one_notice).collect(),
        };
        let text = serde_json::to_vec_pretty(&body).map_err(|err| StateError::Foreign {
            path: self.path.clone(),
            reason: err.to_string(),
        })?;
        self.folder.replace(ROLLOUTS, &text)
    }
}

fn one_notice((receiver, notice): &(Receiver, Notice)) -> OneNotice {
    OneNotice {
        plugin: Arc::clone(&receiver.plugin),
        backend: Arc::clone(&receiver.backend),
        host: receiver.host.clone(),
        path: receiver.path.clone(),
        timeout_millis: u64::try_from(notice.timeout.as_millis()).unwrap_or(u64::MAX),
        event: notice.event.clone(),
        body: notice.body.clone(),
    }
}

fn notice(one: OneNotice) -> (Receiver, Notice) {
    let receiver = Receiver {
        plugin: one.plugin,
        backend: one.backend,
        host: one.host,
        path: one.path,
    };
    let notice = Notice {
        event: one.event,
        body: one.body,
        timeout: Duration::from_millis(one.timeout_millis).min(LONGEST_ATTEMPT),
    };
    (receiver, notice)
}

fn one(state: &State) -> One {
    let (phase, why) = match &state.phase {
        Phase::Running => (PhaseName::Running, None),
        Phase::Held => (PhaseName::Held, None),
        Phase::Promoted => (PhaseName::Promoted, None),
        Phase::Aborted(why) => (PhaseName::Aborted, Some(why)),
    };
    One {
        stable: Arc::clone(&state.stable.0),
        canary: Arc::clone(&state.canary.0),
        phase,
        reason: why.map(|why| why.words.chars().take(MAX_REASON).collect()),
        by_hand: why.is_some_and(|why| why.by_hand),
        reached: state.reached.buckets(),
        since_millis: u64::try_from(state.since.as_millis()).unwrap_or(u64::MAX),
    }
}

fn state(one: One) -> Option<State> {
    Some(State {
        stable: VersionId(one.stable),
        canary: VersionId(one.canary),
        phase: match one.phase {
            PhaseName::Running => Phase::Running,
            PhaseName::Held => Phase::Held,
            PhaseName::Promoted => Phase::Promoted,
            PhaseName::Aborted => Phase::Aborted(Why {
                by_hand: one.by_hand,
                words: one.reason.unwrap_or_default(),
            }),
        },
        reached: Share::of_buckets(one.reached)?,
        since: Duration::from_millis(one.since_millis),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> BTreeMap<Arc<str>, State> {
        let state = |phase, reached: u16| State {
            stable: VersionId("a".into()),
            canary: VersionId("b".into()),
            phase,
            reached: Share::of_buckets(reached).expect("a share"),
            since: Duration::from_millis(1_234),
        };
        let why = Why {
            by_hand: false,
            words: "trapRate: 9 of 10".to_owned(),
        };
        BTreeMap::from([
            ("default/a".into(), state(Phase::Running, 500)),
            ("default/b".into(), state(Phase::Held, 10_000)),
            ("default/c".into(), state(Phase::Promoted, 1)),
            ("default/d".into(), state(Phase::Aborted(why), 2_500)),
        ])
    }

    #[test]
    fn what_is_saved_is_what_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state");
        let store = RolloutStore::open(&path).expect("open");
        assert_eq!(store.load().expect("nothing yet"), Kept::default());
        let receiver = |host: Option<&str>| Receiver {
            plugin: "default/a".into(),
            backend: "default/hooks".into(),
            host: host.map(str::to_owned),
            path: "/a?b=c".to_owned(),
        };
        let notice = |event: &str| Notice {
            event: event.to_owned(),
            body: "{\"a\":1}".to_owned(),
            timeout: Duration::from_millis(250),
        };
        let mut kept = Kept {
            states: states(),
            notices: vec![
                (receiver(None), notice("started")),
                (receiver(Some("hooks.test:1")), notice("aborted")),
            ],
        };
        store.save(&kept).expect("saved");
        let again = RolloutStore::open(&path).expect("open");
        assert_eq!(again.load().expect("loaded"), kept);
        // As before there were notices.
        kept.notices.clear();
        store.save(&kept).expect("saved");
        assert_eq!(store.load().expect("loaded"), kept);
    }

    #[test]
    fn what_nobody_wrote_is_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state");
        let store = RolloutStore::open(&path).expect("open");
        for text in [
            "",
            "{",
            r#"{"format":2,"rollouts":{}}"#,
            r#"{"format":1,"rollouts":{"a/b":{"stable":"a","canary":"b","phase":"running","reached":10001,"since_millis":0}}}"#,
            r#"{"format":1,"rollouts":{"a/b":{"stable":"a","canary":"b","phase":"gone","reached":1,"since_millis":0}}}"#,
        ] {
            store
                .folder
                .replace(ROLLOUTS, text.as_bytes())
                .expect("written");
            assert!(store.load().is_err(), "{text}");
        }
    }
}
