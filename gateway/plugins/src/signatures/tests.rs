//! Patterns, rules and keys: which of them count.

use proptest::prelude::ProptestConfig;
use proptest::prop_assert;
use proptest::proptest;

use crate::digest::Digest;
use crate::reference::Reference;
use crate::signatures::Key;
use crate::signatures::KeyError;
use crate::signatures::Mode;
use crate::signatures::Pattern;
use crate::signatures::PatternError;
use crate::signatures::Policy;
use crate::signatures::Rule;
use crate::signatures::Subject;
use crate::signatures::Web;
use crate::signatures::WebRefused;
use crate::signatures::bundle;
use crate::signatures::simple;
use crate::signatures::statement;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bundle_and_nothing_in_one_panics(
        places in proptest::collection::vec((0..1000_usize, 0..96_u8), 1..6),
    ) {
        let texts = [
            include_bytes!("../../tests/store/signatures/p256.statement.json").to_vec(),
            include_bytes!("../../tests/store/signatures/p256.message.json").to_vec(),
        ];
        for mut text in texts {
            for (place, value) in &places {
                let at = place % text.len();
                text[at] = value + b' ';
            }
            let changed = bundle::read(&text);
            let rule = rule("*", Mode::Require);
            if let Ok(evidence) = &changed {
                let subject = Subject {
                    digest: Digest::of(&text),
                    raw: text.clone().into(),
                };
                let vouched = evidence.vouched(&[subject], &rule, "a.test/b");
                prop_assert!(vouched.is_err());
            }
            simple::read(&text).ok();
            statement::read("application/vnd.in-toto+json", &text).ok();
        }
    }
}

const P256: &[u8] = include_bytes!("../../tests/store/signatures/p256.pub");

fn rule(pattern: &str, mode: Mode) -> Rule {
    Rule {
        images: Pattern::parse(pattern).expect(pattern),
        mode,
        keys: vec![Key::from_pem("p256.pub", P256).expect("a key")],
        same_repository: false,
        references: Vec::new(),
    }
}

#[test]
fn the_rule_that_says_most_about_an_image_decides() {
    let rules = [
        "*",
        "registry.example",
        "registry.example/team/*",
        "registry.example/team/auth",
        "registry.example/team/auth/*",
        "docker.io/library/*",
        "localhost:5000/a",
    ];
    let policy = Policy::new(rules.map(|it| rule(it, Mode::Require)).to_vec());
    let policy = policy.expect("all are different");
    for (image, expected) in [
        ("registry.example/team/auth:1", "registry.example/team/auth"),
        (
            "registry.example/team/auth/x",
            "registry.example/team/auth/*",
        ),
        ("registry.example/team/other", "registry.example/team/*"),
        ("registry.example/team/a/b", "registry.example/team/*"),
        ("registry.example/teams/a", "registry.example/*"),
        ("registry.example/team", "registry.example/*"),
        ("REGISTRY.example/team", "registry.example/*"),
        (
            "registry.example:443/team/auth",
            "registry.example/team/auth",
        ),
        ("registry.example:444/team/auth", "*"),
        ("other.example/team/auth", "*"),
        ("nginx", "docker.io/library/*"),
        ("index.docker.io/nginx", "docker.io/library/*"),
        ("team/nginx", "*"),
        ("localhost:5000/a:1", "localhost:5000/a"),
        ("localhost:5000/a/b", "*"),
    ] {
        let image: Reference = image.parse().expect(image);
        let found = policy.rule(&image).expect("there is a rule for all");
        assert_eq!(found.images.to_string(), expected, "{image}");
    }
}

#[test]
fn where_the_best_rule_says_off_nobody_looks_whatever_others_say() {
    let rules = vec![
        rule("*", Mode::Require),
        rule("registry.example/free/*", Mode::Off),
    ];
    let policy = Policy::new(rules).expect("different");
    let is_ruled = |image: &str| policy.rule(&image.parse().expect(image)).is_some();
    assert!(!is_ruled("registry.example/free/a"));
    assert!(is_ruled("registry.example/free"));
    assert!(
        Policy::default()
            .rule(&"a/b".parse().expect("one"))
            .is_none()
    );
}

