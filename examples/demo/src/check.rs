//! `--check`: does what the page says and compares what comes back.
//!
//! Every step is tried, also after one failed, so that one run tells all.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::client::{self, Answer};
use crate::gateway::{Gateway, Gateways};
use crate::tour::{Expected, STEPS, Step};

/// How long a line of the access log may take: workers gather lines.
const LOG_LIMIT: Duration = Duration::from_secs(10);

/// Performs all steps.
pub(crate) async fn run(gateways: &Gateways) -> Result<()> {
    let mut failed = 0;
    for step in STEPS {
        let gateway = gateways.at(step.door);
        let problems = match perform(step, gateway).await {
            Ok(problems) => problems,
            Err(err) => vec![format!("{err:#}")],
        };
        if problems.is_empty() {
            println!("ok  {}", step.what);
            continue;
        }
        failed += 1;
        println!(
            "FAILED  {}\n    {}",
            step.what,
            step.curl.line(gateway.address)
        );
        for problem in problems {
            println!("    {problem}");
        }
    }
    if failed > 0 {
        bail!(
            "{failed} of {} steps do not do what the page says",
            STEPS.len()
        );
    }
    Ok(())
}

async fn perform(step: &Step, gateway: &Gateway) -> Result<Vec<String>> {
    let answer = client::send(gateway.address, step.curl.request(gateway.address)?).await?;
    let mut problems = Vec::new();
    for expected in step.expected {
        if let Expected::Logged(text) = expected {
            let found = |line: &str| line.contains(text).then_some(());
            if gateway
                .access_log
                .wait_for(LOG_LIMIT, found)
                .await
                .is_none()
            {
                problems.push(format!("no line of the access log has {text:?}"));
            }
            continue;
        }
        problems.extend(differs(&answer, expected));
    }
    Ok(problems)
}

/// What is different from what is expected, if anything.
fn differs(answer: &Answer, expected: &Expected) -> Option<String> {
    let body = || String::from_utf8_lossy(&answer.body);
    let problem = match *expected {
        Expected::Status(status) => {
            (answer.status != status).then(|| format!("status {}, not {status}", answer.status))
        }
        Expected::Header(name, value) => {
            let found = answer.headers.get(name).map(|value| value.as_bytes());
            (found != Some(value.as_bytes())).then(|| {
                let found = found.map(String::from_utf8_lossy);
                format!("header {name} is {found:?}, not {value:?}")
            })
        }
        Expected::NoHeader(name) => answer
            .headers
            .contains_key(name)
            .then(|| format!("header {name} is there")),
        Expected::BodyBegins(text) => {
            (!body().starts_with(text)).then(|| format!("it does not begin with {text:?}"))
        }
        Expected::Text(place, text) => json_differs(answer, place, Some(&text.into())),
        Expected::True(place) => json_differs(answer, place, Some(&true.into())),
        Expected::Nothing(place) => json_differs(answer, place, None),
        Expected::Streamed(least) => (answer.streamed_for < least)
            .then(|| format!("it came within {:?}, not {least:?}", answer.streamed_for)),
        // The log is the gateway's, not the answer's.
        Expected::Logged(_) => None,
    };
    problem.map(|problem| format!("{problem}; the body is {:?}", body()))
}

fn json_differs(answer: &Answer, place: &str, expected: Option<&Value>) -> Option<String> {
    let value: Value = match serde_json::from_slice(&answer.body) {
        Ok(value) => value,
        Err(err) => return Some(format!("the body is not JSON: {err}")),
    };
    let found = value.pointer(place);
    (found != expected).then(|| format!("{place} is {found:?}, not {expected:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        Answer {
            status: hyper::StatusCode::OK,
            headers: [(hyper::header::SERVER, "a".parse().unwrap())]
                .into_iter()
                .collect(),
            body: br#"{"a":{"b":"c"},"d":true}"#.to_vec(),
            streamed_for: Duration::from_millis(10),
        }
    }

    #[track_caller]
    fn fits(expected: Expected) {
        assert_eq!(differs(&answer(), &expected), None);
    }

    #[track_caller]
    fn does_not_fit(expected: Expected) {
        assert!(differs(&answer(), &expected).is_some(), "{expected:?}");
    }

    #[test]
    fn every_expectation_can_be_met_and_missed() {
        fits(Expected::Status(200));
        does_not_fit(Expected::Status(403));
        fits(Expected::Header("server", "a"));
        does_not_fit(Expected::Header("server", "b"));
        does_not_fit(Expected::Header("via", "a"));
        fits(Expected::NoHeader("via"));
        does_not_fit(Expected::NoHeader("server"));
        fits(Expected::BodyBegins("{"));
        does_not_fit(Expected::BodyBegins("a"));
        fits(Expected::Text("/a/b", "c"));
        does_not_fit(Expected::Text("/a/b", "d"));
        fits(Expected::True("/d"));
        does_not_fit(Expected::True("/a"));
        fits(Expected::Nothing("/e"));
        does_not_fit(Expected::Nothing("/d"));
        fits(Expected::Streamed(Duration::from_millis(5)));
        does_not_fit(Expected::Streamed(Duration::from_secs(1)));
    }
}
