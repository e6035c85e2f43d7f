//! Every example is checked and run, and does what its README says.
//!
//! A copy is run, with the addresses of the test in place of the example's own; nothing else differs.

use std::net::SocketAddr;
use std::path::PathBuf;

use tidegate_testkit::Authority;
use tidegate_testkit::Client;
use tidegate_testkit::GrpcOrigin;
use tidegate_testkit::Leaf;
use tidegate_testkit::Message;
use tidegate_testkit::Origin;
use tidegate_testkit::Pair;
use tidegate_testkit::Peer;
use tidegate_testkit::Port;
use tidegate_testkit::Registry;
use tidegate_testkit::TlsClient;
use tidegate_testkit::TlsFront;
use tidegate_testkit::Wasm;
use tidegate_testkit::Wire;
use tidegate_testkit::eventually;
use tidegate_testkit::http2;
use tidegate_testkit::websocket;
use tidegate_testkit::websocket::Frame;

use crate::process::Folder;
use crate::process::Running;
use crate::process::ask;
use crate::process::finish;
use crate::process::tidegate;

/// Those that are run here, each by the test of its name.
const EXAMPLES: [&str; 16] = [
    "ab-header",
    "auth",
    "canary",
    "chaos",
    "filter-canary",
    "grpc",
    "https",
    "mirror",
    "oci",
    "quickstart",
    "rate-limits",
    "rewrite-redirect",
    "sni-passthrough",
    "staged-rollout",
    "tcp",
    "websocket",
];

/// What editors read to know the schema.
const SCHEMA_LINE: &str = "# yaml-language-server: $schema=../../docs/schema.json";

/// The filters that examples have: as they name them, and as their copies do.
const FILTERS: [(&str, &str); 2] = [
    (
        "../../target/plugins/hello-filter.wasm",
        "hello-filter.wasm",
    ),
    (
        "../../target/plugins/command-guard.wasm",
        "command-guard.wasm",
    ),
];

fn examples() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples"))
}

fn yaml(example: &str) -> String {
    let path = examples().join(example).join("gateway.yaml");
    std::fs::read_to_string(path).expect("the example is there")
}

/// Puts one text in place of another, which is there exactly once.
#[track_caller]
pub(crate) fn replace(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from:?} in {text}");
    text.replace(from, to)
}

/// The certificate of the copies, for `localhost`, with its authority.
fn certificate() -> (String, Pair) {
    let authority = Authority::root("examples");
    let pair = authority.sign(&Leaf::named("localhost"));
    (authority.pem, pair)
}

fn write_pair(files: &Folder, pair: &Pair) {
    files.write("tls.crt", pair.chain.as_bytes());
    files.write("tls.key", pair.key.as_bytes());
}

/// A copy of an example in a folder of its own, on any port; `ports` leads to these addresses.
fn copy(example: &str, ports: &[(u16, SocketAddr)]) -> Folder {
    let mut text = replace(&yaml(example), "port: 8080", "port: 0");
    for (port, address) in ports {
        let quoted = |address: SocketAddr| format!("\"{address}\"");
        let usual = SocketAddr::from(([127, 0, 0, 1], *port));
        text = replace(&text, &quoted(usual), &quoted(*address));
    }
    let files = Folder::of(&[]);
    if text.contains("tls.crt") {
        text = replace(&text, "port: 8443\n", "port: 0\n");
        write_pair(&files, &certificate().1);
    }
    for (named, file) in FILTERS {
        if text.contains(named) {
            text = replace(&text, named, file);
            let name = file.trim_end_matches(".wasm");
            files.write(file, Wasm::built(name).module());
        }
    }
    files.write("gateway.yaml", text.as_bytes());
    files
}

/// Changes one text of the configuration.
#[track_caller]
pub(crate) fn edit(files: &Folder, from: &str, to: &str) {
    let text = std::fs::read_to_string(files.file("gateway.yaml")).expect("readable");
    files.write("gateway.yaml", replace(&text, from, to).as_bytes());
}

/// A request with these header lines to whatever listens.
#[track_caller]
fn get(gateway: &Running, path: &str, fields: &str) -> Message {
    let address = gateway.address().expect("it listens");
    let fields = format!("Host: {address}\r\n{fields}");
    ask(address, &format!("GET {path}"), &fields)
}

