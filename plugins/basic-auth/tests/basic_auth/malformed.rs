//! Credentials that are none.

use tidegate_sdk_testing::{get, json};

use crate::{base64, configured, refused, with};

#[test]
fn malformed_credentials_are_refused() {
    let mut h = configured(json!({}));
    for value in [
        "Basic",
        "Basic ",
        "Basic ?",
        "Basic YWRh",                  // ada
        "Basic YWRhOnMzY3JldCBwYXNz=", // bad padding
        "Basic YWRhOnMzY3JldCBwYXN",
        "Basic YWRh OnMzY3JldCBwYXNz",
        "Basic YWRhOnMzY3JldCBwYXN6Cg", // no padding
        "Basic YWRhOng-",               // base64url
        "Basic YWRhOnh=",               // trailing bits
        "Basic ada:s3cret pass",
        "Basic username=ada",
    ] {
        refused(
            &mut h,
            get("/").header("authorization", value),
            401,
            "malformed_credentials",
        );
    }
    for credentials in [
        &b"ada:\xff"[..],
        b"\xe4da:x",
        b"ada:s3cret pass\n",
        b"ada\0:s3cret pass",
        b"ada:s3cret pass\0",
        b"ada:\x7f",
        b"",
        b"ada",
    ] {
        refused(&mut h, with(credentials), 401, "malformed_credentials");
    }
    let long = "a".repeat(256);
    refused(
        &mut h,
        with(format!("{long}:x")),
        401,
        "malformed_credentials",
    );
    refused(
        &mut h,
        with(format!("x:{long}")),
        401,
        "malformed_credentials",
    );
    refused(
        &mut h,
        with("a".repeat(20_000)),
        401,
        "malformed_credentials",
    );
    let longest = "a".repeat(255);
    refused(
        &mut h,
        with(format!("{longest}:{longest}")),
        401,
        "wrong_credentials",
    );
}

#[test]
fn no_character_of_credentials_can_be_another() {
    let mut h = configured(json!({}));
    let good = format!("Basic {}", base64(b"ada:s3cret pass"));
    let kept = |at: usize| {
        (
            good.get(..at).expect("ASCII"),
            good.get(at..).expect("ASCII"),
        )
    };
    let mut mutants = Vec::new();
    // From the blank on: the scheme has no case.
    for at in 5..good.len() {
        let (before, rest) = kept(at);
        let after = rest.get(1..).expect("ASCII");
        mutants.push(format!("{before}{after}"));
        for other in ["A", "=", ":"] {
            mutants.push(format!("{before}{other}{after}"));
            mutants.push(format!("{before}{other}{rest}"));
        }
    }
    mutants.retain(|it| *it != good);
    for value in mutants {
        let answer = h.send(get("/").header("authorization", &value));
        assert_eq!(answer.status(), 401, "{value}");
    }
    assert!(h.app().requests().is_empty());
}
