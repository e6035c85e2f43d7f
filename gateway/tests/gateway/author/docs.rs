//! The page about the tools says all that there is.

use std::path::Path;

use super::Done;
use super::plugin;

fn help(args: &[&str]) -> String {
    Done::of(&mut plugin(Path::new("."), args)).well()
}

/// Whether a section is about a command, alone or beside others.
fn heads(section: &str, command: &str) -> bool {
    let heading = section.lines().next().unwrap_or_default();
    heading.split(", ").any(|it| it == format!("`{command}`"))
}

#[test]
fn every_command_and_every_flag_is_on_the_page_of_the_tools() {
    let page = include_str!("../../../../docs/plugin-commands.md");
    let of_registries = include_str!("../../../../docs/oci.md");
    let all = help(&["--help"]);
    let (_, commands) = all.split_once("Commands:\n").expect("a list");
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty())
        .collect();
    assert!(commands.len() >= 6, "{all}");
    for command in commands {
        let section = page.split("\n## ").find(|section| heads(section, command));
        let section = section.unwrap_or_else(|| panic!("no section about {command}"));
        let text = help(&[command, "--help"]);
        let flags = text
            .split_whitespace()
            .map(|word| word.trim_matches(['[', ']', ',']));
        for flag in flags.filter(|word| word.starts_with("--") && word.len() > 2) {
            let shared = ["--help", "--log", "--toolchain"].contains(&flag);
            let is_elsewhere = of_registries.contains(&format!("`{flag} "));
            assert!(
                shared || is_elsewhere || section.contains(flag),
                "{command} {flag}"
            );
        }
    }
}
