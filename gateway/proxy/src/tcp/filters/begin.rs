//! The beginning of a connection: instances, contexts, and filters that hold it before it leads
//! anywhere.

use std::future::poll_fn;
use std::task::Context;
use std::task::Poll;

use tidegate_core::failure::Failure;
use tidegate_host_abi::ConnectionAction;
use tidegate_host_abi::ContextId;
use tidegate_host_abi::Side;

use crate::filters::Filter;
use crate::filters::vm::EnterError;
use crate::filters::vm::Exhausted;
use crate::tcp::filters::Filters;

impl Filters<'_> {
    /// Tells all filters of the connection, one after the other. One that pauses is waited for.
    pub(in crate::tcp) async fn begin(&self) -> Result<(), Failure> {
        for (at, filter) in self.chain.iter().enumerate() {
            let Some(context) = self.admit(filter, at).await? else {
                continue;
            };
            let entered = self
                .vm(filter, at)
                .enter(Some(self.current(context, at)), |instance, streams| {
                    instance.on_new_connection(streams, context)
                });
            let Ok(action) = entered else {
                self.apply_policy(filter, at)?;
                continue;
            };
            self.check_requests()?;
            if action == ConnectionAction::Pause {
                if let Some(side) = self.stream.state().side(at, Side::Request) {
                    side.held = true;
                }
                self.until_resumed(at).await?;
            }
            if let Some(side) = self.stream.state().side(at, Side::Request) {
                side.held = false;
                side.resume = false;
            }
        }
        Ok(())
    }

    /// A context in an instance for a filter; `None` if the filter is passed by.
    async fn admit(&self, filter: &Filter, at: usize) -> Result<Option<ContextId>, Failure> {
        filter.vm.count_stream(filter.place, self.worker);
        filter.vm.ready().await;
        if !filter.vm.may_enter() {
            filter.vm.count_turned_away(filter.place, self.worker);
            return self.apply_policy(filter, at).map(|()| None);
        }
        if filter.vm.is_pool() {
            match Box::pin(filter.vm.own()).await {
                Ok(own) => {
                    if let Some(known) = self.stream.state().filters.get_mut(at) {
                        known.own = Some(own);
                    }
                }
                Err(why) => {
                    self.worker.counters.exhausted(filter.plugin.name());
                    let why = match why {
                        Exhausted::AllTaken => "has all its instances taken",
                        Exhausted::NoneReady => "has no instance ready",
                    };
                    let failure = Failure::PluginExhausted;
                    return self.fall_back(filter, at, failure, why).map(|()| None);
                }
            }
        }
        let vm = self.vm(filter, at);
        let generation = vm.generation();
        match vm.create_stream(filter.place, (&self.stream).into(), at) {
            Ok(context) => {
                if let Some(known) = self.stream.state().filters.get_mut(at) {
                    known.context = Some((context, generation));
                }
                Ok(Some(context))
            }
            Err(err) => {
                if err == EnterError::Absent {
                    vm.count_turned_away(filter.place, self.worker);
                }
                self.apply_policy(filter, at).map(|()| None)
            }
        }
    }

    async fn until_resumed(&self, at: usize) -> Result<(), Failure> {
        let deadline = self.worker.wheel.deadline();
        let wait = poll_fn(|cx| self.poll_resumed(at, Side::Request, cx));
        match deadline.limit(self.limits.pause, wait).await {
            Ok(resumed) => resumed,
            Err(_) => Err(self.overdue(at, "the new connection")),
        }
    }

    /// Whether a filter that holds has resumed.
    pub(super) fn poll_resumed(
        &self,
        at: usize,
        side: Side,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        self.check_requests()?;
        let resumed = {
            let mut state = self.stream.state();
            state.waker = Some(cx.waker().clone());
            let side = state.side(at, side);
            side.is_none_or(|side| std::mem::take(&mut side.resume))
        };
        let Some(filter) = self.chain.get(at).filter(|_| !resumed) else {
            return Poll::Ready(Ok(()));
        };
        match self.context(filter, at)? {
            Some(_) => Poll::Pending,
            None => Poll::Ready(Ok(())), // It was lost, and fails open.
        }
    }

    /// A filter has held the connection for too long: says which one, and where.
    pub(super) fn overdue(&self, at: usize, what: &str) -> Failure {
        let plugin = self.chain.get(at).map_or("", |filter| filter.plugin.name());
        self.worker.counters.pause_timeout(plugin);
        self.blame(at, &format!("paused {what}"));
        Failure::PluginPauseTimeout
    }
}
