//! Instances that set themselves up before their generation serves.
//!
//! Owns the wait of the control thread. What is not set up is not taken: the generation before goes
//! on to serve, whatever the new one wanted.

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::channel;
use std::time::Duration;
use std::time::Instant;

use tidegate_host_abi::Instance;
use tidegate_host_abi::SetupState;
use tokio::sync::mpsc::UnboundedSender;

use crate::filters::vm::LONGEST_SETUP;
use crate::gateway::Gateway;
use crate::gateway::StartError;
use crate::gateway::meanwhile::Meanwhile;
use crate::gateway::meanwhile::wait;
use crate::gateway::plan::Drawn;
use crate::gateway::prepare::Prepared;
use crate::generation::SetUp;
use crate::worker::Message;

/// Hands instances that are to set themselves up to their workers, and waits for all of them. They
/// are no longer in `prepared` then: their workers have them.
///
/// # Errors
///
/// The first setup that failed, or [`StartError::Interrupted`]; the workers have forgotten all of them.
pub(super) fn set_up(
    drawn: &Drawn,
    gateway: &mut Gateway,
    prepared: &mut Prepared,
    meanwhile: &mut dyn FnMut(&mut Gateway) -> Meanwhile,
) -> Result<(), StartError> {
    let inboxes = Arc::clone(&gateway.inboxes);
    let (done, all_done) = channel();
    let mut waiting = 0;
    for (inbox, share) in inboxes.iter().zip(&mut prepared.each) {
        let mut vms = Vec::new();
        share.instances.retain_mut(|(id, instances)| {
            let pending = |one: &Instance| one.setup() != SetupState::Done;
            let planned = drawn.plan.vms.iter().find(|vm| vm.id == *id);
            match planned.filter(|_| instances.iter().any(pending)) {
                Some(planned) => {
                    planned.services.set_reach(&drawn.reach);
                    vms.push((planned.clone(), std::mem::take(instances)));
                    false
                }
                None => true,
            }
        });
        if vms.is_empty() {
            continue;
        }
        let count = vms.len();
        let done = done.clone();
        if inbox
            .send(Message::SetUp(Box::new(SetUp { vms, done })))
            .is_ok()
        {
            waiting += count;
        }
    }
    drop(done);
    // Workers give up by themselves; a little more is for those that are busy.
    let patience = Instant::now() + LONGEST_SETUP * 2;
    for _ in 0..waiting {
        let next = |look: Duration| {
            let left = patience.saturating_duration_since(Instant::now());
            match all_done.recv_timeout(look.min(left)) {
                Ok(Ok(())) => Some(Ok(())),
                Ok(Err(err)) => Some(Err(StartError::Plugin {
                    plugin: err.plugin.clone(),
                    source: Box::new(err),
                })),
                Err(RecvTimeoutError::Timeout) if !left.is_zero() => None,
                Err(_) => Some(Err(StartError::Busy)),
            }
        };
        let ended = wait(gateway, meanwhile, next).flatten();
        ended.inspect_err(|_| abandon(&inboxes))?;
    }
    Ok(())
}

/// Makes workers forget what was set up for a generation that does not come.
pub(super) fn abandon(inboxes: &[UnboundedSender<Message>]) {
    for inbox in inboxes {
        inbox.send(Message::Abandon).ok();
    }
}
