//! What a shadow may do to the world: nothing but what its operator allows.

use tidegate_host_abi::Isolation;
use tidegate_proxy::ShadowCounts;
use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::Rule;
use tidegate_testkit::Wasm;

use super::agreed;
use super::answering;
use super::bounded;
use super::on_body;
use super::on_head;
use super::passing;
use super::settled;
use super::shadow;
use crate::filters::ANSWER;

const CALL: &str = r#"
    (import "env" "proxy_http_call"
        (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))"#;

/// Header pairs as the ABI writes them, as WAT text.
fn pairs(pairs: &[(&str, &str)]) -> (String, usize) {
    let mut bytes = u32::try_from(pairs.len())
        .expect("few")
        .to_le_bytes()
        .to_vec();
    for (name, value) in pairs {
        for part in [name, value] {
            bytes.extend(u32::try_from(part.len()).expect("short").to_le_bytes());
        }
    }
    for (name, value) in pairs {
        bytes.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    let text = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
    (text, bytes.len())
}

/// A filter that calls `auth` for each request and then does `then` in the answer's callback.
fn calling(name: &str, callback: &str, then: &str) -> Wasm {
    let (data, length) = pairs(&[(":method", "GET"), (":path", "/check"), (":authority", "a")]);
    let body = format!(
        r#"(data (i32.const 16) "auth") (data (i32.const 64) "{data}")
        (global $waiting (mut i32) (i32.const 0))
        (func $ask (param $context i32)
            (global.set $waiting (local.get $context))
            (drop (call $call (i32.const 16) (i32.const 4) (i32.const 64) (i32.const {length})
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                (i32.const 1000) (i32.const 4))))
        {callback}
        (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
            (drop (call $effective (global.get $waiting)))
            {then})"#
    );
    Wasm::wat(name, &format!("{CALL} {ANSWER}"), &body)
}

/// A filter that denies once `auth` has answered, whatever that said.
fn denies_after_a_call() -> Wasm {
    let ask = on_head("request", "(call $ask (local.get $context)) (i32.const 1)");
    let deny = "(drop (call $answer (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))";
    calling("denies", &ask, deny)
}

fn unknown(streams: u64) -> ShadowCounts {
    ShadowCounts {
        unknown: streams,
        ..ShadowCounts::default()
    }
}

#[test]
fn a_call_that_is_not_for_shadows_is_not_made_and_leaves_the_decision_unknown() {
    let auth = Origin::answers(200, "yes");
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .backend("auth", auth.address())
        .plugin(&shadow(denies_after_a_call()))
        .start();
    let mut client = gateway.client();
    for at in 1..=5 {
        assert_eq!(client.get("/").text(), "fine");
        // The guest remembers one stream that waits.
        assert_eq!(settled(&gateway, "denies", at), unknown(at));
    }
    assert_eq!(auth.connections(), 0);
}

#[test]
fn a_call_to_a_backend_for_shadows_is_made_and_its_answer_decides() {
    let auth = Origin::answers(200, "yes");
    let origin = Origin::answers(200, "fine");
    let allowed = bounded(denies_after_a_call(), |shadow| {
        shadow.backends = vec!["auth".to_owned()];
    });
    let gateway = Gateway::to(origin.address())
        .backend("auth", auth.address())
        .plugin(&allowed)
        .start();
    let mut client = gateway.client();
    for at in 1..=5 {
        assert_eq!(client.get("/").text(), "fine");
        // The guest remembers one stream that waits.
        let counts = settled(&gateway, "denies", at);
        assert_eq!((counts.differed, counts.kinds[0]), (at, at));
    }
    assert_eq!(auth.requests().len(), 5);
}

#[test]
fn an_exchange_does_not_wait_for_the_calls_of_its_shadow() {
    let silent = Origin::script(|connection| {
        connection.request()?;
        connection.wait_for_close()
    });
    let origin = Origin::answers(200, "fine");
    let allowed = bounded(denies_after_a_call(), |shadow| {
        shadow.backends = vec!["auth".to_owned()];
    });
    let gateway = Gateway::to(origin.address())
        .backend("auth", silent.address())
        .plugin(&allowed)
        .start();
    assert_eq!(gateway.get("/").text(), "fine");
    // The call ends by its own limit of a second, long after the exchange.
    assert_eq!(super::counts(&gateway, "denies"), ShadowCounts::default());
    let counts = settled(&gateway, "denies", 1);
    assert_eq!((counts.differed, counts.kinds[0]), (1, 1));
}

#[test]
fn what_a_call_for_no_stream_would_have_brought_is_missing_in_all_decisions() {
    let origin = Origin::answers(200, "fine");
    let auth = Origin::answers(200, "keys");
    // It asks when it starts, as filters do that need keys.
    let start = r#"(func (export "proxy_on_configure") (param $root i32) (param i32) (result i32)
            (call $ask (local.get $root)) (i32.const 1))"#;
    let filter = || calling("keys", start, "(nop)");
    let gateway = Gateway::to(origin.address())
        .backend("auth", auth.address())
        .plugin(&shadow(filter()))
        .start();
    assert_eq!(gateway.get("/").text(), "fine");
    assert_eq!(settled(&gateway, "keys", 1), unknown(1));
    assert_eq!(auth.connections(), 0);

    let allowed = bounded(filter(), |shadow| {
        shadow.backends = vec!["auth".to_owned()];
    });
    let gateway = Gateway::to(origin.address())
        .backend("auth", auth.address())
        .plugin(&allowed)
        .start();
    assert_eq!(gateway.get("/").text(), "fine");
    assert_eq!(settled(&gateway, "keys", 1), agreed(1));
}

