//! Keys that a backend has: fetched, renewed, and kept while it fails.
//!
//! Each instance of the module has its own. The first fetch belongs to the setup, which does not fail with
//! it. A background task renews the keys, and tries again with growing waits while that fails; the last
//! good ones are used meanwhile, for as long as the configuration says. They are not in the data that
//! instances share: other plugins could put keys there.

use std::cell::Cell;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use tidegate_sdk::info;
use tidegate_sdk::prelude::*;
use tidegate_sdk::time::Instant;
use tidegate_sdk::warn;

use crate::config::Provider;
use crate::config::RemoteKeys;
use crate::keys::KeySet;

/// Between fetches that fail.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// The keys of one issuer.
#[derive(Debug)]
pub(crate) struct Remote {
    config: RemoteKeys,
    /// The number of the issuer.
    number: usize,
    /// What logs and metrics call it.
    label: String,
    held: RefCell<Option<Held>>,
    /// Grows with each change of the keys.
    generation: Cell<u32>,
}

struct Held {
    keys: Rc<KeySet>,
    text: Vec<u8>,
    since: Instant,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text may have secrets.
        f.debug_struct("Held")
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

impl Remote {
    pub(crate) fn new(number: usize, provider: &Provider, config: &RemoteKeys) -> Self {
        Self {
            config: config.clone(),
            number,
            label: provider.label(),
            held: RefCell::new(None),
            generation: Cell::new(0),
        }
    }

    /// The keys, if there are any.
    pub(crate) fn keys(&self) -> Option<Rc<KeySet>> {
        self.held
            .borrow()
            .as_ref()
            .map(|held| Rc::clone(&held.keys))
    }

    /// Which keys these are; each change gives another number.
    pub(crate) const fn generation(&self) -> u32 {
        self.generation.get()
    }

    /// Keeps them fresh for ever.
    pub(crate) async fn keep<C: 'static, S: 'static>(self: Rc<Self>, cx: Cx<C, S>) {
        let mut good = self.keys().is_some();
        let mut retry = FIRST_RETRY;
        loop {
            let wait = if good {
                retry = FIRST_RETRY;
                sooner(self.config.refresh, &cx)
            } else {
                let wait = retry.min(self.config.refresh);
                retry = (retry * 2).min(LAST_RETRY);
                self.time_left().map_or(wait, |left| wait.min(left))
            };
            cx.sleep(wait).await;
            good = self.renew(&cx).await;
            if !good {
                self.give_up_if_stale();
            }
        }
    }

    /// Fetches the keys now: one fetch for all who ask, and none if the last one was just now. True if
    /// it went well.
    pub(crate) async fn renew<C: 'static, S: 'static>(self: &Rc<Self>, cx: &Cx<C, S>) -> bool {
        const MOST: usize = 64;
        let Ok(fetches) = cx.cache::<bool>("jwks", MOST) else {
            return false;
        };
        let fetch = || {
            let (this, cx) = (Rc::clone(self), cx.clone());
            async move {
                let good = this.fetch(&cx).await;
                let rest = if good { this.rest() } else { FIRST_RETRY };
                // Whoever waits just as long is not to come too early.
                Ok((good, rest.saturating_sub(Duration::from_millis(1))))
            }
        };
        let outcome = fetches.get_or_fetch(&self.number.to_string(), fetch).await;
        outcome.is_ok_and(|good| *good)
    }

    async fn fetch<C, S>(&self, cx: &Cx<C, S>) -> bool {
        cx.counter("jwt_auth_jwks_fetches").add(1);
        let taken = match self.ask(cx).await {
            Ok(text) => self.take(text),
            Err(error) => Err(error.to_string()),
        };
        match taken {
            Ok(is_new) => {
                let now = cx.unix_time().as_secs();
                let gauge = ["jwt_auth_jwks_updated_seconds_", &self.label].concat();
                cx.gauge(&gauge).set(now);
                if is_new {
                    info!("keys were fetched", issuer = self.label);
                }
                true
            }
            Err(why) => {
                cx.counter("jwt_auth_jwks_fetch_failures").add(1);
                let used = if self.keys().is_some() {
                    "the last ones"
                } else {
                    "none"
                };
                warn!(
                    "cannot fetch keys",
                    issuer = self.label,
                    why = why,
                    used = used
                );
                false
            }
        }
    }

    async fn ask<C, S>(&self, cx: &Cx<C, S>) -> Result<Vec<u8>> {
        let backend = cx.backend(&self.config.backend);
        let mut call = backend
            .get(&self.config.path)
            .header("accept", "application/json");
        if let Some(host) = &self.config.host {
            call = call.host(host);
        }
        let reply = call.timeout(self.config.timeout).send().await?.ok()?;
        if reply.body().len() > self.config.max_size.as_len() {
            return Err(Error::new("the JWK Set is larger than maxSize"));
        }
        Ok(reply.body().to_vec())
    }

    /// How long nothing is fetched after a fetch that went well.
    fn rest(&self) -> Duration {
        self.config.cooldown.min(self.config.refresh / 10 * 9)
    }

    /// Takes a JWK Set. True if it is not the one that is there.
    fn take(&self, text: Vec<u8>) -> std::result::Result<bool, String> {
        let since = Instant::now();
        if let Some(held) = &mut *self.held.borrow_mut()
            && held.text == text
        {
            held.since = since;
            return Ok(false);
        }
        let read = KeySet::parse(&text)?;
        for why in read.left_out {
            info!("a key is left out", issuer = self.label, why = why);
        }
        let keys = Rc::new(read.keys);
        *self.held.borrow_mut() = Some(Held { keys, text, since });
        self.generation.set(self.generation.get().wrapping_add(1));
        Ok(true)
    }

    /// For how long the keys may still be used without being renewed.
    fn time_left(&self) -> Option<Duration> {
        let held = self.held.borrow();
        let age = held.as_ref()?.since.elapsed();
        Some(self.config.stale_for.saturating_sub(age))
    }

    fn give_up_if_stale(&self) {
        if self.time_left() == Some(Duration::ZERO) {
            *self.held.borrow_mut() = None;
            self.generation.set(self.generation.get().wrapping_add(1));
            warn!("keys are too old to be used", issuer = self.label);
        }
    }
}

/// A little sooner: instances that started together do not all ask at once.
fn sooner<C, S>(wait: Duration, cx: &Cx<C, S>) -> Duration {
    let random = cx.random::<1>().map_or(0, |[byte]| u32::from(byte));
    wait - wait / 10 * random / 255
}
