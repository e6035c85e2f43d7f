//! A body that goes on part by part, when the filter says so: to pace it, not to change it.
//!
//! What is not let go on is held by the host, which makes the sender wait: there is never more of it
//! than the host takes at once. Tidegate can let the beginning of a part go; other hosts have parts as
//! large as what came until then.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use tidegate_sdk_sys::{Host as _, host};

use crate::error::{Error, Result};
use crate::runtime::side::{Body, Direction};
use crate::runtime::stream::{Stream, Waiting};

/// A body whose headers have gone on, and whose parts are held until they are let go.
#[derive(Debug)]
pub struct BodyParts {
    stream: Rc<Stream>,
    direction: Direction,
    /// Whether the host can let a part go in pieces; `None` until it was tried.
    splits: Option<bool>,
}

impl BodyParts {
    /// Begins to hold a body back. The headers go on.
    pub(crate) fn of(stream: &Rc<Stream>, direction: Direction) -> Result<Self> {
        let side = stream.side(direction);
        if !matches!(*side.body.borrow(), Body::Pass) || side.released.get() {
            return Err(Error::new(
                "a body that is read or rewritten is not held in parts",
            ));
        }
        if !side.ended.get() {
            *side.body.borrow_mut() = Body::Parts;
        }
        side.released.set(true);
        Ok(Self {
            stream: Rc::clone(stream),
            direction,
            splits: None,
        })
    }

    /// Waits until a part is there, of so many bytes; `None` once all has gone on.
    pub async fn next(&mut self) -> Option<usize> {
        let side = self.stream.side(self.direction);
        poll_fn(|cx| {
            let held = self.held();
            if held > 0 {
                return Poll::Ready(Some(held));
            }
            if side.ended.get() {
                return Poll::Ready(None);
            }
            self.stream.waits_for(Waiting::For("a part of the body"));
            self.stream.wait(side, cx.waker());
            Poll::Pending
        })
        .await
    }

    /// How many bytes are held now: more may have come since [`next`](Self::next).
    #[must_use]
    pub fn held(&self) -> usize {
        self.stream.side(self.direction).body_size.get()
    }

    /// Lets all that is held go on.
    pub fn pass(&mut self) {
        self.stream.side(self.direction).body_size.set(0);
    }

    /// Lets the first bytes of what is held go on, if the host can: else all stays held, and this is
    /// false.
    pub fn pass_first(&mut self, bytes: usize) -> bool {
        let held = self.held();
        let bytes = bytes.min(held);
        if !*self.splits.get_or_insert_with(|| inject(&self.stream, &[])) {
            return false;
        }
        let Ok(first) = self.stream.body_bytes(self.direction, bytes) else {
            return false;
        };
        if first.len() != bytes || !inject(&self.stream, &first) {
            return false;
        }
        let taken = self.stream.replace_body(self.direction, bytes, &[]);
        self.stream.side(self.direction).body_size.set(held - bytes);
        if let Err(error) = taken {
            // Nobody may get it twice.
            self.stream.cut(&error);
        }
        true
    }
}

/// Higress's function for it, with its message: bytes as field 1. Other hosts do not have it.
fn inject(stream: &Stream, bytes: &[u8]) -> bool {
    const BODY: u8 = 1 << 3 | 2;
    let mut message = Vec::with_capacity(bytes.len() + 11);
    message.push(BODY);
    let mut length = bytes.len();
    while length > 0x7f {
        #[expect(clippy::cast_possible_truncation, reason = "seven bits")]
        message.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "seven bits")]
    message.push(length as u8);
    message.extend_from_slice(bytes);
    stream.focus();
    let name = b"inject_encoded_data_to_filter_chain_on_header";
    host().call_foreign_function(name, &message).is_ok()
}
