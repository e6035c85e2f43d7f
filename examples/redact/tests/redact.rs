//! The same tests run natively, on Tidegate and on Envoy.

use redact::redact;
use tidegate_sdk_testing::{Harness, Received, Reply, get, json};

fn start(answer: impl FnMut(&Received) -> Reply + Send + 'static) -> Harness {
    let config = json!({"words": ["secret", "secretary", "key"]});
    Harness::new(redact).config(config).app(answer).start()
}

#[test]
fn words_are_found_at_every_split_and_the_longest_wins() {
    let text = "a secret, a secretary, keykey, secre";
    let mut h = start(move |asked| {
        let at: usize = asked
            .header("x-split")
            .and_then(|it| it.parse().ok())
            .unwrap_or(0);
        let (first, second) = text.split_at(at);
        Reply::status(200)
            .header("content-type", "text/plain")
            .chunks([first, second])
    });
    for at in 1..text.len() {
        let res = h.send(get("/").header("x-split", at.to_string()));
        assert_eq!(res.text(), "a ***, a ***, ******, secre", "split at {at}");
    }
}

#[test]
fn what_is_no_text_passes_untouched() {
    let mut h = start(|_| {
        Reply::status(200)
            .header("content-type", "application/octet-stream")
            .body("secret")
    });
    let res = h.send(get("/"));
    assert_eq!(res.text(), "secret");
    assert_eq!(res.header("content-length").as_deref(), Some("6"));
}

#[test]
fn backends_are_not_asked_to_compress() {
    let mut h = start(|_| Reply::json(200, &json!({"secret": 1})));
    let res = h.send(get("/").header("accept-encoding", "gzip"));
    assert_eq!(res.text(), r#"{"***":1}"#);
    assert_eq!(h.app().request().header("accept-encoding"), None);
}
