//! The course of a rollout.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::proptest;
use proptest::prop_oneof;

use crate::rollout::counts::Counts;
use crate::rollout::counts::Ending;
use crate::rollout::course::Course;
use crate::rollout::course::Steps;
use crate::rollout::judge::Limits;
use crate::rollout::machine::Event;
use crate::rollout::machine::Order;
use crate::rollout::machine::Phase;
use crate::rollout::machine::Refused;
use crate::rollout::machine::Rollout;
use crate::rollout::machine::VersionId;
use crate::rollout::machine::Wanted;
use crate::rollout::split::Share;

use super::simulation::bucket;

const MINUTE: Duration = Duration::from_secs(60);

fn share(percent: u8) -> Share {
    Share::percent(percent)
}

fn wanted(stable: &str, canary: &str) -> Wanted {
    Wanted {
        stable: VersionId(stable.into()),
        canary: VersionId(canary.into()),
        course: Course::Steps(Steps::default()),
        limits: Limits::default(),
    }
}

fn steps(percents: &[u8], first: usize) -> Course {
    let shares = percents.iter().copied().map(share).collect();
    Course::Steps(Steps::new(shares, first, 5 * MINUTE).unwrap())
}

fn good(streams: u16) -> Counts {
    let mut counts = Counts::default();
    for at in 0..streams {
        counts.add(bucket(at), Ending::Good, Some(Duration::from_millis(5)));
    }
    counts
}

fn faulty(streams: u16) -> Counts {
    let mut counts = Counts::default();
    for at in 0..streams {
        counts.add(bucket(at), Ending::Fault, None);
    }
    counts
}

/// A minute in which all goes well.
fn minute(rollout: &mut Rollout) -> Option<Event> {
    rollout.on_counts(&good(500), &good(300), MINUTE)
}

/// Minutes until something happens.
fn next(rollout: &mut Rollout) -> (u32, Event) {
    for minutes in 1..100 {
        if let Some(event) = minute(rollout) {
            return (minutes, event);
        }
    }
    panic!("nothing happens: {rollout:?}");
}

fn begun() -> Rollout {
    let (rollout, event) = Rollout::begin(wanted("v1", "v2"));
    assert_eq!(event, Event::Started(share(5)));
    rollout
}

#[test]
fn a_good_canary_goes_through_its_steps_and_takes_over() {
    let mut rollout = begun();
    for (from, to) in [(5, 25), (25, 50), (50, 100)] {
        assert_eq!(rollout.share(), share(from));
        let (from, to) = (share(from), share(to));
        assert_eq!(next(&mut rollout), (5, Event::Stepped { from, to }));
    }
    assert_eq!(next(&mut rollout), (5, Event::Promoted { by_hand: false }));
    assert_eq!(rollout.share(), Share::ALL);
    assert_eq!(minute(&mut rollout), None);
    assert_eq!(rollout.next_step_in(), None);
}

#[test]
fn a_step_waits_for_streams() {
    let mut rollout = begun();
    for _ in 0..19 {
        assert_eq!(rollout.on_counts(&good(190), &good(10), MINUTE), None);
    }
    let event = rollout.on_counts(&good(190), &good(10), MINUTE);
    assert_eq!(
        event,
        Some(Event::Stepped {
            from: share(5),
            to: share(25)
        })
    );
}

#[test]
fn a_bad_canary_is_aborted_and_stays_so() {
    let mut rollout = begun();
    let event = rollout.on_counts(&good(500), &faulty(10), Duration::from_secs(1));
    let Some(Event::Aborted(why)) = event else {
        panic!("{event:?}");
    };
    assert!(!why.by_hand);
    assert!(
        why.words
            .starts_with("trapRate: faults in 10 of 10 (100 %)"),
        "{}",
        why.words
    );
    assert_eq!(rollout.share(), Share::NONE);
    assert_eq!(minute(&mut rollout), None);
    assert_eq!(
        rollout.on_wanted(wanted("v1", "v2")),
        [],
        "it is the same one"
    );
    assert_eq!(rollout.share(), Share::NONE);
    let (kept, events) = Rollout::restore(wanted("v1", "v2"), rollout.state().clone());
    assert_eq!(
        (kept.share(), events),
        (Share::NONE, Vec::new()),
        "over a restart, too"
    );
    let events = rollout.on_wanted(wanted("v1", "v3"));
    assert_eq!(
        events,
        [Event::Restarted(share(5), "the canary has changed")]
    );
    assert_eq!(rollout.share(), share(5));
}

#[test]
fn a_bad_canary_is_aborted_at_any_step_and_while_it_is_held() {
    for steps in 0..4 {
        let mut rollout = begun();
        for _ in 0..steps {
            next(&mut rollout);
        }
        rollout.on_order(Order::Hold, "").unwrap();
        let event = rollout.on_counts(&good(500), &faulty(100), Duration::from_secs(1));
        assert!(
            matches!(event, Some(Event::Aborted(_))),
            "{steps}: {event:?}"
        );
    }
}

