//! Links between Markdown files: what a relative link names must exist.
//!
//! Links to other sites and to headings are not followed.

use std::path::Path;

use super::files::Text;

/// Every relative link that leads nowhere.
pub(super) fn check(file: &Text, root: &Path) -> Vec<String> {
    let folder = file.path.parent().unwrap_or(Path::new(""));
    let dead = |target: &&str| !root.join(folder).join(target).exists();
    let found = links(&file.text);
    let relative = found
        .iter()
        .map(|(line, target)| (line, without_fragment(target)));
    relative
        .filter(|(_, target)| !target.is_empty() && !is_elsewhere(target))
        .filter(|(_, target)| dead(target))
        .map(|(line, target)| format!("{}:{line}: no such file: {target}", file.path.display()))
        .collect()
}

/// Line number and target of each `[text](target)` and `[name]: target`, outside of code.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // Every second piece between back-ticks is code.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        let inline = prose
            .split("](")
            .skip(1)
            .filter_map(|it| it.split([')', ' ']).next());
        let defined = prose.strip_prefix('[').and_then(|it| it.split_once("]: "));
        let all = inline.chain(defined.map(|(_, target)| target.trim()));
        found.extend(all.map(|target| (number + 1, target.to_owned())));
    }
    found
}

fn without_fragment(target: &str) -> &str {
    target.split('#').next().unwrap_or(target)
}

fn is_elsewhere(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_of_code() {
        let text =
            "[a](b.md#c) and [d](e/)\n```\n[f](g)\n```\n`[h](i)` [j](k \"title\")\n[l]: m.md\n";
        let found = links(text);
        let targets: Vec<_> = found
            .iter()
            .map(|(line, it)| (*line, it.as_str()))
            .collect();
        assert_eq!(targets, [(1, "b.md#c"), (1, "e/"), (5, "k"), (6, "m.md")]);
    }

    #[test]
    fn only_relative_links_must_lead_somewhere() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = "[a](main.rs#x) [b](https://b.example/) [c](#d) [e](../Cargo.toml) [f](gone.md)";
        let file = Text {
            path: "src/a.md".into(),
            text: text.into(),
        };
        assert_eq!(check(&file, root), ["src/a.md:1: no such file: gone.md"]);
    }
}
