//! Redis commands of the filter: `tidegate.redis` as Tidegate has it, and their ends.

use tidegate_sdk_sys::{Result as HostResult, Status};

use crate::fields::text;
use crate::native::state::{NewCommand, ROOT, State};
use crate::native::{Event, Native, host};
use crate::redis::{RedisCommand, RedisLogin, words};
use crate::reply::Course;

/// The status of a command whose server is not there.
const UNREACHABLE: u32 = 1;
/// The status of a command that got no reply in time.
const TIMED_OUT: u32 = 2;
/// What the tokens of commands have in their low bits.
const KIND: u32 = 3;

/// Takes a command.
pub(super) fn ask(state: &mut State, argument: &[u8]) -> HostResult<Vec<u8>> {
    let mut command = read(argument).ok_or(Status::BAD_ARGUMENT)?;
    if !state.backends.contains(&command.backend) {
        return Err(Status::BAD_ARGUMENT);
    }
    command.token = state.next_token() | KIND;
    let token = command.token;
    state.new_commands.push(command);
    Ok(token.to_le_bytes().to_vec())
}

/// What the argument says; the token is not in it.
fn read(argument: &[u8]) -> Option<NewCommand> {
    let (head, mut rest) = argument.split_at_checked(28)?;
    let mut numbers = head.as_chunks::<4>().0.iter().copied();
    let mut number = || numbers.next().map(u32::from_le_bytes);
    let (version, timeout, database) = (number()?, number()?, number()?);
    let mut text_of = |length: u32| {
        let (text, left) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        rest = left;
        Some(text)
    };
    let backend = text_of(number()?)?;
    let login = RedisLogin {
        user: text(text_of(number()?)?),
        password: text(text_of(number()?)?),
        database,
    };
    let query = text_of(number()?)?.to_vec();
    (version == 1 && rest.is_empty()).then(|| NewCommand {
        token: 0,
        backend: text(backend),
        query,
        login,
        timeout,
    })
}

impl Native {
    /// Sends the commands that the last callbacks asked for; false if there are none.
    pub(super) fn start_commands(&mut self) -> bool {
        let commands = std::mem::take(&mut self.world.state().new_commands);
        let any = !commands.is_empty();
        for command in commands {
            self.open_calls
                .insert(command.token, command.backend.clone());
            let token = command.token;
            let (after, answer) = self.command_outcome(command);
            self.plan_event(after, Event::CommandEnds { token, answer });
        }
        any
    }

    /// When a command ends, and how.
    fn command_outcome(&self, command: NewCommand) -> (u64, Result<Vec<u8>, u32>) {
        let limit = u64::from(command.timeout) * 1_000_000;
        let Some(words) = words(&command.query) else {
            return (0, Err(UNREACHABLE));
        };
        let got = RedisCommand {
            words,
            login: command.login,
            at: std::time::Duration::from_nanos(host::EPOCH + self.now()),
        };
        let Some(reply) = self.plan.backends.command(&command.backend, &got) else {
            return (0, Err(UNREACHABLE));
        };
        self.seen.with(|seen| {
            let commands = seen.commands.entry(command.backend).or_default();
            commands.push(got);
        });
        let after = super::nanoseconds(reply.after);
        match reply.course {
            _ if after >= limit => (limit, Err(TIMED_OUT)),
            Course::Never => (limit, Err(TIMED_OUT)),
            Course::Reset | Course::Cut => (after, Err(UNREACHABLE)),
            Course::Whole => (after, Ok(reply.bytes)),
        }
    }

    /// Hands the end of a command to the filter.
    pub(super) fn command_ends(&mut self, token: u32, answer: Result<Vec<u8>, u32>) {
        if self.open_calls.remove(&token).is_none() {
            return;
        }
        let status = answer.as_ref().err().copied().unwrap_or(0);
        let reply = answer.unwrap_or_default();
        let size = reply.len();
        self.world.state().redis_reply = reply;
        self.call(ROOT, |guest| {
            guest.on_redis_reply(ROOT, token, status, size);
        });
        self.world.state().redis_reply = Vec::new();
    }
}