const SHARED: &str = r#"
    (import "env" "proxy_set_shared_data" (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_shared_data" (func $get (param i32 i32 i32 i32 i32) (result i32)))"#;

/// A filter that answers 409 if there is data, and sets some.
fn once(name: &str) -> Wasm {
    let conflict = super::answer(409);
    let body = on_head(
        "request",
        &format!(
            "(if (i32.eqz (call $get (i32.const 16) (i32.const 3) (i32.const 64) (i32.const 68)
                    (i32.const 72)))
                (then {conflict} (return)))
            (drop (call $set (i32.const 16) (i32.const 3) (i32.const 32) (i32.const 5) (i32.const 0)))
            (i32.const 0)"
        ),
    );
    let data = r#"(data (i32.const 16) "key") (data (i32.const 32) "value")"#;
    Wasm::wat(
        name,
        &format!("{SHARED} {ANSWER}"),
        &format!("{data} {body}"),
    )
    .with(|spec| spec.vm_id = "together".to_owned())
}

#[test]
fn a_shadow_shares_no_data_with_filters_that_act_though_they_have_one_vm_id() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .plugin(&shadow(once("looks-on")))
        .plugin(&once("acts"))
        .workers(1)
        .start();
    let mut client = gateway.client();
    assert_eq!(client.get("/").status(), 200);
    // Had the shadow's write been seen, the first one would have been answered already.
    assert_eq!(settled(&gateway, "looks-on", 1), agreed(1));
    assert_eq!(client.get("/").status(), 409);
    assert_eq!(settled(&gateway, "looks-on", 2), agreed(2));
}

