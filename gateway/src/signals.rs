//! Signals: the first SIGTERM or SIGINT drains, the second ends the process now.

use std::time::Duration;

use tidegate_proxy::Ended;
use tidegate_proxy::Gateway;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

/// How often the end of the workers is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// Serves until a signal says stop and everything that ran has ended. Returns `None` if a second
/// signal cut that short.
///
/// # Errors
///
/// The system's, if signals cannot be received.
pub(crate) fn serve_until_stopped(gateway: Gateway) -> std::io::Result<Option<Ended>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stopped = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            name = either(&mut terminate, &mut interrupt) => {
                tracing::info!("{name}: draining; a second signal ends at once");
            }
            () = all_ended(&gateway) => tracing::error!("all workers have ended"),
        }
        gateway.drain();
        tokio::select! {
            () = all_ended(&gateway) => Ok(true),
            name = either(&mut terminate, &mut interrupt) => {
                tracing::warn!("{name} again: ending now");
                Ok::<_, std::io::Error>(false)
            }
        }
    })?;
    Ok(stopped.then(|| gateway.join()))
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

async fn all_ended(gateway: &Gateway) {
    while !gateway.has_ended() {
        tokio::time::sleep(LOOK).await;
    }
}
