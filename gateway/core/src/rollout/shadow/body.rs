//! Whether a filter would have changed a body, found out as it passes.
//!
//! Owns the comparison of what went in with what came out. It keeps what the filter holds back, and
//! nothing once the body is known to be another.

use std::collections::VecDeque;

use bytes::Bytes;

/// One body that passes a filter.
#[derive(Debug, Default)]
pub struct BodyCompare {
    /// What has gone in and not come out yet.
    waiting: VecDeque<Bytes>,
    held: usize,
    changed: bool,
}

impl BodyCompare {
    /// A piece that the filter gets.
    pub fn came(&mut self, piece: &Bytes) {
        if !self.changed && !piece.is_empty() {
            self.held += piece.len();
            self.waiting.push_back(piece.clone());
        }
    }

    /// A piece that it lets go. What it has not got yet it can only have made.
    pub fn went(&mut self, mut piece: &[u8]) {
        while !self.changed && !piece.is_empty() {
            let Some(first) = self.waiting.front_mut() else {
                return self.change();
            };
            let both = first.len().min(piece.len());
            let (now, later) = piece.split_at(both);
            if first.split_to(both) != now {
                return self.change();
            }
            self.held -= both;
            if first.is_empty() {
                self.waiting.pop_front();
            }
            piece = later;
        }
    }

    /// It is another body, whatever comes.
    pub fn change(&mut self) {
        self.changed = true;
        self.held = 0;
        self.waiting.clear();
    }

    /// Bytes that are kept for what comes out.
    pub fn held(&self) -> usize {
        self.held
    }

    /// In how many pieces they are.
    pub fn pieces(&self) -> usize {
        self.waiting.len()
    }

    /// Whether it was changed. Once the end has come out, what has not come out by then was removed.
    pub fn is_changed(&self, has_ended: bool) -> bool {
        self.changed || has_ended && self.held > 0
    }
}
