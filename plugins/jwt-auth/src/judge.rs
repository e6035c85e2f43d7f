//! Whether a request may pass: finds its tokens and judges each.
//!
//! Every token that a request has in a place where somebody reads one must be good. What needs no keys is
//! checked first, so that nonsense costs nothing.

use std::rc::Rc;
use std::time::Duration;

use tidegate_policy::Refusal;
use tidegate_sdk::cx::Cx;
use tidegate_sdk::error::Deny;
use tidegate_sdk::request::Request;

use crate::claims;
use crate::claims::Rules;
use crate::config::Config;
use crate::config::Provider;
use crate::config::Require;
use crate::flaw::Flaw;
use crate::flaw::Reason;
use crate::flaw::shown;
use crate::identity::Identity;
use crate::places::Found;
use crate::state::Source;
use crate::state::State;
use crate::token::Token;
use crate::verify;

/// When a client should try again while there are no keys, in seconds.
const RETRY_AFTER: &str = "5";
/// The shortest time that lets others run.
const BETWEEN_KEYS: Duration = Duration::from_millis(1);

/// A good token, and the number of the place where it was.
pub(crate) struct Passed {
    pub(crate) place: usize,
    pub(crate) identity: Rc<Identity>,
}

/// Judges a request. What it gives is empty if the request passes without a token.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) async fn judge(req: &Request, cx: &Cx<Config, State>) -> Result<Vec<Passed>, Flaw> {
    let now = cx.unix_time();
    let mut passed: Vec<Passed> = Vec::new();
    for (number, place) in cx.state.places.iter().enumerate() {
        let text = match place.find(req, cx) {
            Found::Nothing => continue,
            Found::Several => return Err(Reason::SeveralTokens.into()),
            Found::One(text) => text,
        };
        let text = text.bytes();
        let identity = match cached(cx, &place.providers, text, now) {
            Some(identity) => identity,
            None if text.contains(&b',') => return Err(Reason::SeveralTokens.into()),
            None => verified(cx, &place.providers, text, now).await?,
        };
        let is_second = |it: &Passed| it.identity.provider == identity.provider;
        if passed.iter().any(is_second) {
            return Err(Reason::SeveralTokens.into());
        }
        passed.push(Passed {
            place: number,
            identity,
        });
    }
    let wanted = match cx.config.rules.require {
        Require::Any => 1,
        Require::All => cx.config.providers.len(),
    };
    if passed.len() >= wanted || may_lack(req, cx) {
        Ok(passed)
    } else {
        Err(Reason::MissingToken.into())
    }
}

fn may_lack(req: &Request, cx: &Cx<Config, State>) -> bool {
    let is_preflight = || {
        req.method() == "OPTIONS"
            && req.header("origin").is_some()
            && req.header("access-control-request-method").is_some()
    };
    cx.config.rules.allow_missing || cx.config.rules.bypass_cors_preflight && is_preflight()
}

/// What is known of a token, if it is still good here.
fn cached(
    cx: &Cx<Config, State>,
    providers: &[usize],
    text: &[u8],
    now: Duration,
) -> Option<Rc<Identity>> {
    let identity = cx.state.cache.borrow().get(text)?;
    let source = cx.state.source(identity.provider)?;
    let good = providers.contains(&identity.provider)
        && identity.generation == source.generation()
        && identity.validity.holds(now);
    good.then_some(identity)
}

async fn verified(
    cx: &Cx<Config, State>,
    providers: &[usize],
    text: &[u8],
    now: Duration,
) -> Result<Rc<Identity>, Flaw> {
    let token = Token::parse(text, cx.state.limits)?;
    let issuer = claims::issuer(&token.claims)?;
    let mut first_flaw = None;
    for number in providers {
        let provider = cx.config.providers.get(*number);
        let Some(provider) = provider.filter(|it| Some(&*it.issuer) == issuer) else {
            continue;
        };
        match verified_by(cx, (*number, provider), &token, now).await {
            Ok(identity) => {
                let identity = Rc::new(identity);
                let mut cache = cx.state.cache.borrow_mut();
                cache.put(text, Rc::clone(&identity));
                return Ok(identity);
            }
            Err(flaw) => {
                first_flaw.get_or_insert(flaw);
            }
        }
    }
    let unknown = || Flaw::new(Reason::UnknownIssuer, shown(issuer.unwrap_or_default()));
    Err(first_flaw.unwrap_or_else(unknown))
}

