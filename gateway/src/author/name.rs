//! Which names a filter may have: those that cargo and Rust allow for a crate.

/// What cargo puts into the target folder, and crates that every filter has; with `_` for `-`, which
/// are one to Rust.
const TAKEN: [&str; 16] = [
    "alloc",
    "build",
    "core",
    "deps",
    "examples",
    "incremental",
    "proc_macro",
    "serde",
    "serde_json",
    "std",
    "test",
    "tidegate",
    "tidegate_sdk",
    "tidegate_sdk_macros",
    "tidegate_sdk_sys",
    "tidegate_sdk_testing",
];

/// Words of the language (The Rust Reference, "Keywords", edition 2024).
const KEYWORDS: [&str; 52] = [
    "Self", "abstract", "as", "async", "await", "become", "box", "break", "const", "continue",
    "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if",
    "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub",
    "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// A name as cargo's registries allow it.
const LONGEST: usize = 64;

/// Reads the name of a crate.
///
/// # Errors
///
/// What is wrong with it, and what is allowed.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    const ALLOWED: &str = "use letters, digits, - and _, beginning with a letter";
    let wrong = text
        .chars()
        .find(|it| !(it.is_ascii_alphanumeric() || matches!(it, '-' | '_')));
    if let Some(wrong) = wrong {
        return Err(format!("a crate's name has no {wrong:?}; {ALLOWED}"));
    }
    if !text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return Err(format!("a crate's name begins with a letter; {ALLOWED}"));
    }
    if text.len() > LONGEST {
        return Err(format!("a crate's name has at most {LONGEST} characters"));
    }
    if KEYWORDS.contains(&text) {
        return Err("it is a word of Rust; choose another name".to_owned());
    }
    if TAKEN.contains(&&*text.replace('-', "_")) {
        return Err("it is taken by Rust, cargo or the SDK; choose another name".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn names_of_crates_pass_and_others_are_refused_with_the_reason() {
        for name in ["my-auth", "a", "Limit_2"] {
            assert_eq!(parse(name), Ok(name.to_owned()));
        }
        let refused = |name: &str, why: &str| {
            let err = parse(name).expect_err(name);
            assert!(err.contains(why), "{name}: {err}");
        };
        refused("my.auth", "no '.'");
        refused("../up", "no '.'");
        refused("a/b", "no '/'");
        refused("prüfer", "no 'ü'");
        refused("", "begins with a letter");
        refused("-x", "begins with a letter");
        refused("9lives", "begins with a letter");
        refused(&"a".repeat(65), "at most 64");
        refused("match", "a word of Rust");
        refused("tidegate-sdk", "taken");
        refused("tidegate_sdk", "taken");
        refused("serde-json", "taken");
    }
}