#[test]
fn every_example_has_a_readme_and_no_problem() {
    let mut found: Vec<String> = std::fs::read_dir(examples())
        .expect("the folder is there")
        .map(|entry| entry.expect("readable"))
        .filter(|entry| entry.path().join("gateway.yaml").exists())
        .map(|entry| entry.file_name().into_string().expect("text"))
        .collect();
    found.sort();
    assert_eq!(found, EXAMPLES, "each example has a test here");
    for example in EXAMPLES {
        let files = copy(example, &[]);
        let (code, out, err) = finish(tidegate().arg("check").arg("-c").arg(files.path()));
        assert_eq!(code, Some(0), "{example}: {out}{err}");
        // Without its registry it cannot be checked any further.
        let is_unchecked = example == "oci" && out.contains("`--pull` fetches it");
        assert!(
            is_unchecked || out.ends_with(" resources, no problems\n"),
            "{example}: {out}"
        );
        assert_eq!(yaml(example).lines().next(), Some(SCHEMA_LINE), "{example}");
        let folder = examples().join(example);
        assert!(folder.join("../../docs/schema.json").exists(), "{example}");
        let readme = std::fs::read_to_string(folder.join("README.md")).expect("a README");
        let run = format!("$ tidegate run -c examples/{example}\n");
        assert!(readme.contains(&run), "{example}");
    }
}

#[test]
fn the_schema_of_the_documents_is_the_one_that_is_printed() {
    let (code, out, err) = finish(tidegate().arg("schema"));
    assert_eq!(code, Some(0), "{err}");
    let path = examples().join("../docs/schema.json");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        out == kept,
        "docs/schema.json is stale: `tidegate schema > docs/schema.json`"
    );
}

#[test]
fn quickstart() {
    let (apples, pears) = (
        Origin::answers(200, "apples"),
        Origin::answers(200, "pears"),
    );
    let files = copy(
        "quickstart",
        &[
            (9001, apples.address()),
            (9002, pears.address()),
            (9003, Origin::nowhere()),
        ],
    );
    let gateway = Running::start(&files, &[]);
    let greeting = |answer: &Message| {
        assert_eq!((answer.status(), answer.text().as_str()), (200, "apples"));
        let requests = apples.requests();
        requests
            .last()
            .and_then(|last| last.field("x-hello").map(str::to_owned))
    };

    let answer = gateway.get("/");
    assert_eq!(answer.field("x-hello-filter"), Some("1.0"));
    assert_eq!(greeting(&answer).as_deref(), Some("ahoy"));
    let answer = gateway.get("/pears");
    assert_eq!(answer.text(), "pears");
    assert_eq!(answer.field("x-hello-filter"), None);
    assert_eq!(pears.only_request().field("x-hello"), None);

    // Saved is served.
    edit(&files, "greeting: ahoy", "greeting: moin");
    eventually("the new greeting", || {
        let greeting = greeting(&gateway.get("/"))?;
        (greeting == "moin").then_some(())
    });

    // A mistake changes nothing, and the log says what and where.
    edit(&files, "type: ExtensionRef", "type: ExtensionReff");
    let line = gateway.logs("ExtensionReff");
    assert!(
        line.contains("gateway.yaml:22:17: HTTPRoute default/fruit: "),
        "{line}"
    );
    assert_eq!(greeting(&gateway.get("/")).as_deref(), Some("moin"));
    edit(&files, "type: ExtensionReff", "type: ExtensionRef");

    // A filter that was built anew.
    files.write("hello-filter.wasm", Wasm::wat("silent", "", "").module());
    eventually("the new filter", || {
        let answer = gateway.get("/");
        greeting(&answer).is_none().then_some(())
    });
}

