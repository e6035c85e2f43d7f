//! What verifying takes, and who waits for it.

use basic_auth::basic_auth;
use tidegate_sdk_testing::{Harness, Mode, json, not_in};

use crate::{configured, passes, refused, with};

/// htpasswd -nbBC 4 ada 's3cret pass'
const ADA: &str = "ada:$2y$04$Rw9gJZxLYHlDTo9/D434B.E9XYb1WLbXNETLuPXbaGQWr3gxHtUsm";
/// htpasswd -nbBC 14 slow 'correct horse': what may wait is four of these.
const COST_14: &str = "slow:$2y$14$gidAE5hLkREJH.ye.9sdwuG4alIpTF8mRU/HP3Z0mrDbU0BNov7Ua";

/// htpasswd -nbBC 8 slow 'correct horse'
const COST_8: &str = "slow:$2y$08$fmiKcIJR5PHABq3GfSDswe6nvhtV7MhDe/PRfpF5E53SpZwSJvFJK";
/// The same with -C 12: at least a second, where time is real.
const COST_12: &str = "slow:$2y$12$swYQco5Vfq0mCrM.f6.Jee5uccmk9VkKjiP61bNEyv8/xeELtrkAC";

#[test]
fn a_name_that_nobody_has_takes_the_time_of_a_hash() {
    let mut h = configured(json!({"users": COST_12}));
    for credentials in ["slow:wrong", "nobody:wrong"] {
        let before = h.metric("basic_auth_denied");
        let exchange = h.begin(with(credentials));
        h.advance(std::time::Duration::from_millis(60));
        assert_eq!(h.metric("basic_auth_denied"), before, "{credentials}");
        assert_eq!(exchange.finish().status(), 401);
    }
}

#[test]
fn a_password_is_verified_once_for_all_who_send_it() {
    let mut h = configured(json!({"users": COST_8}));
    // More than may wait, if each were verified.
    let exchanges: Vec<_> = (0..50)
        .map(|_| h.begin(with("slow:correct horse")))
        .collect();
    for exchange in exchanges {
        assert_eq!(exchange.finish().status(), 200);
    }
}

#[test]
fn a_client_that_leaves_holds_nobody_up() {
    let mut h = configured(json!({"users": COST_8}));
    let first = h.begin(with("slow:wrong"));
    let second = h.begin(with("slow:correct horse"));
    first.disconnect();
    assert_eq!(second.finish().status(), 200);
}

#[test]
fn a_flood_of_passwords_is_refused_and_those_who_are_remembered_go_on() {
    let mut h = Harness::new(basic_auth)
        .config(json!({"users": format!("{ADA}\n{COST_14}")}))
        // What waits at the end of this test would take seconds.
        .endless_tasks(2)
        .start();
    passes(&mut h, with("ada:s3cret pass"));
    // As much as one client may have.
    let flood: Vec<_> = (0..2)
        .map(|number| h.begin(with(format!("slow:{number}"))))
        .collect();
    let answer = h.send(with("slow:2"));
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
    refused(&mut h, with("ada:wrong"), 503, "busy");
    let seen = passes(&mut h, with("ada:s3cret pass"));
    assert_eq!(seen.headers().get_all("x-user"), ["ada"]);
    for exchange in flood {
        exchange.disconnect();
    }
}

#[test]
fn a_client_that_floods_keeps_no_other_out() {
    // All connections of a test are from one address, and Envoy has no way to say another.
    if not_in(Mode::Envoy, "the address of a connection is what it is") {
        return;
    }
    let mut h = Harness::new(basic_auth)
        .config(json!({"users": format!("{ADA}\n{COST_12}")}))
        .endless_tasks(5)
        .start();
    h.property(["source", "address"], "192.0.2.1:40000");
    // More than may wait in all.
    let flood: Vec<_> = (0..24)
        .map(|number| h.begin(with(format!("slow:{number}"))))
        .collect();
    h.property(["source", "address"], "192.0.2.2:40000");
    let seen = passes(&mut h, with("ada:s3cret pass"));
    assert_eq!(seen.headers().get_all("x-user"), ["ada"]);
    assert_eq!(h.metric("basic_auth_denied_busy"), 24 - 5);
    for exchange in flood {
        exchange.disconnect();
    }
}
