//! `tidegate plugin history`, `rollback`, `promote`, `abort`, `hold` and `resume`: the versions of a
//! plugin of a gateway that runs.

use http::Method;
use http::StatusCode;
use serde_json::Value;
use tidegate_config::draft::CANARY;
use tidegate_core::time::rfc3339;

use crate::ask::Answer;
use crate::ask::ask;
use crate::author::print;
use crate::author::say;
use crate::cli::AdminArgs;
use crate::cli::CheckFormat;
use crate::cli::HistoryArgs;
use crate::cli::RollbackArgs;
use crate::cli::RolloutArgs;
use crate::plugins::in_one_line;

/// Prints the versions that served.
///
/// # Errors
///
/// The gateway is not there, or has no such plugin.
pub(crate) fn history(args: &HistoryArgs) -> anyhow::Result<()> {
    // A canary has a history of its own.
    let plugin = args.name.strip_suffix(CANARY);
    let mut name = full_name(plugin.unwrap_or(&args.name))?;
    if plugin.is_some() {
        name.push_str(CANARY);
    }
    let answer = order(
        &args.admin,
        Method::GET,
        &format!("/plugins/{name}/history"),
    )?;
    anyhow::ensure!(
        answer.status != StatusCode::NOT_FOUND,
        "no plugin is called {name}"
    );
    let page = done(answer)?;
    if matches!(args.format, CheckFormat::Json) {
        print(&page);
        return Ok(());
    }
    let page: Value = serde_json::from_str(&page)?;
    print(&table(&name, &page));
    Ok(())
}

/// Makes a gateway serve another version of a plugin.
///
/// # Errors
///
/// As [`history`], or there is no such version.
pub(crate) fn rollback(args: &RollbackArgs) -> anyhow::Result<()> {
    let name = full_name(&args.name)?;
    let path = match (&args.to, args.resume) {
        (_, true) => format!("/plugins/{name}/resume"),
        (None, false) => format!("/plugins/{name}/rollback"),
        (Some(to), false) => {
            let is_plain = to
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b':');
            anyhow::ensure!(
                is_plain && !to.is_empty(),
                "{to:?} is neither a number nor a digest"
            );
            format!("/plugins/{name}/rollback?to={to}")
        }
    };
    let said = done(order(&args.admin, Method::POST, &path)?)?;
    say(said.trim_end());
    Ok(())
}

/// Gives an order about the rollout of a plugin.
///
/// # Errors
///
/// As [`history`], or it does not fit.
pub(crate) fn rollout(what: &str, args: &RolloutArgs) -> anyhow::Result<()> {
    let name = full_name(&args.name)?;
    let path = format!("/plugins/{name}/rollout/{what}");
    let said = done(order(&args.admin, Method::POST, &path)?)?;
    say(said.trim_end());
    Ok(())
}

fn order(admin: &AdminArgs, method: Method, path: &str) -> anyhow::Result<Answer> {
    ask(
        &admin.admin,
        admin.admin_token_file.as_deref(),
        method,
        path,
    )
}

/// The text of an answer that is no refusal.
fn done(answer: Answer) -> anyhow::Result<String> {
    let Answer { status, text } = answer;
    anyhow::ensure!(status.is_success(), "{}", in_one_line(text.trim_end()));
    Ok(text)
}

/// A name with its namespace.
fn full_name(name: &str) -> anyhow::Result<String> {
    let is_plain = |part: &str| {
        let mut bytes = part.bytes();
        !part.is_empty()
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
    };
    anyhow::ensure!(
        name.split('/').all(is_plain),
        "{name:?} is no name of a Plugin"
    );
    Ok(if name.contains('/') {
        name.to_owned()
    } else {
        format!("default/{name}")
    })
}

/// The versions, the newest first, and what is to be known beside them.
fn table(name: &str, page: &Value) -> String {
    let mut text = format!(
        "{:<8}{:<22}{:<22}{:<14}{:<14}{:<18}{}\n",
        "VERSION", "FROM", "TO", "DIGEST", "IMAGE", "SETTINGS", "WHAT BECAME OF IT"
    );
    let versions = page.get("versions").and_then(Value::as_array);
    let is_canary = name.ends_with(CANARY);
    for version in versions.into_iter().flatten() {
        text.push_str(&row(version, is_canary));
    }
    if let Some(phase) = page.pointer("/rollout/phase").and_then(Value::as_str) {
        let why = page.pointer("/rollout/why").and_then(Value::as_str);
        let why = why.map_or_else(String::new, |why| format!(": {}", in_one_line(why)));
        text.push_str(&format!("its rollout is {phase}{why}\n"));
    }
    let time = |at: &Value| at.as_u64().map(date);
    if let Some(until) = page.pointer("/probation/until").and_then(time) {
        let back = page.pointer("/probation/goesBackTo");
        let back = back.and_then(Value::as_u64).unwrap_or_default();
        text.push_str(&format!(
            "on probation until {until}; it would go back to version {back}\n"
        ));
    }
    if let Some(held) = page.get("held").filter(|held| !held.is_null()) {
        let at = held.get("at").and_then(time).unwrap_or_default();
        let why = held.get("why").and_then(Value::as_str).unwrap_or_default();
        text.push_str(&format!(
            "what the resource asks for was taken back at {at}: {}; \
             `tidegate plugin rollback {name} --resume` lets it serve again\n",
            in_one_line(why)
        ));
    }
    text
}

/// A time, from seconds since 1970.
pub(super) fn date(seconds: u64) -> String {
    rfc3339(seconds.saturating_mul(1_000)).replace(".000Z", "Z")
}

fn row(version: &Value, is_canary: bool) -> String {
    let text = |name: &str| version.get(name).and_then(Value::as_str);
    let time = |name: &str| version.get(name).and_then(Value::as_u64).map(date);
    let is_proven = version.get("proven").and_then(Value::as_bool) == Some(true);
    let became = match (text("end"), text("why")) {
        (None, _) if is_canary => "is the canary".to_owned(),
        (None, _) if is_proven => "serves, and has stood its probation".to_owned(),
        (None, _) => "serves".to_owned(),
        (Some("Replaced"), _) => "replaced".to_owned(),
        (Some("Removed"), _) => "its plugin was removed".to_owned(),
        (Some("RolledBackByHand"), _) => "taken back by hand".to_owned(),
        (Some(_), why) => format!("taken back: {}", in_one_line(why.unwrap_or_default())),
    };
    let gone = match version.get("kept").and_then(Value::as_bool) {
        Some(false) => "; its code is gone",
        _ => "",
    };
    let brief = |digest: &str| digest.chars().take(12).collect::<String>();
    let digest = text("digest").unwrap_or_default();
    let image = text("imageDigest").unwrap_or("-");
    let image = image.strip_prefix("sha256:").unwrap_or(image);
    let number = version.get("number").and_then(Value::as_u64);
    format!(
        "{:<8}{:<22}{:<22}{:<14}{:<14}{:<18}{became}{gone}\n",
        number.unwrap_or_default(),
        time("began").unwrap_or_default(),
        time("ended").unwrap_or_default(),
        brief(digest),
        brief(image),
        text("settings").unwrap_or_default(),
    )
}