#[test]
fn oci() {
    let (registry, apples) = (Registry::start(), Origin::answers(200, "apples"));
    let files = copy("oci", &[(9001, apples.address())]);
    edit(&files, "localhost:5000", &registry.address().to_string());
    let cache = Folder::of(&[]);
    let cache = cache.path().to_str().expect("UTF-8");
    let reference = registry.reference("hello-filter:1");
    let push = |name: &str, module: &[u8]| {
        let module_file = Folder::of(&[]);
        module_file.write(name, module);
        let mut command = tidegate();
        command.args(["plugin", "push", &reference]);
        command.arg(module_file.file(name));
        let (code, _, err) = finish(command.args(["--plugin-cache", cache]));
        assert_eq!(code, Some(0), "{err}");
    };
    push("hello-filter.wasm", Wasm::built("hello-filter").module());
    let start = || Running::start(&files, &["--plugin-cache", cache]);
    let greets = |gateway: &Running, expected: Option<&str>| {
        eventually("the filter", || {
            let answer = gateway.get("/");
            let is_so = answer.status() == 200 && answer.field("x-hello-filter") == expected;
            is_so.then_some(())
        });
    };
    let mut gateway = start();
    greets(&gateway, Some("1.0"));

    // Another module under the same tag.
    push("silent.wasm", Wasm::wat("silent", "", "").module());
    gateway.admin("POST /reload");
    greets(&gateway, None);

    // Without the registry.
    gateway.kill();
    registry.set_down(true);
    let gateway = start();
    assert_eq!(gateway.get("/").text(), "apples");
    eventually("the reason", || {
        let said = gateway.admin("GET /ready").text();
        said.contains("serves from the cache").then_some(())
    });

    // The digest behind the tag.
    registry.set_down(false);
    let mut command = tidegate();
    command.args(["plugin", "lock", "--plugin-cache", cache, "-c"]);
    let (code, _, err) = finish(command.arg(files.path()));
    assert_eq!(code, Some(0), "{err}");
    let text = std::fs::read_to_string(files.file("gateway.yaml")).expect("readable");
    assert!(text.contains(&format!("{reference}@sha256:")), "{text}");
    assert!(text.contains("# a tag that moves is noticed"), "{text}");
}

#[test]
fn canary() {
    let (old, new) = (Origin::answers(200, "v1"), Origin::answers(200, "v2"));
    let files = copy("canary", &[(9001, old.address()), (9002, new.address())]);
    let gateway = Running::start(&files, &["--access-log", "off"]);
    let mut client = Client::connect(gateway.address().expect("it listens"));
    let mut of_new = |requests: usize| {
        let answers = (0..requests).map(|_| client.get("/").text());
        answers.filter(|text| text == "v2").count()
    };
    // 50 expected, 6.7 standard deviation: chance alone does not leave these bounds.
    let share = of_new(500);
    assert!((10..=90).contains(&share), "{share} of 500");

    edit(&files, "weight: 90", "weight: 0");
    gateway.logs("generation 2 serves");
    assert_eq!(of_new(50), 50);
}

#[test]
fn filter_canary() {
    let shop = Origin::answers(200, "shop");
    let files = copy("filter-canary", &[(9001, shop.address())]);
    let gateway = Running::start(&files, &["--access-log", "off"]);
    let mut client = Client::connect(gateway.address().expect("it listens"));
    let mut refused = |users: std::ops::Range<u32>| {
        let answers = users.map(|user| {
            client.send(format!(
                "GET / HTTP/1.1\r\nhost: shop\r\nx-user: {user}\r\n\r\n"
            ));
            client.response().status()
        });
        answers.filter(|status| *status == 403).count()
    };
    // How many of these users have the canary is certain: their buckets are.
    assert_eq!(refused(0..40), 10);
    eventually("the abort", || {
        let _some = refused(0..100);
        let aborted = "aborted, the canary gets no more streams: denyRateDelta: denied";
        gateway
            .log()
            .iter()
            .any(|line| line.contains(aborted))
            .then_some(())
    });
    assert_eq!(refused(0..100), 0);

    edit(&files, ", 127.0.0.0/8]", "]\n      # mended");
    assert_eq!(refused(0..100), 0);
}

