//! Rewrites and redirects.

use http::HeaderValue;
use http::StatusCode;
use proptest::prelude::any;
use proptest::prelude::proptest;

use super::request;
use crate::filter::PathEdit;
use crate::filter::Redirect;
use crate::filter::Rewrite;
use crate::path;

/// Replaces a prefix as a rule with that prefix would.
#[track_caller]
fn prefix(target: &str, prefix: &str, new: &str, expected: &str) {
    let taken = prefix.strip_suffix('/').unwrap_or(prefix).len();
    rewritten(&PathEdit::Prefix(new.into()), target, Some(taken), expected);
}

#[track_caller]
fn rewritten(edit: &PathEdit, target: &str, prefix: Option<usize>, expected: &str) {
    let mut head = request(target);
    let rewrite = Rewrite {
        host: None,
        path: Some(edit.clone()),
    };
    rewrite.apply(&mut head, prefix);
    assert_eq!(head.path, expected, "{target} {edit:?}");
    assert_eq!(head.authority, "a.test:8080");
}

fn redirect() -> Redirect {
    Redirect {
        scheme: None,
        host: None,
        port: None,
        path: None,
        status: StatusCode::FOUND,
    }
}

#[track_caller]
fn leads(redirect: &Redirect, listener_port: u16, expected: &str) {
    let location = redirect.location(&request("/a/b?q=1"), Some(2), listener_port);
    assert_eq!(location, expected, "{redirect:?}");
}

// The table at HTTPPathModifier.replacePrefixMatch.
#[test]
fn a_replaced_prefix_and_the_rest_meet_at_one_slash() {
    prefix("/foo/bar", "/foo", "/xyz", "/xyz/bar");
    prefix("/foo/bar", "/foo", "/xyz/", "/xyz/bar");
    prefix("/foo/bar", "/foo/", "/xyz", "/xyz/bar");
    prefix("/foo/bar", "/foo/", "/xyz/", "/xyz/bar");
    prefix("/foo", "/foo", "/xyz", "/xyz");
    prefix("/foo/", "/foo", "/xyz", "/xyz/");
    prefix("/foo/bar", "/foo", "", "/bar");
    prefix("/foo/", "/foo", "", "/");
    prefix("/foo", "/foo", "", "/");
    prefix("/foo/", "/foo", "/", "/");
    prefix("/foo", "/foo", "/", "/");
    prefix("/foo/x", "/foo", "/bar", "/bar/x");
    prefix("/foo/x", "/foo", "/", "/x");
}

#[test]
fn the_root_is_a_prefix_like_any_other() {
    prefix("/a", "/", "/xyz", "/xyz/a");
    prefix("/", "/", "/xyz", "/xyz");
    prefix("/", "/", "", "/");
}

#[test]
fn a_rewrite_keeps_the_query() {
    prefix("/foo/x?a=/foo", "/foo", "/bar", "/bar/x?a=/foo");
    rewritten(&PathEdit::Full("/new".into()), "/a?b=c", None, "/new?b=c");
    rewritten(&PathEdit::Full("".into()), "/a?b", None, "/?b");
}

#[test]
fn a_rewritten_path_has_the_normal_form() {
    rewritten(
        &PathEdit::Full("/a/../%7eb%2f".into()),
        "/x",
        None,
        "/~b%2F",
    );
    rewritten(&PathEdit::Full("a".into()), "/x", None, "/a");
    prefix("/foo/x", "/foo", "/..", "/x");
}

#[test]
fn what_is_no_path_changes_nothing() {
    rewritten(&PathEdit::Full("/ä".into()), "/x", None, "/x");
    rewritten(&PathEdit::Full("/a%00".into()), "/x", None, "/x");
    rewritten(&PathEdit::Full("/a".into()), "*", None, "*");
    rewritten(&PathEdit::Prefix("/a".into()), "/x", None, "/x");
    rewritten(&PathEdit::Prefix("/a".into()), "/x", Some(99), "/x");
    rewritten(&PathEdit::Prefix("/a".into()), "/xy", Some(2), "/xy");
}

#[test]
fn a_rewrite_changes_the_host() {
    let mut head = request("/x");
    let rewrite = Rewrite {
        host: Some(HeaderValue::from_static("b.test")),
        path: None,
    };
    rewrite.apply(&mut head, None);
    assert_eq!(
        (head.authority, head.path),
        (
            "b.test".parse().expect("a host"),
            "/x".parse().expect("a path")
        )
    );
}

#[test]
fn a_redirect_keeps_what_it_does_not_name() {
    leads(&redirect(), 8080, "http://a.test:8080/a/b?q=1");
    let host = Redirect {
        host: Some("b.test".into()),
        ..redirect()
    };
    leads(&host, 80, "http://b.test/a/b?q=1");
}

