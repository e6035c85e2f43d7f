//! A limit that is kept in Redis: where that is, and how it is used.

use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::prelude::*;

/// A Redis server, which counts for several gateways together.
#[derive(FilterConfig, Debug, Clone, PartialEq, Eq)]
pub(crate) struct RedisConfig {
    /// The backend that is the server. The Plugin's `allow.backends` names it, too.
    pub(crate) backend: Backend,
    /// More servers, which share the keys with `backend`: each key is kept by one of them. The Plugin's
    /// `allow.backends` names them, too. One that is put at the end takes over its share of the keys, which
    /// begin anew there.
    #[config(default = [], max_len = 63)]
    pub(crate) shards: Vec<Backend>,
    /// How many slots of a Redis cluster the keys are in, which is behind a proxy then. Limits of one
    /// request that are in several slots, or on several servers, are asked one after the other.
    #[config(default = 1, min = 1, max = 16_384)]
    pub(crate) slots: u32,
    /// Whose counts these are: plugins that name the same domain, and the same limits, count together.
    /// Without it, the Plugin's namespace and name.
    #[config(pattern = "^[A-Za-z0-9._/-]{1,128}$")]
    pub(crate) domain: Option<String>,
    /// The user to log in as. Without it, the default user.
    #[config(min_len = 1, max_len = 256)]
    pub(crate) username: Option<String>,
    /// The password to log in with.
    pub(crate) password: Option<Secret>,
    /// The number of the database.
    #[config(default = 0, min = 0, max = 65_535)]
    pub(crate) database: u32,
    /// How long a request may wait for the server. After that, `failureMode` says what becomes of it.
    #[config(default = "20ms", min = "1ms", max = "5s")]
    pub(crate) timeout: Duration,
    /// Takes permits in advance and spends them without asking. Without it, the server is asked about each
    /// request, and counts exactly.
    pub(crate) lease: Option<LeaseConfig>,
}

impl RedisConfig {
    /// Finds what the fields do not say each by itself: a server that is named twice.
    pub(super) fn check(&self) -> std::result::Result<(), Problem> {
        for (index, shard) in self.shards.iter().enumerate() {
            let before = self.shards.iter().take(index);
            if std::iter::once(&self.backend)
                .chain(before)
                .any(|it| it == shard)
            {
                let message =
                    format!("{shard} is named before: it would keep two shares of the keys");
                return Err(Problem::new(message).at(index).under("shards"));
            }
        }
        Ok(())
    }
}

/// Permits in advance.
#[derive(FilterConfig, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeaseConfig {
    /// The most permits of one key that a worker holds; it begins with one and takes more as it spends
    /// more, up to a quarter of the burst. All workers of all gateways together admit at most so many times
    /// their number more than the limit.
    #[config(default = 100, min = 1, max = 1_000_000)]
    pub(crate) permits: u64,
    /// After which time those that were not spent are given back.
    #[config(default = "1s", min = "10ms", max = "1m")]
    pub(crate) ttl: Duration,
}
