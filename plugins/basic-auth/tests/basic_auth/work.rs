//! What verifying takes, and who waits for it.

use tidegate_sdk_testing::json;

use crate::{configured, passes, with};

/// htpasswd -nbBC 10 slow 'correct horse'
const COST_10: &str = "slow:$2y$10$3PTm9235HYud0spIbzIJTutkwkeAhOJn3g.4YKY4YvigwHdGN7lmu";

#[test]
fn a_name_that_nobody_has_takes_the_time_of_a_hash() {
    let mut h = configured(json!({"users": COST_10}));
    for credentials in ["slow:wrong", "nobody:wrong"] {
        let before = h.metric("basic_auth_denied");
        let exchange = h.begin(with(credentials));
        h.advance(std::time::Duration::from_millis(60));
        assert_eq!(h.metric("basic_auth_denied"), before, "{credentials}");
        assert_eq!(exchange.finish().status(), 401);
    }
}

#[test]
fn a_password_is_verified_once_for_all_who_send_it_and_remembered() {
    let mut h = configured(json!({"users": COST_10}));
    // More than may wait, if each were verified.
    let exchanges: Vec<_> = (0..50)
        .map(|_| h.begin(with("slow:correct horse")))
        .collect();
    for exchange in exchanges {
        assert_eq!(exchange.finish().status(), 200);
    }
    // Remembered: it does not wait for the one that is being verified.
    let other = h.begin(with("slow:wrong"));
    let denied = h.metric("basic_auth_denied");
    passes(&mut h, with("slow:correct horse"));
    assert_eq!(h.metric("basic_auth_denied"), denied);
    assert_eq!(other.finish().status(), 401);
}

#[test]
fn a_client_that_leaves_holds_nobody_up() {
    let mut h = configured(json!({"users": COST_10}));
    let first = h.begin(with("slow:wrong"));
    let second = h.begin(with("slow:correct horse"));
    first.disconnect();
    assert_eq!(second.finish().status(), 200);
}

#[test]
fn a_flood_of_passwords_is_refused_and_those_who_are_remembered_go_on() {
    let mut h = configured(json!({"users": COST_10}));
    passes(&mut h, with("slow:correct horse"));
    let flood: Vec<_> = (0..80)
        .map(|number| h.begin(with(format!("slow:{number}"))))
        .collect();
    h.wait_for("a refusal", |h| h.metric("basic_auth_denied_busy") > 0);
    passes(&mut h, with("slow:correct horse"));
    let statuses: Vec<u16> = flood.into_iter().map(|it| it.finish().status()).collect();
    let count = |status: u16| statuses.iter().filter(|it| **it == status).count();
    // One that computes, those of one client that may wait, and whoever comes when these are done.
    assert!(count(401) >= 33, "{statuses:?}");
    assert!(count(503) > 0, "{statuses:?}");
    assert_eq!(count(401) + count(503), statuses.len(), "{statuses:?}");
}
