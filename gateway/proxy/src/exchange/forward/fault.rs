//! Attempts that a filter wants to be late or to fail (`tidegate.fail_attempt`).
//!
//! Owns what such an attempt comes to. It is an attempt as any other: time limits of the attempt and of
//! the request hold, it is counted, and whoever decides about another attempt decides about this one
//! too. No endpoint is asked, and none is blamed.

use tidegate_host_abi::AttemptFault;

use crate::downstream::Downstream;
use crate::exchange::forward::Attempted;
use crate::exchange::forward::Forward;
use crate::filters::run::Stop;
use crate::upstream::Freshness;

/// What the access log has as details of an exchange that was delayed.
const DELAYED: bytes::Bytes = bytes::Bytes::from_static(b"fault_filter_delay");

impl Forward<'_> {
    /// What a filter wants the attempt that begins now to come to.
    pub(super) fn wanted_fault(&self) -> Option<AttemptFault> {
        let mut state = self.run.stream.state();
        let plan = state.faults.as_mut()?;
        let fault = plan.fault;
        plan.attempts -= 1;
        if plan.attempts == 0 {
            state.faults = None;
        }
        Some(fault)
    }

    /// Makes an attempt as a filter wants it.
    pub(super) async fn faulty_attempt(
        &self,
        fault: AttemptFault,
        down: &mut Downstream<'_>,
        freshness: Freshness,
    ) -> Attempted {
        if !fault.delay.is_zero()
            && let Err(stop) = self.delay(fault, down).await
        {
            return Attempted::Stopped(stop);
        }
        match fault.outage {
            None => self.attempt(down, freshness).await,
            Some(outage) => {
                self.run.stream.state().facts.attempts += 1;
                Attempted::Refused(outage)
            }
        }
    }

    /// Waits, unless the client goes away or a filter answers meanwhile.
    async fn delay(&self, fault: AttemptFault, down: &mut Downstream<'_>) -> Result<(), Stop> {
        self.run.stream.state().facts.details = DELAYED;
        let keep = self.run.sizes.head_bytes;
        let stopped = std::future::poll_fn(|cx| self.run.poll_stop(cx));
        tokio::select! {
            biased;
            stop = stopped => Err(stop),
            failure = down.inlet.gone(keep) => Err(failure.into()),
            () = self.run.worker.wheel.sleep(fault.delay) => Ok(()),
        }
    }
}
