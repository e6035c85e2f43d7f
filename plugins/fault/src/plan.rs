//! What one request suffers.

use std::time::Duration;

use tidegate_sdk::attempts::{AttemptFault, Outage};
use tidegate_sdk::prelude::*;

use crate::asked::Asked;
use crate::chance::Random;
use crate::config::{Abort, Config, Header};

/// What one request suffers: first the delay, then the failure, or a slow response.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) delay: Duration,
    pub(crate) outage: Option<Outage>,
    /// How many attempts.
    pub(crate) attempts: u32,
    /// Bytes of the response's body in a second.
    pub(crate) rate: Option<u64>,
}

impl Plan {
    /// Decides by what the request is and asks for, and by chance.
    pub(crate) fn of(req: &Request, config: &Config, random: &Random) -> Self {
        if !config.is_for(req) {
            return Self::default();
        }
        let asked = match config.allow_header_control {
            true => Asked::of(req),
            false => Asked::default(),
        };
        let delay = match (asked.delay, &config.delay) {
            (Some((delay, chance)), _) => random.hits(chance).then_some(delay),
            (None, Some(delay)) => random.hits(delay.percentage).then(|| delay.length(random)),
            (None, None) => None,
        };
        let outage = match (asked.abort, &config.abort) {
            (Some((outage, chance)), _) => random.hits(chance).then_some((outage, 1)),
            (None, Some(abort)) => random
                .hits(abort.percentage)
                .then(|| (abort.outage(), abort.attempts)),
            (None, None) => None,
        };
        let rate = match (asked.rate, &config.bandwidth) {
            (Some((rate, chance)), _) => random.hits(chance).then_some(rate),
            (None, Some(bandwidth)) => random
                .hits(bandwidth.percentage)
                .then(|| bandwidth.response.bytes()),
            (None, None) => None,
        };
        Self {
            // There is no response of a backend to slow down.
            rate: rate.filter(|_| outage.is_none()),
            delay: delay.unwrap_or_default(),
            outage: outage.map(|it| it.0),
            attempts: outage.map_or(1, |it| it.1),
        }
    }

    pub(crate) const fn is_anything(&self) -> bool {
        self.delays_or_fails() || self.rate.is_some()
    }

    /// Whether it suffers before there is a response.
    pub(crate) const fn delays_or_fails(&self) -> bool {
        !self.delay.is_zero() || self.outage.is_some()
    }

    /// What each attempt comes to.
    pub(crate) const fn fault(&self) -> AttemptFault {
        AttemptFault {
            outage: self.outage,
            delay: self.delay,
        }
    }
}

impl Config {
    /// Whether a request is one that this is about.
    pub(crate) fn is_for(&self, req: &Request) -> bool {
        self.headers.iter().all(|it| it.matches(req))
    }

    /// Whether a request may ask for faults.
    pub(crate) fn lets_ask(&self, req: &Request) -> bool {
        self.allow_header_control && self.is_for(req)
    }
}

impl Abort {
    fn outage(&self) -> Outage {
        match (self.http_status, self.grpc_status) {
            (_, Some(status)) => Outage::Grpc(status),
            (status, None) => Outage::Http(status.unwrap_or(503)),
        }
    }
}

impl Header {
    fn matches(&self, req: &Request) -> bool {
        let value = req.headers().get_bytes(&self.name);
        match (value, &self.exact, &self.prefix, self.present) {
            (value, _, _, Some(present)) => value.is_some() == present,
            (None, ..) => false,
            (Some(value), Some(exact), ..) => value == exact.as_bytes(),
            (Some(value), None, Some(prefix), _) => value.starts_with(prefix.as_bytes()),
            (Some(_), None, None, None) => true,
        }
    }
}
