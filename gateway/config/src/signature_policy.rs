//! The operator's file about signatures, read: a file of its own with one resource.
//!
//! Owns its form and the rules that one entry can break by itself. What names of images and keys mean is
//! for whoever checks signatures.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::document::split;
use crate::kinds::signature_policy::SignatureHttp;
use crate::kinds::signature_policy::SignatureIdentity;
use crate::kinds::signature_policy::SignatureMode;
use crate::kinds::signature_policy::SignaturePolicy;
use crate::kinds::signature_policy::SignatureRule;
use crate::parse::Parsed;
use crate::parse::parse;
use crate::place::At;
use crate::place::Place;
use crate::problem::Problem;
use crate::problem::Severity;
use crate::schema::Checker;
use crate::schema::Kind as _;
use crate::source::read_text;

/// A value with its place in the file.
pub type Placed<T> = (T, Place);

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleDraft {
    /// The images that it is for.
    pub images: Placed<String>,
    /// What becomes of those without a valid signature.
    pub mode: SignatureMode,
    /// The files of the keys: as they are written, and where they are.
    pub keys: Vec<Placed<(String, PathBuf)>>,
    /// Whether a signature must be for the repository of the image.
    pub same_repository: bool,
    /// Other repositories that a signature may be for.
    pub references: Vec<Placed<String>>,
}

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyDraft {
    /// The rules, in order.
    pub rules: Vec<RuleDraft>,
    /// What becomes of modules of web servers, if it says so.
    pub http: Option<SignatureHttp>,
}

/// Reads the file. Without an error among the problems, this is all that it says.
#[must_use]
pub fn read(path: &Path) -> (PolicyDraft, Vec<Problem>) {
    let mut problems = Vec::new();
    let file: Arc<Path> = path.into();
    let text = match read_text(&file) {
        Ok(text) => text,
        Err(problem) => return (PolicyDraft::default(), vec![*problem]),
    };
    let mut policies = Vec::new();
    for document in split(&file, &text) {
        for parsed in parse(&document, &mut problems) {
            policies.extend(policy(&parsed, &mut problems).map(|policy| (policy, parsed)));
        }
    }
    let is_good = |problem: &Problem| problem.severity == Severity::Warning;
    match policies.as_slice() {
        [(policy, parsed)] => {
            let rules = policy.spec.rules.iter();
            let rules = rules.map(|one| rule(one, path, parsed, &mut problems));
            let draft = PolicyDraft {
                rules: rules.collect(),
                http: policy.spec.http,
            };
            (draft, problems)
        }
        [] if problems.iter().all(is_good) => {
            let problem = Problem::error(None, format!("{} has no rules", path.display()));
            let hint = "it holds one SignaturePolicy; to want no signatures, leave the flag out";
            (PolicyDraft::default(), vec![problem.hint(hint)])
        }
        [] => (PolicyDraft::default(), problems),
        [_, others @ ..] => {
            for (_, other) in others {
                let place = other.place(other.kind.span);
                let problem = Problem::error(place, "there is a SignaturePolicy already");
                problems.push(problem.hint("put all rules into one: the order does not matter"));
            }
            (PolicyDraft::default(), problems)
        }
    }
}

fn policy(parsed: &Parsed, problems: &mut Vec<Problem>) -> Option<SignaturePolicy> {
    let place = |span| parsed.place(span);
    if parsed.kind.as_str() != SignaturePolicy::KIND {
        let message = format!("a {} has no place in this file", parsed.kind.as_str());
        let problem = Problem::error(place(parsed.kind.span), message);
        problems.push(problem.hint("it holds one SignaturePolicy and nothing else"));
        return None;
    }
    let [version, ..] = SignaturePolicy::API_VERSIONS else {
        return None;
    };
    if parsed.api_version.as_str() != *version {
        let message = format!(
            "SignaturePolicy is not of the version `{}`",
            parsed.api_version.as_str()
        );
        let problem = Problem::error(place(parsed.api_version.span), message);
        problems.push(problem.hint(format!("write `apiVersion: {version}`")));
        return None;
    }
    Checker::of::<SignaturePolicy>().read(parsed, problems)
}

