//! The same tests run natively, on Tidegate and on Envoy.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use sign_request::sign_request;
use tidegate_sdk_testing::{Harness, Received, json, post};

fn start() -> Harness {
    let config = json!({"key": "k3y", "keyId": "7", "limit": 100});
    Harness::new(sign_request).config(config).start()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a backend that knows the key expects to read.
fn expected(seen: &Received) -> String {
    let time = seen.header("x-signed-at").expect("a time");
    let digest = hex(&Sha256::digest(seen.body()));
    let text = format!("{}\n{}\n{time}\n{digest}", seen.method(), seen.path());
    let mut mac = Hmac::<Sha256>::new_from_slice(b"k3y").expect("any length");
    mac.update(text.as_bytes());
    format!("keyId=7,sha256={}", hex(&mac.finalize().into_bytes()))
}

#[test]
fn a_backend_can_check_method_path_time_and_body() {
    let mut h = start();
    let req = post("/pay?to=ada")
        .chunks(["amount", "=7"])
        .header("x-signature", "forged");
    assert_eq!(h.send(req).status(), 200);
    let seen = h.app().request();
    assert_eq!(seen.text(), "amount=7");
    assert_eq!(seen.headers().get_all("x-signature"), [expected(&seen)]);
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let mut h = start();
    assert_eq!(h.send(post("/").body([b'a'; 101])).status(), 413);
    assert_eq!(h.send(post("/").body([b'a'; 100])).status(), 200);
    assert_eq!(h.app().requests().len(), 1);
}
