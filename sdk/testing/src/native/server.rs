//! The server behind a network filter.

use crate::native::Native;
use crate::native::state::{Item, Way};

impl Native {
    /// The host connects to it.
    pub(super) fn server_connects(&mut self, context: u32) {
        let at = self.seen.with(|seen| {
            seen.connections.push(Vec::new());
            seen.connections.len() - 1
        });
        self.with_stream(context, |stream| stream.app = Some(at));
        let greeting = self.plan.backends.greeting();
        self.server_says(context, &greeting, false);
    }

    /// It gets bytes, and may answer.
    pub(super) fn server_gets(&mut self, context: u32, bytes: &[u8]) {
        let taken = self.with_stream(context, |stream| std::mem::take(&mut stream.unanswered));
        let Some(mut unanswered) = taken else {
            return;
        };
        unanswered.extend_from_slice(bytes);
        let parts = self.plan.backends.serve(&mut unanswered);
        self.with_stream(context, |stream| stream.unanswered = unanswered);
        self.server_says(context, &parts, false);
    }

    /// What it sends is on its way, and perhaps its end.
    pub(super) fn server_says(&mut self, context: u32, parts: &[Vec<u8>], end: bool) {
        self.with_stream(context, |stream| {
            let incoming = &mut stream.side_mut(Way::Response).incoming;
            for bytes in parts.iter().cloned() {
                incoming.push_back(Item::Data { bytes, end: false });
            }
            if end {
                let bytes = Vec::new();
                incoming.push_back(Item::Data { bytes, end });
            }
        });
    }
}
