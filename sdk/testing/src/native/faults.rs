//! Attempts of the simulated host towards the application: at once, late, or failed, as a filter wants
//! (`tidegate.fail_attempt`).

use tidegate_sdk_sys::Pairs;

use crate::native::state::{Fault, Local, Way};
use crate::native::{Event, Native, nanoseconds};

/// Nanoseconds of the longest delay.
const LONGEST: u64 = 3_600_000_000_000;

/// What the function's argument says; `None` if the host refuses it.
pub(super) fn read(argument: &[u8]) -> Option<(Fault, u32)> {
    let (head, rest) = argument.split_first_chunk::<2>()?;
    let (code, rest) = rest.split_first_chunk::<2>()?;
    let (attempts, rest) = rest.split_first_chunk::<4>()?;
    let (delay, rest) = rest.split_first_chunk::<8>()?;
    let delay = u64::from_le_bytes(*delay);
    if head[0] != 1 || !rest.is_empty() || delay > LONGEST {
        return None;
    }
    let status = match (head[1], u16::from_le_bytes(*code)) {
        (0, 0) => None,
        (1, code @ 200..=599) => Some((code, None)),
        (2, code @ 0..=16) => Some((http_status_of(code), Some(code.into()))),
        (3, 0) => Some((502, None)),
        (4, 0) => Some((503, None)),
        _ => return None,
    };
    Some((Fault { status, delay }, u32::from_le_bytes(*attempts)))
}

/// The status of HTTP that is nearest to one of gRPC (google.rpc.Code).
const fn http_status_of(status: u16) -> u16 {
    match status {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

impl Native {
    /// A request's headers leave; `end` if it has no body. Time limits count from here on.
    pub(super) fn begin_attempt(&mut self, context: u32, end: bool) {
        let known = self.with_stream(context, |stream| (stream.began, stream.fault.clone()));
        let Some((began, fault)) = known else {
            return;
        };
        if let Some(limit) = self.plan.request_timeout {
            let left = began + nanoseconds(limit);
            let left = left.saturating_sub(self.now());
            self.plan_event(left, Event::TimeOut { context });
        }
        match fault {
            None => self.attempt(context, end),
            Some((fault, _)) => {
                self.with_stream(context, |stream| stream.delayed = true);
                self.plan_event(fault.delay, Event::Attempt { context, end });
            }
        }
    }

    /// The attempt begins, or fails.
    pub(super) fn attempt(&mut self, context: u32, end: bool) {
        let known = self.with_stream(context, |stream| {
            stream.delayed = false;
            let fault = stream.fault.take();
            (!stream.replied).then(|| (fault, stream.side(Way::Request).headers.clone()))
        });
        match known.flatten() {
            None => {}
            Some((
                Some((
                    Fault {
                        status: Some((status, grpc_status)),
                        ..
                    },
                    _,
                )),
                _,
            )) => {
                let body = match status {
                    // They have none (RFC 9110, 15.3.5, 15.3.6 and 15.4.5).
                    204 | 205 | 304 => Vec::new(),
                    _ => b"fault filter abort".to_vec(),
                };
                let local = Local {
                    status,
                    headers: Pairs::new(),
                    body,
                    grpc_status,
                };
                self.answer_here(context, local);
            }
            Some((_, headers)) => {
                self.app_gets_headers(context, &headers);
                if end {
                    self.finish_side(context, Way::Request);
                }
            }
        }
    }
}
