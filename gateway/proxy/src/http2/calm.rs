//! What a client may cost us on one connection beyond its requests.
//!
//! Owns a budget: frames that carry no request and no data use it up; data in both directions, and
//! time, fill it again. It is ample for every honest client, and a flood of SETTINGS, PING,
//! PRIORITY, RST_STREAM, WINDOW_UPDATE or empty frames uses it up in moments (CVE-2019-9511 to
//! 9518). Requests that are reset at once count against another one (rapid reset, CVE-2023-44487).

use std::cell::Cell;
use std::time::Duration;
use std::time::Instant;

use crate::http2::scan::CONTINUATION;
use crate::http2::scan::DATA;
use crate::http2::scan::HEADERS;
use crate::http2::scan::Scan;

/// Frames that may come at once.
const BURST: u64 = 4096;
/// Frames that every second adds.
const EACH_SECOND: u64 = 64;
/// Bytes in either direction that allow for another frame.
const BYTES_EACH: u64 = 256;
/// Requests that were reset at once, more than were not.
const RESETS: u32 = 200;
/// A request that lived for less than this was reset at once.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The bytes before the first frame (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The budget of one connection.
#[derive(Debug)]
pub(super) struct Calm {
    left: Cell<u64>,
    /// Bytes that do not make a frame yet.
    bytes: Cell<u64>,
    filled: Cell<Instant>,
    over: Cell<bool>,
    resets: Cell<u32>,
    /// Bytes wait here until the client reads.
    waits: Cell<bool>,
    scan: Cell<Scan>,
    /// Bytes of all DATA frames.
    data: Cell<u64>,
}

impl Calm {
    pub(super) fn new() -> Self {
        Self {
            left: Cell::new(BURST),
            bytes: Cell::new(0),
            filled: Cell::new(Instant::now()),
            over: Cell::new(false),
            resets: Cell::new(0),
            waits: Cell::new(false),
            scan: Cell::new(Scan::after(PREFACE.len())),
            data: Cell::new(0),
        }
    }

    /// Bytes of uploads that have come, padding counted.
    pub(super) fn data(&self) -> u64 {
        self.data.get()
    }

    /// Whether the client has gone too far.
    pub(super) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// Whether bytes wait here until the client reads.
    pub(super) fn waits_for_client(&self) -> bool {
        self.waits.get()
    }

    /// Whether the client took what it was sent last.
    pub(super) fn note_waiting(&self, waits: bool) {
        self.waits.set(waits);
    }

    /// Bytes were sent to the client.
    pub(super) fn wrote(&self, bytes: usize) {
        self.earn(bytes as u64);
    }

    /// A request ended after this time, by a reset of its client or otherwise.
    pub(super) fn ended(&self, by_reset: bool, after: Duration) {
        let resets = self.resets.get();
        if !by_reset {
            self.resets.set(resets.saturating_sub(1));
        } else if after < AT_ONCE {
            self.resets.set(resets + 1);
            if resets >= RESETS {
                self.over.set(true);
            }
        }
    }

    /// Bytes came from the client.
    pub(super) fn read(&self, bytes: &[u8]) {
        let mut scan = self.scan.get();
        scan.read(bytes, |kind, length| self.frame(kind, length));
        self.scan.set(scan);
    }

    fn frame(&self, kind: u8, length: usize) {
        match kind {
            DATA if length > 0 => {
                self.data.set(self.data.get() + length as u64);
                self.earn(length as u64);
            }
            // Their number is limited by what a head may hold.
            HEADERS | CONTINUATION => {}
            _ => self.spend(),
        }
    }

    fn earn(&self, bytes: u64) {
        let bytes = self.bytes.get() + bytes;
        self.bytes.set(bytes % BYTES_EACH);
        let left = self.left.get() + bytes / BYTES_EACH;
        self.left.set(left.min(BURST));
    }

    fn spend(&self) {
        if self.left.get() == 0 {
            let seconds = self.filled.get().elapsed().as_secs();
            self.filled.set(Instant::now());
            self.left.set((seconds * EACH_SECOND).min(BURST));
        }
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => self.over.set(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, 0, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    fn after(frames: &[u8], piece: usize) -> Calm {
        let calm = Calm::new();
        for bytes in [PREFACE, frames].concat().chunks(piece) {
            calm.read(bytes);
        }
        calm
    }

    #[test]
    fn a_flood_of_frames_without_a_use_is_noticed_however_it_is_cut() {
        let flood = frame(6, &[0; 8]).repeat(5000);
        for piece in [1, 7, 9, 17, 4096] {
            assert!(after(&flood, piece).is_over(), "{piece}");
        }
        assert!(after(&frame(DATA, b"").repeat(5000), 4096).is_over());
    }

    #[test]
    fn data_may_come_in_any_number_of_frames_that_carry_some() {
        assert!(!after(&frame(DATA, b"x").repeat(50_000), 4096).is_over());
        let mixed = [frame(DATA, &[0; 1024]), frame(8, &[0; 4])].concat();
        assert!(!after(&mixed.repeat(50_000), 4096).is_over());
    }

    #[test]
    fn requests_that_are_reset_at_once_are_counted_against_those_that_are_not() {
        let calm = Calm::new();
        for _ in 0..10_000 {
            calm.ended(true, Duration::ZERO);
            calm.ended(false, Duration::ZERO);
            calm.ended(true, Duration::from_secs(2));
        }
        assert!(!calm.is_over());
        for _ in 0..=RESETS {
            calm.ended(true, Duration::ZERO);
        }
        assert!(calm.is_over());
    }
}