#[test]
fn orders_by_hand_do_what_they_say() {
    let mut rollout = begun();
    assert_eq!(rollout.on_order(Order::Resume, ""), Err(Refused::NotHeld));
    assert_eq!(rollout.on_order(Order::Hold, ""), Ok(Event::Held(share(5))));
    assert_eq!(rollout.on_order(Order::Hold, ""), Err(Refused::Already));
    for _ in 0..20 {
        assert_eq!(minute(&mut rollout), None, "it is held");
    }
    assert_eq!(
        rollout.on_order(Order::Resume, ""),
        Ok(Event::Resumed(share(5)))
    );
    let (from, to) = (share(5), share(25));
    assert_eq!(next(&mut rollout), (5, Event::Stepped { from, to }));
    assert_eq!(
        rollout.on_order(Order::Promote, ""),
        Ok(Event::Promoted { by_hand: true })
    );
    assert_eq!(rollout.share(), Share::ALL);
    assert_eq!(rollout.on_order(Order::Promote, ""), Err(Refused::Already));
    assert_eq!(rollout.on_order(Order::Hold, ""), Err(Refused::NotRunning));
    let event = rollout.on_order(Order::Abort, "looks wrong").unwrap();
    let Event::Aborted(why) = event else {
        panic!("{event:?}")
    };
    assert_eq!((why.by_hand, why.words.as_str()), (true, "looks wrong"));
    assert_eq!(rollout.share(), Share::NONE);
    assert_eq!(rollout.on_order(Order::Abort, ""), Err(Refused::Already));
    assert_eq!(
        rollout.on_order(Order::Promote, ""),
        Err(Refused::IsAborted)
    );
    let resumed = rollout.on_order(Order::Resume, "");
    assert_eq!(
        resumed,
        Ok(Event::Restarted(share(5), "somebody resumed it"))
    );
    assert_eq!(rollout.share(), share(5));
}

#[test]
fn a_stable_version_that_changes_keeps_the_share_and_is_compared_anew() {
    let mut rollout = begun();
    next(&mut rollout);
    for _ in 0..4 {
        assert_eq!(minute(&mut rollout), None);
    }
    assert_eq!(rollout.on_wanted(wanted("v1b", "v2")), []);
    assert_eq!(rollout.share(), share(25));
    let (minutes, event) = next(&mut rollout);
    assert_eq!(
        (minutes, event),
        (
            5,
            Event::Stepped {
                from: share(25),
                to: share(50)
            }
        )
    );
    assert_eq!(&*rollout.state().stable.0, "v1b");
}

#[test]
fn a_stable_version_that_changes_after_the_promotion_begins_anew() {
    let mut rollout = begun();
    rollout.on_order(Order::Promote, "").unwrap();
    let events = rollout.on_wanted(wanted("v3", "v2"));
    let words = "the stable version has changed after the promotion";
    assert_eq!(events, [Event::Restarted(share(5), words)]);
}

#[test]
fn steps_that_change_keep_the_share_as_far_as_they_allow() {
    for (course, expected) in [
        (steps(&[10, 25, 100], 0), 25),
        (steps(&[10, 20, 100], 0), 20),
        (steps(&[30, 100], 0), 30),
        (Course::Fixed(share(7)), 7),
    ] {
        let mut rollout = begun();
        next(&mut rollout);
        assert_eq!(rollout.share(), share(25));
        let events = rollout.on_wanted(Wanted {
            course: course.clone(),
            ..wanted("v1", "v2")
        });
        assert_eq!(rollout.share(), share(expected), "{course:?}");
        assert_eq!(events.is_empty(), expected == 25, "{events:?}");
        // A restart with other steps comes to the same.
        let mut before = begun();
        next(&mut before);
        let wanted = Wanted {
            course,
            ..wanted("v1", "v2")
        };
        let (kept, _) = Rollout::restore(wanted, before.state().clone());
        assert_eq!(kept.share(), share(expected));
    }
}

#[test]
fn a_fixed_share_stays_until_somebody_decides() {
    let course = Course::Fixed(share(10));
    let (mut rollout, _) = Rollout::begin(Wanted {
        course,
        ..wanted("v1", "v2")
    });
    for _ in 0..100 {
        assert_eq!(minute(&mut rollout), None);
    }
    assert_eq!(rollout.share(), share(10));
    let event = rollout.on_counts(&good(500), &faulty(100), MINUTE);
    assert!(matches!(event, Some(Event::Aborted(_))), "{event:?}");
}