#[test]
fn two_rules_for_the_same_images_are_refused() {
    for (one, other) in [
        ("*", "*"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("Registry.example", "registry.example/*"),
    ] {
        let rules = vec![rule(one, Mode::Warn), rule(other, Mode::Require)];
        let err = Policy::new(rules).expect_err(other);
        assert!(err.to_string().contains("two rules for"), "{err}");
    }
}

#[test]
fn what_is_no_pattern_is_quoted_with_the_reason() {
    type Is = fn(&PatternError) -> bool;
    let registry: Is = |err| matches!(err, PatternError::Registry { .. });
    let star: Is = |err| matches!(err, PatternError::Star { .. });
    let tag: Is = |err| matches!(err, PatternError::Tag { .. });
    let name: Is = |err| matches!(err, PatternError::Name { .. });
    for (text, is_reason) in [
        ("", registry),
        ("team/*", registry),
        ("nginx", registry),
        ("*/team", star),
        ("a.test/*/b", star),
        ("a.test/b*", star),
        ("*.test", star),
        ("a.test/b:1", tag),
        ("a.test/A", name),
        ("a.test/b//c", name),
        ("a.test:99999/b", name),
    ] {
        let err = Pattern::parse(text).expect_err(text);
        assert!(is_reason(&err), "{text}: {err:?}");
        assert!(err.to_string().contains(&format!("{text:?}")), "{err}");
    }
}

#[test]
fn a_signature_may_be_for_the_repositories_that_the_rule_allows() {
    let with = |same_repository, references: &[&str]| Rule {
        same_repository,
        references: references
            .iter()
            .map(|it| Pattern::parse(it).expect(it))
            .collect(),
        ..rule("*", Mode::Require)
    };
    let said = Some("a.test/team/x:1");
    for (rule, image, said, expected) in [
        (with(false, &[]), "a.test/other", None, true),
        (with(true, &[]), "a.test/team/x", said, true),
        (with(true, &[]), "a.test/team/y", said, false),
        (with(true, &[]), "a.test/team/x", None, false),
        (with(true, &["a.test/team/*"]), "b.test/y", said, true),
        (with(false, &["a.test/team/*"]), "b.test/y", said, true),
        (with(false, &["b.test"]), "a.test/team/x", said, false),
        (
            with(true, &[]),
            "a.test/team/x",
            Some("no:reference:!"),
            false,
        ),
    ] {
        assert_eq!(rule.allows(image, said), expected, "{rule:?} {image}");
    }
}

#[test]
fn what_is_no_usable_public_key_is_told_apart() {
    let of = |text: &[u8]| Key::from_pem("k", text).map(|_| ());
    assert_eq!(of(P256), Ok(()));
    let twice = [P256, P256].concat();
    let private =
        b"-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED COSIGN PRIVATE KEY-----";
    let short = include_bytes!("../../tests/store/signatures/rsa-1024.pub");
    let curve = include_bytes!("../../tests/store/signatures/secp256k1.pub");
    for (text, expected) in [
        (twice.as_slice(), KeyError::Several { count: 2 }),
        (private.as_slice(), KeyError::Private),
        (
            b"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
            KeyError::Private,
        ),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            KeyError::Certificate,
        ),
        (
            b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            KeyError::Sort,
        ),
        (short, KeyError::Sort),
        (curve, KeyError::Sort),
        (b"", KeyError::None),
        (b"\xff\xfe\0", KeyError::None),
    ] {
        assert_eq!(of(text), Err(expected));
    }
    let cut = of(b"-----BEGIN PUBLIC KEY-----\nAAAA");
    assert!(matches!(cut, Err(KeyError::Pem { .. })), "{cut:?}");
}

/// The rule that refuses a module of a web server; `http` if they all are, `None` if it is used.
fn web(policy: &Policy, url: &str) -> Option<String> {
    match policy.check_web(&url.parse().expect(url)) {
        Ok(()) => None,
        Err(WebRefused::All { .. }) => Some("http".to_owned()),
        Err(WebRefused::Registry { rule, .. }) => Some(rule),
    }
}

