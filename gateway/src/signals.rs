//! Signals: SIGHUP reloads, the first SIGTERM or SIGINT drains, the second ends the process now.

use std::sync::mpsc;
use std::time::Duration;

use tidegate_proxy::Ended;
use tidegate_proxy::Gateway;
use tidegate_proxy::Remote;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::admin::Order;
use crate::control::reload::Event;

/// How often the end of the workers, and orders of the admin API, are looked for.
const LOOK: Duration = Duration::from_millis(20);

/// What runs and may be told to stop.
pub(crate) struct Running<'a> {
    /// The gateway.
    pub(crate) remote: &'a Remote,
    /// The control thread; without one, SIGHUP ends the process as it does by default.
    pub(crate) events: Option<&'a mpsc::Sender<Event>>,
    /// Orders of the admin API.
    pub(crate) orders: &'a mpsc::Receiver<Order>,
    /// Called once when the end begins.
    pub(crate) on_stop: &'a dyn Fn(),
}

/// Serves until a signal says stop and everything that ran has ended. Returns `None` if a second
/// signal cut that short.
///
/// # Errors
///
/// The system's, if signals cannot be received.
pub(crate) fn serve_until_stopped(gateway: Gateway) -> std::io::Result<Option<Ended>> {
    let (_nobody_orders, orders) = mpsc::channel();
    let ended = serve_until(Running {
        remote: &gateway.remote(),
        events: None,
        orders: &orders,
        on_stop: &|| {},
    })?;
    Ok(ended.then(|| gateway.join()))
}

/// Serves until a signal or an order says stop and the workers have ended. Returns false if a second
/// signal cut that short.
///
/// # Errors
///
/// The system's, if signals cannot be received.
pub(crate) fn serve_until(running: Running<'_>) -> std::io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let hangup = running.events.map(|_| signal(SignalKind::hangup()));
        let mut hangup = hangup.transpose()?;
        loop {
            tokio::select! {
                name = either(&mut terminate, &mut interrupt) => {
                    tracing::info!("{name}: draining; a second signal ends at once");
                    break;
                }
                () = next(hangup.as_mut()) => tell(&running, Event::Reload(None)),
                () = tokio::time::sleep(LOOK) => {
                    if running.remote.has_ended() {
                        tracing::error!("all workers have ended");
                        break;
                    }
                    if take_orders(&running) {
                        tracing::info!("told by the admin API: draining; a signal ends at once");
                        break;
                    }
                }
            }
        }
        (running.on_stop)();
        running.remote.drain();
        let all_ended = async {
            while !running.remote.has_ended() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = all_ended => Ok(true),
            name = either(&mut terminate, &mut interrupt) => {
                tracing::warn!("{name} again: ending now");
                Ok(false)
            }
        }
    })
}

/// Hands orders on; returns whether one of them is to end.
fn take_orders(running: &Running<'_>) -> bool {
    let mut drain = false;
    while let Ok(order) = running.orders.try_recv() {
        match order {
            Order::Reload(answer) => {
                tell(running, Event::Reload(Some(answer)));
            }
            Order::Drain => drain = true,
        }
    }
    drain
}

fn tell(running: &Running<'_>, event: Event) {
    if let Some(events) = running.events {
        // The thread ends only after the last signal.
        events.send(event).ok();
    }
}

/// The next signal; never, if none is waited for.
async fn next(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
