//! No request hides in another: a corpus of ambiguous requests, through the gateway, to origins that
//! read HTTP each in their own way.
//!
//! The corpus is tests/corpus/smuggling, whose README says what is in a file. Whatever the gateway makes
//! of a case, the origin must never see the path `/smuggled`, must see what was asked at most once, and a
//! request behind it, on the client's connection and on the kept one to the origin, must get its own answer.

#[path = "smuggling/corpus.rs"]
mod corpus;
#[path = "smuggling/frames.rs"]
mod frames;
#[path = "smuggling/hops.rs"]
mod hops;

use std::time::Duration;

use tidegate_testkit::Client;
use tidegate_testkit::Envoy;
use tidegate_testkit::Gateway;
use tidegate_testkit::Message;
use tidegate_testkit::Origin;
use tidegate_testkit::Peer;
use tidegate_testkit::eventually;

use corpus::Case;
use corpus::Expected;
use corpus::Stream;
use hops::Hop;

/// Runs the whole corpus against one origin, and reports every case that failed.
fn run(hop: &Hop) {
    let gateway = Gateway::to(hop.address())
        .timeouts(|timeouts| timeouts.stream_idle = Duration::from_secs(5))
        .start();
    let mut failed = Vec::new();
    for case in corpus::all() {
        if let Err(what) = perform(&case, &gateway, hop) {
            failed.push(format!("{}: {what}", case.name));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Runs the corpus of HTTP/2 against one origin, which is spoken to in HTTP/1.
fn run_http2(hop: &Hop) {
    let gateway = Gateway::to(hop.address()).start();
    let mut failed = Vec::new();
    for (case, stream) in corpus::all_http2() {
        if let Err(what) = perform_http2(&case, &stream, &gateway, hop) {
            failed.push(format!("{}: {what}", case.name));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn perform_http2(case: &Case, stream: &Stream, gateway: &Gateway, hop: &Hop) -> Result<(), String> {
    let before = hop.seen().len();
    let outcome = frames::send(gateway.address(), stream).map_err(|err| err.to_string())?;
    let canary = format!("/canary-h2-{}", case.name);
    expect_canary(&mut gateway.client(), &canary)?;
    let seen = seen_until(hop, before, &canary);
    let asked: Vec<&String> = seen
        .iter()
        .filter(|line| !line.ends_with(&canary))
        .collect();
    if asked.iter().any(|line| !case.may_be_seen(line)) {
        return Err(format!("the origin saw {asked:?}"));
    }
    let right = match case.expected {
        Expected::Served => outcome.ended && outcome.heads == 1 && asked.len() == 1,
        // The answer may be the gateway's own; what began was never whole.
        Expected::Refused(_) => {
            (outcome.refused || outcome.ended) && !outcome.body.contains("/attack")
        }
        _ => true,
    };
    if right && asked.len() <= 1 {
        Ok(())
    } else {
        Err(format!("{outcome:?}; the origin saw {asked:?}"))
    }
}

/// What the origin saw from this place on, up to this canary.
fn seen_until(hop: &Hop, before: usize, canary: &str) -> Vec<String> {
    eventually("the last request at the origin", || {
        let seen = hop.seen();
        let last = seen.last()?;
        last.ends_with(canary)
            .then(|| seen.get(before..).map(<[_]>::to_vec))?
    })
}

/// Sends a case and what comes after it; says what went wrong.
fn perform(case: &Case, gateway: &Gateway, hop: &Hop) -> Result<(), String> {
    let before = hop.seen().len();
    let mut client = gateway.client();
    // A gateway that refuses may close before it has everything.
    client.try_send(&case.bytes).ok();
    if case.expected == Expected::Unfinished {
        client.half_close();
    }
    let answers = match case.expected {
        Expected::Pipelined => 2,
        _ => 1,
    };
    let mut open = true;
    for number in 0..answers {
        let answer = final_response(&mut client);
        open = check(case, number, answer.as_ref())?;
    }
    let canary = format!("/canary-{}", case.name);
    if open {
        expect_canary(&mut client, &canary)?;
    } else {
        expect_end(&mut client)?;
    }
    // On the connection to the origin that this case may have used.
    let other = format!("{canary}-2");
    expect_canary(&mut gateway.client(), &other)?;

    let canaries: Vec<&str> = if open {
        vec![&canary, &other]
    } else {
        vec![&other]
    };
    let seen = seen_until(hop, before, &other);
    let mut asked: Vec<&str> = seen.iter().map(String::as_str).collect();
    for canary in canaries {
        let Some(at) = asked
            .iter()
            .position(|line| *line == format!("GET {canary}"))
        else {
            return Err(format!(
                "{canary} did not reach the origin, which saw {seen:?}"
            ));
        };
        asked.remove(at);
    }
    let allowed: &[usize] = match case.expected {
        Expected::Served => &[1],
        Expected::Pipelined => &[2],
        // The beginning may have been sent on before the body was found to be wrong.
        Expected::Refused(_) | Expected::Unfinished | Expected::Safe => &[0, 1],
    };
    let foreign = asked.iter().any(|line| !case.may_be_seen(line));
    if foreign || !allowed.contains(&asked.len()) {
        return Err(format!("the origin saw {asked:?}"));
    }
    Ok(())
}

/// Whether this answer is what the case expects; if it is, whether the connection goes on.
fn check(case: &Case, number: usize, answer: Option<&Message>) -> Result<bool, String> {
    let Some(answer) = answer else {
        return match case.expected {
            Expected::Unfinished | Expected::Safe => Ok(false),
            _ => Err(format!("answer {number} did not come")),
        };
    };
    let (status, closes) = (answer.status(), answer.field("connection") == Some("close"));
    let right = match case.expected {
        Expected::Refused(None) => (400..600).contains(&status) && closes,
        Expected::Refused(Some(expected)) => status == expected && closes,
        // A stricter server behind us may refuse; what counts is that all agree on where it ends.
        Expected::Served => status < 500,
        Expected::Pipelined => {
            let own = ["/attack", "/second"]
                .get(number)
                .is_some_and(|path| answer.text().ends_with(path));
            own || (400..500).contains(&status)
        }
        Expected::Unfinished | Expected::Safe => true,
    };
    if right {
        Ok(!closes && case.expected != Expected::Unfinished)
    } else {
        Err(format!(
            "answered {status}, closing: {closes}: {:?}",
            answer.text()
        ))
    }
}

/// The next response that is not an interim one; `None` if the connection ends instead.
fn final_response(client: &mut Client) -> Option<Message> {
    loop {
        let response = client.try_response().ok()?;
        if response.status() >= 200 {
            return Some(response);
        }
    }
}

fn expect_canary(client: &mut Client, path: &str) -> Result<(), String> {
    client
        .try_send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
        .map_err(|err| format!("{path} cannot be sent: {err}"))?;
    let answer = client
        .try_response()
        .map_err(|err| format!("{path} has no answer: {err}"))?;
    let expected = format!("GET {path}");
    if answer.status() == 200 && answer.text() == expected {
        Ok(())
    } else {
        Err(format!(
            "{path} got the answer {} {:?}",
            answer.status(),
            answer.text()
        ))
    }
}

/// Nothing more may come; how the connection ends does not matter.
fn expect_end(client: &mut Client) -> Result<(), String> {
    match client.read_to_end() {
        Ok(rest) if !rest.is_empty() => {
            Err(format!("more came: {:?}", String::from_utf8_lossy(&rest)))
        }
        _ => Ok(()),
    }
}

#[test]
fn nothing_is_smuggled_to_an_origin_that_believes_what_it_reads() {
    run(&Hop::origin());
}

#[test]
fn nothing_is_smuggled_to_nginx() {
    if Peer::wanted("smuggling to nginx") {
        run(&Hop::nginx());
    }
}

#[test]
fn nothing_is_smuggled_through_haproxy() {
    if Peer::wanted("smuggling through HAProxy") {
        run(&Hop::haproxy());
    }
}

#[test]
fn nothing_is_smuggled_through_envoy() {
    if Envoy::wanted() {
        run(&Hop::envoy());
    }
}

#[test]
fn nothing_is_smuggled_to_node() {
    if Peer::wanted("smuggling to Node") {
        run(&Hop::node());
    }
}

#[test]
fn nothing_is_smuggled_from_http_2_to_an_origin_that_believes_what_it_reads() {
    run_http2(&Hop::origin());
}

#[test]
fn nothing_is_smuggled_from_http_2_to_nginx() {
    if Peer::wanted("smuggling from HTTP/2 to nginx") {
        run_http2(&Hop::nginx());
    }
}

#[test]
fn nothing_is_smuggled_from_http_2_through_haproxy() {
    if Peer::wanted("smuggling from HTTP/2 through HAProxy") {
        run_http2(&Hop::haproxy());
    }
}

#[test]
fn nothing_is_smuggled_from_http_2_through_envoy() {
    if Envoy::wanted() {
        run_http2(&Hop::envoy());
    }
}

#[test]
fn nothing_is_smuggled_from_http_2_to_node() {
    if Peer::wanted("smuggling from HTTP/2 to Node") {
        run_http2(&Hop::node());
    }
}

#[test]
fn a_desync_would_be_seen() {
    // An origin that takes the body of a request for another one.
    let origin = Origin::script(|connection| {
        loop {
            let mut request = connection.request_head()?;
            request.fields.clear();
            connection.request_body(&mut request)?;
            let line = request
                .start
                .rsplit_once(' ')
                .map_or("", |(line, _)| line)
                .to_owned();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{line}",
                line.len()
            ))?;
        }
    });
    let gateway = Gateway::to(origin.address()).start();
    let hop = Hop::of(origin);
    let case = corpus::all()
        .into_iter()
        .find(|case| case.name == "cl-same");
    let found = perform(&case.expect("it is there"), &gateway, &hop);
    assert!(found.is_err_and(|what| what.contains("GET /smuggled")));
}