#[test]
fn the_content_of_a_registry_is_known_by_its_address_however_that_is_written() {
    let policy = Policy::new(vec![
        rule("registry.test", Mode::Require),
        rule("registry.test/trial/*", Mode::Warn),
        rule("local.test:5000/team/*", Mode::Require),
        rule("docker.io/me/*", Mode::Require),
        rule("[::1]:5000", Mode::Require),
    ]);
    let policy = policy.expect("rules").with_web(Some(Web::Allow));
    for (url, expected) in [
        (
            "https://registry.test/v2/a/b/blobs/sha256:0",
            Some("registry.test/*"),
        ),
        (
            "https://registry.test/v2/a/b/manifests/1",
            Some("registry.test/*"),
        ),
        (
            "https://REGISTRY.test:443/v2/a/blobs/x",
            Some("registry.test/*"),
        ),
        (
            "https://registry.test./v2/a/blobs/x",
            Some("registry.test/*"),
        ),
        ("http://registry.test/v2/a/blobs/x", Some("registry.test/*")),
        (
            "https://registry.test//v2//a/blobs/x?y=/v2/trial/a/blobs/",
            Some("registry.test/*"),
        ),
        (
            "https://registry.test/%76%32/a%2Fb/%62lobs/x",
            Some("registry.test/*"),
        ),
        (
            "https://registry.test/%2576%2532/a/blobs/x",
            Some("registry.test/*"),
        ),
        (
            "https://registry.test/V2/A/Blobs/x",
            Some("registry.test/*"),
        ),
        (
            "https://registry.test/x\\..\\v2\\a\\blobs\\x",
            Some("registry.test/*"),
        ),
        (
            "https://registry.test/v2/trial/%2e%2e/a/blobs/x",
            Some("registry.test/*"),
        ),
        (
            "https://registry.test/v2/trial/..%2fa/blobs/x",
            Some("registry.test/*"),
        ),
        ("https://registry.test/v2/", Some("registry.test/*")),
        (
            "https://registry.test/hub/v2/trial/a/blobs/x",
            Some("registry.test/*"),
        ),
        (
            "https://registry.test/docker/registry/v2/blobs/sha256/00/0/data",
            Some("registry.test/*"),
        ),
        ("https://registry.test/v2/trial/a/blobs/x", None),
        ("https://registry.test/files/a.wasm", None),
        ("https://registry.test/files/v2/a.wasm", None),
        ("https://registry.test:8443/v2/a/blobs/x", None),
        ("https://other.test/v2/a/blobs/x", None),
        (
            "https://local.test:5000/v2/team/a/blobs/x",
            Some("local.test:5000/team/*"),
        ),
        ("https://local.test:5000/v2/other/a/blobs/x", None),
        (
            "https://local.test:5000/v2/",
            Some("local.test:5000/team/*"),
        ),
        (
            "https://registry-1.docker.io/v2/me/a/blobs/x",
            Some("docker.io/me/*"),
        ),
        (
            "https://index.docker.io/v2/me/a/blobs/x",
            Some("docker.io/me/*"),
        ),
        ("http://[0:0::1]:5000/v2/a/blobs/x", Some("[::1]:5000/*")),
    ] {
        assert_eq!(web(&policy, url).as_deref(), expected, "{url}");
    }
    let all = Policy::new(vec![rule("*", Mode::Require)]);
    let all = all.expect("rules").with_web(Some(Web::Allow));
    for (url, expected) in [
        ("https://any.test/v2/a/blobs/x", Some("*")),
        ("https://any.test/hub/v2/a/blobs/x", Some("*")),
        ("https://any.test/v2/auth.wasm", None),
    ] {
        assert_eq!(web(&all, url).as_deref(), expected, "{url}");
    }
}

#[test]
fn where_signatures_are_required_web_servers_are_refused_unless_the_policy_allows_them() {
    let url = "https://files.test/auth.wasm";
    for (mode, web_says, expected) in [
        (Mode::Require, None, Some("http")),
        (Mode::Require, Some(Web::Refuse), Some("http")),
        (Mode::Require, Some(Web::Allow), None),
        (Mode::Warn, None, None),
        (Mode::Warn, Some(Web::Refuse), Some("http")),
        (Mode::Off, None, None),
    ] {
        let policy = Policy::new(vec![rule("a.test", mode)]).expect("rules");
        let policy = policy.with_web(web_says);
        let given = (mode, web_says);
        assert_eq!(web(&policy, url).as_deref(), expected, "{given:?}");
        assert_eq!(web(&policy.advisory(), url), None, "{given:?}");
        assert_eq!(
            policy.is_strict(),
            expected.is_some() || mode == Mode::Require
        );
    }
    assert_eq!(web(&Policy::default(), url), None);
    let err = Policy::new(vec![rule("a.test", Mode::Require)])
        .expect("rules")
        .check_web(&"https://files.test/a?s3cret".parse().expect("a URL"))
        .expect_err("refused");
    assert!(!err.to_string().contains("s3cret"), "{err}");
}
