//! What a shadow would have decided, compared with what happened; and that nothing else happens.

use tidegate_proxy::ShadowCounts;
use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;

use super::agreed;
use super::answer;
use super::answering;
use super::counts;
use super::on_body;
use super::on_head;
use super::passing;
use super::settled;
use super::shadow;
use crate::filters::ADD;
use crate::filters::ANSWER;

/// Everything that a client gets for a few requests on one connection, byte for byte, and what the
/// origin got.
fn heard(filters: &[Wasm]) -> (Vec<u8>, Vec<Vec<String>>) {
    let origin = Origin::script(|connection| {
        while let Ok(request) = connection.request() {
            let answer = match request.start.split(' ').nth(1) {
                Some("/chunked") => {
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n\
                     3\r\nabc\r\n4\r\ndefg\r\n0\r\nx-end: yes\r\n\r\n"
                }
                Some("/head") => "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
                Some("/none") => "HTTP/1.1 204 No Content\r\nx-a: 1\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: 1\r\nx-a: 2\r\n\r\nhello",
            };
            connection.send(answer)?;
        }
        Ok(())
    });
    let mut gateway = Gateway::to(origin.address()).workers(1);
    for filter in filters {
        gateway = gateway.plugin(filter);
    }
    let gateway = gateway.start();
    let mut client = gateway.client();
    client.send(
        "GET /a HTTP/1.1\r\nHost: a\r\nAccept: a\r\nAccept: b\r\nx-request-id: one\r\n\r\n\
         POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nx-request-id: two\r\n\r\nabcd\
         POST /chunked HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\n0\r\nx-end: yes\r\n\r\n\
         HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n\
         GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    let bytes = client.read_to_end().expect("all of it");
    let seen = origin.requests().into_iter().map(|request| {
        let own = |(name, value): &(String, String)| format!("{name}: {value}");
        let fields = request.fields.iter().map(own);
        let fields = fields.filter(|line| !line.starts_with("x-request-id: "));
        let body = String::from_utf8_lossy(&request.body).into_owned();
        [request.start]
            .into_iter()
            .chain(fields)
            .chain([body])
            .collect()
    });
    (bytes, seen.collect())
}

#[test]
fn not_a_byte_differs_with_a_shadow_neither_for_the_client_nor_for_the_origin() {
    let editing = || {
        let edit = |map: u32| {
            format!(
                "(drop (call $add (i32.const {map}) (i32.const 0) (i32.const 5) (i32.const 0) (i32.const 5)))
                (i32.const 0)"
            )
        };
        let body = on_head("request", &edit(0)) + &on_head("response", &edit(2));
        let body = body + &on_body("request", &edit(0)) + &on_body("response", &edit(2));
        Wasm::wat(
            "editing",
            ADD,
            &format!(r#"(data (i32.const 0) "x-new") {body}"#),
        )
    };
    let in_response = Wasm::wat("late", ANSWER, &on_head("response", &answer(403)));
    let without = heard(&[]);
    assert!(without.0.windows(10).any(|some| some == b"x-end: yes"));
    for filters in [
        vec![shadow(passing("passing"))],
        vec![shadow(answering("denying", 403))],
        vec![shadow(editing())],
        vec![shadow(in_response)],
        vec![
            shadow(passing("a")),
            shadow(editing()),
            shadow(answering("b", 401)),
        ],
    ] {
        let names: Vec<&str> = filters.iter().map(Wasm::name).collect();
        assert_eq!(heard(&filters), without, "{names:?}");
    }
    // Beside filters that act, too.
    let acting = [passing("acting"), editing().named("also")];
    let without = heard(&acting);
    let [first, second] = acting;
    let with = [
        shadow(answering("x", 403)),
        first,
        shadow(editing()),
        second,
    ];
    assert_eq!(heard(&with), without);
}

#[test]
fn a_denial_and_a_pass_are_counted_exactly() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .plugin(&shadow(answering("denying", 403)))
        .plugin(&shadow(passing("passing")))
        .start();
    let mut client = gateway.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "fine");
    }
    assert_eq!(origin.requests().len(), 20);
    let denied = ShadowCounts {
        differed: 20,
        kinds: [20, 0, 0, 0, 0, 0, 0, 0],
        ..ShadowCounts::default()
    };
    assert_eq!(settled(&gateway, "denying", 20), denied);
    assert_eq!(settled(&gateway, "passing", 20), agreed(20));
}

#[test]
fn what_later_filters_answer_is_what_happened() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .plugin(&shadow(answering("same", 403)))
        .plugin(&shadow(answering("other", 401)))
        .plugin(&shadow(passing("passing")))
        .plugin(&answering("acting", 403))
        .plugin(&shadow(answering("unreached", 403)))
        .start();
    assert_eq!(gateway.get("/").status(), 403);
    assert_eq!(settled(&gateway, "same", 1), agreed(1));
    let mut expected = ShadowCounts {
        differed: 1,
        ..ShadowCounts::default()
    };
    expected.kinds[2] = 1;
    assert_eq!(settled(&gateway, "other", 1), expected);
    expected.kinds = [0, 1, 0, 0, 0, 0, 0, 0];
    assert_eq!(settled(&gateway, "passing", 1), expected);
    // What an earlier filter has answered it would not have seen either.
    assert_eq!(counts(&gateway, "unreached"), ShadowCounts::default());
    assert_eq!(origin.connections(), 0);
}

