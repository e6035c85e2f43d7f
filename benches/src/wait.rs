//! Waiting with a limit, and an end of waiting when somebody wants us to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Set by a signal; every wait ends then.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Looks again and again until `look` sees something.
///
/// # Errors
/// If that takes longer than `limit`, or if this program is asked to stop.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(seen) = look()? {
            return Ok(seen);
        }
        if is_over() {
            bail!("interrupted");
        }
        if Instant::now() >= end {
            bail!("{what}: not within {} s", limit.as_secs());
        }
        thread::park_timeout(PAUSE);
    }
}

/// Lets some time pass.
///
/// # Errors
/// If this program is asked to stop.
pub fn pass(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    until("a pause", time + PAUSE, || {
        Ok((Instant::now() >= end).then_some(()))
    })
}

/// Whether this program was asked to stop.
#[must_use]
pub fn is_over() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

/// Makes SIGINT and SIGTERM end the waits of this program instead of the program itself, so that
/// it ends its children first.
///
/// # Errors
/// If no thread or signal handler can be had.
pub fn end_on_signals() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut interrupt, mut terminate) = {
        let _context = runtime.enter();
        (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        )
    };
    let listen = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        STOPPED.store(true, Ordering::Relaxed);
    };
    thread::Builder::new()
        .name("signals".into())
        .spawn(listen)
        .context("start a thread")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_what_was_seen_or_in_time() {
        let mut looks = 0;
        let third = || {
            looks += 1;
            Ok((looks == 3).then_some("seen"))
        };
        assert_eq!(
            until("three looks", Duration::from_secs(5), third).unwrap(),
            "seen"
        );
        let never = || Ok(None::<()>);
        let err = until("the end of the world", Duration::ZERO, never).unwrap_err();
        assert_eq!(err.to_string(), "the end of the world: not within 0 s");
    }
}
