//! Names that guests have asked for (`envoy_resolve_dns`).
//!
//! Owns their tokens.

use std::collections::HashMap;

use crate::services::DnsLookup;

/// Names that are looked up for the instance.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    /// Asked for and not yet taken by the embedder.
    pub(crate) queued: Vec<DnsLookup>,
    /// Unanswered ones by token, with the plugin's place.
    pub(crate) open: HashMap<u32, usize>,
    last_token: u32,
}

impl Lookups {
    /// A token that no open lookup has; never 0. Envoy counts them from 2, apart from calls.
    pub(crate) fn token(&mut self) -> u32 {
        if self.last_token == 0 {
            self.last_token = 1;
        }
        loop {
            self.last_token = self.last_token.wrapping_add(1);
            if self.last_token != 0 && !self.open.contains_key(&self.last_token) {
                return self.last_token;
            }
        }
    }
}
