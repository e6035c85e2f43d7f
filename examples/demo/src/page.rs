//! The page: what runs, and what to type.

use std::io::IsTerminal;

use crate::backends::Backends;
use crate::config::{Config, GATEWAY};
use crate::gateway::Gateway;
use crate::tour::STEPS;

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
pub(crate) fn print(gateway: &Gateway, config: &Config, backends: &Backends) {
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
    println!("\nIn front of them runs");
    println!("  {dim}{}{plain}", gateway.command);
    println!("\nIts configuration is yours to edit, it follows every change:");
    println!("  {bold}{}{plain}", config.folder.join(GATEWAY).display());
    println!("\nType in another terminal, or edit the file where a line begins with sed:");
    for step in STEPS {
        println!("\n  {bold}{}{plain}", step.what);
        if let Some(line) = config.sed(step.edits) {
            println!("    {green}{line}{plain}");
        }
        let line = step.curl.line(gateway.at(step.door));
        println!("    {green}{line}{plain}");
    }
    println!("\nCtrl-C stops everything. The logs of the gateway follow.\n");
}
