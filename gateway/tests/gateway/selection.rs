//! Which backend of its rule has an exchange, if a filter says so (`tidegate.select_backend`).

use tidegate_testkit::Client;
use tidegate_testkit::Gateway;
use tidegate_testkit::Message;
use tidegate_testkit::Origin;
use tidegate_testkit::Rule;
use tidegate_testkit::Wasm;
use tidegate_testkit::gateway::Builder;

const IMPORTS: &str = r#"
    (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_replace_header_map_value" (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_call_foreign_function" (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))
"#;

/// Selects what `x-choice` says: `f1` from the front, `b0` from the back, `nNAME` by name; says the status
/// in `x-status`. The response asks again for the first, and says the status too.
fn selects() -> Wasm {
    Wasm::wat(
        "selects",
        IMPORTS,
        r#"(data (i32.const 16) "tidegate.select_backend") (data (i32.const 48) "x-choice")
           (data (i32.const 64) "x-status") (data (i32.const 80) "0123456789")
           (func $say (param $map i32) (param $status i32)
               (drop (call $add (local.get $map) (i32.const 64) (i32.const 8)
                   (i32.add (i32.const 80) (local.get $status)) (i32.const 1))))
           (func $select (param $len i32) (result i32)
               (i32.store8 (i32.const 256) (i32.const 1))
               (call $foreign (i32.const 16) (i32.const 23) (i32.const 256) (local.get $len)
                   (i32.const 0) (i32.const 0)))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (local $from i32) (local $len i32) (local $kind i32)
               (if (call $get (i32.const 0) (i32.const 48) (i32.const 8) (i32.const 96) (i32.const 100))
                   (then (return (i32.const 0))))
               (local.set $from (i32.load (i32.const 96)))
               (local.set $len (i32.load (i32.const 100)))
               (if (i32.eqz (local.get $len)) (then (return (i32.const 0))))
               (local.set $kind (i32.load8_u (local.get $from)))
               (if (i32.eq (local.get $kind) (i32.const 110))
                   (then
                       (i32.store8 (i32.const 257) (i32.const 2))
                       (memory.copy (i32.const 258) (i32.add (local.get $from) (i32.const 1))
                           (i32.sub (local.get $len) (i32.const 1)))
                       (call $say (i32.const 0)
                           (call $select (i32.add (local.get $len) (i32.const 1)))))
                   (else
                       (i32.store8 (i32.const 257) (i32.eq (local.get $kind) (i32.const 98)))
                       (i32.store (i32.const 258)
                           (i32.sub (i32.load8_u offset=1 (local.get $from)) (i32.const 48)))
                       (call $say (i32.const 0) (call $select (i32.const 6)))))
               (i32.const 0))
           (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
               (i32.store16 (i32.const 256) (i32.const 1))
               (i32.store (i32.const 258) (i32.const 0))
               (call $say (i32.const 2) (call $select (i32.const 6)))
               (i32.const 0))"#,
    )
}

/// Moves requests to the path of `x-move`, if they have one.
fn moves() -> Wasm {
    Wasm::wat(
        "moves",
        IMPORTS,
        r#"(data (i32.const 16) "x-move") (data (i32.const 32) ":path")
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (if (i32.eqz (call $get (i32.const 0) (i32.const 16) (i32.const 6) (i32.const 64) (i32.const 68)))
                   (then (drop (call $set (i32.const 0) (i32.const 32) (i32.const 5)
                       (i32.load (i32.const 64)) (i32.load (i32.const 68))))))
               (i32.const 0))"#,
    )
}

/// Two origins that say who they are.
fn origins() -> [Origin; 2] {
    ["old", "new"].map(|body| Origin::answers(200, body))
}

/// A gateway to the two, the backends `origin` and `new`.
fn to([old, new]: &[Origin; 2]) -> Builder {
    Gateway::to(old.address()).backend("new", new.address())
}

fn ask(client: &mut Client, path: &str, fields: &str) -> Message {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    client.response()
}

#[test]
fn a_filter_selects_a_backend_by_place_or_name_whatever_its_weight() {
    let origins = origins();
    let rule = Rule::at("/").plugin(&selects());
    let gateway = to(&origins).rule(rule.to("origin", 1).to("new", 0)).start();
    let mut client = gateway.client();
    for (choice, status, body) in [
        ("f0", "0", "old"),
        ("f1", "0", "new"),
        ("b0", "0", "new"),
        ("b1", "0", "old"),
        ("nnew", "0", "new"),
        ("norigin", "0", "old"),
        // What there is not is refused, and the weights decide.
        ("f2", "2", "old"),
        ("b2", "2", "old"),
        ("nother", "2", "old"),
        ("n", "2", "old"),
    ] {
        let answer = ask(&mut client, "/", &format!("x-choice: {choice}\r\n"));
        assert_eq!(answer.text(), body, "{choice}");
        let place = usize::from(body == "new");
        let requests = origins[place].requests();
        let asked = requests.last().expect("it got it");
        assert_eq!(asked.field("x-status"), Some(status), "{choice}");
        // When there is an answer, it is too late.
        assert_eq!(answer.field("x-status"), Some("2"), "{choice}");
    }
    assert_eq!(ask(&mut client, "/", "").text(), "old");
}