#[test]
fn what_a_shadow_declares_about_a_stream_no_other_filter_reads() {
    const PROPERTY: &str = r#"
        (import "env" "proxy_set_property" (func $put (param i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_get_property" (func $read (param i32 i32 i32 i32) (result i32)))"#;
    let origin = Origin::answers(200, "fine");
    let conflict = super::answer(409);
    let reading = on_head(
        "request",
        &format!(
            "(if (i32.eqz (call $read (i32.const 16) (i32.const 3) (i32.const 64) (i32.const 68)))
                (then {conflict} (return)))
            (i32.const 0)"
        ),
    );
    let writing = on_head(
        "request",
        "(drop (call $put (i32.const 16) (i32.const 3) (i32.const 32) (i32.const 5))) (i32.const 0)",
    );
    let data = r#"(data (i32.const 16) "key") (data (i32.const 32) "value")"#;
    let filter = |name: &str, body: &str| {
        Wasm::wat(
            name,
            &format!("{PROPERTY} {ANSWER}"),
            &format!("{data} {body}"),
        )
    };
    let reads = filter("reads", &reading);
    let writes = filter("writes", &writing);
    let gateway = Gateway::to(origin.address())
        .plugin(&shadow(writes.clone()))
        .plugin(&reads)
        .start();
    assert_eq!(gateway.get("/").status(), 200);
    // The other way round it reads what those before it have said.
    let gateway = Gateway::to(origin.address())
        .plugin(&writes)
        .plugin(&shadow(reads))
        .start();
    assert_eq!(gateway.get("/").status(), 200);
    let counts = settled(&gateway, "reads", 1);
    assert_eq!((counts.differed, counts.kinds[0]), (1, 1));
}

#[test]
fn a_shadow_and_the_filter_that_it_would_replace_stand_beside_each_other() {
    let origin = Origin::answers(200, "fine");
    // The same module, by chance even the same name.
    let gateway = Gateway::to(origin.address())
        .plugin(&passing("same"))
        .plugin(&shadow(passing("shadow")))
        .start();
    let mut client = gateway.client();
    for _ in 0..10 {
        assert_eq!(client.post("/", b"abc").text(), "fine");
    }
    assert_eq!(settled(&gateway, "shadow", 10), agreed(10));
}

#[test]
fn from_looking_on_to_acting_is_a_swap_under_traffic() {
    let origin = Origin::answers(200, "fine");
    let looking = || Gateway::to(origin.address()).plugin(&shadow(answering("deny", 403)));
    let mut gateway = looking().start();
    let mut client = gateway.client();
    assert_eq!(client.get("/").status(), 200);
    gateway.change(Gateway::to(origin.address()).plugin(&answering("deny", 403)));
    assert_eq!(client.get("/").status(), 403);
    assert_eq!(settled(&gateway, "deny", 1).differed, 1);
    gateway.change(looking());
    assert_eq!(client.get("/").status(), 200);
    assert_eq!(settled(&gateway, "deny", 2).differed, 2);
}

#[test]
fn a_shadow_may_have_an_instance_for_each_stream_and_stand_in_a_rule() {
    let origin = Origin::answers(200, "fine");
    let own = shadow(answering("own", 403)).with(|spec| spec.isolation = Isolation::Stream);
    let gateway = Gateway::to(origin.address())
        .rule(Rule::at("/rule").to("origin", 1).plugin(&own))
        .rule(Rule::at("/").to("origin", 1))
        .workers(1)
        .start();
    let mut client = gateway.client();
    for _ in 0..5 {
        assert_eq!(client.get("/rule/a").text(), "fine");
        assert_eq!(client.get("/other").text(), "fine");
    }
    let counts = settled(&gateway, "own", 5);
    assert_eq!((counts.differed, counts.kinds[0]), (5, 5));
}

#[test]
fn the_response_is_shown_once_the_filter_has_let_go_of_the_request() {
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let receive = std::sync::Mutex::new(receive);
    let auth = Origin::script(move |connection| {
        connection.request()?;
        let told = receive.lock().expect("no panic");
        told.recv_timeout(tidegate_testkit::LIMIT).ok();
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        connection.wait_for_close()
    });
    let origin = Origin::echoes();
    // It asks about the whole body, and holds it meanwhile. A response before the answer is one that
    // it could not have met if it acted.
    let ask = "(if (local.get $end) (then (call $ask (local.get 0)))) (i32.const 1)";
    let early = "(if (global.get $waiting) (then (unreachable))) (i32.const 0)";
    let callbacks = on_body("request", ask) + &on_head("response", early);
    let then = "(global.set $waiting (i32.const 0)) (drop (call $continue (i32.const 0)))";
    let filter = bounded(calling("asks", &callbacks, then), |shadow| {
        shadow.backends = vec!["auth".to_owned()];
    });
    let gateway = Gateway::to(origin.address())
        .backend("auth", auth.address())
        .plugin(&filter)
        .start();
    let mut client = gateway.client();
    assert_eq!(client.post("/", b"hello").text(), "hello");
    send.send(()).expect("it waits");
    assert_eq!(settled(&gateway, "asks", 1), agreed(1));
}