#[test]
fn staged_rollout() {
    let (old, new) = (Origin::answers(200, "v1"), Origin::answers(200, "v2"));
    let files = copy(
        "staged-rollout",
        &[(9001, old.address()), (9002, new.address())],
    );
    let gateway = Running::start(&files, &[]);
    let of = |fields: &str| get(&gateway, "/", fields).text();
    let stranger = get(&gateway, "/", "");
    let cookie = stranger.field("set-cookie").expect("a cookie");
    let (cookie, _) = cookie.split_once(';').expect("attributes");
    let mut fields: Vec<String> = (0..100).map(|at| format!("x-user: {at}\r\n")).collect();
    fields.push(format!("cookie: {cookie}\r\n"));
    let mut before = vec!["v1".to_owned(); fields.len()];
    // How many of these hundred users have it is certain: their buckets are.
    for (generation, weight, users) in [(1, "5", 3), (2, "25", 23), (3, "100", 100)] {
        if generation > 1 {
            let last = if generation == 2 { "5" } else { "25" };
            edit(
                &files,
                &format!("weight: {last}\n"),
                &format!("weight: {weight}\n"),
            );
            gateway.logs(&format!("generation {generation} serves"));
        }
        for (fields, before) in fields.iter().zip(&mut before) {
            let now = of(fields);
            assert!(*before == "v1" || now == "v2", "{fields} went back");
            *before = now;
        }
        let with_new = before.iter().take(100).filter(|it| *it == "v2");
        assert_eq!(with_new.count(), users, "at {weight}");
        assert_eq!(of("x-beta: yes\r\n"), "v2");
        assert_eq!(of("x-beta: yes\r\nx-user: 1\r\n"), "v2");
    }
    assert!(before.iter().all(|it| it == "v2"));
    let requests = new.requests();
    let versions = requests.iter().flat_map(|it| it.values("x-version"));
    assert!(versions.clone().count() > 100);
    assert!(versions.clone().all(|it| it == "canary"));
}

#[test]
fn chaos() {
    let shop = Origin::answers(200, "shop");
    let files = copy("chaos", &[(9001, shop.address())]);
    let gateway = Running::start(&files, &[]);
    let mut seen = std::collections::BTreeSet::new();
    // Chance alone does not keep one of them away for so long.
    for _ in 0..200 {
        seen.insert(get(&gateway, "/recommendations", "").status());
        if seen.len() == 2 {
            break;
        }
    }
    assert_eq!(Vec::from_iter(seen), [200, 503]);

    let asked = |fields: &str| {
        let fields = format!("x-chaos-key: drill-2026\r\n{fields}");
        get(&gateway, "/", &fields).status()
    };
    assert_eq!(asked(""), 200);
    assert_eq!(asked("x-envoy-fault-abort-request: 418\r\n"), 418);
    assert_eq!(asked("x-envoy-fault-delay-request: 5000\r\n"), 504);
    assert_eq!(asked("x-envoy-fault-throughput-response: 1\r\n"), 200);
    let stranger = get(&gateway, "/", "x-envoy-fault-abort-request: 418\r\n");
    assert_eq!(stranger.status(), 200);
    let late = "tidegate_request_flags_total{flag=\"request_timeout\"}";
    assert_eq!(gateway.metric(late), Some(1.0));
}

#[test]
fn ab_header() {
    let (old, new) = (Origin::answers(200, "v1"), Origin::answers(200, "v2"));
    let files = copy("ab-header", &[(9001, old.address()), (9002, new.address())]);
    let gateway = Running::start(&files, &[]);
    for (fields, expected) in [
        ("", "v1"),
        ("x-beta: yes\r\n", "v2"),
        ("x-beta: no\r\n", "v1"),
        ("cookie: beta=yes\r\n", "v2"),
        ("cookie: a=1; beta=yes; b=2\r\n", "v2"),
        ("cookie: beta=yesterday\r\n", "v1"),
        ("cookie: alphabeta=yes\r\n", "v1"),
    ] {
        assert_eq!(get(&gateway, "/", fields).text(), expected, "{fields:?}");
    }
}

