//! `compress` and `uncompress`: zlib streams, as in Envoy.
//!
//! Owns the bounds. The work counts as the guest's own time, looked at after every piece, and a
//! result is never larger than the plugin may hold: Envoy inflates whatever it is given.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status as Step};

use super::super::guest::Guest;
use crate::fault::{Fault, HostCallError};
use crate::host_calls::Answer;
use crate::kinds::Status;
use crate::memory::Region;
use crate::state::State;

/// How much is read and written between two looks at the clock.
const PIECE: usize = 64 << 10;

pub(super) fn compress(guest: &mut Guest<'_, '_>, args: Region, result: &mut Vec<u8>) -> Answer {
    let (memory, state) = guest.parts()?;
    let input = args.read(memory)?;
    let limit = limit(state)?;
    let mut stream = Compress::new(Compression::default(), true);
    pump(state, input, limit, result, |input, room| {
        let flush = if input.last {
            FlushCompress::Finish
        } else {
            FlushCompress::None
        };
        let (read, written) = (stream.total_in(), stream.total_out());
        let step = stream.compress(input.bytes, room, flush).ok()?;
        Some(Moved::new(
            step,
            stream.total_in() - read,
            stream.total_out() - written,
        ))
    })
}

pub(super) fn uncompress(guest: &mut Guest<'_, '_>, args: Region, result: &mut Vec<u8>) -> Answer {
    let (memory, state) = guest.parts()?;
    let input = args.read(memory)?;
    let limit = limit(state)?;
    let mut stream = Decompress::new(true);
    pump(state, input, limit, result, |input, room| {
        let (read, written) = (stream.total_in(), stream.total_out());
        let step = stream
            .decompress(input.bytes, room, FlushDecompress::None)
            .ok()?;
        Some(Moved::new(
            step,
            stream.total_in() - read,
            stream.total_out() - written,
        ))
    })
}

fn limit(state: &State) -> Result<usize, Status> {
    let limits = state.limits().ok_or(Status::InternalFailure)?;
    Ok(limits.buffered_bytes)
}

/// A piece of the input.
struct Piece<'a> {
    bytes: &'a [u8],
    last: bool,
}

/// What one step did.
struct Moved {
    ended: bool,
    read: usize,
    written: usize,
}

impl Moved {
    fn new(step: Step, read: u64, written: u64) -> Self {
        // Neither is more than a piece.
        let count = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Self {
            ended: step == Step::StreamEnd,
            read: count(read),
            written: count(written),
        }
    }
}

/// Moves all input through `step`, piece by piece, within the guest's time and the limit.
fn pump(
    state: &mut State,
    mut input: &[u8],
    limit: usize,
    result: &mut Vec<u8>,
    mut step: impl FnMut(Piece<'_>, &mut [u8]) -> Option<Moved>,
) -> Answer {
    // Some result has a first byte, so that a scratch buffer that was kept stays as it is.
    let mut room = vec![0; PIECE];
    loop {
        in_time(state)?;
        let bytes = input.get(..PIECE).unwrap_or(input);
        let last = bytes.len() == input.len();
        let moved = step(Piece { bytes, last }, &mut room).ok_or(Status::SerializationFailure)?;
        let written = room.get(..moved.written).unwrap_or(&room);
        if result.len().saturating_add(written.len()) > limit {
            return Err(Status::SerializationFailure.into());
        }
        result.extend_from_slice(written);
        if moved.ended {
            return Ok(());
        }
        input = input.get(moved.read..).unwrap_or_default();
        if moved.read == 0 && moved.written == 0 {
            // The stream ends in the middle.
            return Err(Status::SerializationFailure.into());
        }
    }
}

/// Ends the guest if it has used up its time.
pub(super) fn in_time(state: &mut State) -> Result<(), HostCallError> {
    state.budget.tick().map_err(|passed| {
        let callback = state.running.callback;
        Fault::from_guest(callback, &wasmtime::Error::new(passed)).into()
    })
}
