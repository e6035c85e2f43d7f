//! The control thread that starts instances.
//!
//! Owns instantiation, start and configuration, so that none of it ever happens on a worker. A
//! start that fails is tried again with growing pauses; the last good instance, if any, serves on.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use tidegate_host_abi::Instance;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::Services;
use tokio::sync::mpsc::UnboundedSender;

use crate::filters::services::VmServices;
use crate::generation::VmId;
use crate::worker::Message;

/// The first pause after a failed start; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// An instance wanted by a worker.
#[derive(Debug)]
pub(crate) struct StartOrder {
    /// Which of the worker's VMs wants it.
    pub(crate) vm: VmId,
    pub(crate) plugins: Vec<Arc<Plugin>>,
    pub(crate) services: Arc<VmServices>,
    /// Set when nobody wants it any more.
    pub(crate) retired: Arc<AtomicBool>,
    /// How long to wait before it is started.
    pub(crate) after: Duration,
    /// Where it goes.
    pub(crate) reply: UnboundedSender<Message>,
}

/// A handle to the control thread; the thread ends when all are gone.
#[derive(Debug, Clone)]
pub(crate) struct Starter(mpsc::Sender<StartOrder>);

impl Starter {
    /// Starts the thread.
    pub(crate) fn spawn() -> std::io::Result<(Self, JoinHandle<()>)> {
        let (tx, rx) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("plugin-start".to_owned())
            .spawn(move || serve(&rx))?;
        Ok((Self(tx), thread))
    }

    pub(crate) fn order(&self, order: StartOrder) {
        // The thread outlives the workers; if it is gone, so is the gateway.
        self.0.send(order).ok();
    }
}

struct Delayed {
    order: StartOrder,
    at: Instant,
    pause: Duration,
}

fn serve(orders: &mpsc::Receiver<StartOrder>) {
    let mut delayed: Vec<Delayed> = Vec::new();
    loop {
        let next = delayed.iter().map(|delayed| delayed.at).min();
        let wait = next.map(|at| at.saturating_duration_since(Instant::now()));
        let order = match wait {
            None => orders
                .recv()
                .map_err(|_| mpsc::RecvTimeoutError::Disconnected),
            Some(wait) => orders.recv_timeout(wait),
        };
        match order {
            Ok(order) if order.after.is_zero() => start(order, FIRST_PAUSE, &mut delayed),
            Ok(order) => delayed.push(Delayed {
                at: Instant::now() + order.after,
                order,
                pause: FIRST_PAUSE / 2,
            }),
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        let now = Instant::now();
        let (due, later) = delayed
            .into_iter()
            .partition(|delayed: &Delayed| delayed.at <= now);
        delayed = later;
        for Delayed {
            order,
            at: _,
            pause,
        } in due
        {
            start(order, (pause * 2).min(LONGEST_PAUSE), &mut delayed);
        }
    }
}

fn start(order: StartOrder, pause: Duration, delayed: &mut Vec<Delayed>) {
    if order.reply.is_closed() || order.retired.load(Ordering::Relaxed) {
        return;
    }
    let services: Arc<dyn Services> = Arc::clone(&order.services) as _;
    match Instance::start(&order.plugins, services) {
        Ok(instance) => {
            order
                .reply
                .send(Message::Instance {
                    vm: order.vm,
                    instance: Box::new(instance),
                })
                .ok();
        }
        Err(err) => {
            let plugin = order
                .plugins
                .first()
                .map_or("", |plugin| plugin.spec().name.as_str());
            tracing::error!(plugin, retry_in = ?pause, "filter instance cannot start: {err}");
            delayed.push(Delayed {
                order,
                at: Instant::now() + pause,
                pause,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_host_abi::Node;
    use tokio::sync::mpsc::UnboundedReceiver;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::filters::services::Commons;
    use crate::filters::services::Reach;

    /// An order that cannot be filled, for there is no plugin in it.
    fn order(is_retired: bool) -> (StartOrder, UnboundedReceiver<Message>) {
        let (reply, replies) = unbounded_channel();
        let commons = Commons::new(Node::default(), None);
        let order = StartOrder {
            vm: VmId(1),
            plugins: Vec::new(),
            services: VmServices::new(&commons, &Arc::<Reach>::default()),
            retired: Arc::new(AtomicBool::new(is_retired)),
            after: Duration::ZERO,
            reply,
        };
        (order, replies)
    }

    #[test]
    fn a_start_that_fails_is_tried_again_only_while_somebody_wants_it() {
        let mut delayed = Vec::new();
        let (wanted, replies) = order(false);
        start(wanted, FIRST_PAUSE, &mut delayed);
        let again = delayed.pop().expect("it failed");
        assert!(delayed.is_empty());
        assert_eq!(again.pause, FIRST_PAUSE);

        again.order.retired.store(true, Ordering::Relaxed);
        start(again.order, LONGEST_PAUSE, &mut delayed);
        assert!(delayed.is_empty(), "no generation has the plugin any more");
        assert!(replies.is_empty());

        let (unheard, replies) = order(false);
        drop(replies);
        start(unheard, FIRST_PAUSE, &mut delayed);
        assert!(delayed.is_empty(), "its worker has ended");
    }
}
