//! Filters that only look on: nothing of them is seen from outside, and what they would have done is
//! counted exactly.

#[path = "shadow/bounds.rs"]
mod bounds;
#[path = "shadow/decisions.rs"]
mod decisions;
#[path = "shadow/effects.rs"]
mod effects;
#[path = "shadow/messages.rs"]
mod messages;
#[path = "shadow/run.rs"]
mod run;

use tidegate_host_abi::Shadow;
use tidegate_proxy::ShadowCounts;
use tidegate_testkit::Gateway;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

use crate::filters::ANSWER;

const SET_BODY: &str = r#"(import "env" "proxy_set_buffer_bytes"
    (func $set (param i32 i32 i32 i32 i32) (result i32)))"#;

/// It only looks on, with bounds that no test meets by chance.
fn shadow(filter: Wasm) -> Wasm {
    bounded(filter, |_| {})
}

/// It only looks on, with other bounds.
fn bounded(filter: Wasm, change: impl FnOnce(&mut Shadow)) -> Wasm {
    let mut settings = Shadow {
        of: filter.name().to_owned(),
        percent: 100,
        cpu_percent: 100,
        concurrent: 1000,
        memory_bytes: 64 << 20,
        backends: Vec::new(),
    };
    change(&mut settings);
    filter.with(|spec| spec.shadow = Some(settings))
}

/// A callback of heads with this body; its parameters are the context, the fields, and the end.
fn on_head(side: &str, body: &str) -> String {
    format!(
        r#"(func (export "proxy_on_{side}_headers") (param $context i32) (param i32) (param $end i32)
            (result i32) {body})"#
    )
}

/// A callback of bodies with this body.
fn on_body(side: &str, body: &str) -> String {
    format!(
        r#"(func (export "proxy_on_{side}_body") (param i32) (param $size i32) (param $end i32)
            (result i32) {body})"#
    )
}

/// What answers with a status, and pauses.
fn answer(status: u16) -> String {
    format!(
        "(drop (call $answer (i32.const {status}) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
        (i32.const 1)"
    )
}

/// A filter that answers every request.
fn answering(name: &str, status: u16) -> Wasm {
    Wasm::wat(name, ANSWER, &on_head("request", &answer(status)))
}

/// A filter that lets everything pass, and sees all of it.
fn passing(name: &str) -> Wasm {
    let body = ["request", "response"].map(|side| {
        let head = on_head(side, "(i32.const 0)");
        let trailers = format!(
            r#"(func (export "proxy_on_{side}_trailers") (param i32 i32) (result i32) (i32.const 0))"#
        );
        head + &on_body(side, "(i32.const 0)") + &trailers
    });
    Wasm::wat(name, "", &body.concat())
}

/// What the shadows of a plugin have come to by now.
fn counts(gateway: &Gateway, plugin: &str) -> ShadowCounts {
    let metrics = gateway.metrics();
    let known = metrics.plugins.get(plugin);
    known.map(|numbers| numbers.shadow).unwrap_or_default()
}

/// What they have come to once so many streams are counted.
#[track_caller]
fn settled(gateway: &Gateway, plugin: &str, streams: u64) -> ShadowCounts {
    eventually(&format!("{streams} streams"), || {
        let counts = counts(gateway, plugin);
        let shown = counts.agreed + counts.differed + counts.faults + counts.unknown;
        let dropped: u64 = counts.dropped.iter().sum();
        assert!(shown + dropped <= streams, "{counts:?}");
        (shown + dropped == streams).then_some(counts)
    })
}

/// So many agreed.
fn agreed(streams: u64) -> ShadowCounts {
    ShadowCounts {
        agreed: streams,
        ..ShadowCounts::default()
    }
}
