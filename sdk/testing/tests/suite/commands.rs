//! Redis commands: replies of every kind, failures, logins.

use testing_counts::counts;
use tidegate_sdk_testing::{
    Builder, Harness, Mode, RedisCommand, RedisLogin, RedisReply, RedisValue, get, json, ms, not_in,
};

/// Envoy has no such function: what the filter is told there, one test says.
fn no_redis() -> bool {
    not_in(Mode::Envoy, "filters run Redis commands")
}

fn counting(answer: impl FnMut(&RedisCommand) -> RedisReply + Send + 'static) -> Builder {
    Harness::new(counts)
        .config(json!({"redis": "redis", "timeout": "2s"}))
        .redis("redis", answer)
}

fn said(h: &mut Harness) -> String {
    h.send(get("/a")).header("x-count").unwrap_or_default()
}

#[test]
fn commands_reach_the_server_and_replies_the_filter() {
    if no_redis() {
        return;
    }
    let mut number = 0;
    let mut h = counting(move |_| {
        number += 1;
        RedisReply::integer(number)
    })
    .start();
    assert_eq!(said(&mut h), "Integer(1)");
    let res = h.send(get("/b").header("x-twice", "1"));
    assert_eq!(
        res.header("x-count").as_deref(),
        Some("Integer(2) Integer(3)")
    );
    let commands = h.commands("redis");
    let texts: Vec<String> = commands.iter().map(|it| it.text(1)).collect();
    assert_eq!(texts, ["/a", "/b", "/b"]);
    assert!(commands.iter().all(|it| it.name() == "INCR"));
    assert_eq!(commands[0].login(), &RedisLogin::default());
}

#[test]
fn every_kind_of_reply_arrives() {
    if no_redis() {
        return;
    }
    let replies = [
        (RedisValue::Nil, "Nil"),
        (RedisValue::Text("OK".into()), "Text(\"OK\")"),
        (
            RedisValue::Bytes(b"a\r\nb".into()),
            "Bytes([97, 13, 10, 98])",
        ),
        (
            RedisValue::List(vec![RedisValue::Integer(7), RedisValue::Nil]),
            "List([Integer(7), Nil])",
        ),
        (
            RedisValue::Error("WRONGTYPE no".into()),
            "Redis refuses the command: WRONGTYPE no",
        ),
    ];
    for (value, expected) in replies {
        let reply = RedisReply::value(&value);
        let mut h = counting(move |_| reply.clone()).start();
        assert_eq!(said(&mut h), expected);
    }
}

#[test]
fn every_way_in_which_a_server_fails_is_an_error_of_the_command() {
    if no_redis() {
        return;
    }
    let with = |reply: RedisReply| {
        Harness::new(counts)
            .config(json!({"redis": "redis", "timeout": "100ms"}))
            .redis("redis", move |_| reply.clone())
            .start()
    };
    assert_eq!(said(&mut with(RedisReply::never())), "Timeout");
    let slow = RedisReply::integer(1).after(ms(30_000));
    assert_eq!(said(&mut with(slow)), "Timeout");
    assert_eq!(said(&mut with(RedisReply::reset())), "Unreachable");
    let mut h = Harness::new(counts)
        .config(json!({"redis": "redis"}))
        .backend_down("redis")
        .start();
    assert_eq!(said(&mut h), "Unreachable");
}

#[test]
fn what_is_no_resp_is_an_error() {
    if no_redis() {
        return;
    }
    // A host looks at replies, too; one that does not hands them on.
    let mut h = counting(|_| RedisReply::raw("%1\r\n+a\r\n+b\r\n")).start();
    let said = said(&mut h);
    assert!(said.contains("no RESP 2"), "{said}");
}

#[test]
fn a_backend_that_the_filter_may_not_call_is_unknown() {
    if no_redis() {
        return;
    }
    let mut h = Harness::new(counts)
        .config(json!({"redis": "elsewhere"}))
        .redis("redis", |_| RedisReply::integer(1))
        .start();
    assert_eq!(said(&mut h), "Unknown");
    assert!(h.commands("redis").is_empty());
}

#[test]
fn the_login_is_the_one_that_the_filter_describes() {
    if no_redis() {
        return;
    }
    let mut h = Harness::new(counts)
        .config(json!({
            "redis": "redis", "timeout": "2s", "user": "ada", "password": "secret", "database": 3,
        }))
        .redis("redis", |_| RedisReply::integer(1))
        .start();
    assert_eq!(said(&mut h), "Integer(1)");
    let login = RedisLogin {
        user: "ada".to_owned(),
        password: "secret".to_owned(),
        database: 3,
    };
    assert_eq!(h.commands("redis")[0].login(), &login);
}

#[test]
fn a_client_that_leaves_forgets_its_command() {
    if no_redis() {
        return;
    }
    let mut h = counting(|command| match command.text(1).as_str() {
        "/slow" => RedisReply::integer(1).after(ms(100)),
        _ => RedisReply::integer(2),
    })
    .start();
    let exchange = h.begin(get("/slow"));
    h.wait_for("the command", |h| h.commands("redis").len() == 1);
    exchange.disconnect();
    h.advance(ms(100));
    assert_eq!(said(&mut h), "Integer(2)");
}

#[test]
fn on_hosts_without_the_function_commands_fail_and_say_so() {
    if not_in(Mode::Wasm, "Tidegate has the function") {
        return;
    }
    let builder = Harness::new(counts).config(json!({"redis": "redis"}));
    let mut h = builder.backend_down("redis").on_other_hosts().start();
    assert_eq!(said(&mut h), "Unsupported");
}
