//! Every example is checked and run, and does what its README says.
//!
//! A copy is run, with the addresses of the test in place of the example's own; nothing else differs.

#[path = "examples/plugins.rs"]
mod plugins;
#[path = "examples/protocols.rs"]
mod protocols;

use std::net::SocketAddr;
use std::path::PathBuf;

use tidegate_testkit::Authority;
use tidegate_testkit::Client;
use tidegate_testkit::Leaf;
use tidegate_testkit::Message;
use tidegate_testkit::Origin;
use tidegate_testkit::Pair;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

use crate::process::Folder;
use crate::process::Running;
use crate::process::ask;
use crate::process::finish;
use crate::process::tidegate;

/// Those that are run here, each by the test of its name.
const EXAMPLES: [&str; 17] = [
    "ab-header",
    "auth",
    "canary",
    "chaos",
    "filter-canary",
    "filter-shadow",
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
