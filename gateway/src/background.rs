//! Work that takes long while requests are served: on threads that give way to them.
//!
//! Owns how low their priority is, and that such work keeps to one thread: a core at most.

use std::cell::Cell;

/// How much lower than everything else such threads are scheduled (`nice`).
const NICE: i32 = 10;

thread_local! {
    static GIVES_WAY: Cell<bool> = const { Cell::new(false) };
}

/// Makes this thread, and those that it starts from now on, give way to all others of the machine.
pub(crate) fn give_way() {
    // Linux schedules threads, so this concerns this one alone. It is a courtesy: if it is not allowed,
    // the work is done all the same.
    rustix::process::setpriority_process(None, NICE).ok();
    GIVES_WAY.set(true);
}

/// Runs work on a thread of its own that gives way, and waits for it. What it compiles is compiled on that
/// thread alone. On a thread that gives way already, the work is done there.
pub(crate) fn run<T: Send>(name: &'static str, work: impl FnOnce() -> T + Send) -> T {
    if GIVES_WAY.get() {
        return work();
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .thread_name(|_| name.to_owned())
        .start_handler(|_| give_way())
        .build();
    match pool {
        Ok(pool) => pool.install(work),
        Err(err) => {
            tracing::warn!(%err, "no thread of low priority: {name} is done as it comes");
            work()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::process::getpriority_process;

    use super::NICE;
    use super::run;

    #[test]
    fn work_is_done_on_one_thread_of_low_priority_and_the_one_that_waits_keeps_its_own() {
        let nice = || getpriority_process(None).expect("everybody may ask");
        let before = nice();
        let (lowered, inner, outer) = run("test", || {
            let here = thread::current().id();
            (nice(), run("test", || thread::current().id()), here)
        });
        assert_eq!(lowered, NICE.max(before));
        assert_eq!(inner, outer, "work in work starts no other thread");
        assert_ne!(outer, thread::current().id());
        assert_eq!(nice(), before);
    }
}
