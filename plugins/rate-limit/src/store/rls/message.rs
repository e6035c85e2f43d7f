//! The two messages of the service `envoy.service.ratelimit.v3.RateLimitService`.
//!
//! Owns the numbers of their fields. What an answer has too much of is left out; one that is no answer is
//! an error, with words for the log.

use std::time::Duration;

use tidegate_policy::HeaderName;
use tidegate_sdk::limit::Rate;

use super::wire::Fields;
use super::wire::Malformed;
use super::wire::Value;
use super::wire::put_bytes;
use super::wire::put_message;
use super::wire::put_number;
use crate::descriptor::Entry;
use crate::store::Standing;

/// Headers that an answer may bring, each way.
const MOST_HEADERS: usize = 64;

/// Letters of a limit's name.
const LONGEST_NAME: usize = 256;

/// One descriptor of a request, and how much is asked of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Descriptor<'a> {
    pub(super) entries: &'a [Entry],
    pub(super) hits: u64,
}

/// The request.
///
/// All services know the hits of a whole request; those of one descriptor, only newer ones: they are said
/// only if descriptors differ, or if it is none.
pub(super) fn request(domain: &str, descriptors: &[Descriptor<'_>]) -> Vec<u8> {
    let mut hits = descriptors.iter().map(|it| it.hits);
    let first = hits.next().unwrap_or(1);
    let common = (first > 0 && hits.all(|it| it == first)).then_some(first);
    let mut message = Vec::with_capacity(64 + 64 * descriptors.len());
    put_bytes(&mut message, 1, domain.as_bytes());
    let mut inner = Vec::new();
    for descriptor in descriptors {
        inner.clear();
        put_descriptor(&mut inner, descriptor, common.is_none());
        put_message(&mut message, 2, &inner);
    }
    if let Some(hits @ 2..) = common {
        put_number(&mut message, 3, hits.min(u32::MAX.into()));
    }
    message
}

fn put_descriptor(out: &mut Vec<u8>, descriptor: &Descriptor<'_>, with_hits: bool) {
    let mut pair = Vec::new();
    for entry in descriptor.entries {
        pair.clear();
        put_bytes(&mut pair, 1, entry.key.as_bytes());
        put_bytes(&mut pair, 2, entry.value.as_bytes());
        put_message(out, 1, &pair);
    }
    if with_hits {
        // A message of its own around the number: none is not the same as 0.
        let mut hits = Vec::new();
        put_number(&mut hits, 1, descriptor.hits);
        put_message(out, 3, &hits);
    }
}

/// What the service answered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) code: u64,
    /// Of the descriptors, in their order.
    pub(super) statuses: Vec<Status>,
    pub(super) to_response: Vec<(HeaderName, String)>,
    pub(super) to_request: Vec<(HeaderName, String)>,
    pub(super) body: Vec<u8>,
}

/// What it says of a descriptor.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) code: u64,
    pub(super) name: Option<String>,
    pub(super) standing: Option<Standing>,
}

/// Reads an answer to as many descriptors.
pub(super) fn response(message: &[u8], descriptors: usize) -> Result<Response, Malformed> {
    let mut response = Response::default();
    for field in Fields::of(message) {
        match field? {
            (1, Value::Number(code)) => response.code = code,
            (2, Value::Bytes(one)) if response.statuses.len() < descriptors => {
                response.statuses.push(status(one)?);
            }
            (3, Value::Bytes(one)) => push(&mut response.to_response, one)?,
            (4, Value::Bytes(one)) => push(&mut response.to_request, one)?,
            (5, Value::Bytes(body)) => response.body = body.to_vec(),
            // Metadata and quotas, and what is newer.
            _ => {}
        }
    }
    Ok(response)
}

/// Adds a header, unless no filter may set one of that name.
fn push(headers: &mut Vec<(HeaderName, String)>, message: &[u8]) -> Result<(), Malformed> {
    let (mut name, mut value) = (String::new(), String::new());
    for field in Fields::of(message) {
        match field? {
            (1, Value::Bytes(bytes)) => name = text(bytes)?,
            (2 | 3, Value::Bytes(bytes)) => value = text(bytes)?,
            _ => {}
        }
    }
    match name.parse() {
        Ok(name) if headers.len() < MOST_HEADERS => headers.push((name, value)),
        Ok(_) => tidegate_sdk::debug!("a rate limit service sends too many headers"),
        Err(why) => tidegate_sdk::debug!("a header of a rate limit service", why = why),
    }
    Ok(())
}

fn status(message: &[u8]) -> Result<Status, Malformed> {
    let mut status = Status::default();
    let (mut limit, mut remaining, mut reset) = (None, 0, None);
    for field in Fields::of(message) {
        match field? {
            (1, Value::Number(code)) => status.code = code,
            (2, Value::Bytes(message)) => limit = Some(current_limit(message)?),
            (3, Value::Number(number)) => remaining = number,
            (4, Value::Bytes(message)) => reset = Some(duration(message)?),
            _ => {}
        }
    }
    if let Some((name, rate)) = limit {
        status.name = name;
        status.standing = rate.map(|rate| {
            // A window is over at last when it has lasted as long as it does.
            let left = reset.unwrap_or(rate.window);
            Standing {
                rate,
                remaining,
                wait: Some(left),
                full: left,
            }
        });
    }
    Ok(status)
}

/// The name of a limit and what it admits, if that is in a unit of time that is known.
fn current_limit(message: &[u8]) -> Result<(Option<String>, Option<Rate>), Malformed> {
    let (mut requests, mut unit, mut name) = (0, 0, None);
    for field in Fields::of(message) {
        match field? {
            (1, Value::Number(number)) => requests = number,
            (2, Value::Number(number)) => unit = number,
            (3, Value::Bytes(bytes)) => name = Some(printable(bytes)),
            _ => {}
        }
    }
    let rate = window(unit).map(|window| Rate {
        requests,
        window,
        burst: requests,
    });
    Ok((name.filter(|it| !it.is_empty()), rate))
}

/// The name of a limit, as far as headers can have it in quotes.
fn printable(bytes: &[u8]) -> String {
    let letters = bytes.iter().map(|it| char::from(*it));
    let letters = letters.filter(|it| matches!(it, ' '..='~') && !matches!(it, '"' | '\\'));
    letters.take(LONGEST_NAME).collect()
}

/// How long a unit lasts, as Envoy counts it.
const fn window(unit: u64) -> Option<Duration> {
    const DAY: u64 = 24 * 3600;
    Some(Duration::from_secs(match unit {
        1 => 1,
        2 => 60,
        3 => 3600,
        4 => DAY,
        5 => 30 * DAY,
        6 => 365 * DAY,
        7 => 7 * DAY,
        _ => return None,
    }))
}

/// A `google.protobuf.Duration`; one below zero is none.
fn duration(message: &[u8]) -> Result<Duration, Malformed> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields::of(message) {
        match field? {
            (1, Value::Number(number)) => seconds = number,
            (2, Value::Number(number)) => nanos = number,
            _ => {}
        }
    }
    // Numbers below zero have all upper bits.
    let seconds = i64::try_from(seconds).map_or(0, i64::unsigned_abs);
    let nanos = u32::try_from(nanos).unwrap_or(0).min(999_999_999);
    Ok(Duration::new(seconds, nanos))
}

fn text(bytes: &[u8]) -> Result<String, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed)?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
