//! Sends the requests of cases, and writes down what came of them.

use std::io;
use std::net::SocketAddr;

use tidegate_testkit::Client;
use tidegate_testkit::Message;
use tidegate_testkit::eventually;

use super::canon;
use super::cases::Area;
use super::cases::Case;
use super::cases::Request;
use super::cases::expand;
use super::hosts::Peers;
use super::legs::Leg;
use super::streams;

/// Fields that each proxy adds or frames in its own way.
const HIDDEN: &[&str] = &[
    "connection",
    "date",
    "keep-alive",
    "server",
    "via",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-upstream-service-time",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-probe",
    "x-request-id",
];
/// Longer bodies are written down by their length.
const SHOWN: usize = 300;

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) case: String,
    pub(crate) text: String,
}

/// Replays the cases of an area through the proxy at an address.
#[track_caller]
pub(crate) fn area(area: &Area, leg: Leg, proxy: SocketAddr, peers: &Peers) -> Vec<Outcome> {
    let outcome = |case: &Case| Outcome {
        case: case.name.clone(),
        text: leg.expects(&peers.without_addresses(&replay(case, leg, proxy, peers), proxy)),
    };
    let cases = area.cases.iter();
    let cases = cases.filter(|case| leg == Leg::Http1 || !case.http1_only);
    cases.map(outcome).collect()
}

#[track_caller]
fn replay(case: &Case, leg: Leg, proxy: SocketAddr, peers: &Peers) -> String {
    let mut found = String::new();
    for request in &case.requests {
        let before = [&peers.origin, &peers.other].map(|origin| origin.requests().len());
        let answer = if leg.client_is_http2() {
            streams::exchange(request, proxy)
        } else {
            exchange(request, proxy)
        };
        found.push_str(&match answer {
            Ok(response) => message("response", &response),
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => "no response\n".to_owned(),
            Err(_) => "the connection ends\n".to_owned(),
        });
        for (origin, before) in [&peers.origin, &peers.other].into_iter().zip(before) {
            for request in origin.requests().iter().skip(before) {
                found.push_str(&message("the origin got", request));
            }
        }
    }
    let until = case.until.as_deref();
    if until == Some("none") {
        return found;
    }
    let mut report = String::new();
    eventually(&case.name, || {
        report.push_str(&fetch(proxy)?);
        let complete = match until {
            Some(text) => report.contains(text),
            None => is_complete(&report),
        };
        complete.then_some(())
    });
    if !case.exactly {
        report = canon::canonical(&report);
    }
    found + &report
}

/// The report since the last one; none if the probe does not answer.
fn fetch(proxy: SocketAddr) -> Option<String> {
    let mut client = Client::try_connect(proxy).ok()?;
    client
        .try_send("GET /report HTTP/1.1\r\nhost: matrix.test\r\nx-probe-report: 1\r\n\r\n")
        .ok()?;
    let response = client.try_response().ok()?;
    (response.status() == 200 && response.field("x-origin").is_none()).then(|| response.text())
}

/// Whether every stream in a report has ended.
fn is_complete(report: &str) -> bool {
    let mut streams = report
        .lines()
        .filter_map(|line| canon::stream(line))
        .peekable();
    streams.peek().is_some() && streams.all(|name| report.contains(&format!("{name} delete\n")))
}

fn exchange(request: &Request, proxy: SocketAddr) -> io::Result<Message> {
    let mut client = Client::try_connect(proxy)?;
    let mut wire = request.head();
    for piece in &request.pieces {
        let piece = expand(piece);
        if request.is_chunked() {
            wire.push_str(&format!("{:x}\r\n{piece}\r\n", piece.len()));
        } else {
            wire.push_str(&piece);
        }
    }
    if request.is_chunked() {
        wire.push_str("0\r\n");
        for trailer in &request.trailers {
            wire.push_str(&format!("{trailer}\r\n"));
        }
        wire.push_str("\r\n");
    }
    // A proxy may answer and close before it has all of a large body.
    let sent = client.try_send(&wire);
    if request.method() == "HEAD" {
        return client.try_response_head();
    }
    client.try_response().or_else(|err| sent.and(Err(err)))
}

/// A message in lines.
fn message(what: &str, message: &Message) -> String {
    let start = message
        .start
        .trim_start_matches("HTTP/1.1 ")
        .trim_start_matches("HTTP/2 ");
    let start = start.trim_end_matches(" HTTP/1.1");
    // Reason phrases say nothing.
    let start = match what {
        "response" => start.split(' ').next().unwrap_or_default(),
        _ => start,
    };
    let mut text = format!("{what} {start}\n");
    let fields = message.fields.iter();
    let mut fields: Vec<String> = fields
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .filter(|(name, _)| !HIDDEN.contains(&name.as_str()))
        .map(|(name, value)| format!("  {name}: {value}\n"))
        .collect();
    // The order of different fields means nothing; that of lines of one field is kept.
    fields.sort_by(|a, b| a.split(':').next().cmp(&b.split(':').next()));
    text.extend(fields);
    let body = message.text();
    if body.len() > SHOWN {
        text.push_str(&format!("  {} bytes\n", body.len()));
    } else {
        text.extend(body.lines().map(|line| format!("  | {line}\n")));
    }
    for (name, value) in &message.trailers {
        text.push_str(&format!(
            "  trailer {}: {value}\n",
            name.to_ascii_lowercase()
        ));
    }
    text
}
