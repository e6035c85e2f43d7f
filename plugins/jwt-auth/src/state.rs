//! What the setup makes of the configuration.

use std::cell::RefCell;
use std::rc::Rc;

use tidegate_policy::Spellings;
use tidegate_sdk::prelude::*;

use crate::cache::Cache;
use crate::config::Config;
use crate::config::Jwks;
use crate::keys::KeySet;
use crate::places;
use crate::places::Place;
use crate::remote::Remote;
use crate::token::Limits;
use crate::token::kind_of;

/// What requests are judged by.
#[derive(Debug)]
pub struct State {
    /// Where tokens may be.
    pub(crate) places: Vec<Place>,
    /// The headers that tell the backend who asks.
    pub(crate) outputs: Vec<String>,
    /// What backends take for these.
    pub(crate) spellings: Spellings,
    /// Types that tokens of an issuer may have, by its number.
    pub(crate) types: Vec<Vec<String>>,
    /// How much of a token is looked at.
    pub(crate) limits: Limits,
    /// Tokens that were good.
    pub(crate) cache: RefCell<Cache>,
    /// The keys of each issuer.
    sources: Vec<Source>,
}

/// Where the keys of an issuer are.
#[derive(Debug)]
pub(crate) enum Source {
    /// In the configuration.
    Fixed(Rc<KeySet>),
    /// At a backend.
    Remote(Rc<Remote>),
}

impl Source {
    pub(crate) fn keys(&self) -> Option<Rc<KeySet>> {
        match self {
            Self::Fixed(keys) => Some(Rc::clone(keys)),
            Self::Remote(remote) => remote.keys(),
        }
    }

    pub(crate) fn generation(&self) -> u32 {
        match self {
            Self::Fixed(_) => 0,
            Self::Remote(remote) => remote.generation(),
        }
    }
}

impl State {
    fn new(config: &Config) -> Self {
        let mut outputs: Vec<String> = Vec::new();
        let mut sources = Vec::new();
        let mut types = Vec::new();
        for (number, provider) in config.providers.iter().enumerate() {
            for header in provider.outputs() {
                if !outputs.iter().any(|it| it == header) {
                    outputs.push(header.to_owned());
                }
            }
            types.push(provider.types.iter().map(|it| kind_of(it)).collect());
            sources.push(match &provider.jwks {
                Jwks::Inline(keys) => Source::Fixed(Rc::clone(&keys.0)),
                Jwks::Remote(keys) => Source::Remote(Rc::new(Remote::new(number, provider, keys))),
            });
        }
        Self {
            places: places::of(&config.providers),
            spellings: Spellings::of(outputs.iter().map(String::as_str)),
            outputs,
            types,
            limits: Limits {
                token: config.rules.max_token.as_len(),
                header: config.rules.max_token_header.as_len(),
            },
            cache: RefCell::new(Cache::new(config.rules.cache.as_len())),
            sources,
        }
    }

    /// The keys of an issuer.
    pub(crate) fn source(&self, provider: usize) -> Option<&Source> {
        self.sources.get(provider)
    }
}

/// Fetches keys once. What cannot be fetched does not keep the plugin from starting: tokens that need those
/// keys are refused until they are there.
pub(crate) async fn set_up(cx: &Cx<Config>) -> Result<State> {
    let state = State::new(&cx.config);
    let remotes = state.sources.iter().filter_map(|source| match source {
        Source::Remote(remote) => Some(Rc::clone(remote)),
        Source::Fixed(_) => None,
    });
    let remotes: Vec<Rc<Remote>> = remotes.collect();
    join_all(remotes.iter().map(|remote| remote.renew(cx))).await;
    for remote in remotes {
        cx.spawn(remote.keep(cx.clone()));
    }
    Ok(state)
}
