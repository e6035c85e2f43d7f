//! Tells clients what is left of the limits (draft-ietf-httpapi-ratelimit-headers-10, and the headers that
//! were in use before it).

use tidegate_sdk::limit::Rate;
use tidegate_sdk::prelude::*;

use crate::config::HeaderStyle;
use crate::config::Limit;
use crate::decide::Decision;
use crate::decide::Kept;
use crate::digits::Digits;
use crate::state::Context;
use crate::store::Standing;

/// What clients are told, by the names of headers; not what a service tells them itself.
pub(crate) fn fields(decision: &Decision<'_>, style: HeaderStyle) -> Vec<(&'static str, String)> {
    let mut fields = Vec::new();
    each(decision, style, |name, value| {
        fields.push((name, value.to_owned()));
    });
    fields
}

/// Puts them into a response.
pub(crate) fn tell(decision: &Decision<'_>, res: &mut Response, cx: &Context) -> Result<()> {
    let (mut headers, mut set) = (res.headers_mut(), Ok(()));
    each(decision, cx.config.headers, |name, value| {
        if set.is_ok() {
            set = headers.set(name, value);
        }
    });
    set?;
    for kept in &decision.kept {
        kept.tell_client(res);
    }
    Ok(())
}

/// Says each of them.
fn each(decision: &Decision<'_>, style: HeaderStyle, mut say: impl FnMut(&'static str, &str)) {
    let mut say = |name, value: &str| {
        // There is none without a limit that says how far it is used up.
        if !value.is_empty() && !decision.is_said(name) {
            say(name, value);
        }
    };
    if matches!(style, HeaderStyle::Draft | HeaderStyle::Both) {
        let mut text = String::with_capacity(64);
        list(&mut text, decision, policy);
        say("ratelimit-policy", &text);
        text.clear();
        list(&mut text, decision, limit);
        say("ratelimit", &text);
    }
    if matches!(style, HeaderStyle::Legacy | HeaderStyle::Both) {
        for (name, value) in legacy(decision).into_iter().flatten() {
            say(name, &value);
        }
    }
}

/// `Retry-After`, in whole seconds, rounded up (RFC 9110, 10.2.3).
pub(crate) fn retry_after(deny: Deny, wait: Duration) -> Deny {
    deny.header("retry-after", &seconds(wait).to_string())
}

/// The name of a limit as a structured field, and what it says of its rate: `"name"` and `;q=100;w=60`.
/// Windows that are no whole seconds cannot be said.
pub(crate) fn policy_of(name: &str, rate: Rate) -> (String, String) {
    let mut quota = String::new();
    quota.push_str(";q=");
    integer(&mut quota, rate.requests);
    if rate.window.subsec_nanos() == 0 {
        quota.push_str(";w=");
        integer(&mut quota, rate.window.as_secs());
    }
    (quoted(name), quota)
}

/// A limit that clients are told of.
#[derive(Debug)]
pub(crate) struct Told<'d> {
    pub(crate) limit: &'d Limit,
    /// What its store calls it, if that is something else.
    pub(crate) name: Option<&'d str>,
    pub(crate) standing: Standing,
}

/// A list of structured fields (RFC 9651, 3.1).
fn list(text: &mut String, decision: &Decision<'_>, item: fn(&mut String, &Told<'_>)) {
    for kept in &decision.kept {
        for told in kept.told() {
            if !text.is_empty() {
                text.push_str(", ");
            }
            match told.name {
                Some(name) => text.push_str(&quoted(name)),
                None => text.push_str(&told.limit.quoted),
            }
            item(text, &told);
        }
    }
}

/// `;q=100;w=60`
fn policy(text: &mut String, told: &Told<'_>) {
    if told.standing.rate == told.limit.rate {
        text.push_str(&told.limit.quota);
        return;
    }
    let (_, quota) = policy_of("", told.standing.rate);
    text.push_str(&quota);
}

/// `;r=50;t=30`
fn limit(text: &mut String, told: &Told<'_>) {
    text.push_str(";r=");
    integer(text, told.standing.remaining);
    text.push_str(";t=");
    integer(text, seconds(told.standing.full));
}

/// Names have no quotes and backslashes, except those that another service gives (RFC 9651, 3.3.3).
fn quoted(name: &str) -> String {
    let mut text = String::from("\"");
    for letter in name.chars().filter(|it| matches!(it, ' '..='~')) {
        if matches!(letter, '"' | '\\') {
            text.push('\\');
        }
        text.push(letter);
    }
    text.push('"');
    text
}

/// The limit that is nearest to refuse, and what all of them admit.
fn legacy(decision: &Decision<'_>) -> Option<[(&'static str, String); 3]> {
    let told = || decision.kept.iter().flat_map(Kept::told);
    let nearest = told().min_by_key(|it| it.standing.remaining)?;
    let mut limits = nearest.standing.rate.requests.to_string();
    for Told {
        limit,
        name,
        standing,
    } in told()
    {
        let rate = standing.rate;
        let (window, name) = (seconds(rate.window), name.map(quoted));
        let name = name.as_ref().unwrap_or(&limit.quoted);
        limits.push_str(&format!(", {};w={window};name={name}", rate.requests));
    }
    Some([
        ("x-ratelimit-limit", limits),
        (
            "x-ratelimit-remaining",
            nearest.standing.remaining.to_string(),
        ),
        (
            "x-ratelimit-reset",
            seconds(nearest.standing.full).to_string(),
        ),
    ])
}

/// Whole seconds, rounded up.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// An integer has at most 15 digits (RFC 9651, 3.3.1).
fn integer(text: &mut String, number: u64) {
    text.push_str(Digits::of(number.min(999_999_999_999_999)).as_str());
}
