//! `tidegate.redis`: a Redis command, without an import that other hosts lack. They answer NOT_FOUND.
//!
//! Owns the message. All numbers are little-endian.
//!
//! Argument: version (u8, 1), three bytes of 0, the milliseconds that the command may take (u32, 0 is the
//! embedder's default), the database (u32), the lengths of the backend's name, the user, the password and
//! the command (u32 each), and these four. The command is one array of bulk strings in RESP. Result: the
//! number (u32) that `proxy_on_redis_call_response` has with the reply; what is read there is buffer 9.

use bytes::Bytes;

use super::super::guest::Guest;
use super::super::redis_call::{Described, queue};
use crate::host_calls::Answer;
use crate::kinds::Status;
use crate::memory::Region;

/// Bytes before the four texts.
const HEAD: usize = 28;

/// Queues the command. BAD_ARGUMENT if the message is not as it must be, or the plugin may not call the
/// backend; INTERNAL_FAILURE if too many calls are open or too many bytes wait.
pub(super) fn call(guest: &mut Guest<'_, '_>, args: Region, result: &mut Vec<u8>) -> Answer {
    let (memory, state) = guest.parts()?;
    let (described, command) = read(args.read(memory)?).ok_or(Status::BadArgument)?;
    let login = described.login(state)?;
    let token = queue(state, login, Bytes::copy_from_slice(command))?;
    result.extend_from_slice(&token.to_le_bytes());
    Ok(())
}

/// What a message says; `None` if it is none.
fn read(message: &[u8]) -> Option<(Described<'_>, &[u8])> {
    let (head, mut texts) = message.split_at_checked(HEAD)?;
    let (numbers, _) = head.as_chunks::<4>();
    let &[
        version,
        timeout_ms,
        database,
        backend,
        username,
        password,
        command,
    ] = numbers
    else {
        return None;
    };
    if version != [1, 0, 0, 0] {
        return None;
    }
    let mut text = |length: [u8; 4]| {
        let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
        let (text, rest) = texts.split_at_checked(length)?;
        texts = rest;
        Some(text)
    };
    let described = Described {
        backend: text(backend)?,
        username: text(username)?,
        password: text(password)?,
        database: u32::from_le_bytes(database),
        timeout_ms: u32::from_le_bytes(timeout_ms),
    };
    let command = text(command)?;
    texts.is_empty().then_some((described, command))
}
