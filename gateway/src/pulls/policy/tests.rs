//! Reading a policy: what is wrong with it, and what becomes of one that breaks.

use std::collections::BTreeSet;
use std::path::Path;

use tidegate_plugin_store::Reference;
use tidegate_plugin_store::signatures::Mode;

use super::PolicyFile;
use super::print;
use super::read;
use super::settled;
use super::words;

const KEY: &str = include_str!("../../../plugins/tests/store/signatures/p256.pub");

fn write(folder: &Path, rules: &str) {
    let text = format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: SignaturePolicy\nmetadata: {{ name: p }}\n\
         spec:\n  rules:\n{rules}"
    );
    std::fs::write(folder.join("p.yaml"), text).expect("writable");
}

fn mode(file: &PolicyFile, image: &str) -> Option<Mode> {
    let image: Reference = image.parse().expect("an image");
    file.policy().get().rule(&image).map(|rule| rule.mode)
}

#[test]
fn a_file_that_breaks_leaves_the_policy_of_before_and_says_so_until_it_is_repaired() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p.yaml");
    std::fs::write(folder.path().join("a.pub"), KEY).expect("writable");
    write(
        folder.path(),
        "  - { images: \"*\", mode: Require, keys: [a.pub] }\n",
    );
    let file = PolicyFile::open(&path).expect("it is good");
    assert_eq!(mode(&file, "a.test/b"), Some(Mode::Require));
    assert!(!file.refresh(), "nothing changed");
    assert_eq!(file.files().len(), 2);

    // A key that is gone, a file that is broken, one that is gone.
    let breaks: [(&dyn Fn(), &str); 3] = [
        (
            &|| std::fs::write(folder.path().join("a.pub"), "x").expect("writable"),
            "a.pub cannot be used",
        ),
        (
            &|| write(folder.path(), "  - { images: x, mode: Off }\n"),
            "p.yaml:6:15: \"x\" does not begin with a registry",
        ),
        (
            &|| std::fs::remove_file(&path).expect("there"),
            "cannot read the file",
        ),
    ];
    for (break_it, because) in breaks {
        break_it();
        assert!(!file.refresh());
        let error = file.report().error.expect("it is said");
        assert!(error.contains(because), "{error}");
        assert_eq!(mode(&file, "a.test/b"), Some(Mode::Require));
    }
    std::fs::write(folder.path().join("b.pub"), KEY).expect("writable");
    write(
        folder.path(),
        "  - { images: a.test, mode: Warn, keys: [b.pub] }\n",
    );
    assert!(file.refresh());
    assert_eq!(file.report().error, None);
    assert_eq!(mode(&file, "a.test/b"), Some(Mode::Warn));
    assert_eq!(mode(&file, "b.test/b"), None);
}

#[test]
fn what_is_wrong_with_rules_and_keys_has_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.pub"), KEY).expect("writable");
    std::fs::write(folder.path().join("large.pub"), " ".repeat(100_000)).expect("writable");
    for (rules, expected) in [
        (
            "  - { images: a.test, mode: Warn, keys: [no.pub] }\n",
            "p.yaml:6:42: cannot read",
        ),
        (
            "  - { images: a.test, mode: Warn, keys: [\".\"] }\n",
            "it is no file",
        ),
        (
            "  - { images: a.test, mode: Warn, keys: [large.pub] }\n",
            "larger than 64 KiB",
        ),
        (
            "  - { images: a.test, mode: Warn, keys: [a.pub], references: [b] }\n",
            "p.yaml:6:63: \"b\" does not begin",
        ),
        (
            "  - { images: a.test, mode: \"Off\" }\n  - { images: a.test/*, mode: \"Off\" }\n",
            "p.yaml:7:15: there are two rules for `a.test/*`",
        ),
    ] {
        write(folder.path(), rules);
        let problems = read(&folder.path().join("p.yaml")).policy;
        let words = words(&problems.expect_err(rules));
        assert!(words.contains(expected), "{rules}: {words}");
    }
}

#[test]
fn what_changes_while_it_is_read_is_read_again_and_never_missed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p.yaml");
    let key = folder.path().join("a.pub");
    std::fs::write(&key, KEY).expect("writable");
    let known = BTreeSet::from([path.clone(), key]);
    let number = |number: u32| {
        let rule = format!("  - {{ images: a{number}.test, mode: Warn, keys: [a.pub] }}\n");
        write(folder.path(), &rule);
    };
    for most in [2, u32::MAX] {
        number(0);
        let mut times = 0;
        let (policy, files, of) = settled(known.clone(), || {
            let reading = read(&path);
            times += 1;
            if times < most {
                number(times);
            }
            reading
        });
        let policy = policy.expect("it is good");
        let image =
            |number| -> Reference { format!("a{number}.test/b").parse().expect("an image") };
        assert!(
            policy.rule(&image(times - 1)).is_some(),
            "the last one read"
        );
        let is_newest = times < super::MOST_READINGS;
        assert_eq!(of == print(&files), is_newest, "else the next look sees it");
        assert_eq!(is_newest, most == 2);
    }
}
