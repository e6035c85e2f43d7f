//! Redis commands of filters: against a real server, and against servers that do wrong.
//!
//! The real one is a peer: `cargo xtask test --peers` installs it.

use std::fmt::Write as _;
use std::net::SocketAddr;

use tidegate_testkit::Authority;
use tidegate_testkit::Client;
use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::Peer;
use tidegate_testkit::TlsFront;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

/// The filter that runs commands on command.
fn filter() -> Wasm {
    let body = concat!(
        include_str!("probe_common.wat"),
        include_str!("redis/probe.wat")
    );
    Wasm::wat("probe", include_str!("redis/imports.wat"), body)
}

/// A gateway with the filter in it, and what the filter has heard.
struct Probe {
    gateway: Gateway,
    client: Client,
    heard: String,
}

impl Probe {
    fn to(redis: SocketAddr) -> Self {
        Self::of(Gateway::to(Origin::nowhere()).backend("redis", redis))
    }

    fn of(gateway: tidegate_testkit::gateway::Builder) -> Self {
        let gateway = gateway.plugin(&filter()).start();
        Self {
            client: gateway.client(),
            gateway,
            heard: String::new(),
        }
    }

    fn ask(&mut self, fields: &str) -> String {
        self.client
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        self.client.response().text()
    }

    /// Logs in; returns the status.
    fn init(&mut self, target: &str, user: &str, password: &str, timeout: u32) -> u32 {
        let up = hex(target.as_bytes());
        let said = self.ask(&format!(
            "x-op: i\r\nx-up: {up}\r\nx-user: {user}\r\nx-pass: {password}\r\n\
             x-timeout: {timeout}\r\n"
        ));
        numbers(&said).0
    }

    /// Sends bytes as a query; returns the token.
    #[track_caller]
    fn query(&mut self, query: &[u8]) -> u32 {
        let (up, query) = (hex(b"redis"), hex(query));
        let said = self.ask(&format!("x-op: q\r\nx-up: {up}\r\nx-msg: {query}\r\n"));
        let (status, token) = numbers(&said);
        assert_eq!((status, token & 3), (0, 3));
        token
    }

    /// The status and the reply to a query.
    #[track_caller]
    fn reply(&mut self, token: u32) -> (u32, String) {
        let begin = format!("{token} ");
        eventually("a reply", || {
            let said = self.ask("x-op: r\r\n");
            self.heard.push_str(&said);
            let mut replies = self.heard.split_terminator('\0');
            let reply = replies.find_map(|reply| reply.strip_prefix(begin.as_str()))?;
            let mut parts = reply.splitn(3, ' ');
            let status = parts.next()?.parse().ok()?;
            let size: usize = parts.next()?.parse().ok()?;
            let bytes = parts.next()?;
            assert_eq!(bytes.len(), size);
            Some((status, bytes.to_owned()))
        })
    }

    /// Runs a command and waits for its reply.
    #[track_caller]
    fn run(&mut self, words: &[&str]) -> (u32, String) {
        let token = self.query(&command(words));
        self.reply(token)
    }
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        write!(command, "${}\r\n{word}\r\n", word.len()).expect("a string");
    }
    command.into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string");
        text
    })
}

fn numbers(said: &str) -> (u32, u32) {
    let parsed = said
        .split_once(' ')
        .and_then(|(status, token)| Some((status.parse().ok()?, token.trim().parse().ok()?)));
    assert!(parsed.is_some(), "the probe said {said:?}");
    parsed.unwrap_or_default()
}

/// The status of a command that got no reply in time.
const TIMED_OUT: u32 = 2;

const PASSWORD: &[&str] = &["--requirepass", "sesame"];

/// A real server with the password `sesame`; `None` where peers are not asked for.
fn redis() -> Option<Peer> {
    Peer::wanted("commands on a real Redis").then(|| Peer::redis(PASSWORD))
}

