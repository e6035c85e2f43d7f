//! Callbacks into the filter, and what happens if one panics.
//!
//! In a module a panic is a trap: its message reaches the log, the instance is gone with all it
//! knew, its streams end with 503, and the next ones get a new instance. So it is here.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use tidegate_sdk_sys::{Host, LogLevel, fake};

use crate::native::{Native, Plugin};

impl Native {
    /// Runs a callback about `context`; `None` if it panicked.
    pub(super) fn call<T>(
        &mut self,
        context: u32,
        callback: impl FnOnce(&dyn Plugin) -> T,
    ) -> Option<T> {
        self.world.state().effective = context;
        let host: Rc<dyn Host> = Rc::<super::World>::clone(&self.world);
        let installed = fake::install(host);
        let guest = &*self.guest;
        let outcome = catch_unwind(AssertUnwindSafe(|| callback(guest)));
        drop(installed);
        self.world.state().effective = 0;
        match outcome {
            Ok(output) => Some(output),
            Err(panic) => {
                self.replace(&*panic);
                None
            }
        }
    }

    /// Puts a new instance in the place of one that panicked.
    fn replace(&mut self, panic: &(dyn Any + Send)) {
        let message = crate::live::message(panic);
        let contexts: Vec<u32> = {
            let mut state = self.world.state();
            state.host_says(LogLevel::Critical, format!("panicked: {message}"));
            state.new_calls.clear();
            state.new_commands.clear();
            state.tick = None;
            state.answer = None;
            state.grpc_end = None;
            state.streams.keys().copied().collect()
        };
        // Its destructors would run in a module that is gone.
        std::mem::forget(std::mem::replace(&mut self.guest, (self.make)()));
        self.open_calls.clear();
        self.events.retain(|_, event| {
            use super::Event::{CallEnds, CommandEnds, GrpcEnds};
            !matches!(
                event,
                CallEnds { .. } | CommandEnds { .. } | GrpcEnds { .. }
            )
        });
        for context in contexts {
            self.lose(context);
        }
        if !self.world.state().configuring {
            // A second panic at once is an instance that does not start: streams get 503.
            let _refused_again = self.configure();
        }
    }

    /// Ends a stream whose instance is gone.
    fn lose(&mut self, context: u32) {
        let Some(stream) = self.world.state().streams.remove(&context) else {
            return;
        };
        let begun = stream.response.forwarded;
        self.seen.with(|seen| {
            let answer = seen.answer(stream.exchange);
            if begun {
                answer.end = crate::answer::End::Cut;
            } else {
                answer.status = Some(503);
                answer.end = crate::answer::End::Whole;
            }
        });
    }
}
