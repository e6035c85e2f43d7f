//! The same tests run natively, on Tidegate and on Envoy.
//!
//! Hashes are from htpasswd 2.4.71 of Apache.

#[path = "basic_auth/configuration.rs"]
mod configuration;
#[path = "basic_auth/malformed.rs"]
mod malformed;
#[path = "basic_auth/work.rs"]
mod work;

use basic_auth::basic_auth;
use serde_json::Value;
use tidegate_sdk_testing::{Harness, Received, Request, get, json};

const USERS: &str = "# htpasswd -nbBC 4, -nbBC 5, -nbm, -nbs
ada:$2y$04$Rw9gJZxLYHlDTo9/D434B.E9XYb1WLbXNETLuPXbaGQWr3gxHtUsm

bob:$2y$05$uibtgI3HSa1FURyn/h/H1ONNy3Q66oYCswYwUt2p0Nf9XEYxtLcK6
apr:$apr1$JeX4rT7I$dn7IqnvvAyL1HyJc0zM/n1:a comment
sha:{SHA}xO2etOilyqtV8o1RvvnmkeBx7QI=\r
zoë:{SHA}xO2etOilyqtV8o1RvvnmkeBx7QI=
nobody:$2y$04$hpGLRO4RKS7/JalcbaYj6OJSgFGb0cHMW7EbOY8odo7NRgQyhWM1e
";

/// A plugin with these fields, and users unless it has others.
fn configured(fields: Value) -> Harness {
    let mut config = fields;
    let mapping = config.as_object_mut().expect("a mapping");
    mapping.entry("users").or_insert_with(|| json!(USERS));
    Harness::new(basic_auth).config(config).start()
}

/// Base64 (RFC 4648, 4), not the filter's.
fn base64(bytes: &[u8]) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let padded = [0, 1, 2].map(|at| part.get(at).copied().unwrap_or(0));
        let number = u32::from_be_bytes([0, padded[0], padded[1], padded[2]]);
        for (at, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = usize::try_from((number >> shift) & 63).expect("small");
            text.push(if at <= part.len() {
                digits.get(digit).copied().expect("one of 64").into()
            } else {
                '='
            });
        }
    }
    text
}

fn with(credentials: impl AsRef<[u8]>) -> Request {
    let value = format!("Basic {}", base64(credentials.as_ref()));
    get("/").header("authorization", value)
}

/// What the backend sees of a request that goes on.
fn passes(h: &mut Harness, req: Request) -> Received {
    let before = h.app().requests().len();
    let sent = format!("{req:?}");
    assert_eq!(h.send(req).status(), 200, "{sent}");
    let mut seen = h.app().requests();
    assert_eq!(seen.len(), before + 1);
    seen.pop().expect("it went on")
}

/// That a request is refused, counted by this reason, and nobody behind sees it.
fn refused(h: &mut Harness, req: Request, status: u16, reason: &str) {
    let (before, denied) = (h.app().requests().len(), h.metric("basic_auth_denied"));
    let by_reason = format!("basic_auth_denied_{reason}");
    let of_reason = h.metric(&by_reason);
    let sent = format!("{req:?}");
    let answer = h.send(req);
    assert_eq!(answer.status(), status, "{sent}");
    let challenge = "Basic realm=\"restricted\", charset=\"UTF-8\"";
    let expected = (status == 401).then_some(challenge);
    assert_eq!(answer.header("www-authenticate").as_deref(), expected);
    assert_eq!(h.app().requests().len(), before);
    assert_eq!(h.metric("basic_auth_denied"), denied + 1);
    assert_eq!(h.metric(&by_reason), of_reason + 1, "{sent}");
}

#[test]
fn users_go_on_with_their_names_whatever_made_their_hashes() {
    let mut h = configured(json!({}));
    for (credentials, user) in [
        ("ada:s3cret pass", "ada"),
        ("bob:passwörd:with:colons", "bob"),
        ("apr:apr-pass", "apr"),
        ("sha:sha-pass", "sha"),
        ("zoë:sha-pass", "zoë"),
        ("nobody:", "nobody"),
    ] {
        for _ in 0..2 {
            let seen = passes(&mut h, with(credentials).header("x-user", "root"));
            assert_eq!(seen.headers().get_all("x-user"), [user]);
            assert_eq!(seen.header("authorization"), None);
        }
    }
    assert_eq!(h.metric("basic_auth_allowed"), 12);
    assert!(h.logged("users=2"));
}

#[test]
fn no_client_can_say_who_it_is_in_another_spelling() {
    for fields in [json!({"allowMissing": true}), json!({"dryRun": true})] {
        let mut h = configured(fields);
        for req in [get("/"), with("ada:s3cret pass"), with("ada:s3cret pass")] {
            let has_password = format!("{req:?}").contains("authorization");
            let seen = passes(
                &mut h,
                req.header("X_User", "root").header("x_user", "root"),
            );
            assert_eq!(seen.header("x_user"), None);
            let user = seen.header("x-user");
            assert_eq!(user.as_deref(), has_password.then_some("ada"));
        }
    }
    let mut h = configured(json!({"userHeader": "x_login"}));
    let seen = passes(&mut h, with("ada:s3cret pass").header("x-login", "root"));
    assert_eq!(seen.header("x-login"), None);
    assert_eq!(seen.header("x_login").as_deref(), Some("ada"));
}