#[test]
fn commands_run_on_a_real_server_with_a_password_and_a_database() {
    let Some(redis) = redis() else { return };
    let mut probe = Probe::to(redis.address());
    // The server says itself what it wants.
    let (status, reply) = probe.run(&["PING"]);
    assert_eq!(status, 0);
    assert!(reply.starts_with("-NOAUTH"), "{reply}");
    assert_eq!(probe.init("redis", "", "sesame", 5_000), 0);
    assert_eq!(probe.run(&["PING"]), (0, "+PONG\r\n".into()));
    assert_eq!(probe.run(&["SET", "k", "a\r\nb"]), (0, "+OK\r\n".into()));
    assert_eq!(probe.run(&["GET", "k"]), (0, "$4\r\na\r\nb\r\n".into()));
    assert_eq!(probe.run(&["GET", "none"]), (0, "$-1\r\n".into()));
    let nested = probe.run(&["EVAL", "return {1,{2,{'x'}},{}}", "0"]);
    let expected = "*3\r\n:1\r\n*2\r\n:2\r\n*1\r\n$1\r\nx\r\n*0\r\n";
    assert_eq!(nested, (0, expected.into()));
    assert_eq!(probe.run(&["NONSENSE"]).1.get(..4), Some("-ERR"));
    // Another database has other keys; a user by name is the default one here.
    assert_eq!(probe.init("redis?db=3", "default", "sesame", 5_000), 0);
    assert_eq!(probe.run(&["GET", "k"]), (0, "$-1\r\n".into()));
}

#[test]
fn many_commands_share_one_connection_in_order() {
    let Some(redis) = redis() else { return };
    let mut probe = Probe::to(redis.address());
    probe.init("redis", "", "sesame", 5_000);
    let tokens: Vec<u32> = (0..200)
        .map(|_| probe.query(&command(&["INCR", "n"])))
        .collect();
    for (number, token) in tokens.into_iter().enumerate() {
        assert_eq!(probe.reply(token), (0, format!(":{}\r\n", number + 1)));
    }
    let (_, clients) = probe.run(&["INFO", "clients"]);
    assert!(clients.contains("connected_clients:1\r\n"), "{clients}");
}

#[test]
fn commands_go_over_tls_to_servers_that_have_it() {
    use std::io::Read as _;
    let redis = Origin::script(|connection| {
        let mut seen = [0; 14];
        loop {
            connection.stream().read_exact(&mut seen)?;
            connection.send("+PONG\r\n")?;
        }
    });
    let authority = Authority::root("root");
    let front = TlsFront::new(redis.address(), &authority.server("redis.test"), &[], None);
    let mut probe = Probe::of(
        Gateway::to(Origin::nowhere())
            .backend("redis", front.address())
            .backend_tls("redis", super::tls_origins::believing("redis.test"))
            .bundle(Some(&authority.bundle())),
    );
    for _ in 0..3 {
        assert_eq!(probe.run(&["PING"]), (0, "+PONG\r\n".to_owned()));
    }
    assert_eq!(front.seen().len(), 1);
}

#[test]
fn a_server_that_comes_back_is_used_again() {
    let Some(redis) = redis() else {
        return;
    };
    let address = redis.address();
    let mut probe = Probe::to(address);
    probe.init("redis", "", "sesame", 5_000);
    assert_eq!(probe.run(&["PING"]).0, 0);
    drop(redis);
    eventually("a failure", || (probe.run(&["PING"]).0 == 1).then_some(()));
    let _again = Peer::redis_at(address, PASSWORD);
    eventually("a reply", || (probe.run(&["PING"]).0 == 0).then_some(()));
}

#[test]
fn a_refused_login_fails_commands() {
    let Some(redis) = redis() else { return };
    let mut probe = Probe::to(redis.address());
    probe.init("redis", "", "wrong", 5_000);
    assert_eq!(probe.run(&["PING"]), (1, String::new()));
}

#[test]
fn a_server_that_is_not_there_fails_commands() {
    let mut probe = Probe::to(Origin::nowhere());
    assert_eq!(probe.run(&["PING"]), (1, String::new()));
    assert_eq!(probe.run(&["PING"]), (1, String::new()));
}

