//! Work that takes long while requests are served: on threads that give way to them.
//!
//! Owns how they are scheduled, and that such work keeps to one thread: a core at most. On a machine with
//! time to spare they have only that: whoever serves interrupts them at once. On one without, they would
//! wait for ever, and new configuration may be what it needs: there they are of low priority instead.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::time::ClockId;
use rustix::time::clock_gettime;
use thread_priority::NormalThreadSchedulePolicy;
use thread_priority::ThreadPriority;
use thread_priority::ThreadSchedulePolicy;
use thread_priority::set_thread_priority_and_policy;
use thread_priority::thread_native_id;

/// How much lower than everything else threads are scheduled that do not only have what is left (`nice`).
const NICE: i32 = 10;

/// A machine that gives so many
const PROBES: u32 = 8;
/// pieces of a core's time to a thread that has what is left, each after it has slept as long,
const PROBE: Duration = Duration::from_micros(250);
/// within this, has time to spare.
const PROBE_LIMIT: Duration = Duration::from_millis(20);

thread_local! {
    static GIVES_WAY: Cell<bool> = const { Cell::new(false) };
}

/// How a thread gives way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It runs when nobody else does (`SCHED_IDLE`).
    Spare,
    /// It is of low priority.
    Low,
}

impl Way {
    /// Has this thread, and those that it starts from now on, give way so. There is no way back
    /// without privileges.
    fn take(self) {
        // Linux schedules threads, so this concerns this one alone. It is a courtesy: if it is not allowed,
        // the work is done all the same.
        if self == Self::Spare {
            let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
            set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy).ok();
        }
        rustix::process::setpriority_process(None, NICE).ok();
        GIVES_WAY.set(true);
    }
}

/// Runs work on a thread of its own that gives way, and waits for it. What it compiles is compiled on that
/// thread alone. On a thread that gives way already, the work is done there.
pub(crate) fn run<T: Send>(name: &'static str, work: impl FnOnce() -> T + Send) -> T {
    if GIVES_WAY.get() {
        return work();
    }
    let way = if has_time_to_spare(PROBE_LIMIT) {
        Way::Spare
    } else {
        tracing::debug!("the machine has no time to spare: {name} is done at low priority");
        Way::Low
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .thread_name(|_| name.to_owned())
        .start_handler(move |_| way.take())
        .build();
    match pool {
        Ok(pool) => pool.install(work),
        Err(err) => {
            tracing::warn!(%err, "no thread of low priority: {name} is done as it comes");
            work()
        }
    }
}

/// Whether a thread that has what is left has [`PROBES`] pieces of a core's time within that time. Takes as
/// long as that takes.
///
/// It sleeps before each, so that it has to be chosen before all others that want to run: a thread that runs
/// already goes on until the kernel's next tick (4 ms mostly), whatever it may have.
fn has_time_to_spare(limit: Duration) -> bool {
    let over = Arc::new(AtomicBool::new(false));
    let (had_it, wait) = mpsc::channel();
    let probe = {
        let over = Arc::clone(&over);
        move || {
            Way::Spare.take();
            for _ in 0..PROBES {
                thread::park_timeout(PROBE);
                let enough = used().saturating_add(PROBE);
                while used() < enough {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                }
            }
            had_it.send(()).ok();
        }
    };
    let started = thread::Builder::new()
        .name("spare-time".to_owned())
        .spawn(probe);
    let had_it = started.is_ok() && wait.recv_timeout(limit).is_ok();
    over.store(true, Ordering::Relaxed);
    had_it
}

/// What this thread has had of a core's time.
fn used() -> Duration {
    let used = Duration::try_from(clock_gettime(ClockId::ThreadCPUTime));
    used.unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use rustix::process::getpriority_process;
    use thread_priority::NormalThreadSchedulePolicy;
    use thread_priority::ThreadSchedulePolicy;
    use thread_priority::thread_schedule_policy;

    use super::NICE;
    use super::Way;
    use super::has_time_to_spare;
    use super::run;

    fn nice() -> i32 {
        getpriority_process(None).expect("everybody may ask")
    }

    fn has_what_is_left() -> bool {
        let policy = thread_schedule_policy().expect("everybody may ask");
        policy == ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle)
    }

    #[test]
    fn work_is_done_on_one_thread_that_gives_way_and_the_one_that_waits_keeps_its_own_priority() {
        let before = nice();
        let (lowered, inner, outer) = run("test", || {
            let here = thread::current().id();
            (nice(), run("test", || thread::current().id()), here)
        });
        assert_eq!(lowered, NICE.max(before));
        assert_eq!(inner, outer, "work in work starts no other thread");
        assert_ne!(outer, thread::current().id());
        assert_eq!(nice(), before);
        assert!(!has_what_is_left());
    }

    #[test]
    fn threads_give_way_to_all_others_or_are_of_low_priority() {
        let [spare, low] = [Way::Spare, Way::Low].map(|way| {
            thread::spawn(move || {
                way.take();
                (has_what_is_left(), nice())
            })
        });
        assert_eq!(spare.join().expect("it ends"), (true, NICE.max(nice())));
        assert_eq!(low.join().expect("it ends"), (false, NICE.max(nice())));
    }

    #[test]
    fn a_machine_that_leaves_no_time_within_the_limit_has_none_to_spare() {
        assert!(!has_time_to_spare(Duration::ZERO));
        // However busy the machine that tests run on is, it has some in the end.
        assert!(has_time_to_spare(Duration::from_secs(600)));
    }
}
