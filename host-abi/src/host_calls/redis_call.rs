//! Redis commands of a guest to backends (Higress).
//!
//! Owns how a plugin says which server it means: `name?db=1`, with a user, a password and a
//! time-out, once; after that by its name alone. `tidegate.redis` says it with each call.
//! Keeping connections is the embedder's.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime::Linker;

use super::guest::Guest;
use super::{Answer, callout, env_fn};
use crate::calls::CallKind;
use crate::fault::HostCallError;
use crate::kinds::{LogLevel, Status};
use crate::memory::{Region, Slot};
use crate::services::{CalloutToken, RedisCall, RedisLogin};
use crate::state::State;

/// Backends that a plugin may have a login for.
const MAX_LOGINS: usize = 64;

/// Bytes of a user name or a password.
const MAX_CREDENTIAL: usize = 4096;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    env_fn!(
        linker,
        "proxy_redis_init",
        |guest,
         backend: u32,
         backend_len: u32,
         username: u32,
         username_len: u32,
         password: u32,
         password_len: u32,
         timeout_ms: u32| {
            let login = Login {
                backend: Region::new(backend, backend_len),
                username: Region::new(username, username_len),
                password: Region::new(password, password_len),
                timeout_ms,
            };
            init(guest, &login)
        }
    );
    env_fn!(
        linker,
        "proxy_redis_call",
        |guest, backend: u32, backend_len: u32, query: u32, query_len: u32, token: u32| {
            call(
                guest,
                Region::new(backend, backend_len),
                Region::new(query, query_len),
                Slot(token),
            )
        }
    );
    Ok(())
}

/// Where the parts of a login lie in guest memory.
struct Login {
    backend: Region,
    username: Region,
    password: Region,
    timeout_ms: u32,
}

fn init(guest: &mut Guest<'_, '_>, login: &Login) -> Answer {
    let (memory, state) = guest.parts()?;
    let target = login.backend.read(memory)?;
    let username = login.username.read(memory)?;
    let password = login.password.read(memory)?;
    let (name, options) = split(target);
    let Some(backend) = callout::allowed(state, name) else {
        callout::no_backend(state, "redis_init", name);
        return Err(Status::BadArgument.into());
    };
    let refused = if username.len() > MAX_CREDENTIAL || password.len() > MAX_CREDENTIAL {
        Some("the user or the password is too long")
    } else if database(options).is_none() {
        Some("db is no number")
    } else {
        None
    };
    if let Some(why) = refused {
        state.note(LogLevel::Warn, format_args!("redis_init: {why}"));
        return Err(Status::BadArgument.into());
    }
    let login = RedisLogin {
        backend: backend.to_owned(),
        username: Bytes::copy_from_slice(username),
        password: Bytes::copy_from_slice(password),
        database: database(options).unwrap_or(0),
        timeout_ms: login.timeout_ms,
    };
    remember(state, login)
}

/// Keeps a login, in place of the one that the plugin had for that backend.
fn remember(state: &mut State, login: RedisLogin) -> Answer {
    let plugin = state.contexts.effective().plugin;
    let logins = &mut state.calls.redis_logins;
    logins.retain(|(other, known)| *other != plugin || known.backend != login.backend);
    if logins.iter().filter(|(other, _)| *other == plugin).count() >= MAX_LOGINS {
        state.note(
            LogLevel::Warn,
            format_args!("redis_init: {MAX_LOGINS} backends are known already"),
        );
        return Err(Status::InternalFailure.into());
    }
    logins.push((plugin, Arc::new(login)));
    Ok(())
}

fn call(guest: &mut Guest<'_, '_>, backend: Region, query: Region, out: Slot) -> Answer {
    let (memory, state) = guest.parts()?;
    out.check(memory, 4)?;
    let (name, _) = split(backend.read(memory)?);
    let query = Bytes::copy_from_slice(query.read(memory)?);
    let Some(backend) = callout::allowed(state, name) else {
        callout::no_backend(state, "redis_call", name);
        return Err(Status::BadArgument.into());
    };
    let plugin = state.contexts.effective().plugin;
    let mut logins = state.calls.redis_logins.iter();
    let known = logins.find(|(other, login)| *other == plugin && login.backend == backend);
    // A server without a password needs no introduction.
    let login = known.map_or_else(|| Arc::new(plain(backend)), |(_, login)| Arc::clone(login));
    let token = queue(state, login, query)?;
    Ok(out.write_u32(memory, token)?)
}

