//! `--check`: does what the page says and compares what comes back.
//!
//! Every step is tried, also after one failed, so that one run tells all. While the configuration is
//! edited, requests go on in the background, and none of them may fail.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use http_body_util::Full;
use serde_json::Value;

use crate::client::{self, Answer};
use crate::config::Config;
use crate::gateway::Gateway;
use crate::meanwhile::Meanwhile;
use crate::output::Output;
use crate::registry::Registry;
use crate::tour::{Act, Door, Expected, RELOAD, STEPS, Step};

/// How long a line of a log may take: workers gather lines.
const LOG_LIMIT: Duration = Duration::from_secs(10);

/// How long an edit may take until it serves.
///
/// A second is the promise. An unoptimised gateway on a busy machine is not whom it was made for.
const EDIT_LIMIT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });

/// The same for what is pulled: more is done for that than for an edit.
const PULL_LIMIT: Duration = Duration::from_secs(20);

/// How long a verdict about a canary may take once enough have asked: it is looked at once a second, and
/// fewer than two hundred of each version are looked at after five.
const VERDICT_LIMIT: Duration = Duration::from_secs(10);

/// Between two requests of a crowd.
const CROWD_GAP: Duration = Duration::from_millis(4);

/// Between two looks whether an edit serves.
const LOOK: Duration = Duration::from_millis(20);

/// Performs all steps.
pub(crate) async fn run(gateway: &Gateway, config: &Config, registry: &Registry) -> Result<()> {
    let mut failed = 0;
    let mut meanwhile = None;
    let first_edit = STEPS.iter().position(|step| !step.edits.is_empty());
    for (at, step) in STEPS.iter().enumerate() {
        if step.act == Some(Act::StopRegistry) && !registry.is_own() {
            println!("--  {}: not of a registry that is somebody's", step.what);
            continue;
        }
        if Some(at) == first_edit {
            meanwhile = Some(Meanwhile::start(gateway.address));
        }
        let (problems, took) = match perform(step, gateway, config, registry).await {
            Ok(done) => done,
            Err(err) => (vec![format!("{err:#}")], Duration::ZERO),
        };
        if problems.is_empty() {
            println!("ok  {}{}", step.what, shown(step, took));
            continue;
        }
        failed += 1;
        println!("FAILED  {}", step.what);
        if let Some(line) = config.sed(step.edits) {
            println!("    {line}");
        }
        println!("    {}", step.curl.line(gateway.at(step.door)));
        for problem in problems {
            println!("    {problem}");
        }
    }
    if let Some(meanwhile) = meanwhile {
        let sent = meanwhile.end().await?;
        println!("ok  Meanwhile {sent} requests, one after the other: none failed");
    }
    if failed > 0 {
        bail!(
            "{failed} of {} steps do not do what the page says",
            STEPS.len()
        );
    }
    Ok(())
}

/// How long an edit took, where there was one.
fn shown(step: &Step, took: Duration) -> String {
    let what = match step.act {
        Some(Act::Push(_)) => "push",
        Some(Act::Crowd(..)) => "last of them",
        None if !step.edits.is_empty() => "edit",
        _ => return String::new(),
    };
    format!(" ({} ms after the {what})", took.as_millis())
}

/// Does a step. Returns what is wrong, and how long it took until nothing was.
async fn perform(
    step: &Step,
    gateway: &Gateway,
    config: &Config,
    registry: &Registry,
) -> Result<(Vec<String>, Duration)> {
    config.edit(step.edits)?;
    if let Some(Act::Push(module)) = step.act {
        registry.push(module).await?;
    }
    let mut start = Instant::now();
    let limit = match step.act {
        Some(Act::Crowd(users, path)) => {
            crowd(gateway, users, path).await?;
            start = Instant::now();
            VERDICT_LIMIT
        }
        Some(act) => {
            if act == Act::StopRegistry {
                registry.stop();
            }
            let admin = gateway.at(Door::Admin);
            client::send(admin, RELOAD.request(admin.address)?).await?;
            PULL_LIMIT
        }
        None if step.edits.is_empty() => Duration::ZERO,
        None => EDIT_LIMIT,
    };
    let (mut problems, took) = loop {
        let to = gateway.at(step.door);
        let answer = client::send(to, step.curl.request(to.address)?).await?;
        let expected = step.expected.iter();
        let problems: Vec<_> = expected.filter_map(|it| differs(&answer, it)).collect();
        let took = start.elapsed();
        if problems.is_empty() || took >= limit {
            break (problems, took);
        }
        tokio::time::sleep(LOOK).await;
    };
    for expected in step.expected {
        problems.extend(missing(gateway, expected).await);
    }
    Ok((problems, took))
}

/// Asks as so many users, one after the other, about as fast as a loop in a shell: what is compared is
/// compared in several blocks.
async fn crowd(gateway: &Gateway, users: u32, path: &'static str) -> Result<()> {
    let to = gateway.at(Door::Traffic);
    for user in 1..=users {
        let request = hyper::Request::get(path)
            .header("host", to.address.to_string())
            .header("x-user", user)
            .body(Full::default())?;
        client::send(to, request).await?;
        tokio::time::sleep(CROWD_GAP).await;
    }
    Ok(())
}

/// What the logs lack of what is expected there, if anything.
async fn missing(gateway: &Gateway, expected: &Expected) -> Option<String> {
    let (log, name, text): (&Output, _, _) = match *expected {
        Expected::Logged(text) => (&gateway.access_log, "access log", text),
        Expected::Said(text) => (&gateway.log, "gateway's log", text),
        _ => return None,
    };
    let found = |line: &str| line.contains(text).then_some(());
    let found = log.wait_for(LOG_LIMIT, found).await;
    match found {
        Some(()) => None,
        None => Some(format!("no line of the {name} has {text:?}")),
    }
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
        Expected::HeaderHas(name, text) => {
            let found = answer.headers.get(name).map(|value| value.as_bytes());
            let found = found.map(String::from_utf8_lossy);
            (!found.as_ref().is_some_and(|value| value.contains(text)))
                .then(|| format!("header {name} is {found:?}, without {text:?}"))
        }
        Expected::NoHeader(name) => answer
            .headers
            .contains_key(name)
            .then(|| format!("header {name} is there")),
        Expected::BodyBegins(text) => {
            (!body().starts_with(text)).then(|| format!("it does not begin with {text:?}"))
        }
        Expected::BodyHas(text) => (!body().contains(text)).then(|| format!("it has no {text:?}")),
        Expected::Text(place, text) => json_differs(answer, place, Some(&text.into())),
        Expected::True(place) => json_differs(answer, place, Some(&true.into())),
        Expected::Nothing(place) => json_differs(answer, place, None),
        Expected::Streamed(least) => (answer.streamed_for < least)
            .then(|| format!("it came within {:?}, not {least:?}", answer.streamed_for)),
        // Logs are the gateway's, not the answer's.
        Expected::Logged(_) | Expected::Said(_) => None,
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
        fits(Expected::HeaderHas("server", ""));
        does_not_fit(Expected::HeaderHas("server", "b"));
        does_not_fit(Expected::HeaderHas("via", ""));
        fits(Expected::NoHeader("via"));
        does_not_fit(Expected::NoHeader("server"));
        fits(Expected::BodyBegins("{"));
        does_not_fit(Expected::BodyBegins("a"));
        fits(Expected::BodyHas("\"c\""));
        does_not_fit(Expected::BodyHas("x"));
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
