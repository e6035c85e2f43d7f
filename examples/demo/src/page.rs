//! The page: what runs, and what to type.

use std::io::IsTerminal;

use crate::backends::Backends;
use crate::config::{Config, GATEWAY};
use crate::gateway::Gateway;
use crate::registry::Registry;
use crate::tour::{Act, Door, RELOAD, STEPS};

/// Terminal styles, empty where the output is no terminal.
struct Style {
    bold: &'static str,
    dim: &'static str,
    green: &'static str,
    plain: &'static str,
}

const COLOURED: Style = Style {
    bold: "\x1b[1m",
    dim: "\x1b[2m",
    green: "\x1b[32m",
    plain: "\x1b[0m",
};
const UNCOLOURED: Style = Style {
    bold: "",
    dim: "",
    green: "",
    plain: "",
};

/// Prints the page.
pub(crate) fn print(gateway: &Gateway, config: &Config, backends: &Backends, registry: &Registry) {
    let style = if std::io::stdout().is_terminal() {
        COLOURED
    } else {
        UNCOLOURED
    };
    let Style {
        bold,
        dim,
        green,
        plain,
    } = style;
    println!("\n{bold}Tidegate demo{plain}\n");
    for (name, address, what) in [
        (
            "apples",
            backends.apples,
            "a backend that says what it was asked",
        ),
        ("pears ", backends.pears, "another one"),
        (
            "auth  ",
            backends.auth,
            "a backend that the filter asks who may pass",
        ),
    ] {
        println!("  {name}  http://{address}  {dim}{what}{plain}");
    }
    let whose = if registry.is_own() {
        "a registry inside of this demo: one filter comes from there"
    } else {
        "one filter comes from there"
    };
    println!("  registry {}  {dim}{whose}{plain}", registry.name);
    println!("\nIn front of them runs");
    println!("  {dim}{}{plain}", gateway.command);
    println!("\nIts configuration is yours to edit, it follows every change:");
    println!("  {bold}{}{plain}", config.folder.join(GATEWAY).display());
    println!("\nType in another terminal, or edit the file where a line begins with sed:");
    let can_be_typed = STEPS
        .iter()
        .filter(|step| step.act != Some(Act::StopRegistry));
    for step in can_be_typed {
        println!("\n  {bold}{}{plain}", step.what);
        if let Some(line) = config.sed(step.edits) {
            println!("    {green}{line}{plain}");
        }
        if let Some(Act::Crowd(users, path)) = step.act {
            let address = gateway.address;
            println!(
                "    {green}for user in $(seq {users}); do curl -s -o /dev/null -H \"x-user: $user\" \
                 http://{address}{path}; done{plain}"
            );
        }
        if let Some(Act::Push(module)) = step.act {
            println!("    {green}{}{plain}", registry.line(module));
            println!("    {green}{}{plain}", RELOAD.line(gateway.at(Door::Admin)));
        }
        let line = step.curl.line(gateway.at(step.door));
        println!("    {green}{line}{plain}");
    }
    println!("\nCtrl-C stops everything. The logs of the gateway follow.\n");
}
