//! Where limits are kept: what all stores can do, and the one of each limit.
//!
//! A store is asked about several limits at once, and takes from all of them or from none. One that
//! cannot answer says so within its own time-out; what happens then is not its business.

mod breaker;
mod local;
mod redis;
mod rls;

use tidegate_sdk::limit::Mode;
use tidegate_sdk::limit::Rate;
use tidegate_sdk::prelude::*;

use crate::config::Limit;
use crate::config::StoreConfig;
use crate::descriptor::Entry;
use crate::key::Key;
use crate::said::Said;
use crate::state::Context;
use local::Local;
use redis::Redis;
use rls::Rls;

/// One limit that is asked for one requester.
#[derive(Debug, Clone)]
pub(crate) struct Ask<'c> {
    /// The limit.
    pub(crate) limit: &'c Limit,
    /// Its place in the configuration.
    pub(crate) index: usize,
    /// Whose it is.
    pub(crate) key: Key,
    /// What it is to a rate limit service; empty for other stores.
    pub(crate) entries: Vec<Entry>,
    /// How much is asked for.
    pub(crate) cost: u64,
}

/// What a limit says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether it admits what was asked for. Nothing was taken from any unless all do.
    pub(crate) admitted: bool,
    /// What its store calls it, if that is not the name in the configuration.
    pub(crate) name: Option<String>,
    /// How far it is used up, for the headers; `None` if the store does not tell.
    pub(crate) standing: Option<Standing>,
}

/// How far a limit is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// What it admits.
    pub(crate) rate: Rate,
    /// How many more it would admit at once.
    pub(crate) remaining: u64,
    /// How long until it would admit what was asked for; `None` if it never will.
    pub(crate) wait: Option<Duration>,
    /// How long until it is full again, if nobody asks.
    pub(crate) full: Duration,
}

/// What a store answers.
#[derive(Debug)]
pub(crate) struct Answer {
    /// In the order of the asks.
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) said: Said,
}

/// A store did not answer: why, for the log.
#[derive(Debug)]
pub(crate) struct Unavailable(pub(crate) String);

/// What a store says, if it answers.
pub(crate) type Answered<T> = std::result::Result<T, Unavailable>;

/// Something that keeps limits.
pub(crate) trait Store {
    /// Takes from all of these limits if all admit it, else from none. The verdicts are in the order of the
    /// asks.
    async fn take(&self, cx: &Context, asks: &[Ask<'_>]) -> Answered<Vec<Verdict>>;

    /// Takes what was used already, also beyond what is admitted.
    /// Nobody waits for it.
    fn charge(&self, cx: &Context, asks: &[Ask<'_>]) -> Answered<()>;

    /// Gives back what was taken, because another store refused, or because the client has left. Nobody
    /// waits for it.
    fn refund(&self, cx: &Context, asks: &[Ask<'_>]) -> Answered<()>;
}

/// A store of one of the kinds there are.
#[derive(Debug)]
pub(crate) enum AnyStore {
    Local(Local),
    Rls(Rls),
    Redis(Redis),
}

impl AnyStore {
    /// The store of a configuration.
    pub(crate) fn of(config: &StoreConfig) -> Self {
        match config {
            StoreConfig::Local => Self::Local(Local::default()),
            StoreConfig::Rls(config) => Self::Rls(Rls::new(config.clone())),
            StoreConfig::Redis(config) => Self::Redis(Redis::new(config)),
        }
    }

    /// What a store says that answers at once; `None` from one that takes time.
    pub(crate) fn ask_at_once(&self, cx: &Context, asks: &[Ask<'_>]) -> Option<Answered<Answer>> {
        let Self::Local(store) = self else {
            return None;
        };
        let verdicts = store.ask(cx, Mode::Take, asks);
        Some(verdicts.map(|verdicts| Answer {
            verdicts,
            said: Said::default(),
        }))
    }

    /// [`take`](Store::take), with what the store says beside its verdicts.
    pub(crate) async fn ask(&self, cx: &Context, asks: &[Ask<'_>]) -> Answered<Answer> {
        if let Self::Rls(store) = self {
            return store.ask(cx, asks).await;
        }
        Ok(Answer {
            verdicts: self.take(cx, asks).await?,
            said: Said::default(),
        })
    }
}

impl Store for AnyStore {
    async fn take(&self, cx: &Context, asks: &[Ask<'_>]) -> Answered<Vec<Verdict>> {
        match self {
            Self::Local(store) => store.take(cx, asks).await,
            Self::Rls(store) => Ok(store.ask(cx, asks).await?.verdicts),
            Self::Redis(store) => store.take(cx, asks).await,
        }
    }

    fn charge(&self, cx: &Context, asks: &[Ask<'_>]) -> Answered<()> {
        match self {
            Self::Local(store) => store.charge(cx, asks),
            Self::Rls(store) => {
                store.charge(cx, asks);
                Ok(())
            }
            Self::Redis(store) => store.charge(cx, asks),
        }
    }

    fn refund(&self, cx: &Context, asks: &[Ask<'_>]) -> Answered<()> {
        match self {
            Self::Local(store) => store.refund(cx, asks),
            // The protocol has no way that all services know.
            Self::Rls(_) => Ok(()),
            Self::Redis(store) => store.refund(cx, asks),
        }
    }
}
