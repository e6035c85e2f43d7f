//! `tidegate.select_backend`: which backend of its rule has an exchange. Other hosts answer NOT_FOUND.
//!
//! Owns the argument: version (u8, 1), kind (u8: 0 place from the front, 1 place from the back, 2 name), and
//! the place (u32, little-endian) or the name (UTF-8, the rest). There is no result.

use super::super::guest::Guest;
use crate::host_calls::Answer;
use crate::kinds::Status;
use crate::memory::Region;
use crate::stream::{BackendChoice, Selected};

/// The longest name that is taken: a namespace, a name and a port have less.
const MOST_NAME_BYTES: usize = 512;

/// Selects the backend. BAD_ARGUMENT if the argument is not as it must be, the rule has no such backend, or
/// the context is no exchange whose backend is still to be chosen.
pub(super) fn select(guest: &mut Guest<'_, '_>, args: Region) -> Answer {
    let (memory, state) = guest.parts()?;
    let choice = choice(args.read(memory)?).ok_or(Status::BadArgument)?;
    match state.with_stream(|stream| stream.select_backend(choice)) {
        Some(Selected::Done) => Ok(()),
        Some(Selected::Unknown | Selected::Unavailable) | None => Err(Status::BadArgument.into()),
    }
}

fn choice(argument: &[u8]) -> Option<BackendChoice<'_>> {
    let [1, kind, rest @ ..] = argument else {
        return None;
    };
    let place = || rest.try_into().ok().map(u32::from_le_bytes);
    match kind {
        0 => place().map(BackendChoice::FromFront),
        1 => place().map(BackendChoice::FromBack),
        2 if rest.len() <= MOST_NAME_BYTES => {
            std::str::from_utf8(rest).ok().map(BackendChoice::Named)
        }
        _ => None,
    }
}
