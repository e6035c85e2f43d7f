//! Faults as the backend would have them: attempts that fail or take long because a filter wants it.
//!
//! A host that decides about attempts itself lets its time limits and retries hold for these too.
//! Tidegate does (`tidegate.fail_attempt`); a filter on another host waits and answers by itself.

use std::time::Duration;

use tidegate_sdk_sys::{Host as _, Status, host};

use crate::cx::Cx;
use crate::error::{Error, Result};

/// The version of the message.
const VERSION: u8 = 1;

/// What an attempt towards the backend comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AttemptFault {
    /// How it fails; `None`: it does not.
    pub outage: Option<Outage>,
    /// How long it takes before that: an hour at most.
    pub delay: Duration,
}

/// How an attempt fails. No endpoint of the backend is asked, and none is blamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// As if the backend had answered with this HTTP status, 200 to 599.
    Http(u16),
    /// As if it had answered with this gRPC status, 0 to 16.
    Grpc(u8),
    /// As if it had reset the connection.
    Reset,
    /// As if no connection could be opened.
    Unreachable,
}

impl AttemptFault {
    fn message(&self, attempts: u32) -> [u8; 16] {
        let (kind, status) = match self.outage {
            None => (0, 0),
            Some(Outage::Http(status)) => (1, status),
            Some(Outage::Grpc(status)) => (2, u16::from(status)),
            Some(Outage::Reset) => (3, 0),
            Some(Outage::Unreachable) => (4, 0),
        };
        let [low, high] = status.to_le_bytes();
        let mut message = [0; 16];
        let head = [VERSION, kind, low, high];
        let delay = u64::try_from(self.delay.as_nanos()).unwrap_or(u64::MAX);
        let parts = [&head[..], &attempts.to_le_bytes(), &delay.to_le_bytes()];
        let bytes = parts.into_iter().flatten();
        message
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        message
    }
}

impl<C, S> Cx<C, S> {
    /// Makes so many of the next attempts of this exchange come to `fault`, once the request goes on;
    /// 0 takes an earlier wish back. False where the host has no such function: nothing happens then.
    ///
    /// # Errors
    /// If a status or the delay is none, or the request has left.
    pub fn fail_attempts(&self, fault: AttemptFault, attempts: u32) -> Result<bool> {
        self.focus();
        let message = fault.message(attempts);
        match host().call_foreign_function(b"tidegate.fail_attempt", &message) {
            Ok(_) => Ok(true),
            Err(Status::NOT_FOUND | Status::UNIMPLEMENTED) => Ok(false),
            Err(status) => Err(Error::host("make an attempt fail", status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{AttemptFault, Outage};

    #[test]
    fn the_message_is_as_the_page_of_foreign_functions_has_it() {
        let fault = AttemptFault {
            outage: Some(Outage::Http(503)),
            delay: Duration::from_nanos(258),
        };
        assert_eq!(
            fault.message(3),
            *b"\x01\x01\xf7\x01\x03\0\0\0\x02\x01\0\0\0\0\0\0"
        );
        let late = AttemptFault {
            outage: None,
            ..fault
        };
        assert_eq!(
            late.message(1),
            *b"\x01\0\0\0\x01\0\0\0\x02\x01\0\0\0\0\0\0"
        );
    }
}
