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
    /// What filters want the attempt that begins now to come to: all their delays, and the failure that
    /// was wished first.
    pub(super) fn wanted_fault(&self) -> Option<AttemptFault> {
        let faults = &mut self.run.stream.state().faults;
        let together = |one: AttemptFault, next: AttemptFault| AttemptFault {
            outage: one.outage.or(next.outage),
            delay: one.delay.saturating_add(next.delay),
        };
        let fault = faults.iter().map(|it| it.fault).reduce(together);
        for wish in faults.iter_mut() {
            wish.attempts -= 1;
        }
        faults.retain(|wish| wish.attempts > 0);
        fault
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
        {
            let mut state = self.run.stream.state();
            state.delayed = true;
            state.facts.details = DELAYED;
        }
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
