//! Redis commands that filters run.
//!
//! Owns the way from a filter to its backend's connection and back. A command belongs to the
//! instance that asked for it and ends by its time limit; the connection is shared by all filters
//! of the worker that log in alike.

use std::rc::Rc;
use std::time::Duration;

use tidegate_core::resp;
use tidegate_host_abi::RedisCall;
use tidegate_host_abi::RedisFailed;

use crate::filters::callout::still;
use crate::filters::services::Reach;
use crate::filters::vm::Vm;
use crate::upstream::redis::Login;
use crate::upstream::redis::Outcome;
use crate::upstream::redis::TooManyLogins;
use crate::worker::Worker;

/// How long a command may take if its filter has not said.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest a filter may ask for: a command that never ends would hold its filter for ever.
const LONGEST_COMMAND: Duration = Duration::from_secs(300);

/// Runs a command on a task of its own; the filter is called back when it ends.
pub(crate) fn start(vm: &Rc<Vm>, call: RedisCall) {
    let Some(worker) = vm.worker() else { return };
    let generation = vm.generation();
    // The backends of its generation, also if that is an older one.
    let reach = vm.reach_of(call.token, &call.login.backend);
    // Commands of one filter reach the connection in their order.
    let reply = submit(vm, &worker, &reach, &call);
    let vm = Rc::downgrade(vm);
    // The worker's runtime owns the task; it ends by its time limit.
    tokio::task::spawn_local(async move {
        let outcome = match reply {
            Some(reply) => reply.await.ok(),
            None => None,
        };
        let outcome = outcome.unwrap_or(Err(RedisFailed::Unreachable));
        let Some(vm) = still(&vm, generation) else {
            return;
        };
        let entered = vm.enter(None, |instance, streams| {
            instance.on_redis_call_response(streams, call.token, outcome)
        });
        if entered.is_err() {
            tracing::debug!(
                token = call.token.0,
                "a Redis reply ended its filter's instance"
            );
        }
    });
}

/// Queues a command; `None` if it cannot be sent.
fn submit(
    vm: &Vm,
    worker: &Rc<Worker>,
    reach: &Reach,
    call: &RedisCall,
) -> Option<tokio::sync::oneshot::Receiver<Outcome>> {
    let backend = reach.backend(vm.namespace(), &call.login.backend)?;
    if !resp::is_shareable(&call.query) {
        let query = call.query.get(..64).unwrap_or(&call.query).escape_ascii();
        let backend = backend.backend.name.as_str();
        vm.remarks().warn(format_args!(
            "its query to {backend} is not one command that others can share a connection with: \
             {query}"
        ));
        return None;
    }
    let login = Login {
        username: call.login.username.clone(),
        password: call.login.password.clone(),
        database: call.login.database,
        timeout: time_limit(call.login.timeout_ms),
    };
    let state = worker.backends.of(&backend);
    let submitted = worker
        .redis
        .submit(worker, &state, &login, call.query.clone());
    if let Err(TooManyLogins) = submitted {
        let backend = backend.backend.name.as_str();
        vm.remarks().warn(format_args!(
            "its query to {backend} is not sent: filters log in there in too many ways"
        ));
    }
    submitted.ok()
}

/// How long a command may take of which its filter says so many milliseconds.
fn time_limit(millis: u32) -> Duration {
    match millis {
        0 => DEFAULT_TIMEOUT,
        millis => Duration::from_millis(u64::from(millis)).min(LONGEST_COMMAND),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::time_limit;

    #[test]
    fn a_command_ends_in_five_minutes_whatever_its_filter_says() {
        assert_eq!(time_limit(0), Duration::from_secs(5));
        assert_eq!(time_limit(20), Duration::from_millis(20));
        assert_eq!(time_limit(u32::MAX), Duration::from_secs(300));
    }
}
