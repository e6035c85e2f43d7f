//! Limits that a Redis server keeps, for all gateways that use it.
//!
//! Owns the two ways to use it: exactly, where the server is asked about each request, and with leases,
//! where it is asked for permits in advance. `server` speaks to it, `script` is what runs there, `keys`
//! what keys are called, `refusals` what need not be asked again, and `leases` is about permits, which
//! `leasing` fetches and gives back.

mod keys;
mod leases;
mod leasing;
mod refusals;
mod script;
mod server;

use std::cell::OnceCell;
use std::rc::Rc;

use tidegate_sdk::prelude::*;

use super::Answered;
use super::Ask;
use super::Standing;
use super::Store;
use super::Verdict;
use crate::config::RedisConfig;
use crate::state::Context;
use keys::parts;
use script::Granted;
use script::Mode;
use server::Server;

/// The limits of one Redis server.
#[derive(Debug)]
pub(crate) struct Redis {
    config: RedisConfig,
    /// Made by the first request, which knows the plugin's name.
    server: OnceCell<Rc<Server>>,
}

impl Redis {
    pub(crate) fn new(config: &RedisConfig) -> Self {
        Self {
            config: config.clone(),
            server: OnceCell::new(),
        }
    }

    fn server(&self, cx: &Context) -> &Rc<Server> {
        self.server
            .get_or_init(|| Rc::new(Server::new(&self.config, cx)))
    }

    /// Tells the server something that no request waits for.
    fn tell(&self, cx: &Context, mode: Mode, asks: &[Ask<'_>]) {
        let server = self.server(cx);
        server.tell(cx, mode, parts(server.wanted(asks)));
    }
}

impl Store for Redis {
    async fn take(&self, cx: &Context, asks: &[Ask<'_>]) -> Answered<Vec<Verdict>> {
        let server = self.server(cx);
        let wanted = server.wanted(asks);
        let granted = match self.config.lease {
            Some(_) => leasing::take(server, cx, &wanted).await?,
            None => server.take(cx, &wanted).await?,
        };
        let verdicts = asks.iter().zip(granted);
        Ok(verdicts
            .map(|(ask, granted)| verdict(ask, granted))
            .collect())
    }

    fn charge(&self, cx: &Context, asks: &[Ask<'_>]) -> Answered<()> {
        self.tell(cx, Mode::Charge, asks);
        Ok(())
    }

    fn refund(&self, cx: &Context, asks: &[Ask<'_>]) -> Answered<()> {
        self.tell(cx, Mode::Refund, asks);
        Ok(())
    }
}

/// What is known of one limit; one of which nothing is known does not refuse.
fn verdict(ask: &Ask<'_>, granted: Option<Granted>) -> Verdict {
    Verdict {
        admitted: granted.is_none_or(|it| it.admitted),
        name: None,
        standing: granted.map(|granted| Standing {
            rate: ask.limit.rate,
            remaining: granted.remaining,
            wait: granted.wait.map(Duration::from_micros),
            full: Duration::from_micros(granted.full),
        }),
    }
}
