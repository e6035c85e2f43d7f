//! `tidegate.fail_attempt`: faults as the backend would have them. Other hosts answer NOT_FOUND.
//!
//! Owns the message. All numbers are little-endian.
//!
//! Argument, 16 bytes: version (u8, 1), kind (u8: 0 late only, 1 an HTTP status, 2 a gRPC status,
//! 3 a connection that is reset, 4 none that can be opened), status (u16, 0 for kinds without one),
//! attempts (u32, 0 takes an earlier wish back), delay of each in nanoseconds (u64, at most an hour).

use std::time::Duration;

use super::super::guest::Guest;
use crate::host_calls::Answer;
use crate::kinds::Status;
use crate::memory::Region;
use crate::stream::{AttemptFault, Outage};

/// The longest delay of one attempt.
const LONGEST: Duration = Duration::from_secs(3600);

/// Tells the stream what its next attempts come to. BAD_ARGUMENT if the message is not as it must be,
/// or the request has left already.
pub(super) fn plan(guest: &mut Guest<'_, '_>, args: Region) -> Answer {
    let (memory, state) = guest.parts()?;
    let (fault, attempts) = read(args.read(memory)?).ok_or(Status::BadArgument)?;
    match state.with_stream(|stream| stream.fail_attempts(fault, attempts)) {
        Some(true) => Ok(()),
        Some(false) | None => Err(Status::BadArgument.into()),
    }
}

fn read(message: &[u8]) -> Option<(AttemptFault, u32)> {
    let (head, rest) = message.split_first_chunk::<2>()?;
    let (status, rest) = rest.split_first_chunk::<2>()?;
    let (attempts, rest) = rest.split_first_chunk::<4>()?;
    let (delay, rest) = rest.split_first_chunk::<8>()?;
    let delay = Duration::from_nanos(u64::from_le_bytes(*delay));
    let [version, kind] = *head;
    if version != 1 || !rest.is_empty() || delay > LONGEST {
        return None;
    }
    let outage = match (kind, u16::from_le_bytes(*status)) {
        (0, 0) => None,
        (1, status @ 200..=599) => Some(Outage::Http(status)),
        (2, status @ 0..=16) => Some(Outage::Grpc(u8::try_from(status).ok()?)),
        (3, 0) => Some(Outage::Reset),
        (4, 0) => Some(Outage::Unreachable),
        _ => return None,
    };
    Some((
        AttemptFault { outage, delay },
        u32::from_le_bytes(*attempts),
    ))
}