/// Queues a command; gives the number that its reply will have. INTERNAL_FAILURE if there is no room.
pub(super) fn queue(
    state: &mut State,
    login: Arc<RedisLogin>,
    query: Bytes,
) -> Result<u32, HostCallError> {
    if !callout::has_room(state, "redis_call", query.len()) {
        return Err(Status::InternalFailure.into());
    }
    let (_, token) = callout::open(state, CallKind::Redis)?;
    state.calls.queued_bytes += query.len();
    state.calls.redis_queued.push(RedisCall {
        token: CalloutToken(token),
        login,
        query,
    });
    Ok(token)
}

/// What a call says about its server by itself, borrowed from the guest.
pub(super) struct Described<'m> {
    pub(super) backend: &'m [u8],
    pub(super) username: &'m [u8],
    pub(super) password: &'m [u8],
    pub(super) database: u32,
    pub(super) timeout_ms: u32,
}

impl Described<'_> {
    /// The login, remembered: a plugin says the same with each of its calls. BAD_ARGUMENT if the
    /// plugin may not call the backend, or the credentials are too long.
    pub(super) fn login(&self, state: &mut State) -> Result<Arc<RedisLogin>, HostCallError> {
        let Some(backend) = callout::allowed(state, self.backend) else {
            callout::no_backend(state, "redis_call", self.backend);
            return Err(Status::BadArgument.into());
        };
        if self.username.len() > MAX_CREDENTIAL || self.password.len() > MAX_CREDENTIAL {
            return Err(Status::BadArgument.into());
        }
        let plugin = state.contexts.effective().plugin;
        let described = &mut state.calls.redis_described;
        let mut known = described.iter().filter(|(other, _)| *other == plugin);
        if let Some((_, login)) = known.find(|(_, login)| self.is(login)) {
            return Ok(Arc::clone(login));
        }
        let login = Arc::new(RedisLogin {
            backend: backend.to_owned(),
            username: Bytes::copy_from_slice(self.username),
            password: Bytes::copy_from_slice(self.password),
            database: self.database,
            timeout_ms: self.timeout_ms,
        });
        let of_plugin = |(other, _): &(usize, Arc<RedisLogin>)| *other == plugin;
        if described.iter().filter(|one| of_plugin(one)).count() >= MAX_LOGINS
            && let Some(oldest) = described.iter().position(of_plugin)
        {
            described.remove(oldest);
        }
        described.push((plugin, Arc::clone(&login)));
        Ok(login)
    }

    fn is(&self, login: &RedisLogin) -> bool {
        login.timeout_ms == self.timeout_ms
            && login.database == self.database
            && login.backend.as_bytes() == self.backend
            && login.username == self.username
            && login.password == self.password
    }
}

fn plain(backend: &str) -> RedisLogin {
    RedisLogin {
        backend: backend.to_owned(),
        username: Bytes::new(),
        password: Bytes::new(),
        database: 0,
        timeout_ms: 0,
    }
}

/// The backend's name, and the options behind a question mark.
fn split(target: &[u8]) -> (&[u8], &[u8]) {
    match target.iter().position(|byte| *byte == b'?') {
        Some(at) => {
            let (name, options) = target.split_at(at);
            (name, options.get(1..).unwrap_or_default())
        }
        None => (target, &[]),
    }
}

/// The number of the database; other options, which tune Higress's buffers, mean nothing here.
fn database(options: &[u8]) -> Option<u32> {
    let options = std::str::from_utf8(options).ok()?;
    let mut given = options.split('&').filter_map(|one| one.strip_prefix("db="));
    given.next().map_or(Some(0), |number| number.parse().ok())
}