#[test]
fn a_selection_before_the_rule_is_found_is_about_the_rule_that_the_request_leads_to() {
    let origins = origins();
    let gateway = to(&origins)
        .plugin(&selects())
        .plugin(&moves())
        .rule(Rule::at("/one").to("origin", 1).to("new", 0))
        .rule(Rule::at("/other").to("origin", 1).to("new", 0))
        .rule(Rule::at("/only").to("new", 1))
        .start();
    let mut client = gateway.client();
    for (path, fields, body) in [
        ("/one", "x-choice: b0\r\n", "new"),
        ("/one", "x-choice: b0\r\nx-move: /one/more\r\n", "new"),
        // Another rule gets it: what was selected is forgotten.
        ("/one", "x-choice: b0\r\nx-move: /other\r\n", "old"),
        ("/only", "x-choice: b0\r\nx-move: /other\r\n", "old"),
        ("/only", "x-choice: f0\r\n", "new"),
    ] {
        assert_eq!(
            ask(&mut client, path, fields).text(),
            body,
            "{path} {fields}"
        );
    }
    // No rule has it.
    let answer = ask(&mut client, "/none", "x-choice: b0\r\n");
    assert_eq!(answer.status(), 404);
}

#[test]
fn who_selects_last_decides_and_a_rule_that_got_the_request_anew_is_asked_anew() {
    let origins = origins();
    let first = Wasm::wat(
        "first",
        IMPORTS,
        r#"(data (i32.const 16) "tidegate.select_backend") (data (i32.const 48) "\01\01\00\00\00\00")
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (drop (call $foreign (i32.const 16) (i32.const 23) (i32.const 48) (i32.const 6)
                   (i32.const 0) (i32.const 0)))
               (i32.const 0))"#,
    );
    let gateway = to(&origins)
        .plugin(&first)
        .rule(
            Rule::at("/one")
                .plugin(&selects())
                .to("origin", 1)
                .to("new", 0),
        )
        .rule(
            Rule::at("/two")
                .plugin(&moves())
                .to("origin", 1)
                .to("new", 0),
        )
        .start();
    let mut client = gateway.client();
    for (path, fields, body) in [
        ("/one", "", "new"),
        ("/one", "x-choice: f0\r\n", "old"),
        ("/two", "", "new"),
        ("/two", "x-move: /one\r\n", "old"),
        ("/two", "x-move: /one\r\nx-choice: b0\r\n", "new"),
    ] {
        assert_eq!(
            ask(&mut client, path, fields).text(),
            body,
            "{path} {fields}"
        );
    }
}

#[test]
fn a_selected_backend_is_the_one_of_the_log_and_of_every_attempt() {
    let old = Origin::answers(200, "old");
    // Closes each connection without a word: the next request on it is tried again.
    let new = Origin::replies_then_closes("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nnew");
    let gateway = Gateway::to(old.address())
        .backend("new", new.address())
        .rule(
            Rule::at("/")
                .plugin(&selects())
                .to("origin", 1)
                .to("new", 0),
        )
        .workers(1)
        .json_log()
        .start();
    let mut client = gateway.client();
    for _ in 0..5 {
        assert_eq!(ask(&mut client, "/", "x-choice: b0\r\n").text(), "new");
    }
    assert!(old.requests().is_empty());
    let lines = gateway.stop_for_log();
    assert_eq!(lines.len(), 5);
    for line in lines {
        assert!(line.contains(r#""new""#), "{line}");
    }
}

#[test]
fn a_backend_that_leads_nowhere_or_is_down_answers_as_if_its_weight_had_selected_it() {
    let origins = origins();
    let rule = Rule::at("/").plugin(&selects());
    let gateway = to(&origins)
        .backend("down", Origin::nowhere())
        .rule(rule.to("origin", 1).to("dangling", 0).to("down", 0))
        .start();
    let mut client = gateway.client();
    for (choice, status) in [("f1", 500), ("ndangling", 200), ("ndown", 503), ("f0", 200)] {
        let answer = ask(&mut client, "/", &format!("x-choice: {choice}\r\n"));
        assert_eq!(answer.status(), status, "{choice}");
    }
}