#[test]
fn auth() {
    let apples = Origin::answers(200, "apples");
    let files = copy("auth", &[(9001, apples.address())]);
    let gateway = Running::start(&files, &[]);
    let address = gateway.address().expect("it listens");
    let bearer = |who: &str| {
        let token = std::fs::read_to_string(examples().join("auth").join(who));
        format!(
            "authorization: Bearer {}\r\n",
            token.expect("the token is there")
        )
    };
    let (ada, grace, old) = (bearer("ada.jwt"), bearer("grace.jwt"), bearer("old.jwt"));
    let key = "x-api-key: k-3f9c8e\r\n";
    for (line, fields, expected) in [
        ("GET /account", "", 401),
        ("GET /account", &old, 401),
        ("GET /account", &ada, 200),
        ("POST /account", &ada, 403),
        ("POST /account", &grace, 200),
        ("GET /account/export", &grace, 403),
        ("GET /partners", "", 401),
        ("GET /partners", key, 200),
    ] {
        let fields = format!("Host: {address}\r\nx-user: root\r\nx-consumer: root\r\n{fields}");
        assert_eq!(
            ask(address, line, &fields).status(),
            expected,
            "{line} {fields}"
        );
    }
    // Who it was, as the backend sees it: what clients write there is gone where a policy sets it.
    let requests = apples.requests();
    let of = |name: &'static str| {
        requests
            .iter()
            .flat_map(move |it| it.values(name))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("x-user"), ["ada", "grace", "root"]);
    assert_eq!(of("x-consumer"), ["root", "root", "mobile-app"]);
}

#[test]
fn rate_limits() {
    let apples = Origin::answers(200, "apples");
    let files = copy("rate-limits", &[(9001, apples.address())]);
    let gateway = Running::start(&files, &[]);
    let address = gateway.address().expect("it listens");
    for (path, fields, expected) in [
        ("/export", "x-user: ada", 200),
        ("/export", "x-user: ada", 429),
        ("/export", "x-user: grace", 200),
        ("/export", "x-nobody: 1", 200),
        ("/export", "x-nobody: 2", 429),
        ("/search", "x-user: ada\r\nx-cost: 7", 200),
        ("/search", "x-user: ada\r\nx-cost: 4", 429),
        ("/search", "x-user: ada\r\nx-cost: 3", 200),
        ("/search", "x-user: ada", 429),
        ("/search", "x-user: grace", 200),
    ] {
        let fields = format!("Host: {address}\r\n{fields}\r\n");
        let answer = ask(address, &format!("GET {path}"), &fields);
        assert_eq!(answer.status(), expected, "{path} {fields}");
        assert_eq!(answer.field("retry-after").is_some(), expected == 429);
        assert!(answer.field("ratelimit").is_some(), "{path} {fields}");
    }
    let answer = ask(
        address,
        "GET /export",
        &format!("Host: {address}\r\nx-user: zoe\r\n"),
    );
    let policy = "\"exports\";q=1;w=60";
    assert_eq!(answer.field("ratelimit-policy"), Some(policy));
}

#[test]
fn rewrite_redirect() {
    let shop = Origin::replies(
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nx-powered-by: tests\r\ncache-control: max-age=9\r\n\r\nshop",
    );
    let files = copy("rewrite-redirect", &[(9001, shop.address())]);
    let gateway = Running::start(&files, &[]);
    let address = gateway.address().expect("it listens");

    let answer = get(&gateway, "/old/cart?a=1", "");
    assert_eq!(answer.status(), 301);
    let location = format!("http://{address}/shop/cart?a=1");
    assert_eq!(answer.field("location"), Some(location.as_str()));
    assert_eq!(shop.requests(), []);

    let answer = get(&gateway, "/shop/cart?a=1", "");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "shop"));
    assert_eq!(answer.values("cache-control"), ["no-store"]);
    assert_eq!(answer.field("x-powered-by"), None);
    let seen = shop.only_request();
    assert_eq!(seen.start, "GET /v2/cart?a=1 HTTP/1.1");
    assert_eq!(seen.values("host"), ["shop.internal"]);
}

#[test]
fn mirror() {
    let (old, new) = (Origin::answers(200, "v1"), Origin::answers(500, "v2"));
    let files = copy("mirror", &[(9001, old.address()), (9002, new.address())]);
    let gateway = Running::start(&files, &[]);
    let mut client = Client::connect(gateway.address().expect("it listens"));
    let answer = client.post("/cart", b"one apple");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "v1"));
    let copied = eventually("the copy", || new.requests().pop());
    let seen = old.only_request();
    assert_eq!(copied.start, seen.start);
    assert_eq!(copied.values("host"), seen.values("host"));
    assert_eq!(
        (copied.text(), seen.text()),
        ("one apple".into(), "one apple".into())
    );
}

