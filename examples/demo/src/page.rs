//! The page: what runs, and what to type.

use std::io::IsTerminal;

use crate::backends::Backends;
use crate::gateway::Gateways;
use crate::tour::{Door, STEPS};

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
pub(crate) fn print(gateways: &Gateways, backends: &Backends) {
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
    println!("\nIn front of them run");
    for door in [Door::Filtered, Door::Plain] {
        println!("  {dim}{}{plain}", gateways.at(door).command);
    }
    println!("\nType in another terminal:");
    for step in STEPS {
        let line = step.curl.line(gateways.at(step.door).address);
        println!("\n  {bold}{}{plain}\n    {green}{line}{plain}", step.what);
    }
    println!("\nCtrl-C stops everything. The logs of the gateways follow.\n");
}
