//! What makes the control thread act, and what is to be done of all that waits.

use tokio::sync::oneshot;

use crate::control::reload::inbox::Inbox;
use crate::control::reload::wishes::PluginWish;
use crate::control::rollouts::RolloutOrder;
use crate::status::Outcome;

/// What makes the thread act.
#[derive(Debug)]
pub(crate) enum Event {
    /// Files have changed.
    Changed,
    /// Somebody asks for a reload, and may want to know how it ended.
    Reload(Option<oneshot::Sender<Outcome>>),
    /// Somebody asks something of a rollout.
    Rollout(RolloutOrder),
    /// Somebody wants another version of a plugin.
    Wish(PluginWish),
    /// No further reloads.
    End,
}

/// What is to be done next: everything asked for by now, in one load.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Whether somebody asked, so that also what has failed before is tried.
    pub(super) asked: bool,
    /// Who wants to know how it ends.
    pub(super) answers: Vec<oneshot::Sender<Outcome>>,
    /// Whether anything asks for a load.
    pub(super) load: bool,
    /// What is asked of rollouts, in order.
    pub(super) rollouts: Vec<RolloutOrder>,
    /// What is wanted of plugins' versions.
    pub(super) wishes: Vec<PluginWish>,
    /// Whether it is nothing but to end.
    pub(super) end: bool,
}

impl Work {
    /// This event and all that wait behind it.
    pub(super) fn gather(first: Event, inbox: &mut Inbox) -> Self {
        let mut work = Self::default();
        let mut next = Some(first);
        while let Some(event) = next {
            match event {
                Event::Changed => work.load = true,
                Event::Rollout(order) => work.rollouts.push(order),
                Event::Reload(answer) => {
                    work.load = true;
                    work.asked = true;
                    work.answers.extend(answer);
                }
                Event::Wish(wish) => work.wishes.push(wish),
                Event::End => work.end = true,
            }
            next = inbox.next();
        }
        work
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::oneshot;

    use super::Event;
    use super::Inbox;
    use super::Work;

    #[test]
    fn all_that_waits_is_one_load_and_the_end_comes_first() {
        let (events, inbox) = mpsc::channel();
        let mut inbox = Inbox::new(inbox);
        let mut waiting = Vec::new();
        for _ in 0..5 {
            let (answer, answered) = oneshot::channel();
            waiting.push(answered);
            events.send(Event::Reload(Some(answer))).expect("open");
            events.send(Event::Reload(None)).expect("open");
            events.send(Event::Changed).expect("open");
        }
        let work = Work::gather(Event::Changed, &mut inbox);
        assert!(work.asked && !work.end);
        assert_eq!(work.answers.len(), waiting.len());
        assert!(inbox.next().is_none(), "nothing is left");
        assert!(!Work::gather(Event::Changed, &mut inbox).asked);
        events.send(Event::Reload(None)).expect("open");
        events.send(Event::End).expect("open");
        assert!(Work::gather(Event::Changed, &mut inbox).end);
    }
}