#[test]
fn websocket() {
    let (chat, site) = (websocket::echoes(), Origin::answers(200, "site"));
    let files = copy(
        "websocket",
        &[(9001, chat.address()), (9002, site.address())],
    );
    let gateway = Running::start(&files, &["--access-log", "off"]);
    let address = gateway.address().expect("it listens");
    let mut socket = websocket::open(address, "/chat/room");
    let hello = Frame::text("hello");
    socket.send(hello.clone()).expect("sent");
    assert_eq!(socket.read().expect("an echo"), hello);
    assert_eq!(gateway.get("/").text(), "site");
    // A change of the configuration cuts no connection.
    edit(&files, "streamIdle: 1h", "streamIdle: 2h");
    eventually("the change", || (gateway.generation() == 2).then_some(()));
    socket.send(hello.clone()).expect("sent");
    assert_eq!(socket.read().expect("an echo"), hello);
    assert_eq!(gateway.metric("tidegate_open_tunnels"), Some(1.0));
    // The site has none.
    let refused = websocket::try_open(address, "/").expect_err("refused");
    assert!(refused.to_string().contains("403"), "{refused}");
}

#[test]
fn tcp() {
    let redis = Port::new();
    let files = copy("tcp", &[(9001, redis.address())]);
    let gateway = Running::start(&files, &[]);
    let address = gateway.address().expect("it listens");
    let set = "*3\r\n$3\r\nSET\r\n$5\r\nfruit\r\n$5\r\napple\r\n";
    let mut client = Wire::connect(address);
    let mut server = redis.accept();
    // Cut anywhere, a command arrives whole.
    let (begin, rest) = set.split_at(12);
    client.send(begin);
    client.send(rest);
    server.expect(set);
    server.send("+OK\r\n");
    client.expect("+OK\r\n");
    client.send("*1\r\n$8\r\nflushall\r\n");
    client.expect_end();
    server.expect_end();
    let line = gateway.logs("is cut off");
    assert!(line.contains("for the command flushall"), "{line}");

    // A connection keeps the list that it began with; a new one gets the new list.
    let mut old = Wire::connect(address);
    let mut old_server = redis.accept();
    edit(&files, "FLUSHALL FLUSHDB", "FLUSHDB");
    gateway.logs("generation 2 serves");
    let mut new = Wire::connect(address);
    let mut new_server = redis.accept();
    new.send("FLUSHALL\r\n");
    new_server.expect("FLUSHALL\r\n");
    old.send("FLUSHALL\r\n");
    old.expect_end();
    old_server.expect_end();
}

#[test]
fn sni_passthrough() {
    let authority = Authority::root("root");
    let of_shop = Origin::answers(200, "shop");
    let of_tenants = Origin::answers(200, "tenants");
    let front = |origin: &Origin, name: &str| {
        TlsFront::new(origin.address(), &authority.server(name), &[], None)
    };
    let (shop, tenants) = (
        front(&of_shop, "shop.example.com"),
        front(&of_tenants, "*.example.com"),
    );
    let files = copy(
        "sni-passthrough",
        &[(9001, shop.address()), (9002, tenants.address())],
    );
    let gateway = Running::start(&files, &[]);
    let address = gateway.address().expect("it listens");
    let client = TlsClient::new(&authority.pem, None);
    for (name, expected) in [
        ("shop.example.com", "shop"),
        ("blue.example.com", "tenants"),
    ] {
        let answer = client.get(address, name, "/").expect("an answer");
        assert_eq!(answer.text(), expected, "{name}");
    }
    let refused = client.connect(address, "example.org");
    refused.expect_err("no route claims it");
}