#[test]
fn the_port_is_the_redirects_then_its_schemes_then_the_listeners() {
    let with = |scheme: Option<&str>, port| Redirect {
        scheme: scheme.map(Into::into),
        port,
        ..redirect()
    };
    leads(&with(None, Some(8443)), 80, "http://a.test:8443/a/b?q=1");
    leads(&with(None, Some(80)), 8080, "http://a.test/a/b?q=1");
    leads(&with(None, None), 80, "http://a.test/a/b?q=1");
    leads(&with(None, None), 443, "http://a.test:443/a/b?q=1");
    leads(&with(Some("http"), None), 8080, "http://a.test/a/b?q=1");
    leads(&with(Some("https"), None), 80, "https://a.test/a/b?q=1");
    leads(
        &with(Some("https"), Some(443)),
        80,
        "https://a.test/a/b?q=1",
    );
    leads(
        &with(Some("https"), Some(80)),
        80,
        "https://a.test:80/a/b?q=1",
    );
    leads(
        &with(Some("https"), Some(8443)),
        80,
        "https://a.test:8443/a/b?q=1",
    );
}

#[test]
fn a_request_over_tls_is_redirected_to_https() {
    let mut head = request("/a");
    head.scheme = HeaderValue::from_static("https");
    assert_eq!(redirect().location(&head, None, 443), "https://a.test/a");
    assert_eq!(redirect().location(&head, None, 80), "https://a.test:80/a");
}

#[test]
fn a_redirect_behind_a_proxy_that_ends_tls_goes_by_what_the_client_used() {
    let mut head = request("/a");
    let mut leads = |seen: &'static str, authority: &'static str, redirect: &Redirect| {
        let seen = HeaderValue::from_static(seen);
        head.headers.insert("x-forwarded-proto", seen);
        head.authority = HeaderValue::from_static(authority);
        let location = redirect.location(&head, None, 8080);
        location.to_str().expect("text").to_owned()
    };
    let own = redirect();
    assert_eq!(leads("https", "a.test", &own), "https://a.test/a");
    assert_eq!(leads("https", "a.test:8443", &own), "https://a.test:8443/a");
    assert_eq!(leads("http", "a.test", &own), "http://a.test:8080/a");
    assert_eq!(leads("gopher", "a.test", &own), "http://a.test:8080/a");
    let with = |scheme: Option<&str>, port| Redirect {
        scheme: scheme.map(Into::into),
        port,
        ..redirect()
    };
    assert_eq!(
        leads("https", "a.test", &with(Some("http"), None)),
        "http://a.test/a"
    );
    assert_eq!(
        leads("https", "a.test", &with(None, Some(81))),
        "https://a.test:81/a"
    );
}

#[test]
fn a_redirect_edits_the_path() {
    let with = |path| Redirect {
        path: Some(path),
        ..redirect()
    };
    leads(
        &with(PathEdit::Full("/new".into())),
        80,
        "http://a.test/new?q=1",
    );
    leads(
        &with(PathEdit::Prefix("/new".into())),
        80,
        "http://a.test/new/b?q=1",
    );
    leads(
        &with(PathEdit::Prefix("/".into())),
        80,
        "http://a.test/b?q=1",
    );
}

#[test]
fn a_redirect_without_any_host_stays_on_this_one() {
    let mut head = request("//evil.test/x?y");
    head.authority = HeaderValue::from_static("");
    assert_eq!(redirect().location(&head, None, 80), "/.//evil.test/x?y");
    head.path = HeaderValue::from_static("/x");
    assert_eq!(redirect().location(&head, None, 80), "/x");
    head.path = HeaderValue::from_static("*");
    assert_eq!(redirect().location(&head, None, 80), "/");
}

#[test]
fn an_address_in_brackets_is_a_host() {
    let mut head = request("/");
    head.authority = HeaderValue::from_static("[::1]:8080");
    assert_eq!(redirect().location(&head, None, 8080), "http://[::1]:8080/");
}

proptest! {
    #[test]
    fn whatever_is_replaced_the_path_stays_normal(
        new in any::<String>(),
        target in "(/[a-c.%?]{0,3}){1,4}",
        taken in 0_usize..8,
        full in any::<bool>(),
    ) {
        let edit = match full {
            true => PathEdit::Full(new.into()),
            false => PathEdit::Prefix(new.into()),
        };
        if let Ok(normal) = path::normalise(target.as_bytes()) {
            let mut head = request("/");
            head.path = HeaderValue::from_bytes(&normal).expect("a target");
            let rewrite = Rewrite { host: None, path: Some(edit.clone()) };
            rewrite.apply(&mut head, Some(taken));
            let again = path::normalise(head.path.as_bytes()).expect("a path");
            assert_eq!(&*again, head.path.as_bytes());
            let redirect = Redirect { path: Some(edit), ..redirect() };
            let location = redirect.location(&head, Some(taken), 80);
            assert!(location.as_bytes().starts_with(b"http://a.test/"));
        }
    }
}