fn rule(
    rule: &SignatureRule,
    path: &Path,
    parsed: &Parsed,
    problems: &mut Vec<Problem>,
) -> RuleDraft {
    let SignatureRule {
        images,
        mode,
        keys,
        identity,
        references,
    } = rule;
    if keys.is_empty() && mode.value != SignatureMode::Off {
        let message = "the rule has no keys: no signature could be valid";
        let problem = Problem::error(parsed.place(mode.span), message);
        problems.push(problem.hint("name files in `keys`, or make it `mode: Off`"));
    }
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let placed = |text: &At<String>| (text.value.clone(), parsed.place(text.span));
    let key = |text: &At<String>| {
        let (text, place) = placed(text);
        let file = folder.join(&text);
        ((text, file), place)
    };
    RuleDraft {
        images: placed(images),
        mode: mode.value,
        keys: keys.iter().map(key).collect(),
        same_repository: *identity == SignatureIdentity::Repository,
        references: references.iter().map(placed).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::RuleDraft;
    use super::SignatureHttp;
    use super::read;
    use crate::kinds::signature_policy::SignatureMode;
    use crate::render::Colour;
    use crate::render::render;

    fn of(text: &str) -> (Vec<RuleDraft>, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("p.yaml");
        std::fs::write(&path, text).expect("writable");
        let (draft, problems) = read(&path);
        let rules = draft.rules;
        let page = render(&problems, Colour::Never);
        (
            rules,
            page.replace(&format!("{}/", folder.path().display()), ""),
        )
    }

    fn policy(rules: &str) -> String {
        format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: SignaturePolicy\nmetadata: {{ name: p }}\n\
             spec:\n  rules:\n{rules}"
        )
    }

    #[test]
    fn rules_are_read_with_paths_relative_to_their_file() {
        let text = policy(
            "  - images: \"*\"\n    mode: Require\n    keys: [a.pub, /etc/b.pub]\n    \
             identity: Repository\n    references: [a.test/x]\n  - { images: b.test, mode: Off }\n",
        );
        let (rules, problems) = of(&text);
        assert_eq!(problems, "");
        let [first, second] = rules.as_slice() else {
            panic!("two rules: {rules:?}");
        };
        assert_eq!(first.images.0, "*");
        assert_eq!(first.mode, SignatureMode::Require);
        let files: Vec<&Path> = first.keys.iter().map(|((_, file), _)| &**file).collect();
        assert!(files[0].ends_with("a.pub") && files[0].is_absolute());
        assert_eq!(files[1], Path::new("/etc/b.pub"));
        assert!(first.same_repository && first.references.len() == 1);
        assert_eq!(second.mode, SignatureMode::Off);
    }

    #[test]
    fn what_becomes_of_web_servers_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("p.yaml");
        let rules = policy("  - { images: b.test, mode: Off }\n");
        for (http, expected) in [
            ("", None),
            ("  http: Allow\n", Some(SignatureHttp::Allow)),
            ("  http: Refuse\n", Some(SignatureHttp::Refuse)),
        ] {
            std::fs::write(&path, format!("{rules}{http}")).expect("writable");
            let (draft, problems) = read(&path);
            assert!(problems.is_empty(), "{problems:?}");
            assert_eq!(draft.http, expected);
        }
        let (_, problems) = of(&format!("{rules}  http: Warn\n"));
        assert!(
            problems.contains("p.yaml:7:9: error: `http` must be one of"),
            "{problems}"
        );
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        for (text, expected) in [
            (
                policy("  - { images: \"*\", mode: Requires }\n"),
                "p.yaml:6:26: error: `mode` must be one of",
            ),
            (
                policy("  - { images: \"*\", mode: Warn }\n"),
                "p.yaml:6:26: error: the rule has no keys",
            ),
            (
                policy("  - { image: \"*\", mode: Off }\n"),
                "did you mean `images`?",
            ),
            (policy("    []\n"), "p.yaml:6:5: error: `rules`"),
            ("a: [".to_owned(), "p.yaml:1:"),
            ("# nothing\n".to_owned(), "p.yaml has no rules"),
            (
                "apiVersion: v1\nkind: Secret\nmetadata: { name: a }\n".to_owned(),
                "p.yaml:2:7: error: a Secret has no place in this file",
            ),
            (
                policy("  - { images: \"*\", mode: Off }\n").replace("v1alpha1", "v1"),
                "write `apiVersion: tidegate.dev/v1alpha1`",
            ),
            (
                [policy("  - { images: \"*\", mode: Off }\n").as_str(); 2].join("---\n"),
                "p.yaml:9:7: error: there is a SignaturePolicy already",
            ),
        ] {
            let (_, problems) = of(&text);
            assert!(problems.contains(expected), "{text}: {problems}");
        }
        let (_, problems) = read(Path::new("/no/such/file.yaml"));
        assert_eq!(problems.len(), 1);
    }
}
