//! Bodies and trailers of a stream: who reads them, what rewrites them, and when they go on.

use tidegate_sdk_sys::{Action, Host as _, host};

use crate::error::{Error, Result};
use crate::headers::HeadersMut;
use crate::runtime::Runtime;
use crate::runtime::side::{Body, Direction, Held, WholeRewriter};
use crate::runtime::stream::Stream;

impl Stream {
    /// A part of a body has come, or its end; true if it is nobody's business and goes on.
    pub(crate) fn passes(&self, direction: Direction, size: usize, end: bool) -> bool {
        let side = self.side(direction);
        // Of parts, hosts show what is new beside what they hold.
        let held = match side.held.get() {
            Held::Body if side.has_parts() => side.body_size.get(),
            _ => 0,
        };
        side.body_size.set(held.saturating_add(size));
        side.ended.set(end);
        side.released.get() && matches!(*side.body.borrow(), Body::Pass) && !self.stuck.get()
    }

    /// A part of a body has come that does not [pass](Self::passes).
    pub(crate) fn on_body(&self, runtime: &Runtime, direction: Direction) -> Action {
        let side = self.side(direction);
        let mut kept = false;
        let action = self.callback(direction, Held::Body, runtime, |stream| {
            // Whoever waits for it looks first, and may install a rewriter.
            stream.wake(side);
            runtime.drain();
            kept = stream.rewrite_or_refuse(direction);
        });
        if kept && !self.replied.get() {
            side.held.set(Held::Body);
            return Action::Pause;
        }
        match action {
            Action::Pause if side.has_parts() => Action::Watermark,
            other => other,
        }
    }

    /// One end of a connection sends no more.
    pub(crate) fn on_close(&self, runtime: &Runtime, direction: Direction) {
        let side = self.side(direction);
        side.ended.set(true);
        self.wake(side);
        self.settle();
        runtime.drain();
    }

    /// Trailers have come: the body is whole.
    pub(crate) fn on_trailers(&self, runtime: &Runtime, direction: Direction) -> Action {
        let side = self.side(direction);
        side.ended.set(true);
        side.trailers_came.set(true);
        self.callback(direction, Held::Body, runtime, |stream| {
            stream.wake(side);
            runtime.drain();
            match stream.rewrite_tail(direction) {
                Ok(()) if stream.side(direction).released.get() => {
                    stream.look_at_trailers(direction);
                }
                Ok(()) => {}
                // What a rewriter says ends the stream; its future is not asked.
                Err(error) => {
                    stream.cancel();
                    stream.fail(error);
                }
            }
        })
    }

    /// Runs the hook of trailers that have come; false if that ended the stream.
    pub(super) fn look_at_trailers(&self, direction: Direction) -> bool {
        let Some(look) = self.side(direction).trailers.take() else {
            return true;
        };
        self.focus();
        let done = look(&mut HeadersMut::new(self, direction.trailers()));
        match done {
            Ok(()) => true,
            Err(error) => {
                self.cancel();
                self.fail(error);
                false
            }
        }
    }

    /// Rewrites what has come; true if the host must hold it and collect.
    pub(super) fn rewrite(&self, direction: Direction, size: usize, end: bool) -> Result<bool> {
        let side = self.side(direction);
        if !side.released.get() {
            return Ok(false);
        }
        let taken = std::mem::replace(&mut *side.body.borrow_mut(), Body::Pass);
        match taken {
            Body::Pass => Ok(false),
            reading @ (Body::Collect | Body::Parts) => {
                *side.body.borrow_mut() = reading;
                Ok(false)
            }
            Body::Chunks(mut rewriter) => {
                side.body_size.set(0);
                let part = self.body_bytes(direction, size)?;
                let rewritten = rewriter(part, end)?;
                if !end {
                    *side.body.borrow_mut() = Body::Chunks(rewriter);
                }
                self.replace_body(direction, size, &rewritten)?;
                Ok(false)
            }
            Body::Whole { limit, .. } if size > limit => Err(Error::too_large(direction, limit)),
            Body::Whole { limit, rewrite } if !end => {
                *side.body.borrow_mut() = Body::Whole { limit, rewrite };
                Ok(true)
            }
            Body::Whole { rewrite, .. } => {
                self.rewrite_whole(direction, size, rewrite)?;
                Ok(false)
            }
        }
    }

    /// What rewriters still have when trailers end a body.
    fn rewrite_tail(&self, direction: Direction) -> Result<()> {
        let side = self.side(direction);
        if !side.released.get() {
            return Ok(());
        }
        let size = side.body_size.get();
        let taken = std::mem::replace(&mut *side.body.borrow_mut(), Body::Pass);
        match taken {
            Body::Chunks(mut rewriter) => {
                let tail = rewriter(Vec::new(), true)?;
                if tail.is_empty() {
                    return Ok(());
                }
                host()
                    .set_buffer(self.buffer(direction), usize::MAX, 0, &tail)
                    .map_err(|status| Error::host("append to a body before its trailers", status))
            }
            Body::Whole { rewrite, .. } => self.rewrite_whole(direction, size, rewrite),
            Body::Pass => Ok(()),
            reading @ (Body::Collect | Body::Parts) => {
                *side.body.borrow_mut() = reading;
                Ok(())
            }
        }
    }

    fn rewrite_whole(
        &self,
        direction: Direction,
        size: usize,
        rewrite: Option<WholeRewriter>,
    ) -> Result<()> {
        let Some(rewrite) = rewrite else {
            return Ok(());
        };
        let rewritten = rewrite(self.body_bytes(direction, size)?)?;
        self.replace_body(direction, size, &rewritten)
    }

    /// What the host has of a body.
    pub(crate) fn body_bytes(&self, direction: Direction, size: usize) -> Result<Vec<u8>> {
        if size == 0 {
            return Ok(Vec::new());
        }
        self.focus();
        host()
            .buffer(self.buffer(direction), 0, size)
            .map_err(|status| Error::host("read a body", status))
    }

    /// Puts `bytes` in the place of what the host has of a body.
    pub(crate) fn replace_body(
        &self,
        direction: Direction,
        size: usize,
        bytes: &[u8],
    ) -> Result<()> {
        if size == 0 && bytes.is_empty() {
            return Ok(());
        }
        self.focus();
        host()
            .set_buffer(self.buffer(direction), 0, size, bytes)
            .map_err(|status| Error::host("rewrite a body", status))
    }
}