#[test]
fn an_answer_of_the_origin_is_not_one_of_a_filter() {
    let origin = Origin::answers(403, "no");
    let gateway = Gateway::to(origin.address())
        .plugin(&shadow(answering("denying", 403)))
        .start();
    assert_eq!(gateway.get("/").text(), "no");
    let counts = settled(&gateway, "denying", 1);
    assert_eq!((counts.differed, counts.kinds[0]), (1, 1));
}

/// A filter that ends every stream.
fn closing(name: &str) -> Wasm {
    Wasm::wat(
        name,
        r#"(import "env" "proxy_close_stream" (func $close (param i32) (result i32)))"#,
        &on_head(
            "request",
            "(drop (call $close (i32.const 0))) (i32.const 0)",
        ),
    )
}

#[test]
fn what_a_later_filter_ends_is_not_what_a_client_ends() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.wait_for_close()
    });
    let gateway = Gateway::to(origin.address())
        .plugin(&shadow(passing("passes")))
        .plugin(&shadow(closing("same")))
        .plugin(&closing("acts"))
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.try_response().is_err());
    assert_eq!(settled(&gateway, "same", 1), agreed(1));
    let expected = ShadowCounts {
        differed: 1,
        kinds: [0, 1, 0, 0, 0, 0, 0, 0],
        ..ShadowCounts::default()
    };
    assert_eq!(settled(&gateway, "passes", 1), expected);

    let gateway = Gateway::to(origin.address())
        .plugin(&shadow(passing("passes")))
        .plugin(&shadow(closing("closes")))
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    tidegate_testkit::eventually("the request", || origin.requests().pop());
    drop(client);
    assert_eq!(settled(&gateway, "passes", 1), agreed(1));
    assert_eq!(settled(&gateway, "closes", 1).unknown, 1);
}

#[test]
fn a_shadow_that_would_answer_in_place_of_the_response_denies() {
    let origin = Origin::answers(200, "fine");
    let late = Wasm::wat("late", ANSWER, &on_head("response", &answer(403)));
    let gateway = Gateway::to(origin.address())
        .plugin(&shadow(late))
        .plugin(&shadow(closing("closes")))
        .start();
    assert_eq!(gateway.get("/").text(), "fine");
    for name in ["late", "closes"] {
        let counts = settled(&gateway, name, 1);
        assert_eq!((counts.differed, counts.kinds[0]), (1, 1), "{name}");
    }
}

#[test]
fn a_shadow_that_traps_or_loops_changes_nothing_and_is_counted() {
    let origin = Origin::answers(200, "fine");
    let looping = "(loop $again (br $again)) (i32.const 0)";
    for (name, body) in [
        ("request", on_head("request", "(unreachable)")),
        ("response", on_head("response", "(unreachable)")),
        ("body", on_body("response", "(unreachable)")),
        ("loop", on_head("request", looping)),
    ] {
        for fails_open in [false, true] {
            let mut filter = shadow(Wasm::wat(name, "", &body));
            if fails_open {
                filter = filter.fail_open();
            }
            let gateway = Gateway::to(origin.address()).plugin(&filter).start();
            let answer = gateway.get("/");
            assert_eq!((answer.status(), answer.text().as_str()), (200, "fine"));
            let expected = ShadowCounts {
                faults: 1,
                ..ShadowCounts::default()
            };
            assert_eq!(settled(&gateway, name, 1), expected, "{fails_open}");
        }
    }
}

#[test]
fn a_header_that_could_not_be_sent_would_have_failed_the_exchange() {
    let origin = Origin::answers(200, "fine");
    let body = on_head(
        "request",
        "(drop (call $add (i32.const 0) (i32.const 0) (i32.const 3) (i32.const 0) (i32.const 3)))
        (i32.const 0)",
    );
    let invalid = Wasm::wat(
        "invalid",
        ADD,
        &format!(r#"(data (i32.const 0) "x y") {body}"#),
    );
    let gateway = Gateway::to(origin.address())
        .plugin(&shadow(invalid))
        .start();
    assert_eq!(gateway.get("/").text(), "fine");
    assert_eq!(settled(&gateway, "invalid", 1).faults, 1);
}

#[test]
fn the_access_log_is_that_of_the_exchange() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .plugin(&shadow(answering("denying", 403)))
        .json_log()
        .start();
    assert_eq!(gateway.get("/a").text(), "fine");
    settled(&gateway, "denying", 1);
    let lines = gateway.stop_for_log();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(r#""status":200"#), "{lines:?}");
}
