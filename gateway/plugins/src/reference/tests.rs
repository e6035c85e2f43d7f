//! References as people write them, and what is none.

use proptest::prelude::ProptestConfig;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::proptest;

use super::Reference;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[track_caller]
fn check(text: &str, expected: &str) {
    let reference: Reference = text.parse().unwrap_or_else(|err| panic!("{text}: {err}"));
    assert_eq!(reference.to_string(), expected, "{text}");
    let again: Reference = expected.parse().expect("what is printed can be read");
    assert_eq!(again.to_string(), expected);
}

#[track_caller]
fn refused(text: &str, because: &str) {
    let err = text.parse::<Reference>().expect_err(text).to_string();
    assert!(err.contains(because), "{text}: {err}");
}

#[test]
fn defaults_are_those_of_docker() {
    check("filter", "docker.io/library/filter:latest");
    check("me/filter:1", "docker.io/me/filter:1");
    check("docker.io/filter", "docker.io/library/filter:latest");
    check("index.docker.io/me/filter", "docker.io/me/filter:latest");
    check("localhost/filter", "localhost/filter:latest");
    check("GHCR.io/a/filter", "ghcr.io/a/filter:latest");
    // One registry has one name.
    check("ghcr.io:443/a/filter", "ghcr.io/a/filter:latest");
    check("ghcr.io:0443/a/filter", "ghcr.io/a/filter:latest");
    check("docker.io:443/filter", "docker.io/library/filter:latest");
    check(
        "registry-1.docker.io:443/me/filter",
        "docker.io/me/filter:latest",
    );
    check("localhost:05000/a", "localhost:5000/a:latest");
    check("[0:0:0:0:0:0:0:1]:5000/a", "[::1]:5000/a:latest");
    check("[::FFFF:192.0.2.7]/a", "[::ffff:192.0.2.7]/a:latest");
    // A port would need a repository behind it.
    check("filter:5000", "docker.io/library/filter:5000");
}

#[test]
fn the_scheme_is_optional_and_ports_are_no_tags() {
    check("oci://ghcr.io/a/b:1.2", "ghcr.io/a/b:1.2");
    check("localhost:5000/a", "localhost:5000/a:latest");
    check("127.0.0.1:5000/a/b:v1", "127.0.0.1:5000/a/b:v1");
    check("[::1]:5000/a:v1", "[::1]:5000/a:v1");
    check("[::1]/a:v1", "[::1]/a:v1");
}

#[test]
fn a_digest_wins_over_a_tag() {
    let reference: Reference = format!("ghcr.io/a/b:1@sha256:{HEX}").parse().expect("fine");
    assert_eq!(reference.manifest(), format!("sha256:{HEX}"));
    assert_eq!(reference.tag(), Some("1"));
    let pinned: Reference = format!("ghcr.io/a/b@sha256:{HEX}").parse().expect("fine");
    assert_eq!(pinned.tag(), None);
    check(
        &format!("a/b@sha256:{HEX}"),
        &format!("docker.io/a/b@sha256:{HEX}"),
    );
}

#[test]
fn docker_hub_has_its_api_elsewhere() {
    let api = |text: &str| text.parse::<Reference>().expect(text).api_host().to_owned();
    assert_eq!(api("filter"), "registry-1.docker.io");
    assert_eq!(
        api("registry-1.docker.io/me/filter"),
        "registry-1.docker.io"
    );
    assert_eq!(api("ghcr.io/me/filter"), "ghcr.io");
}

#[test]
fn what_is_wrong_is_quoted() {
    refused("", "is empty");
    refused("oci://", "is empty");
    refused("https://ghcr.io/a/b", "\"https\"");
    refused("ghcr.io/A/b", "\"A/b\"");
    refused("Upper/b", "\"Upper/b\"");
    refused("ghcr.io/", "repository \"\"");
    refused("ghcr.io//a", "repository \"/a\"");
    refused("ghcr.io/a/../b", "\"a/../b\"");
    refused("ghcr.io/a___b", "\"a___b\"");
    refused("ghcr.io/a..b", "\"a..b\"");
    refused("ghcr.io/-a", "\"-a\"");
    refused("ghcr.io/a b", "\"a b\"");
    refused("ghcr.io:port/a", "\"ghcr.io:port\"");
    refused("ghcr.io:0/a", "\"ghcr.io:0\"");
    refused("ghcr.io:99999/a", "\"ghcr.io:99999\"");
    refused("user@ghcr.io/a", "digest");
    refused("ghcr.io./a", "\"ghcr.io.\"");
    refused("0x7f.1/a", "\"0x7f.1\"");
    refused("127.1/a", "\"127.1\"");
    refused("[::1/a", "\"[::1\"");
    refused("ghcr.io/a:", "tag \"\"");
    refused("ghcr.io/a:-x", "tag \"-x\"");
    refused(&format!("ghcr.io/a:{}", "x".repeat(129)), "127");
    refused("ghcr.io/a@sha256:00", "cannot be used");
    refused("ghcr.io/a@md5:00", "cannot be used");
    refused(&format!("ghcr.io/{}", "a".repeat(300)), "too long");
    refused("ghcr.io/ä", "\"ä\"");
    refused("ghcr.io/a\n", "\"a\\n\"");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics_and_what_is_read_is_printed_so_that_it_reads_the_same(
        text in "[a-zA-Z0-9./:@_\\-\\[\\]ä ]{0,40}"
    ) {
        if let Ok(reference) = text.parse::<Reference>() {
            let printed = reference.to_string();
            let again: Reference = printed.parse().expect("it was printed");
            prop_assert_eq!(again.to_string(), printed);
            // Nothing that would mean something else in a URL.
            prop_assert!(!reference.repository().contains(['?', '#', '%', ' ', ':', '@']));
            prop_assert!(!reference.repository().split('/').any(|part| part == ".." || part == "."));
        }
    }

    #[test]
    fn what_the_grammar_allows_is_read(
        host in "[a-z][a-z0-9]{0,8}\\.[a-z]{2,4}(:[1-9][0-9]{1,3})?",
        path in "[a-z0-9]{1,5}((\\.|_|__|-|--)[a-z0-9]{1,3}){0,2}(/[a-z0-9]{1,4}){0,3}",
        tag in "[A-Za-z0-9_][A-Za-z0-9_.\\-]{0,20}",
    ) {
        let text = format!("{host}/{path}:{tag}");
        let reference: Reference = text.parse().expect("the grammar has it");
        let host = host.strip_suffix(":443").unwrap_or(&host);
        let path = if host == "docker.io" && !path.contains('/') {
            format!("library/{path}")
        } else {
            path
        };
        prop_assert_eq!(reference.to_string(), format!("{host}/{path}:{tag}"));
    }
}
