//! The same tests run natively, on Tidegate (`--wasm`) and on Envoy (`--envoy`).

use template_name::canary;
use tidegate_sdk_testing::{Harness, get, json};

fn start(share: &str) -> Harness {
    let config = json!({"share": share, "header": "x-client"});
    Harness::new(canary).config(config).start()
}

/// Whether the request of a client was marked.
fn is_marked(h: &mut Harness, client: &str) -> bool {
    h.send(get("/").header("x-client", client));
    let seen = h.app().requests();
    seen.last().and_then(|it| it.header("x-canary")) == Some("1".to_owned())
}

#[test]
fn a_share_of_the_clients_is_chosen_and_always_the_same_ones() {
    let mut h = start("30%");
    let clients: Vec<String> = (0..200).map(|number| format!("client-{number}")).collect();
    let first: Vec<bool> = clients.iter().map(|it| is_marked(&mut h, it)).collect();
    let chosen = first.iter().filter(|it| **it).count();
    assert!((40..=80).contains(&chosen), "{chosen} of 200");
    assert!(is_marked(&mut h, &clients[0]) == first[0]);
}

#[test]
fn clients_do_not_choose_themselves() {
    let mut h = start("0%");
    h.send(get("/").header("x-client", "ada").header("x-canary", "1"));
    assert_eq!(h.app().request().header("x-canary"), None);
}

#[test]
fn all_can_be_chosen() {
    let mut h = start("100%");
    assert!(is_marked(&mut h, "ada") && is_marked(&mut h, "grace"));
}