#[test]
fn https() {
    let shop = Origin::answers(200, "shop");
    let files = copy("https", &[(9001, shop.address())]);
    let (authority, pair) = certificate();
    write_pair(&files, &pair);
    let gateway = Running::start(&files, &[]);
    let (plain, tls) = (gateway.address_of(":0"), gateway.address_of("/tls"));
    let client = TlsClient::new(&authority, None);
    let get = || client.get(tls, "localhost", "/cart");
    let answer = get().expect("an answer");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "shop"));
    assert_eq!(
        shop.only_request().field("x-forwarded-proto"),
        Some("https")
    );

    let answer = ask(plain, "GET /cart?a=1", "Host: localhost:8080\r\n");
    assert_eq!(answer.status(), 301);
    assert_eq!(
        answer.field("location"),
        Some("https://localhost:8443/cart?a=1")
    );

    // A key of another certificate: said, and not served.
    let (other_authority, other) = certificate();
    files.write("tls.key", other.key.as_bytes());
    gateway.logs("the private key does not belong to the certificate");
    assert_eq!(get().expect("the old one serves").status(), 200);
    // The rest of the new pair makes it good.
    files.write("tls.crt", other.chain.as_bytes());
    let new = TlsClient::new(&other_authority, None);
    eventually("the new certificate", || {
        new.get(tls, "localhost", "/cart").ok()
    });
    // A client without a session of before.
    let old = TlsClient::new(&authority, None);
    let answer = old.get(tls, "localhost", "/cart");
    assert!(answer.is_err(), "the old one is not shown any more");
}

#[test]
fn the_command_for_certificates_makes_one_that_curl_believes() {
    if !Peer::wanted("the command of examples/https") {
        return;
    }
    let readme = std::fs::read_to_string(examples().join("https/README.md")).expect("a README");
    let shop = Origin::answers(200, "shop");
    let files = copy("https", &[(9001, shop.address())]);
    let run = |begin: &str, changes: &[(&str, &str)]| {
        let line = readme.lines().find_map(|line| line.strip_prefix(begin));
        let mut line = line.expect("the README has such a line").to_owned();
        for (from, to) in changes {
            line = line.replace(from, to);
        }
        let mut words = begin
            .trim_start_matches("$ ")
            .split(' ')
            .chain(line.split(' '));
        let mut command = std::process::Command::new(words.next().expect("a program"));
        finish(command.args(words.filter(|word| !word.is_empty())))
    };
    let folder = files.path().to_string_lossy().into_owned();
    let (code, _, err) = run("$ openssl ", &[("examples/https", &folder)]);
    assert_eq!(code, Some(0), "{err}");
    let gateway = Running::start(&files, &[]);
    let port = gateway.address_of("/tls").port().to_string();
    let changes = [("examples/https", folder.as_str()), ("8443", &port)];
    let (code, out, err) = run("$ curl --cacert ", &changes);
    assert_eq!((code, out.as_str()), (Some(0), "shop"), "{err}");
}

#[test]
fn grpc() {
    let [carts, new_carts, stock] = [(); 3].map(|()| GrpcOrigin::start());
    let files = copy(
        "grpc",
        &[
            (9001, carts.address()),
            (9002, new_carts.address()),
            (9003, stock.address()),
        ],
    );
    let gateway = Running::start(&files, &[]);
    let call = |path: &str, beta: bool| {
        let mut request = http2::request("POST", path);
        let headers = request.headers_mut();
        headers.insert("content-type", "application/grpc".parse().expect("a value"));
        headers.insert("te", "trailers".parse().expect("a value"));
        if beta {
            headers.insert("x-beta", "yes".parse().expect("a value"));
        }
        let address = gateway.address().expect("it listens");
        http2::client(address, async |mut sender| {
            http2::exchange(&mut sender, request, None).await
        })
        .expect("an answer")
    };
    let answer = call("/shop.v1.Cart/Echo", false);
    assert_eq!(answer.trailer("grpc-status"), Some("0"), "{answer:?}");
    assert_eq!(carts.requests(), ["/shop.v1.Cart/Echo"]);
    call("/shop.v1.Cart/Empty", true);
    assert_eq!(new_carts.requests(), ["/shop.v1.Cart/Empty"]);
    call("/shop.v1.Stock/Watch", false);
    assert_eq!(stock.requests(), ["/shop.v1.Stock/Watch"]);
    // UNIMPLEMENTED, as a gRPC client reads it.
    let answer = call("/shop.v1.Stock/Sell", false);
    assert_eq!(
        (answer.status, answer.field("grpc-status")),
        (200, Some("12"))
    );
}