#[test]
fn the_scheme_has_no_case_and_blanks_around_credentials_are_none_of_them() {
    let mut h = configured(json!({}));
    let value = format!("bAsIC   {}", base64(b"ada:s3cret pass"));
    passes(&mut h, get("/").header("authorization", value));
}

#[test]
fn wrong_names_and_passwords_are_refused_alike() {
    let mut h = configured(json!({}));
    for credentials in [
        "ada:wrong",
        "ada:",
        "ada:s3cret pass ",
        "ada:S3cret pass",
        "Ada:s3cret pass",
        "ada :s3cret pass",
        "apr:wrong",
        "sha:wrong",
        "bob:passwörd",
        // The hash itself, names that nobody has, nothing at all.
        "ada:$2y$04$Rw9gJZxLYHlDTo9/D434B.E9XYb1WLbXNETLuPXbaGQWr3gxHtUsm",
        "eve:s3cret pass",
        "eve:sha-pass",
        "eve:",
        ":",
        ":s3cret pass",
        "#:x",
    ] {
        for _ in 0..2 {
            refused(&mut h, with(credentials), 401, "wrong_credentials");
        }
    }
}

#[test]
fn requests_without_credentials_are_challenged() {
    let mut h = configured(json!({}));
    for value in [
        "Bearer YWRhOnMzY3JldCBwYXNz",
        "YWRhOnMzY3JldCBwYXNz",
        "",
        "Basically YTpi",
    ] {
        refused(
            &mut h,
            get("/").header("authorization", value),
            401,
            "missing_credentials",
        );
    }
    refused(&mut h, get("/"), 401, "missing_credentials");
    // What stands in a URL is for clients; a query is no place for credentials.
    refused(
        &mut h,
        get("/?Authorization=Basic%20YWRhOnMzY3JldCBwYXNz"),
        401,
        "missing_credentials",
    );
}

#[test]
fn more_than_one_authorization_is_refused() {
    let mut h = configured(json!({}));
    let value = format!("Basic {}", base64(b"ada:s3cret pass"));
    for other in [&value, "Basic eDp5", "Bearer x"] {
        let req = get("/")
            .header("authorization", &value)
            .header("authorization", other);
        refused(&mut h, req, 400, "several_credentials");
    }
}

#[test]
fn what_a_client_says_of_its_name_never_reaches_the_backend() {
    let forged = |req: Request| req.header("x-user", "root").header("X-User", "admin");
    let mut h = configured(json!({"allowMissing": true}));
    let seen = passes(&mut h, forged(get("/").bearer("of-another-filter")));
    assert!(seen.headers().get_all("x-user").is_empty());
    assert_eq!(
        seen.header("authorization").as_deref(),
        Some("Bearer of-another-filter")
    );
    refused(&mut h, forged(with("ada:wrong")), 401, "wrong_credentials");

    let mut h = configured(json!({"dryRun": true, "userHeader": "X-Who"}));
    for req in [
        get("/"),
        with("ada:wrong"),
        get("/").header("authorization", "Basic ?"),
    ] {
        let seen = passes(&mut h, req.header("x-who", "root"));
        assert!(seen.headers().get_all("x-who").is_empty());
    }
    assert_eq!(h.metric("basic_auth_dry_run_denied"), 3);
    assert_eq!(h.metric("basic_auth_denied"), 0);
    let seen = passes(&mut h, with("ada:s3cret pass").header("x-who", "root"));
    assert_eq!(seen.headers().get_all("x-who"), ["ada"]);
}

#[test]
fn credentials_are_forwarded_where_that_is_wanted() {
    let mut h = configured(json!({"forward": true}));
    let seen = passes(&mut h, with("ada:s3cret pass"));
    let value = format!("Basic {}", base64(b"ada:s3cret pass"));
    assert_eq!(seen.header("authorization"), Some(value));
    assert_eq!(seen.headers().get_all("x-user"), ["ada"]);
}

#[test]
fn no_log_line_has_a_password_or_a_hash() {
    let mut h = configured(json!({}));
    refused(&mut h, with("ada:hunter2"), 401, "wrong_credentials");
    refused(&mut h, with("hunter2"), 401, "malformed_credentials");
    h.wait_for("the refusal in the log", |h| {
        h.logged("malformed_credentials")
    });
    for secret in ["hunter2", "aHVudGVyMg", "Rw9gJZxLYHlDTo9"] {
        assert!(!h.logged(secret), "{secret}");
    }
}
