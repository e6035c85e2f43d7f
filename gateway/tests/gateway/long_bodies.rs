//! Long bodies with a length, which pass without being read where nobody looks at them.

use std::time::Duration;

use tidegate_testkit::Gateway;
use tidegate_testkit::Message;
use tidegate_testkit::Origin;
use tidegate_testkit::Rule;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

/// Some bytes of which no two pieces are alike.
fn long_body(bytes: usize) -> Vec<u8> {
    (0u32..).flat_map(u32::to_le_bytes).take(bytes).collect()
}

/// The head of an answer with so many bytes.
fn head(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n")
}

#[test]
fn long_bodies_follow_each_other_on_one_connection_and_are_counted_to_the_byte() {
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    for length in [3_000_000, 65_536, 1_000_001, 3] {
        let body = long_body(length);
        let answer = client.post("/", &body);
        assert!(answer.body == body, "{length} bytes came back changed");
    }
    assert_eq!(origin.connections(), 1);
    let lines = gateway.stop_for_log();
    for (line, length) in lines.iter().zip([3_000_000u64, 65_536, 1_000_001, 3]) {
        assert!(line.contains(&format!(" in={length} ")), "{line}");
        let out = line
            .split(" out=")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let out: u64 = out.and_then(|out| out.parse().ok()).expect("a number");
        assert!((length + 1..length + 500).contains(&out), "{line}");
    }
}

#[test]
fn a_client_that_takes_its_time_gets_a_long_body_whole() {
    let body = long_body(8_000_000);
    let sent = body.clone();
    let origin = Origin::script(move |connection| {
        connection.request()?;
        connection.send(head(sent.len()))?;
        connection.send(&sent)
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // More than all buffers on the way take, in reads that are small beside what is sent.
    let mut got = Vec::new();
    while !got.ends_with(&body[body.len() - 8..]) {
        got.extend(client.read_some());
    }
    assert!(got.ends_with(&body), "the body came changed");
}

#[test]
fn a_long_body_that_the_origin_cuts_is_never_made_to_look_complete() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send(head(4_000_000))?;
        connection.send(long_body(1_500_000))
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = client.read_to_end().unwrap_or_default();
    assert!(answer.len() < 1_501_000, "{} bytes came", answer.len());
    let line = gateway.log_lines(1).remove(0);
    assert!(line.contains(" 200 upstream_body_cut "), "{line}");
}

#[test]
fn a_long_body_that_falls_silent_ends_in_time() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send(head(4_000_000))?;
        connection.send(long_body(1_500_000))?;
        connection.wait_for_close()
    });
    let gateway = Gateway::to(origin.address())
        .timeouts(|timeouts| timeouts.stream_idle = Duration::from_millis(200))
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.read_to_end().ok();
    let line = gateway.log_lines(1).remove(0);
    assert!(line.contains(" 200 upstream_body_timeout "), "{line}");
}

#[test]
fn a_client_that_cuts_a_long_upload_leaves_nothing_of_it_for_others() {
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n");
    client.send(long_body(1_500_000));
    client.half_close();
    client.read_to_end().ok();
    let line = gateway.log_lines(1).remove(0);
    assert!(line.contains(" client_closed "), "{line}");
    let body = long_body(100_000);
    assert!(gateway.client().post("/", &body).body == body);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_mirror_gets_a_long_body_too() {
    let (origin, mirror) = (Origin::echoes(), Origin::answers(200, "ignored"));
    let gateway = Gateway::to(origin.address())
        .backend("mirror", mirror.address())
        .rule(Rule::at("/").to("origin", 1).mirror("mirror"))
        .start();
    let body = long_body(400_000);
    assert!(gateway.client().post("/", &body).body == body);
    let copied = || mirror.requests().into_iter().next();
    let copy: Message = eventually("the copy arrives", copied);
    assert!(copy.body == body, "the copy is another");
}

#[test]
fn a_filter_of_heads_alone_leaves_long_bodies_as_they_are() {
    let heads = Wasm::wat(
        "heads",
        "",
        r#"(func (export "proxy_on_context_create") (param i32 i32))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))
           (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (i32.const 0))"#,
    );
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address()).plugin(&heads).start();
    let mut client = gateway.client();
    for length in [3_000_000, 100, 500_000] {
        let body = long_body(length);
        let answer = client.post("/", &body);
        let announced = length.to_string();
        assert_eq!(answer.field("content-length"), Some(&*announced));
        assert!(answer.body == body, "{length} bytes came back changed");
    }
}
