//! Tells clients what is left of the limits (draft-ietf-httpapi-ratelimit-headers-10, and the headers that
//! were in use before it).

use tidegate_sdk::prelude::*;

use crate::config::HeaderStyle;
use crate::decide::Decision;
use crate::state::Context;
use crate::store::Standing;

/// What clients are told, by the names of headers; not what a service tells them itself.
pub(crate) fn fields(decision: &Decision<'_>, style: HeaderStyle) -> Vec<(&'static str, String)> {
    let told = decision.verdicts();
    let told: Vec<(&str, Standing)> = told
        .filter_map(|(ask, verdict)| {
            let name = verdict.name.as_ref().unwrap_or(&ask.limit.name);
            Some((name.as_str(), verdict.standing?))
        })
        .collect();
    let mut fields = Vec::new();
    if told.is_empty() {
        return fields;
    }
    if matches!(style, HeaderStyle::Draft | HeaderStyle::Both) {
        fields.push(("ratelimit-policy", list(&told, policy)));
        fields.push(("ratelimit", list(&told, limit)));
    }
    if matches!(style, HeaderStyle::Legacy | HeaderStyle::Both) {
        fields.extend(legacy(&told).into_iter().flatten());
    }
    fields.retain(|(name, _)| !decision.is_said(name));
    fields
}

/// Puts them into a response.
pub(crate) fn tell(decision: &Decision<'_>, res: &mut Response, cx: &Context) -> Result<()> {
    for (name, value) in fields(decision, cx.config.headers) {
        res.headers_mut().set(name, value)?;
    }
    for kept in &decision.kept {
        kept.said.tell_client(res);
    }
    Ok(())
}

/// `Retry-After`, in whole seconds, rounded up (RFC 9110, 10.2.3).
pub(crate) fn retry_after(deny: Deny, wait: Duration) -> Deny {
    deny.header("retry-after", &seconds(wait).to_string())
}

/// A list of structured fields (RFC 9651, 3.1).
fn list(told: &[(&str, Standing)], item: fn(&mut String, &str, Standing)) -> String {
    let mut text = String::with_capacity(told.len() * 40);
    for (name, standing) in told {
        if !text.is_empty() {
            text.push_str(", ");
        }
        item(&mut text, name, *standing);
    }
    text
}

/// `"name";q=100;w=60`; windows that are no whole seconds cannot be said.
fn policy(text: &mut String, name: &str, standing: Standing) {
    let rate = standing.rate;
    quoted(text, name);
    text.push_str(";q=");
    text.push_str(&integer(rate.requests));
    if rate.window.subsec_nanos() == 0 {
        text.push_str(";w=");
        text.push_str(&integer(rate.window.as_secs()));
    }
}

/// `"name";r=50;t=30`.
fn limit(text: &mut String, name: &str, standing: Standing) {
    quoted(text, name);
    text.push_str(";r=");
    text.push_str(&integer(standing.remaining));
    text.push_str(";t=");
    text.push_str(&integer(seconds(standing.full)));
}

/// Names have no quotes and backslashes, except those that another service gives (RFC 9651, 3.3.3).
fn quoted(text: &mut String, name: &str) {
    text.push('"');
    for letter in name.chars().filter(|it| matches!(it, ' '..='~')) {
        if matches!(letter, '"' | '\\') {
            text.push('\\');
        }
        text.push(letter);
    }
    text.push('"');
}

/// The limit that is nearest to refuse, and what all of them admit.
fn legacy(told: &[(&str, Standing)]) -> Option<[(&'static str, String); 3]> {
    let (_, nearest) = told.iter().min_by_key(|(_, it)| it.remaining)?;
    let mut limits = nearest.rate.requests.to_string();
    for (name, standing) in told {
        let rate = standing.rate;
        let window = seconds(rate.window);
        limits.push_str(&format!(", {};w={window};name=\"{name}\"", rate.requests));
    }
    Some([
        ("x-ratelimit-limit", limits),
        ("x-ratelimit-remaining", nearest.remaining.to_string()),
        ("x-ratelimit-reset", seconds(nearest.full).to_string()),
    ])
}

/// Whole seconds, rounded up.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// An integer has at most 15 digits (RFC 9651, 3.3.1).
fn integer(number: u64) -> String {
    number.min(999_999_999_999_999).to_string()
}
