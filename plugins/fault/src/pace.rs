//! Bodies of responses that arrive slowly.

use std::time::Duration;

use tidegate_sdk::prelude::*;

use crate::config::Config;
use crate::state::State;

/// How often bytes go on, where the host lets parts go in pieces; and for how long bytes may be saved that
/// were not used.
const STEP: Duration = Duration::from_millis(50);

/// Lets so many bytes of the body go on in a second. The backend waits with the rest.
pub(crate) async fn slow_down(res: &mut Response, rate: u64, cx: &Cx<Config, State>) -> Result<()> {
    let mut parts = res.parts()?;
    let step = bytes_of(STEP, rate).max(1);
    let begun = cx.now();
    // When, since then, all is paid for that has gone on.
    let mut paid_until = Duration::ZERO;
    // Bytes that are held and paid for: those of a host that lets parts go only as a whole.
    let mut paid = 0;
    while let Some(held) = parts.next().await {
        paid_until = paid_until.max(begun.elapsed().saturating_sub(STEP));
        let mut held = held;
        while paid < held {
            // After a stall, all that is due goes at once: a piece costs the same whatever its size.
            let late = begun.elapsed().saturating_sub(paid_until);
            let piece = bytes_of(late, rate).max(step).min(held - paid);
            paid_until += time_of(piece, rate);
            let wait = paid_until.saturating_sub(begun.elapsed());
            if !wait.is_zero() {
                cx.sleep(wait).await;
            }
            if !parts.pass_first(piece) {
                paid += piece;
            }
            held = parts.held();
        }
        parts.pass();
        paid = 0;
    }
    Ok(())
}

/// How many bytes go on in this time.
fn bytes_of(time: Duration, rate: u64) -> usize {
    let bytes = u128::from(rate) * time.as_micros() / 1_000_000;
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// How long so many bytes take.
fn time_of(bytes: usize, rate: u64) -> Duration {
    let nanos = u128::from(bytes as u64) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
