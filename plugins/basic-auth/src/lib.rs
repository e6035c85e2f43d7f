//! Lets in users with a name and a password (RFC 7617), and tells the backend who that is.
//!
//! - `config` is what the plugin is configured with, `htpasswd` the users in it.
//! - `credentials` reads what a request says.
//! - `hash` computes hashes of passwords, the slow ones in slices.
//! - `turns` lets one be computed at a time; `verify` remembers the outcome.

mod config;
mod credentials;
mod hash;
mod htpasswd;
mod turns;
mod verify;

use std::rc::Rc;

use tidegate_policy::Decisions;
use tidegate_policy::Refusal;
use tidegate_policy::Spellings;
use tidegate_policy::decisions;
use tidegate_sdk::prelude::*;
use tidegate_sdk::warn;

pub use config::Config;

use credentials::Credentials;
use credentials::Given;
use turns::Turns;
use verify::Verdict;
use verify::verify;

const DECISIONS: Decisions = decisions!("basic_auth");

/// What the setup makes.
#[derive(Debug)]
pub struct State {
    /// What `WWW-Authenticate` says.
    challenge: String,
    /// Nobody else's: see `verify`.
    secret: Secret16,
    turns: Rc<Turns>,
    /// What backends take for the header of the user.
    spellings: Spellings,
}

/// Random bytes that nothing shows.
struct Secret16([u8; 16]);

impl std::fmt::Debug for Secret16 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret16(..)")
    }
}

/// Lets users in by name and password, from an htpasswd file, and tells the backend who that is.
#[filter(config = Config, setup = prepare)]
pub async fn basic_auth(mut req: Request, next: Next, cx: &Cx<Config, State>) -> Result<Response> {
    let config = &cx.config;
    let decision = decide(&req, cx).await?;
    cx.state.spellings.remove(&mut req);
    match decision {
        Decision::User(name) => {
            req.headers_mut().set(&config.user_header, &name)?;
            if !config.forward {
                req.headers_mut().remove("authorization");
            }
            DECISIONS.allow(cx);
        }
        Decision::Anonymous => {
            req.headers_mut().remove(&config.user_header);
            DECISIONS.allow(cx);
        }
        Decision::Refused(why) => {
            req.headers_mut().remove(&config.user_header);
            let refusal = why.refusal(&cx.state.challenge);
            DECISIONS.refuse(cx, config.dry_run, refusal)?;
        }
    }
    next.run(req).await
}

/// What becomes of a request.
enum Decision {
    User(String),
    /// It has no credentials, and needs none.
    Anonymous,
    Refused(Why),
}

/// Why a request is refused.
enum Why {
    Missing,
    Several,
    Malformed(&'static str),
    Wrong,
    Busy,
}

impl Why {
    /// What the client gets, and what metrics and logs do.
    fn refusal(self, challenge: &str) -> Refusal {
        let unauthorized = |reason| Refusal::new(Deny::unauthorized(challenge), reason);
        match self {
            Self::Missing => unauthorized("missing_credentials"),
            Self::Malformed(what) => unauthorized("malformed_credentials").specifics(what),
            Self::Wrong => unauthorized("wrong_credentials"),
            Self::Several => Refusal::new(Deny::bad_request(), "several_credentials"),
            Self::Busy => Refusal::new(Deny::status(503).header("retry-after", "1"), "busy"),
        }
    }
}

async fn decide(req: &Request, cx: &Cx<Config, State>) -> Result<Decision> {
    let Credentials { user, password } = match credentials::given(req, cx) {
        Given::These(credentials) => credentials,
        Given::None if cx.config.allow_missing => return Ok(Decision::Anonymous),
        Given::None => return Ok(Decision::Refused(Why::Missing)),
        Given::Several => return Ok(Decision::Refused(Why::Several)),
        Given::Malformed(what) => return Ok(Decision::Refused(Why::Malformed(what))),
    };
    Ok(match verify(&user, password, req, cx).await? {
        Verdict::Right => Decision::User(user),
        Verdict::Wrong => Decision::Refused(Why::Wrong),
        Verdict::Busy => Decision::Refused(Why::Busy),
    })
}

async fn prepare(cx: &Cx<Config>) -> Result<State> {
    let weak = cx.config.users.unsalted();
    if weak > 0 {
        warn!(
            "users have {SHA} hashes, which have no salt and are fast to guess: use htpasswd -B",
            users = weak
        );
    }
    Ok(State {
        challenge: ["Basic realm=\"", &cx.config.realm, "\", charset=\"UTF-8\""].concat(),
        secret: Secret16(cx.random()?),
        turns: Rc::default(),
        spellings: Spellings::of([&*cx.config.user_header]),
    })
}
