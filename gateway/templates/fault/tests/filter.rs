//! The same tests run natively, on Tidegate (`--wasm`) and on Envoy (`--envoy`).

use template_name::fault;
use tidegate_sdk_testing::{Harness, get, json, ms};

#[test]
fn requests_fail_as_often_as_the_configuration_says() {
    for (share, status) in [("0%", 200), ("100%", 503)] {
        let config = json!({"abort": {"share": share, "status": 503}});
        let mut h = Harness::new(fault).config(config).start();
        assert_eq!(h.send(get("/")).status(), status);
        assert_eq!(h.app().requests().len(), usize::from(status == 200));
    }
}

#[test]
fn requests_wait_and_then_go_on() {
    let config = json!({"delay": {"share": "100%", "time": "500ms"}});
    let mut h = Harness::new(fault).config(config).start();
    let exchange = h.begin(get("/"));
    assert!(h.app().requests().is_empty());
    h.advance(ms(600));
    assert_eq!(exchange.finish().status(), 200);
    assert_eq!(h.metric("delayed"), 1);
}

#[test]
fn a_share_that_is_none_is_refused() {
    let config = json!({"abort": {"share": "200%", "status": 503}});
    let refused = Harness::new(fault).config(config).try_start();
    let why = refused.expect_err("it is refused");
    assert!(why.contains("abort.share"), "{why}");
}