#[test]
fn a_server_that_says_nothing_fails_commands_in_time() {
    let silent = Origin::script(|connection| connection.wait_for_close());
    let mut probe = Probe::to(silent.address());
    probe.init("redis", "", "", 50);
    let tokens = [
        probe.query(&command(&["PING"])),
        probe.query(&command(&["PING"])),
    ];
    for token in tokens {
        assert_eq!(probe.reply(token), (TIMED_OUT, String::new()));
    }
    // A server that owes a reply for too long is given up.
    eventually("the close", || silent.is_idle().then_some(()));
    assert_eq!(silent.connections(), 1);
}

#[test]
fn a_late_reply_is_nobodys_and_the_connection_goes_on() {
    let (let_go, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let redis = Origin::script(move |connection| {
        let mut ping = command(&["PING"]);
        std::io::Read::read_exact(connection.stream(), &mut ping)?;
        held.lock().expect("the only one").recv().ok();
        connection.send("+LATE\r\n")?;
        while std::io::Read::read_exact(connection.stream(), &mut ping).is_ok() {
            connection.send("+PONG\r\n")?;
        }
        Ok(())
    });
    let mut probe = Probe::to(redis.address());
    // Longer than a busy machine takes for the late reply, less a second of patience.
    probe.init("redis", "", "", 250);
    assert_eq!(probe.run(&["PING"]), (TIMED_OUT, String::new()));
    let_go.send(()).expect("the server waits");
    eventually("a reply", || {
        let (status, reply) = probe.run(&["PING"]);
        assert_ne!(reply, "+LATE\r\n");
        (status == 0).then(|| assert_eq!(reply, "+PONG\r\n"))
    });
    assert_eq!(redis.connections(), 1);
}

#[test]
fn a_server_that_has_become_a_replica_is_left_for_whoever_is_there_now() {
    let beginning = std::sync::atomic::AtomicBool::new(true);
    let redis = Origin::script(move |connection| {
        let is_first = beginning.swap(false, std::sync::atomic::Ordering::SeqCst);
        let reply = match is_first {
            true => "-READONLY You can't write against a read only replica.\r\n",
            false => "+PONG\r\n",
        };
        let mut ping = command(&["PING"]);
        while std::io::Read::read_exact(connection.stream(), &mut ping).is_ok() {
            connection.send(reply)?;
        }
        Ok(())
    });
    let mut probe = Probe::to(redis.address());
    let (status, reply) = probe.run(&["PING"]);
    assert!(status == 0 && reply.starts_with("-READONLY"), "{reply}");
    for _ in 0..3 {
        assert_eq!(probe.run(&["PING"]), (0, "+PONG\r\n".to_owned()));
    }
    assert_eq!(redis.connections(), 2);
}

#[test]
fn commands_do_not_wait_for_a_login_that_takes_long_and_find_it_done_later() {
    let (let_go, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let redis = Origin::script(move |connection| {
        let mut auth = command(&["AUTH", "sesame"]);
        std::io::Read::read_exact(connection.stream(), &mut auth)?;
        held.lock().expect("the only one").recv().ok();
        connection.send("+OK\r\n")?;
        let mut ping = command(&["PING"]);
        while std::io::Read::read_exact(connection.stream(), &mut ping).is_ok() {
            connection.send("+PONG\r\n")?;
        }
        Ok(())
    });
    let mut probe = Probe::to(redis.address());
    probe.init("redis", "", "sesame", 100);
    assert_eq!(probe.run(&["PING"]), (TIMED_OUT, String::new()));
    // It is late: who comes now fails at once.
    eventually("a failure without a wait", || {
        (probe.run(&["PING"]).0 == 1).then_some(())
    });
    let_go.send(()).expect("the server waits");
    eventually("a reply", || (probe.run(&["PING"]).0 == 0).then_some(()));
    assert_eq!(redis.connections(), 1);
}

#[test]
fn what_is_no_resp_or_nobody_asked_for_fails_commands() {
    for said in [
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "$x\r\n",
        "*1\r\n*1\r\n",
        "",
    ] {
        let redis = Origin::script(move |connection| {
            let mut query = [0; 14];
            std::io::Read::read_exact(connection.stream(), &mut query)?;
            connection.send(said)
        });
        let mut probe = Probe::to(redis.address());
        assert_eq!(probe.run(&["PING"]), (1, String::new()), "{said:?}");
    }
}

#[test]
fn a_reply_over_the_limit_fails_its_command() {
    let redis = Origin::script(|connection| {
        connection.send("$1000000\r\n")?;
        while connection.send([b'x'; 4096]).is_ok() {}
        Ok(())
    });
    let mut probe = Probe::of(
        Gateway::to(Origin::nowhere())
            .backend("redis", redis.address())
            .sizes(|sizes| sizes.callout_body_bytes = 16 * 1024),
    );
    assert_eq!(probe.run(&["PING"]), (1, String::new()));
    eventually("the close", || redis.is_idle().then_some(()));
}

#[test]
fn queries_that_would_disturb_others_on_the_connection_are_not_sent() {
    let redis = Origin::replies("");
    let mut probe = Probe::to(redis.address());
    for query in [
        command(&["SELECT", "1"]),
        command(&["subscribe", "c"]),
        command(&["PING"]).repeat(2),
        b"PING\r\n".to_vec(),
        b"*0\r\n".to_vec(),
        Vec::new(),
    ] {
        let token = probe.query(&query);
        assert_eq!(probe.reply(token), (1, String::new()));
    }
    assert_eq!(redis.connections(), 0);
}

/// A server that knows one command.
fn answers_pings(reply: &'static str) -> Origin {
    Origin::script(move |connection| {
        let mut ping = command(&["PING"]);
        while std::io::Read::read_exact(connection.stream(), &mut ping).is_ok() {
            connection.send(reply)?;
        }
        Ok(())
    })
}

#[test]
fn a_backend_that_has_moved_gets_the_next_command() {
    let (old, new) = (answers_pings("+OLD\r\n"), answers_pings("+NEW\r\n"));
    let filter = filter();
    let with = |redis: &Origin| {
        Gateway::to(Origin::nowhere())
            .backend("redis", redis.address())
            .plugin(&filter)
    };
    let gateway = with(&old).start();
    let mut probe = Probe {
        client: gateway.client(),
        gateway,
        heard: String::new(),
    };
    assert_eq!(probe.init("redis", "", "", 5_000), 0);
    assert_eq!(probe.run(&["PING"]), (0, "+OLD\r\n".into()));
    probe.gateway.change(with(&new));
    assert_eq!(probe.run(&["PING"]), (0, "+NEW\r\n".into()));
}

#[test]
fn one_backend_has_no_more_than_sixty_four_logins() {
    let redis = answers_pings("+OK\r\n");
    let mut probe = Probe::to(redis.address());
    for number in 0..70 {
        // Another time limit is another login: it would be another connection.
        assert_eq!(probe.init("redis", "", "", 5_000 + number), 0);
        let expected = if number < 64 {
            (0, "+OK\r\n".to_owned())
        } else {
            (1, String::new())
        };
        assert_eq!(probe.run(&["PING"]), expected, "{number}");
    }
    assert_eq!(redis.connections(), 64);
}

#[test]
fn a_filter_calls_only_the_backends_it_may() {
    let redis = Origin::replies("+OK\r\n");
    let gateway = Gateway::to(Origin::nowhere())
        .backend("redis", redis.address())
        .may_call(&["origin"]);
    let mut probe = Probe::of(gateway);
    assert_eq!(probe.init("redis", "", "", 0), 2);
    let up = hex(b"redis");
    let query = hex(&command(&["PING"]));
    let said = probe.ask(&format!("x-op: q\r\nx-up: {up}\r\nx-msg: {query}\r\n"));
    assert_eq!(numbers(&said), (2, 0));
    assert_eq!(redis.connections(), 0);
}

#[test]
fn an_unknown_backend_is_a_bad_argument() {
    let mut probe = Probe::to(Origin::nowhere());
    assert_eq!(probe.init("elsewhere", "", "", 0), 2);
    assert_eq!(probe.init("redis?db=x", "", "", 0), 2);
    let up = hex(b"elsewhere");
    let said = probe.ask(&format!("x-op: q\r\nx-up: {up}\r\n"));
    assert_eq!(numbers(&said), (2, 0));
    assert!(probe.gateway.metrics().plugin_faults.is_empty());
}
