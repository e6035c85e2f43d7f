//! The same tests run natively, on Tidegate (`--wasm`) and on Envoy (`--envoy`).

use template_name::rate_limit;
use tidegate_sdk_testing::{Harness, get, json, ms};

fn start() -> Harness {
    let config = json!({"requests": 2, "window": "1s", "header": "x-client"});
    Harness::new(rate_limit).config(config).start()
}

fn status(h: &mut Harness, client: &str) -> u16 {
    h.send(get("/").header("x-client", client)).status()
}

#[test]
fn who_asks_too_often_waits_for_the_next_window() {
    let mut h = start();
    assert_eq!([status(&mut h, "ada"), status(&mut h, "ada")], [200, 200]);
    let res = h.send(get("/").header("x-client", "ada"));
    assert_eq!(res.status(), 429);
    assert_eq!(res.header("retry-after").as_deref(), Some("1"));
    assert_eq!(h.metric("limited"), 1);
    h.advance(ms(1_100));
    assert_eq!(status(&mut h, "ada"), 200);
}

#[test]
fn nobody_pays_for_another() {
    let mut h = start();
    for _ in 0..3 {
        status(&mut h, "ada");
    }
    assert_eq!(status(&mut h, "grace"), 200);
}

#[test]
fn a_limit_of_nothing_is_refused() {
    let refused = Harness::new(rate_limit)
        .config(json!({"requests": 0}))
        .try_start();
    let why = refused.expect_err("it is refused");
    assert!(why.contains("requests"), "{why}");
}
