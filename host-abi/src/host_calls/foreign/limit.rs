//! `tidegate.limit`: rate limits that are exact across workers. Other hosts answer NOT_FOUND.
//!
//! Owns the two messages. All numbers are little-endian; times are nanoseconds.
//!
//! Argument: version (u8, 1), mode (u8: 0 take from all or none, 1 look only, 2 charge also beyond what is
//! admitted, 3 give back), count (u16, at most 16); for each limit the requests of a window, the
//! window, the burst, the cost (u64 each), the length of its key (u32) and the key. Result: for each limit
//! whether it admits (u64, 1 or 0), what remains, the wait (all bits set: for ever) and the time until it is
//! full again (u64 each).

use super::super::guest::Guest;
use crate::fault::HostCallError;
use crate::host_calls::Answer;
use crate::kinds::Status;
use crate::memory::Region;
use crate::shared::rates::{Ask, MOST_ASKS, Mode, Rate, RateTable, Taken};

/// The longest key that is taken.
const MOST_KEY_BYTES: usize = 4096;

/// Asks the limits. BAD_ARGUMENT if the message is not as it must be, a rate is none, or keys are too long
/// or too many.
pub(super) fn ask(guest: &mut Guest<'_, '_>, args: Region, result: &mut Vec<u8>) -> Answer {
    let (memory, state) = guest.parts()?;
    let mut message = Message(args.read(memory)?);
    let version = message.number::<1>()?;
    let mode = match message.number::<1>()? {
        0 => Mode::Take,
        1 => Mode::Peek,
        2 => Mode::Charge,
        3 => Mode::Refund,
        _ => return Err(Status::BadArgument.into()),
    };
    let count = usize::try_from(message.number::<2>()?).map_err(|_| Status::BadArgument)?;
    if version != 1 || count == 0 || count > MOST_ASKS {
        return Err(Status::BadArgument.into());
    }
    let root = state.root().ok_or(Status::InternalFailure)?;
    let table = root.plugin.rates(state.services.shared());
    let now = state.services.monotonic_nanos();
    // Most ask one: room for all would take longer to clear than the answer.
    match count {
        1 => ask_all::<1>(table, message, count, mode, now, result),
        _ => ask_all::<MOST_ASKS>(table, message, count, mode, now, result),
    }
}

/// Asks up to `N` limits, which are all that is left of a message.
fn ask_all<const N: usize>(
    table: &RateTable,
    mut message: Message<'_>,
    count: usize,
    mode: Mode,
    now: u64,
    result: &mut Vec<u8>,
) -> Answer {
    // Of the first; the others follow.
    let mut asks = [message.ask()?; N];
    let asks = asks.get_mut(..count).ok_or(Status::BadArgument)?;
    for ask in asks.iter_mut().skip(1) {
        *ask = message.ask()?;
    }
    if !message.0.is_empty() {
        return Err(Status::BadArgument.into());
    }
    let mut answers = [Taken::default(); N];
    for taken in table.ask(asks, mode, now, &mut answers) {
        for number in [
            u64::from(taken.admitted),
            taken.remaining,
            taken.wait,
            taken.full,
        ] {
            result.extend_from_slice(&number.to_le_bytes());
        }
    }
    Ok(())
}

/// What is left of the argument.
struct Message<'a>(&'a [u8]);

impl<'a> Message<'a> {
    fn ask(&mut self) -> Result<Ask<'a>, HostCallError> {
        let (requests, window) = (self.number::<8>()?, self.number::<8>()?);
        let (burst, cost) = (self.number::<8>()?, self.number::<8>()?);
        let len = usize::try_from(self.number::<4>()?).map_err(|_| Status::BadArgument)?;
        let rate = Rate::new(requests, window, burst).ok_or(Status::BadArgument)?;
        if len > MOST_KEY_BYTES {
            return Err(Status::BadArgument.into());
        }
        let key = self.bytes(len)?;
        Ok(Ask { key, rate, cost })
    }

    fn number<const N: usize>(&mut self) -> Result<u64, HostCallError> {
        let mut number = [0; 8];
        let bytes = self.bytes(N)?;
        for (to, from) in number.iter_mut().zip(bytes) {
            *to = *from;
        }
        Ok(u64::from_le_bytes(number))
    }

    fn bytes(&mut self, len: usize) -> Result<&'a [u8], HostCallError> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Status::BadArgument)?;
        self.0 = rest;
        Ok(bytes)
    }
}
