//! Decides which version of a backend has a request: by weight, by match, and for good.
//!
//! - `config` is what the plugin is configured with, `share` what stands in it.
//! - `split` has the buckets that clients are in, and which version has which.
//! - `cookie` is what clients are known by that have nothing else.
//! - `assign` puts these together.

mod assign;
mod config;
mod cookie;
mod share;
mod split;

use std::cell::Cell;

use tidegate_policy::Spellings;
use tidegate_sdk::debug;
use tidegate_sdk::log::LogLevel;
use tidegate_sdk::log::log_enabled;
use tidegate_sdk::metrics::Counter;
use tidegate_sdk::prelude::*;
use tidegate_sdk::select::Choice;
use tidegate_sdk::select::Selection;

pub use config::Config;

use assign::Assigned;
use assign::By;
use assign::assign;
use config::Target;
use config::Version;
use config::metric_name;

/// What the setup makes.
#[derive(Debug)]
pub struct State {
    /// Requests of each version.
    versions: Vec<Counter>,
    /// Requests whose rule has no such backendRef.
    unknown: Counter,
    /// What backends take for the header of the version.
    spellings: Spellings,
    /// Backends are selected, and the host lets filters do that, as far as is known.
    selects: Cell<bool>,
}

/// Decides which version of a backend has a request: by weight, by match, and for good.
#[filter(config = Config, setup = prepare)]
pub async fn canary(mut req: Request, next: Next, cx: &Cx<Config, State>) -> Result<Response> {
    let config = &*cx.config;
    let Assigned { version: place, by } = assign(&req, cx)?;
    let Some(version) = config.versions.get(place) else {
        return Err(Error::new("a version that there is not"));
    };
    if let Some(counter) = cx.state.versions.get(place) {
        counter.add(1);
    }
    if log_enabled(LogLevel::Debug) {
        debug!("decided", version = version.name, by = by.word());
    }
    if config.dry_run {
        cx.state.spellings.remove(&mut req);
        req.headers_mut().remove(&config.header);
        return next.run(req).await;
    }
    send_to(version, &mut req, cx)?;
    let issued = match (by, &config.cookie) {
        (By::Issued(number), Some(cookie)) => Some(cookie.issue(number, &req)),
        _ => None,
    };
    let mut res = next.run(req).await?;
    if let Some(header) = &config.response_header {
        res.headers_mut().set(header, &version.name)?;
    }
    if let Some(cookie) = issued {
        res.headers_mut().append("set-cookie", cookie)?;
    }
    Ok(res)
}

/// Sends a request to a version: by itself where the host does that, and by a header, which also tells
/// the backend.
fn send_to(version: &Version, req: &mut Request, cx: &Cx<Config, State>) -> Result<()> {
    if cx.state.selects.get() {
        // Before the header is set: the host need not look for the rule again.
        let choice = match &version.target {
            Target::Place(place) => Choice::FromFront(*place),
            Target::Last => Choice::FromBack(0),
            Target::Named(name) => Choice::Named(name),
        };
        match cx.select_backend(choice) {
            Selection::Done => {}
            Selection::Unknown => cx.state.unknown.add(1),
            Selection::Unsupported => cx.state.selects.set(false),
        }
    }
    cx.state.spellings.remove(req);
    req.headers_mut().set(&cx.config.header, &version.name)?;
    if !cx.state.selects.get() {
        // A host that has neither function finds its routes by the header as it is.
        let _not_needed_there = cx.foreign("clear_route_cache", b"");
    }
    Ok(())
}

async fn prepare(cx: &Cx<Config>) -> Result<State> {
    let prefix = match cx.config.dry_run {
        true => "canary_dry_run_",
        false => "canary_",
    };
    let versions = cx.config.versions.iter();
    let counter = |it: &Version| cx.counter(&[prefix, &metric_name(&it.name)].concat());
    Ok(State {
        versions: versions.map(counter).collect(),
        unknown: cx.counter("canary_unknown_backend"),
        spellings: Spellings::of([&*cx.config.header]),
        selects: Cell::new(cx.config.select_backend),
    })
}
