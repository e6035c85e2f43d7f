//! Examples of plugins and policies.

use tidegate_testkit::Client;
use tidegate_testkit::Origin;
use tidegate_testkit::Registry;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

use crate::examples::copy;
use crate::examples::edit;
use crate::examples::examples;
use crate::examples::get;
use crate::process::Folder;
use crate::process::Running;
use crate::process::ask;
use crate::process::finish;
use crate::process::tidegate;

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
fn filter_shadow() {
    let shop = Origin::answers(200, "shop");
    let files = copy("filter-shadow", &[(9001, shop.address())]);
    // All of them are to be shown, however busy the machine is.
    let (mode, all) = (
        "  mode: Shadow\n",
        "  mode: Shadow\n  shadow: { cpuPercent: 100 }\n",
    );
    edit(&files, mode, all);
    let gateway = Running::start(&files, &["--access-log", "off"]);
    let mut client = Client::connect(gateway.address().expect("it listens"));
    let mut ask = |ip: &str| {
        client.send(format!(
            "GET / HTTP/1.1\r\nhost: shop\r\nx-demo-ip: {ip}\r\n\r\n"
        ));
        client.response().status()
    };
    for _ in 0..50 {
        assert_eq!(ask("192.0.2.1"), 200);
        assert_eq!(ask("203.0.113.1"), 403);
        assert_eq!(ask("198.51.100.1"), 200);
    }
    let result = |result: &str| {
        let name = "tidegate_plugin_shadow_streams_total";
        gateway.metric(&format!(
            r#"{name}{{plugin="default/blocked-next",result="{result}"}}"#
        ))
    };
    eventually("all 150", || {
        let counted = ["agreed", "differed", "fault", "unknown"].map(result);
        let all: f64 = counted.iter().flatten().sum();
        (all >= 150.0).then_some(())
    });
    let counted = ["agreed", "differed", "fault", "unknown"].map(result);
    assert_eq!(counted, [Some(100.0), Some(50.0), Some(0.0), Some(0.0)]);
    let kind =
        r#"tidegate_plugin_shadow_differences_total{plugin="default/blocked-next",kind="deny"}"#;
    assert_eq!(gateway.metric(kind), Some(50.0));
    gateway.logs("shadow differed: would have answered 403, passed with 200");

    // As the README says, it takes the place of the one that acts.
    edit(&files, all, "");
    gateway.logs("generation 2 serves");
    assert_eq!(ask("198.51.100.1"), 403);
    assert_eq!(ask("192.0.2.1"), 200);
}
