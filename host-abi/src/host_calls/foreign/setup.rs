//! `tidegate.setup_pending` and `tidegate.setup_done`: a plugin that is ready later than configured.
//!
//! Other hosts have neither and answer NOT_FOUND: a filter then has to let its streams wait.

use super::super::guest::Guest;
use crate::host_calls::Answer;
use crate::kinds::Status;
use crate::memory::Region;
use crate::state::Setup;

/// How much of a reason is kept.
const MOST_BYTES: usize = 2048;

/// The plugin asks to be waited for. Legal while it is started; BAD_ARGUMENT later.
pub(super) fn pending(guest: &mut Guest<'_, '_>) -> Answer {
    let (_, state) = guest.parts()?;
    if !state.starting {
        return Err(Status::BadArgument.into());
    }
    let root = state.root_mut().ok_or(Status::BadArgument)?;
    root.setup = Setup::Pending;
    Ok(())
}

/// The setup has ended: well if `args` is empty, else for the reason that it is. BAD_ARGUMENT if
/// nothing is waited for.
pub(super) fn done(guest: &mut Guest<'_, '_>, args: Region) -> Answer {
    let (memory, state) = guest.parts()?;
    let reason = args.read(memory)?;
    let reason = reason.get(..MOST_BYTES).unwrap_or(reason);
    let ended = match String::from_utf8_lossy(reason) {
        reason if reason.is_empty() => Setup::Done,
        reason => Setup::Failed(reason.into_owned().into_boxed_str()),
    };
    let root = state.root_mut().ok_or(Status::BadArgument)?;
    if root.setup != Setup::Pending {
        return Err(Status::BadArgument.into());
    }
    root.setup = ended;
    state.setup_ended = true;
    Ok(())
}
