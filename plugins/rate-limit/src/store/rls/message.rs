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
            (3, Value::Bytes(bytes)) => name = Some(text(bytes)?),
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
mod tests {
    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> Vec<Entry> {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| Entry {
                key: (*key).to_owned(),
                value: (*value).to_owned(),
            })
            .collect()
    }

    #[test]
    fn a_request_has_its_descriptors_and_says_hits_where_all_services_read_them() {
        let (one, two) = (entries(&[("a", "1"), ("b", "")]), entries(&[("c", "3")]));
        let ask = |hits: [u64; 2]| {
            let descriptors = [(&one, hits[0]), (&two, hits[1])];
            let descriptors = descriptors.map(|(entries, hits)| Descriptor { entries, hits });
            request("d", &descriptors)
        };
        let first = b"\x0a\x06\x0a\x01a\x12\x011\x0a\x03\x0a\x01b";
        let second = b"\x0a\x06\x0a\x01c\x12\x013";
        let plain = [b"\x0a\x01d\x12\x0d", &first[..], b"\x12\x08", second].concat();
        assert_eq!(ask([1, 1]), plain);
        assert_eq!(ask([300, 300]), [&plain[..], b"\x18\xac\x02"].concat());
        let each = |one: u8, two: u8| {
            let hits = |hits: u8| [b"\x1a\x02\x08", &[hits][..]].concat();
            let first = [b"\x12\x11", &first[..], &hits(one)].concat();
            [b"\x0a\x01d", &first[..], b"\x12\x0c", second, &hits(two)].concat()
        };
        assert_eq!(ask([2, 3]), each(2, 3));
        let none = b"\x0a\x01d\x12\x0f\x0a\x06\x0a\x01a\x12\x011\x0a\x03\x0a\x01b\x1a\x00\x12\x0a";
        assert_eq!(ask([0, 0]), [&none[..], second, b"\x1a\x00"].concat());
    }

    #[test]
    fn an_answer_is_read_with_all_that_it_says() {
        // OVER_LIMIT; a status with 10 a minute called "x", 3 left, 2.5 s; a header each way; a body.
        let mut message = b"\x08\x02".to_vec();
        put_bytes(
            &mut message,
            2,
            b"\x08\x02\x12\x07\x08\x0a\x10\x02\x1a\x01x\x18\x03\x22\x08\x08\x02\x10\x80\xca\xb5\xee\x01",
        );
        put_bytes(&mut message, 3, b"\x0a\x03X-A\x12\x011");
        put_bytes(&mut message, 3, b"\x0a\x05:path\x12\x011");
        put_bytes(&mut message, 3, b"\x0a\x04host\x12\x011");
        put_bytes(&mut message, 4, b"\x0a\x03x-b\x1a\x012");
        put_bytes(&mut message, 5, b"slow");
        put_bytes(&mut message, 15, b"newer");
        let read = response(&message, 1).unwrap();
        assert_eq!((read.code, &*read.body), (2, &b"slow"[..]));
        let header = |name, value: &str| vec![(HeaderName::known(name), value.to_owned())];
        assert_eq!(read.to_response, header("x-a", "1"));
        assert_eq!(read.to_request, header("x-b", "2"));
        let status = read.statuses.first().unwrap();
        assert_eq!((status.code, status.name.as_deref()), (2, Some("x")));
        let standing = status.standing.unwrap();
        assert_eq!(standing.rate.requests, 10);
        assert_eq!(standing.rate.window, Duration::from_secs(60));
        assert_eq!(
            (standing.remaining, standing.full),
            (3, Duration::from_millis(2500))
        );
        assert_eq!(response(&message, 0).unwrap().statuses, []);
        for end in 0..message.len() {
            let _cut = response(&message[..end], 1);
        }
    }

    #[test]
    fn odd_times_and_units_are_no_standing_or_a_harmless_one() {
        let of = |one: &[u8]| {
            let mut message = Vec::new();
            put_bytes(&mut message, 2, one);
            let mut statuses = response(&message, 1).unwrap().statuses;
            statuses.remove(0).standing
        };
        assert_eq!(of(b"\x08\x01"), None);
        assert_eq!(of(b"\x12\x04\x08\x05\x10\x63"), None);
        let hour = of(b"\x12\x04\x08\x05\x10\x03").unwrap();
        assert_eq!(hour.full, Duration::from_secs(3600));
        let below = b"\x12\x04\x08\x05\x10\x03\x22\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(of(below).unwrap().full, Duration::ZERO);
    }
}
