//! What happens to rollouts, in words: for logs, answers and numbers.

use tidegate_core::rollout::counts::Tally;
use tidegate_core::rollout::machine::Event;
use tidegate_core::rollout::machine::Phase;
use tidegate_core::rollout::machine::Rollout;

/// What a rollout is in, in a word.
pub(super) fn phase(rollout: &Rollout) -> &'static str {
    match &rollout.state().phase {
        Phase::Aborted(_) => "Aborted",
        _ if rollout.missing().is_some() => "Waiting",
        Phase::Running => "Running",
        Phase::Held => "Held",
        Phase::Promoted => "Promoted",
    }
}

/// Streams by how they ended.
pub(super) fn ends(tally: &Tally) -> [(&'static str, u64); 4] {
    [
        ("good", tally.good),
        ("error", tally.errors),
        ("denied", tally.denied),
        ("fault", tally.faults),
    ]
}

/// An event for people.
pub(super) fn words(event: &Event) -> String {
    match event {
        Event::Started(share) => format!("begins, the canary gets {share} of the streams"),
        Event::Restarted(share, why) => {
            format!("begins anew with {share} of the streams: {why}")
        }
        Event::Stepped { from, to } => format!("the canary gets {to} of the streams, after {from}"),
        Event::Held(share) => format!("held: the canary keeps {share} of the streams"),
        Event::Resumed(share) => format!("goes on, the canary has {share} of the streams"),
        Event::Promoted { by_hand: true } => {
            "promoted by hand: the canary gets all streams".to_owned()
        }
        Event::Promoted { by_hand: false } => "promoted: the canary gets all streams".to_owned(),
        Event::Aborted(why) if why.by_hand => {
            "aborted by hand: the canary gets no more streams".to_owned()
        }
        Event::Aborted(why) => {
            format!("aborted, the canary gets no more streams: {}", why.words)
        }
    }
}
