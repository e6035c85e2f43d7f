//! One line per request, whatever became of it.

use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;

#[test]
fn every_request_has_one_line_in_order_of_its_end() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.get("/one");
    client.get("/two");
    client.send("GET /three HTTP/1.1\r\n\r\n");
    client.response();
    let log = gateway.stop_for_log();
    assert_eq!(log.len(), 3, "{log:#?}");
    assert!(
        log[0].contains("\"GET /one HTTP/1.1\" 200 - "),
        "{}",
        log[0]
    );
    assert!(
        log[1].contains("\"GET /two HTTP/1.1\" 200 - "),
        "{}",
        log[1]
    );
    assert!(
        log[2].contains("\"GET /three HTTP/1.1\" 400 bad_host "),
        "{}",
        log[2]
    );
}

#[test]
fn a_line_says_who_what_where_and_how_long() {
    let origin = Origin::answers(404, "no such thing");
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("GET /a?b HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: me \"quoted\"\r\n\r\n");
    client.response();
    let id = origin
        .only_request()
        .field("x-request-id")
        .expect("an id")
        .to_owned();
    let line = gateway.log_lines(1).remove(0);
    for part in [
        "Z web 127.0.0.1 \"GET /a?b HTTP/1.1\" 404 - in=0 out=",
        &format!(
            "backend=origin endpoint={} attempts=1 id=\"{id}\"",
            origin.address()
        ),
        "host=\"shop.test\" agent=\"me \\\"quoted\\\"\"",
    ] {
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
}

#[test]
fn json_lines_parse_and_have_the_same_fields() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address()).json_log().start();
    let mut client = gateway.client();
    client.send(b"GET /a HTTP/1.1\r\nHost: a\r\nUser-Agent: \"x\\\xff\t\r\n\r\n");
    client.response();
    let line: serde_json::Value =
        serde_json::from_str(&gateway.log_lines(1)[0]).expect("a JSON object");
    assert_eq!(line["method"], "GET");
    assert_eq!(line["path"], "/a");
    assert_eq!(line["status"], 200);
    assert_eq!(line["reason"], "");
    assert_eq!(line["backend"], "origin");
    assert_eq!(line["attempts"], 1);
    assert_eq!(line["user_agent"], "\"x\\\u{ff}");
    assert!(line["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0));
}

#[test]
fn the_troubleshooting_page_explains_every_flag() {
    let page = include_str!("../../../docs/troubleshooting.md");
    let source = include_str!("../../core/src/failure.rs");
    let (_, verdicts) = source
        .split_once("match self {")
        .expect("the match of verdicts");
    let (verdicts, _) = verdicts.split_once("};").expect("its end");
    let flags: Vec<&str> = verdicts.split('"').skip(1).step_by(2).collect();
    assert!(flags.len() > 30, "{flags:?}");
    for flag in flags {
        assert!(page.contains(&format!("| `{flag}` |")), "{flag} is missing");
    }
}
