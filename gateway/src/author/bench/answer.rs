//! What backends answer while a filter is measured: all of them the same, at once.

use bytes::Bytes;
use tidegate_host_abi::CallResponse;
use tidegate_host_abi::Fault;
use tidegate_host_abi::Instance;

use crate::author::bench::stream::Pool;

/// Calls after calls that are answered for one callback; what goes on longer goes on for ever.
const MOST_IN_A_ROW: usize = 100;

/// Reads `200`, or `200 {"active": true}`: the status, and the body if there is one.
///
/// # Errors
///
/// What it is instead.
pub(crate) fn parse(text: &str) -> Result<CallResponse, String> {
    const EXPECTED: &str = "expected a status from 200 to 599, and perhaps a space and a body";
    let text = text.trim();
    let (status, body) = text.split_once(' ').unwrap_or((text, ""));
    let number = status.parse::<u16>().map_err(|_| EXPECTED)?;
    if !(200..600).contains(&number) {
        return Err(EXPECTED.to_owned());
    }
    let pair = |name: &'static str, value: &str| {
        let value = Bytes::copy_from_slice(value.as_bytes());
        (Bytes::from_static(name.as_bytes()), value)
    };
    let mut headers = vec![pair(":status", status)];
    if body.starts_with(['{', '[']) {
        headers.push(pair("content-type", "application/json"));
    }
    headers.push(pair("content-length", &body.len().to_string()));
    Ok(CallResponse {
        headers,
        body: Bytes::copy_from_slice(body.as_bytes()),
        trailers: Vec::new(),
    })
}

/// Answers the HTTP calls that the guest has asked for, and those that it then asks for. Returns how
/// many there were.
///
/// # Errors
///
/// What ends the guest.
pub(super) fn all(
    instance: &mut Instance,
    pool: &mut Pool,
    answer: &CallResponse,
) -> Result<usize, Fault> {
    let mut count = 0;
    for _ in 0..MOST_IN_A_ROW {
        let calls = instance.take_http_calls();
        if calls.is_empty() {
            break;
        }
        for call in calls {
            instance.on_http_call_response(pool, call.root, call.token, answer)?;
            count += 1;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn an_answer_is_a_status_and_perhaps_a_body() {
        let empty = parse("204").expect("an answer");
        assert_eq!((&*empty.headers[0].1, empty.body.len()), (&b"204"[..], 0));
        let json = parse(r#"200 {"active": true}"#).expect("an answer");
        assert_eq!(&*json.body, br#"{"active": true}"#);
        assert_eq!(&*json.headers[1].1, b"application/json");
        for wrong in ["", "ok", "99", "1000", "{}"] {
            let err = parse(wrong).expect_err(wrong);
            assert!(err.contains("expected a status"), "{err}");
        }
    }
}
