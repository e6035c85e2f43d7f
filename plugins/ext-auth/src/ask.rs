//! Asks the service, or remembers what it said.

use std::rc::Rc;

use tidegate_policy::Decisions;
use tidegate_policy::Refusal;
use tidegate_policy::decisions;
use tidegate_sdk::cache::Cache;
use tidegate_sdk::prelude::*;
use tidegate_sdk::warn;

use crate::check::Check;
use crate::check::NotText;
use crate::config::BodyInCheck;
use crate::config::Config;
use crate::verdict::Grant;
use crate::verdict::Verdict;

const DECISIONS: Decisions = decisions!("ext_auth");

/// How often a worker's log says that the service fails.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// Why a request goes on.
pub(crate) enum Passed {
    /// The service said yes.
    Granted(Rc<Grant>),
    /// It has failed, and that is no reason to refuse.
    FailedOpen,
    /// It would have been refused, but the plugin runs dry.
    Dry,
}

/// Decides about a request by the question about it, and counts it.
///
/// # Errors
/// What the client gets, if the request is refused.
pub(crate) async fn decide(
    check: std::result::Result<Check, NotText>,
    req: &mut Request,
    cx: &Cx<Config>,
) -> Result<Passed> {
    let config = &*cx.config;
    let check = match (check, &config.include_request_body_in_check) {
        (Ok(check), Some(wanted)) => with_body(check, wanted, req, cx).await,
        (Ok(check), None) => Ok(check),
        (Err(NotText(name)), _) => Err(Refusal::new(Deny::bad_request(), "not_text")
            .specifics([name, " is no UTF-8"].concat())),
    };
    let check = match check {
        Ok(check) => check,
        Err(refusal) => return refuse(cx, refusal),
    };
    match ask(check, cx).await {
        Verdict::Yes(grant) => {
            DECISIONS.allow(cx);
            Ok(Passed::Granted(grant))
        }
        Verdict::No(deny, status) => {
            let refusal = Refusal::new(deny, "by_service")
                .because("ext_authz_denied")
                .specifics(["the service answered with status ", &status.to_string()].concat());
            refuse(cx, refusal)
        }
        Verdict::Failed(why) => {
            cx.counter("ext_auth_error").add(1);
            say_at_times(&why, cx)?;
            if config.fail_open {
                cx.counter("ext_auth_failure_mode_allowed").add(1);
                return Ok(Passed::FailedOpen);
            }
            let refusal = Refusal::new(Deny::status(config.status_on_error), "service_error")
                .because("ext_authz_error")
                .specifics(why);
            refuse(cx, refusal)
        }
    }
}

fn refuse(cx: &Cx<Config>, refusal: Refusal) -> Result<Passed> {
    DECISIONS.refuse(cx, cx.config.dry_run, refusal)?;
    Ok(Passed::Dry)
}

/// The check with the body of the request, as far as it is wanted.
async fn with_body(
    check: Check,
    wanted: &BodyInCheck,
    req: &mut Request,
    cx: &Cx<Config>,
) -> std::result::Result<Check, Refusal> {
    let limit = wanted.max_request_bytes.as_len();
    let reading = req.body().limit(limit).beginning();
    let refuse = |status, reason| Refusal::new(Deny::status(status), reason);
    match cx.timeout(wanted.timeout, reading).await {
        Ok(Ok((body, is_all))) if is_all || wanted.allow_partial_message => {
            Ok(check.with_body(body, is_all))
        }
        Ok(Ok(_)) => Err(refuse(413, "body_too_large")),
        Ok(Err(error)) => Err(refuse(500, "body_error").specifics(error.to_string())),
        Err(_) => Err(refuse(408, "body_timeout")
            .specifics("no body came in time; the plugin needs stopIteration to see one")),
    }
}

async fn ask(check: Check, cx: &Cx<Config>) -> Verdict {
    let config = &*cx.config;
    let Some(cache) = &config.cache else {
        return call(check, cx).await;
    };
    let capacity = usize::try_from(cache.max_entries).unwrap_or(usize::MAX);
    let (key, grants) = (check.key(cache), cx.cache::<Rc<Grant>>("grants", capacity));
    let (Some(key), Ok(grants)) = (key, grants) else {
        return call(check, cx).await;
    };
    if let Some(grant) = grants.get(&key) {
        cx.counter("ext_auth_cache_hits").add(1);
        return Verdict::Yes(Rc::clone(&grant));
    }
    let verdict = call(check, cx).await;
    if let Verdict::Yes(grant) = &verdict {
        keep(grant, &key, &grants, cache.ttl);
    }
    verdict
}

fn keep(grant: &Rc<Grant>, key: &str, grants: &Cache<Rc<Grant>>, ttl: Duration) {
    if grant.may_be_kept() {
        grants.put(key, Rc::clone(grant), ttl);
    }
}

async fn call(check: Check, cx: &Cx<Config>) -> Verdict {
    match check.call(cx).send().await {
        Ok(reply) => Verdict::of(&reply, &cx.config),
        Err(error) => Verdict::Failed(error.to_string()),
    }
}

/// Says why the service fails, and not for each request.
fn say_at_times(why: &str, cx: &Cx<Config>) -> Result<()> {
    let said = cx.cache::<()>("said", 1)?;
    if said.get("").is_none() {
        said.put("", (), SAID_EVERY);
        let backend = cx.config.backend.name();
        warn!(
            "the authorization service fails",
            backend = backend,
            why = why
        );
    }
    Ok(())
}
