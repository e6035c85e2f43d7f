//! What probation finds, over a simulated time.

use std::time::Duration;
use std::time::Instant;

use super::Counts;
use super::Probation;
use super::Rule;
use super::Verdict;

/// Between two looks.
const PACE: Duration = Duration::from_millis(100);

/// A version that each tenth of a second meets so many streams, traps and deadline faults: the number
/// of the look that finds it bad, if any does within its time.
fn found(rule: Rule, meets: impl Fn(u32) -> (u64, u64, u64)) -> Option<u32> {
    let mut now = Instant::now();
    let mut all = Counts::default();
    let mut probation = Probation::new(rule, rule.period, now, all);
    for number in 1.. {
        now += PACE;
        let (streams, traps, deadlines) = meets(number);
        all = all.and(&Counts {
            streams,
            traps,
            deadlines,
        });
        match probation.look(now, all) {
            Verdict::Pending => {}
            Verdict::Passed => return None,
            Verdict::Failed { within, .. } => {
                assert!(within <= rule.window + PACE, "{within:?}");
                return Some(number);
            }
        }
    }
    None
}

#[test]
fn faults_on_one_request_of_twenty_are_found_within_a_second() {
    // 1,000 a second, of which 50 trap.
    assert_eq!(found(Rule::default(), |_| (100, 5, 0)), Some(1));
    assert_eq!(found(Rule::default(), |_| (20, 1, 0)), Some(5));
    // Deadline faults count as traps do, and together with them.
    assert_eq!(found(Rule::default(), |_| (20, 0, 1)), Some(5));
    let mixed = |look| (20, u64::from(look % 2 == 0), u64::from(look % 2 == 1));
    assert_eq!(found(Rule::default(), mixed), Some(5));
}

#[test]
fn less_than_five_faults_a_second_or_one_percent_of_it_are_borne() {
    // Four a second, on every stream.
    let few = |look: u32| match look % 10 {
        0..4 => (1, 1, 0),
        _ => (0, 0, 0),
    };
    assert_eq!(found(Rule::default(), few), None);
    // Ten a second, of 1,000 streams.
    assert_eq!(found(Rule::default(), |_| (100, 1, 0)), None);
    assert_eq!(found(Rule::default(), |_| (99, 1, 0)), Some(5));
    assert_eq!(found(Rule::default(), |_| (1_000, 0, 0)), None);
}

#[test]
fn a_burst_late_in_its_time_is_found_and_one_after_it_is_not() {
    let burst = |at: u32| move |look: u32| (10, if look == at { 7 } else { 0 }, 0);
    assert_eq!(found(Rule::default(), burst(599)), Some(599));
    assert_eq!(found(Rule::default(), burst(601)), None);
    // What began before the end is seen by the look at the end.
    assert_eq!(found(Rule::default(), burst(600)), Some(600));
}

#[test]
fn faults_without_any_stream_are_those_of_timers_and_are_found() {
    assert_eq!(found(Rule::default(), |_| (0, 1, 0)), Some(5));
}

#[test]
fn a_window_of_the_whole_time_finds_what_keeps_falling() {
    let rule = Rule {
        window: Rule::default().period,
        ..Rule::default()
    };
    // A service: after 1, 3, 7, 15 and 31 seconds.
    let falls = |look: u32| (0, u64::from([10, 30, 70, 150, 310].contains(&look)), 0);
    assert_eq!(found(rule, falls), Some(310));
    assert_eq!(found(Rule::default(), falls), None);
}

#[test]
fn after_a_pause_as_many_windows_must_have_had_their_faults() {
    let now = Instant::now();
    let looked = |traps| {
        let rule = Rule::default();
        let mut probation = Probation::new(rule, rule.period, now, Counts::default());
        let counts = Counts {
            traps,
            ..Counts::default()
        };
        probation.look(now + Duration::from_secs(3), counts)
    };
    assert_eq!(looked(14), Verdict::Pending);
    assert!(matches!(looked(15), Verdict::Failed { .. }));
}

#[test]
fn what_was_counted_before_does_not_count() {
    let now = Instant::now();
    let counts = Counts {
        streams: 1,
        traps: 100,
        deadlines: 100,
    };
    let mut probation = Probation::new(Rule::default(), PACE * 2, now, counts);
    assert_eq!(probation.left(now), PACE * 2);
    assert_eq!(probation.look(now + PACE, counts), Verdict::Pending);
    assert_eq!(probation.look(now + PACE * 2, counts), Verdict::Passed);
}

#[test]
fn an_endless_time_does_not_overflow() {
    let now = Instant::now();
    let mut probation = Probation::new(Rule::default(), Duration::MAX, now, Counts::default());
    assert_eq!(
        probation.look(now + PACE, Counts::default()),
        Verdict::Pending
    );
}