async fn verified_by(
    cx: &Cx<Config, State>,
    (number, provider): (usize, &Provider),
    token: &Token<'_>,
    now: Duration,
) -> Result<Identity, Flaw> {
    if !provider.algorithms.contains(&token.algorithm) {
        let name = token.algorithm.name();
        return Err(Flaw::new(Reason::AlgorithmNotAllowed, name));
    }
    let types = cx.state.types.get(number).map_or(&[][..], Vec::as_slice);
    if !types.is_empty() && token.kind.as_ref().is_none_or(|it| !types.contains(it)) {
        return Err(Reason::WrongType.into());
    }
    let rules = Rules {
        audiences: &provider.audiences,
        skew: provider.clock_skew,
        max_lifetime: provider.max_lifetime,
        require_expiration: provider.require_expiration,
    };
    let validity = claims::check(&token.claims, &rules, now)?;
    let generation = signed(cx, number, token).await?;
    Identity::new(
        token,
        (number, provider),
        &cx.state.outputs,
        validity,
        generation,
    )
}

/// Checks the signature; keys that may have changed since they were fetched are fetched once more. Gives
/// the generation of the keys.
async fn signed(cx: &Cx<Config, State>, number: usize, token: &Token<'_>) -> Result<u32, Flaw> {
    let Some(source) = cx.state.source(number) else {
        return Err(Reason::JwksUnavailable.into());
    };
    let generation = source.generation();
    let flaw = match signed_by(cx, source, token).await {
        Ok(()) => return Ok(generation),
        Err(flaw) => flaw,
    };
    let may_be_new = match flaw.reason {
        Reason::UnknownKey => true,
        Reason::BadSignature => token.key_id.is_none(),
        _ => false,
    };
    if let Source::Remote(remote) = source
        && may_be_new
    {
        remote.renew(cx).await;
        let renewed = source.generation();
        if renewed != generation {
            return signed_by(cx, source, token).await.map(|()| renewed);
        }
    }
    Err(flaw)
}

async fn signed_by(cx: &Cx<Config, State>, source: &Source, token: &Token<'_>) -> Result<(), Flaw> {
    let Some(keys) = source.keys() else {
        return Err(Reason::JwksUnavailable.into());
    };
    cx.counter("jwt_auth_verifications").add(1);
    let id = token.key_id.as_deref();
    let candidates = keys
        .candidates(token.algorithm, id)
        .map_err(|reason| Flaw::new(reason, shown(id.unwrap_or("(none)"))))?;
    for (number, key) in candidates.into_iter().enumerate() {
        let by_host = verify::by_host(token.algorithm, key, token.message, &token.signature);
        let is_good = match by_host {
            Some(is_good) => is_good,
            None => {
                // No callback computes more than one: each may take some milliseconds.
                if number > 0 {
                    cx.sleep(BETWEEN_KEYS).await;
                }
                let Token {
                    algorithm, message, ..
                } = *token;
                verify::in_module(algorithm, &key.material, message, &token.signature)
            }
        };
        if is_good {
            return Ok(());
        }
    }
    Err(Reason::BadSignature.into())
}

/// What a client gets whose request is refused (RFC 6750, 3).
pub(crate) fn refusal(flaw: Flaw, realm: &str) -> Refusal {
    let reason = flaw.reason;
    let challenge = |error: &str| {
        let description = reason.description();
        let parts = [
            "Bearer realm=\"",
            realm,
            "\", error=\"",
            error,
            "\", error_description=\"",
            description,
            "\"",
        ];
        parts.concat()
    };
    let deny = match reason {
        // Who sends nothing is told nothing but what to send.
        Reason::MissingToken => Deny::unauthorized(&["Bearer realm=\"", realm, "\""].concat()),
        Reason::SeveralTokens => {
            Deny::bad_request().header("www-authenticate", &challenge("invalid_request"))
        }
        Reason::JwksUnavailable => Deny::status(503).header("retry-after", RETRY_AFTER),
        _ => Deny::unauthorized(&challenge("invalid_token")),
    };
    let deny = deny.text([reason.description(), "\n"].concat());
    Refusal::new(deny, reason.word()).specifics(flaw.specifics)
}