#[test]
fn a_canary_that_cannot_be_had_gets_nothing_and_no_time_passes() {
    let mut rollout = begun();
    next(&mut rollout);
    rollout.on_canary(Err("the registry does not answer".to_owned()));
    assert_eq!(rollout.share(), Share::NONE);
    assert_eq!(rollout.missing(), Some("the registry does not answer"));
    for _ in 0..20 {
        assert_eq!(minute(&mut rollout), None);
    }
    assert_eq!(rollout.on_order(Order::Promote, ""), Err(Refused::NotReady));
    rollout.on_canary(Ok(()));
    assert_eq!(rollout.share(), share(25), "nobody is moved back by that");
    assert_eq!(next(&mut rollout).0, 5);
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let mut rollout = begun();
    next(&mut rollout);
    for _ in 0..3 {
        minute(&mut rollout);
    }
    let (mut kept, events) = Rollout::restore(wanted("v1", "v2"), rollout.state().clone());
    assert_eq!(events, []);
    assert_eq!(kept.share(), share(25));
    assert_eq!(kept.next_step_in(), Some(2 * MINUTE));
    assert_eq!(next(&mut kept).0, 2);
    let (other, events) = Rollout::restore(wanted("v1", "v3"), rollout.state().clone());
    assert_eq!(
        events,
        [Event::Restarted(share(5), "the canary has changed")]
    );
    assert_eq!(other.state().since, Duration::ZERO);
}

#[test]
fn steps_that_do_not_rise_are_refused() {
    let new = |percents: &[u8], first| {
        let shares = percents.iter().copied().map(share).collect();
        Steps::new(shares, first, MINUTE)
    };
    for (percents, first) in [
        (&[][..], 0),
        (&[5, 5], 0),
        (&[5, 4], 0),
        (&[0, 5], 0),
        (&[5], 1),
    ] {
        assert_eq!(new(percents, first), None, "{percents:?}");
    }
    assert!(new(&[5, 100], 1).is_some());
}

/// What may happen to a rollout.
#[derive(Debug, Clone)]
enum Input {
    Minutes(u16, u16),
    Order(Order),
    Stable(&'static str),
    Canary(&'static str),
    Ready(bool),
    Restart,
}

fn input() -> impl Strategy<Value = Input> {
    let orders = [Order::Promote, Order::Abort, Order::Hold, Order::Resume];
    prop_oneof![
        4 => (0_u16..400, 0_u16..4).prop_map(|(good, bad)| Input::Minutes(good, bad)),
        1 => proptest::sample::select(orders.to_vec()).prop_map(Input::Order),
        1 => proptest::sample::select(vec!["v1", "v1b"]).prop_map(Input::Stable),
        1 => proptest::sample::select(vec!["v2", "v3"]).prop_map(Input::Canary),
        1 => proptest::bool::ANY.prop_map(Input::Ready),
        1 => Just(Input::Restart),
    ]
}

proptest! {
    #[test]
    fn in_every_order_shares_rise_by_steps_and_fall_to_nothing_only(inputs in vec(input(), 1..60)) {
        let mut rollout = begun();
        for input in inputs {
            let before = (rollout.share(), rollout.state().clone());
            let mut restarted = false;
            match input.clone() {
                Input::Minutes(streams, bad) => {
                    let mut canary = good(streams);
                    canary.merge(&faulty(bad));
                    rollout.on_counts(&good(streams), &canary, 2 * MINUTE);
                }
                Input::Order(order) => {
                    restarted = matches!(rollout.on_order(order, ""), Ok(Event::Restarted(..)));
                }
                Input::Stable(stable) => {
                    let canary = Arc::clone(&rollout.wanted().canary.0);
                    restarted = !rollout.on_wanted(wanted(stable, &canary)).is_empty();
                }
                Input::Canary(canary) => {
                    let stable = Arc::clone(&rollout.wanted().stable.0);
                    restarted = !rollout.on_wanted(wanted(&stable, canary)).is_empty();
                }
                Input::Ready(true) => rollout.on_canary(Ok(())),
                Input::Ready(false) => rollout.on_canary(Err("gone".to_owned())),
                Input::Restart => {
                    let missing = rollout.missing().map(str::to_owned);
                    let (kept, events) =
                        Rollout::restore(rollout.wanted().clone(), rollout.state().clone());
                    assert_eq!(events, []);
                    assert_eq!(kept.state(), rollout.state());
                    rollout = kept;
                    rollout.on_canary(missing.map_or(Ok(()), Err));
                }
            }
            let after = rollout.share();
            let ends = rollout.missing().is_some()
                || matches!(rollout.state().phase, Phase::Aborted(_));
            if !restarted && before.1.canary == rollout.state().canary {
                assert!(after >= before.0 || ends, "{input:?}: {before:?} {after}");
            }
            assert_eq!(ends, after == Share::NONE);
            let steps = [5, 25, 50, 100].map(share);
            assert!(ends || steps.contains(&after), "{after}");
            assert_eq!(rollout.state().canary, rollout.wanted().canary);
            assert_eq!(rollout.state().stable, rollout.wanted().stable);
        }
    }
}
