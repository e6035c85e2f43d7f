//! Decides by rules who may do what, with the meaning of Istio's AuthorizationPolicy.

mod attributes;
mod block;
mod condition;
mod config;
mod engine;
mod index;
mod path;
mod principal;
mod reading;
mod rule;
mod set;
mod test;
mod text;
mod token;
mod tokens;

use tidegate_policy::Decisions;
use tidegate_policy::Refusal;
use tidegate_policy::decisions;
use tidegate_sdk::info;
use tidegate_sdk::prelude::*;

use crate::attributes::Host;
use crate::attributes::Unknown;
pub use crate::config::Config;
use crate::engine::Denied;

const DECISIONS: Decisions = decisions!("authz");

/// What Envoy and Istio answer, so that those who look for it find it.
const BODY: &str = "RBAC: access denied";

/// Lets requests pass that the policies allow.
#[filter(config = Config)]
pub async fn authz(req: Request, next: Next, cx: &Cx<Config>) -> Result<Response> {
    let decision = cx.config.engine.decide(&Exchange { req: &req, cx });
    if let Some(rule) = decision.audited {
        cx.counter("authz_audited").add(1);
        info!("audited", filter = "authz", rule = rule);
    }
    if let Some(denied) = decision.dry_denied {
        DECISIONS.refuse(cx, true, refusal(denied))?;
    }
    match decision.denied {
        Some(denied) => DECISIONS.refuse(cx, cx.config.dry_run, refusal(denied))?,
        None => DECISIONS.allow(cx),
    }
    next.run(req).await
}

/// A request, as the host knows it.
struct Exchange<'a> {
    req: &'a Request,
    cx: &'a Cx<Config>,
}

impl Host for Exchange<'_> {
    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        self.cx.property_bytes(path)
    }

    fn pseudo_header(&self, name: &str) -> Option<Vec<u8>> {
        self.req.headers().get_bytes(name)
    }

    fn header(&self, name: &str) -> Vec<Vec<u8>> {
        // One call of the host, unless there may be several lines: those it joins with commas.
        match self.property(&["request", "headers", name]) {
            None => Vec::new(),
            Some(joined) if joined.contains(&b',') => {
                let lines = self.req.headers().get_all(name).into_iter();
                lines.map(String::into_bytes).collect()
            }
            Some(value) => vec![value],
        }
    }
}

/// The detail is Envoy's, word for word: dashboards and people look for it.
fn refusal(denied: Denied<'_>) -> Refusal {
    let (reason, rule) = match denied {
        Denied::ByRule(rule) => ("deny_rule", rule),
        Denied::ByNone => ("no_allow_rule", "none"),
        Denied::InDoubt(unknown) => return undecidable(unknown),
    };
    let detail = ["rbac_access_denied_matched_policy[", rule, "]"].concat();
    let deny = Deny::forbidden().text(BODY);
    Refusal::new(deny, reason)
        .specifics(detail.clone())
        .because(detail)
}

/// What cannot be decided about is refused: a rule that denies must not fail to.
fn undecidable(unknown: Unknown) -> Refusal {
    let (reason, why) = match unknown {
        Unknown::PeerAddress => (
            "unknown_peer_address",
            "a rule has ipBlocks or source.ip, and the property filter_state.tidegate.peer_address is no \
             IP address; see the page of authz",
        ),
        Unknown::ClientAddress => (
            "unknown_client_address",
            "a rule has remoteIpBlocks or remote.ip, and the property source.address is no IP address",
        ),
        Unknown::Destination => (
            "unknown_destination",
            "a rule has ports, destination.ip or destination.port, and the host does not say where the \
             connection was accepted by IP address and port",
        ),
        Unknown::Principal => return ambiguous_principal(),
        Unknown::Token => (
            "unreadable_token",
            "the property tidegate.auth.jwt is not what jwt-auth writes",
        ),
    };
    Refusal::new(Deny::status(500), reason).specifics(why)
}

/// Who has several names may be somebody else by each; the certificate is to blame, not the host.
fn ambiguous_principal() -> Refusal {
    Refusal::new(Deny::forbidden().text(BODY), "ambiguous_principal")
        .specifics("the client's certificate has several URI names, one of which is a SPIFFE id")
}
