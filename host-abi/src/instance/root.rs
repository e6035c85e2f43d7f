//! The callbacks of plugins: timers, queues, and the end.
//!
//! Owns the end of root contexts. Timers and I/O are the embedder's.

use super::Instance;
use super::entry::Call;
use crate::calls::CallKind;
use crate::context::{Context, ContextId, Kind};
use crate::fault::Fault;
use crate::functions::Callback;
use crate::services::{CalloutToken, GrpcCommand};
use crate::state::{RootEnd, State};
use crate::stream::Streams;

/// How far the end of a root context has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootStatus {
    /// It was logged and deleted.
    Finished,
    /// The guest wants to do something first and calls `proxy_done` later, in an answer or a tick.
    Pending,
}

impl Instance {
    /// The timer of a root context fired.
    ///
    /// Specification: `proxy_on_tick`.
    ///
    /// # Errors
    /// The fault that ended the guest, now or earlier.
    pub fn on_tick(&mut self, streams: &mut dyn Streams, root: ContextId) -> Result<(), Fault> {
        const NAME: &str = "proxy_on_tick";

        let context = self.context(root, Kind::Root, NAME)?;
        let call = Call {
            callback: Callback::Tick,
            name: NAME,
            context,
        };
        self.enter(streams, call, |exports| exports.tick.as_ref(), root.get())?;
        self.delete_released(streams)
    }

    /// A shared queue of a root context has a new item; see [`super::QueueEvent`].
    ///
    /// Specification: `proxy_on_queue_ready`.
    ///
    /// # Errors
    /// The fault that ended the guest, now or earlier.
    pub fn on_queue_ready(
        &mut self,
        streams: &mut dyn Streams,
        root: ContextId,
        queue: u32,
    ) -> Result<(), Fault> {
        const NAME: &str = "proxy_on_queue_ready";

        let context = self.context(root, Kind::Root, NAME)?;
        let call = Call {
            callback: Callback::QueueReady,
            name: NAME,
            context,
        };
        self.enter(
            streams,
            call,
            |exports| exports.queue_ready.as_ref(),
            (root.get(), queue),
        )?;
        self.delete_released(streams)
    }

    /// Ends a root context: done, and unless the guest asks to wait, log and delete. Once it is
    /// pending, calling this again ends it without asking.
    ///
    /// Its streams must have been finished before; its open calls are forgotten.
    ///
    /// # Errors
    /// The fault that ended the guest, now or earlier.
    pub fn finish_root(
        &mut self,
        streams: &mut dyn Streams,
        root: ContextId,
    ) -> Result<RootStatus, Fault> {
        let context = self.context(root, Kind::Root, "proxy_on_done")?;
        if self.end_of(context) == RootEnd::Alive && self.done(streams, context)? == Some(0) {
            self.set_end(context, RootEnd::Pending);
            return Ok(RootStatus::Pending);
        }
        self.delete_root(streams, context)?;
        Ok(RootStatus::Finished)
    }

    /// Ends all contexts that are left, streams first, without waiting for anybody. A guest that
    /// faults on the way is left as it is.
    pub fn shutdown(&mut self, streams: &mut dyn Streams) {
        for id in self.store.data().contexts.ids(Kind::Stream) {
            if self.finish_stream(streams, id).is_err() {
                return;
            }
        }
        for id in self.store.data().contexts.ids(Kind::Root) {
            let finished = match self.finish_root(streams, id) {
                Ok(RootStatus::Pending) => self.finish_root(streams, id),
                other => other,
            };
            if finished.is_err() {
                return;
            }
        }
    }

    /// Deletes root contexts for which `proxy_done` was called meanwhile.
    pub(super) fn delete_released(&mut self, streams: &mut dyn Streams) -> Result<(), Fault> {
        while let Some(plugin) = self
            .store
            .data()
            .plugins
            .iter()
            .position(|root| root.end == RootEnd::Released)
        {
            let Some(id) = self.root(plugin) else {
                return Ok(());
            };
            self.delete_root(
                streams,
                Context {
                    id,
                    kind: Kind::Root,
                    plugin,
                },
            )?;
        }
        Ok(())
    }

    fn delete_root(&mut self, streams: &mut dyn Streams, context: Context) -> Result<(), Fault> {
        self.set_end(context, RootEnd::Gone);
        let deleted = self.log_and_delete(streams, context);
        let state = self.store.data_mut();
        state.contexts.remove(context.id);
        forget_calls(state, context.plugin);
        let lookups = &mut state.lookups.open;
        lookups.retain(|_, plugin| *plugin != context.plugin);
        if let Some(root) = state.plugins.get_mut(context.plugin)
            && root.tick.take().is_some()
        {
            state.ticks_changed = true;
        }
        deleted
    }

    fn end_of(&self, context: Context) -> RootEnd {
        self.store
            .data()
            .plugins
            .get(context.plugin)
            .map_or(RootEnd::Gone, |root| root.end)
    }

    fn set_end(&mut self, context: Context, end: RootEnd) {
        if let Some(root) = self.store.data_mut().plugins.get_mut(context.plugin) {
            root.end = end;
        }
    }
}

/// Nothing of a plugin's calls is reported any more; gRPC streams would go on without end.
fn forget_calls(state: &mut State, plugin: usize) {
    let calls = &mut state.calls;
    let cancelled = &mut calls.grpc_queued;
    calls.open.retain(|token, call| {
        let stays = call.plugin != plugin;
        if !stays
            && matches!(
                CallKind::of(*token),
                CallKind::GrpcCall | CallKind::GrpcStream
            )
        {
            let token = CalloutToken(*token);
            cancelled.push(GrpcCommand::Cancel { token });
        }
        stays
    });
    calls.redis_logins.retain(|(other, _)| *other != plugin);
    calls.redis_described.retain(|(other, _)| *other != plugin);
}
