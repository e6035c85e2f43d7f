//! Signals: SIGHUP reloads, the first SIGTERM or SIGINT drains, the second ends the process now.

use std::sync::mpsc;
use std::time::Duration;

use tidegate_proxy::Remote;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::admin::Order;
use crate::control::reload::Event;

/// How often the end of the workers, and orders of the admin API, are looked for.
const LOOK: Duration = Duration::from_millis(20);

/// Signals from now on: none of them ends the process by itself any more.
#[derive(Debug)]
pub(crate) struct Signals {
    runtime: tokio::runtime::Runtime,
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
}

/// What runs and may be told to stop.
pub(crate) struct Running<'a> {
    /// The gateway.
    pub(crate) remote: &'a Remote,
    /// The control thread, if there is one.
    pub(crate) events: Option<&'a mpsc::Sender<Event>>,
    /// Orders of the admin API.
    pub(crate) orders: &'a mpsc::Receiver<Order>,
    /// Called once when the end begins.
    pub(crate) on_stop: &'a dyn Fn(),
}

impl Signals {
    /// Takes signals over. What comes before [`Signals::serve_until`] is kept for it. Without
    /// `hangup`, SIGHUP ends the process as it does by default.
    ///
    /// # Errors
    ///
    /// The system's, if signals cannot be received.
    pub(crate) fn register(hangup: bool) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (terminate, interrupt, hangup) = runtime.block_on(async {
            let terminate = signal(SignalKind::terminate())?;
            let interrupt = signal(SignalKind::interrupt())?;
            let hangup = hangup.then(|| signal(SignalKind::hangup())).transpose()?;
            Ok::<_, std::io::Error>((terminate, interrupt, hangup))
        })?;
        Ok(Self {
            runtime,
            terminate,
            interrupt,
            hangup,
        })
    }

    /// Whether a signal has asked for the end before anything serves.
    pub(crate) fn say_stop(&mut self) -> bool {
        let Self {
            runtime,
            terminate,
            interrupt,
            hangup: _,
        } = self;
        // Signals come by a pipe, which is read while there is something to wait for.
        let look = Duration::from_millis(1);
        let waiting = async { tokio::time::timeout(look, either(terminate, interrupt)).await };
        runtime.block_on(waiting).is_ok()
    }

    /// Serves until a signal or an order says stop and the workers have ended, then runs `finish`.
    /// Returns `None` if a second signal cut that short.
    ///
    /// # Errors
    ///
    /// The system's, if it gives no thread.
    pub(crate) fn serve_until<T: Send + 'static>(
        self,
        running: Running<'_>,
        finish: impl FnOnce() -> T + Send + 'static,
    ) -> std::io::Result<Option<T>> {
        let Self {
            runtime,
            mut terminate,
            mut interrupt,
            mut hangup,
        } = self;
        runtime.block_on(async {
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
            tokio::select! {
                done = end(&running, finish) => done.map(Some),
                name = either(&mut terminate, &mut interrupt) => {
                    tracing::warn!("{name} again: ending now");
                    Ok(None)
                }
            }
        })
    }
}

/// Waits for the workers, then for `finish`. It is run elsewhere, so that a signal is seen meanwhile.
async fn end<T: Send + 'static>(
    running: &Running<'_>,
    finish: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<T> {
    while !running.remote.has_ended() {
        tokio::time::sleep(LOOK).await;
        refuse_orders(running);
    }
    let finishing = std::thread::Builder::new()
        .name("end".to_owned())
        .spawn(finish)?;
    while !finishing.is_finished() {
        tokio::time::sleep(LOOK).await;
        refuse_orders(running);
    }
    let failed = |_| std::io::Error::other("what ends the gateway has failed; the log says why");
    finishing.join().map_err(failed)
}

/// Hands orders on; returns whether one of them is to end.
fn take_orders(running: &Running<'_>) -> bool {
    let mut drain = false;
    while let Ok(order) = running.orders.try_recv() {
        match order {
            Order::Reload(answer) => {
                tell(running, Event::Reload(Some(answer)));
            }
            Order::Wish(wish) => tell(running, Event::Wish(wish)),
            Order::Drain => drain = true,
        }
    }
    drain
}

/// Answers orders that come too late: who asks for a reload sees that there will be none.
fn refuse_orders(running: &Running<'_>) {
    while running.orders.try_recv().is_ok() {}
}

fn tell(running: &Running<'_>, event: Event) {
    if let Some(events) = running.events {
        // If the thread is gone, whoever asked learns it from the answer that never comes.
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
