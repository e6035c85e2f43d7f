//! The same tests run natively, on Tidegate and on Envoy.

#[path = "ext_auth/answers.rs"]
mod answers;
#[path = "ext_auth/asked.rs"]
mod asked;
#[path = "ext_auth/bodies.rs"]
mod bodies;
#[path = "ext_auth/caches.rs"]
mod caches;
#[path = "ext_auth/failures.rs"]
mod failures;
#[path = "ext_auth/mistakes.rs"]
mod mistakes;

use ext_auth::ext_auth;
use serde_json::Value;
use tidegate_sdk_testing::{Harness, Received, Reply, json};

/// A plugin that asks `auth`, with these fields beside.
fn config(fields: &Value) -> Value {
    let mut config = json!({"backend": "auth", "timeout": "5s"});
    let all = config.as_object_mut().expect("an object");
    all.extend(fields.as_object().expect("an object").clone());
    config
}

fn start(fields: &Value, service: impl FnMut(&Received) -> Reply + Send + 'static) -> Harness {
    Harness::new(ext_auth)
        .config(config(fields))
        .backend("auth", service)
        .start()
}

fn yes(_: &Received) -> Reply {
    Reply::status(200)
}
