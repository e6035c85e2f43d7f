//! Backends whose endpoints come from names.

#[path = "dns/command.rs"]
mod command;

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use tidegate_core::dns::DnsRecords;
use tidegate_core::dns::DnsSource;
use tidegate_core::dns::MOST_ENDPOINTS;
use tidegate_proxy::LookedUp;
use tidegate_testkit::Dns;
use tidegate_testkit::Gateway;
use tidegate_testkit::Latch;
use tidegate_testkit::Origin;
use tidegate_testkit::dns::Kind;
use tidegate_testkit::dns::Says;
use tidegate_testkit::eventually;

const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const TWO: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// The addresses of `shop.test`, which are looked up as often as their time to live allows.
fn shop(port: u16) -> DnsSource {
    DnsSource {
        min_ttl: Duration::from_millis(20),
        ..DnsSource::addresses("shop.test", port)
    }
}

/// Two origins on one port, which say `one` and `two`.
fn two() -> (Origin, Origin, u16) {
    let found = (0..100).find_map(|_| {
        let one = Origin::answers(200, "one");
        let port = one.address().port();
        let other = SocketAddr::new(TWO, port);
        std::net::TcpListener::bind(other).ok()?;
        Some((one, Origin::answers_at(other, "two"), port))
    });
    found.expect("a port that is free at two addresses")
}

/// What the gateway knows of its one source.
fn looked_up(gateway: &Gateway) -> LookedUp {
    gateway.metrics().names.remove(0)
}

#[track_caller]
fn soon(gateway: &Gateway, body: &str) {
    eventually(body, || (gateway.get("/").text() == body).then_some(()));
}

#[test]
fn a_name_leads_to_the_endpoints_from_the_first_request_on() {
    let (one, _two, port) = two();
    let dns = Dns::start();
    dns.addresses("shop.test", &[ONE, TWO], 60);
    let gateway = Gateway::to(one.address())
        .dns(dns.address(), shop(port))
        .start();
    let mut said: Vec<String> = (0..4).map(|_| gateway.get("/").text()).collect();
    said.sort();
    assert_eq!(said, ["one", "one", "two", "two"]);
    let known = looked_up(&gateway);
    assert_eq!((known.endpoints.len(), known.problem), (2, None));
    assert_eq!(
        (known.lookups.found, known.lookups.missing),
        (1, 1),
        "A, and no AAAA"
    );
}

#[test]
fn an_answer_is_used_for_its_time_to_live() {
    let origin = Origin::answers(200, "alive");
    let dns = Dns::start();
    dns.addresses("shop.test", &[ONE], 60);
    let gateway = Gateway::to(origin.address())
        .dns(dns.address(), shop(origin.address().port()))
        .start();
    dns.addresses("short.test", &[ONE], 0);
    assert_eq!(gateway.get("/").text(), "alive");
    let short = DnsSource {
        names: vec!["short.test".into()],
        ..shop(origin.address().port())
    };
    let other = Gateway::to(origin.address())
        .dns(dns.address(), short)
        .start();
    eventually("several lookups", || {
        (dns.count("short.test", Kind::A) > 3).then_some(())
    });
    assert_eq!(dns.count("shop.test", Kind::A), 1);
    assert_eq!(other.get("/").text(), "alive");
}

#[test]
fn a_change_is_followed_and_what_runs_is_not_cut() {
    let (_one, _two, port) = two();
    let slow = Latch::default();
    let release = slow.clone();
    let three = SocketAddr::from(([127, 0, 0, 3], port));
    let held = Origin::script_at(three, move |connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf")?;
        if connection.number > 0 {
            return connection.send("half"); // Asked before the change was known.
        }
        slow.wait();
        connection.send("half")?;
        connection.wait_for_close()
    });
    let dns = Dns::start();
    dns.addresses("shop.test", &[three.ip()], 0);
    let gateway = Gateway::to(three).dns(dns.address(), shop(port)).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n");
    let mut answer = client.response_head();
    dns.addresses("shop.test", &[TWO], 0);
    soon(&gateway, "two");
    release.open();
    client.body(&mut answer);
    assert_eq!(answer.text(), "halfhalf");
    // Nobody will use the connection again.
    eventually("its connection ends", || held.is_idle().then_some(()));
    assert_eq!(client.get("/").text(), "two");
}

#[test]
fn kept_connections_to_an_endpoint_that_went_are_closed() {
    let (one, _two, port) = two();
    let dns = Dns::start();
    dns.addresses("shop.test", &[ONE], 0);
    let gateway = Gateway::to(one.address())
        .dns(dns.address(), shop(port))
        .start();
    assert_eq!(gateway.get("/").text(), "one");
    assert!(!one.is_idle());
    dns.addresses("shop.test", &[TWO], 0);
    eventually("it is closed", || one.is_idle().then_some(()));
    soon(&gateway, "two");
}

#[test]
fn servers_that_fail_leave_the_last_good_answer() {
    let origin = Origin::answers(200, "alive");
    let dns = Dns::start();
    dns.addresses("shop.test", &[ONE], 0);
    let gateway = Gateway::to(origin.address())
        .dns(dns.address(), shop(origin.address().port()))
        .start();
    dns.says("shop.test", Says::Failure);
    let known = eventually("a failure", || {
        Some(looked_up(&gateway)).filter(|known| known.lookups.failed > 1)
    });
    assert_eq!(known.endpoints.len(), 1);
    let problem = known.problem.expect("it is said");
    assert!(problem.contains("shop.test: "), "{problem}");
    assert_eq!(gateway.get("/").text(), "alive");
    dns.addresses("shop.test", &[ONE, TWO], 0);
    eventually("it works again", || {
        let known = looked_up(&gateway);
        (known.endpoints.len() == 2 && known.problem.is_none()).then_some(())
    });
}

#[test]
fn a_name_that_vanishes_is_used_as_a_last_resort() {
    let origin = Origin::answers(200, "alive");
    let dns = Dns::start();
    dns.addresses("shop.test", &[ONE], 0);
    let gateway = Gateway::to(origin.address())
        .dns(dns.address(), shop(origin.address().port()))
        .start();
    for says in [
        Says::NoName(0),
        Says::NoRecords(0),
        Says::Addresses(Vec::new(), 0),
    ] {
        let before = looked_up(&gateway).lookups.missing;
        dns.says("shop.test", says);
        eventually("it is missing", || {
            (looked_up(&gateway).lookups.missing > before + 3).then_some(())
        });
        assert_eq!(gateway.get("/").text(), "alive");
    }
}

#[test]
fn a_name_without_addresses_is_503_until_it_has_some() {
    let origin = Origin::answers(200, "alive");
    let dns = Dns::start();
    let gateway = Gateway::to(origin.address())
        .dns(dns.address(), shop(origin.address().port()))
        .start();
    assert_eq!(gateway.get("/").status(), 503);
    let line = gateway.log_lines(1).remove(0);
    assert!(line.contains(" 503 no_endpoint "), "{line}");
    let known = looked_up(&gateway);
    assert_eq!((known.answered, known.endpoints.len()), (true, 0));
    assert_eq!(
        known.problem.as_deref(),
        Some("shop.test: the name does not exist")
    );
    dns.addresses("shop.test", &[ONE], 60);
    soon(&gateway, "alive");
}

#[test]
fn a_server_that_is_silent_delays_a_start_for_two_seconds_at_most() {
    let origin = Origin::answers(200, "alive");
    let dns = Dns::start();
    dns.says("shop.test", Says::Silence);
    let start = Instant::now();
    let mut gateway = Gateway::to(origin.address())
        .dns(dns.address(), shop(origin.address().port()))
        .start();
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(gateway.get("/").status(), 503);
    assert!(!looked_up(&gateway).answered);
    // A generation without the name does not wait for it.
    gateway.change(Gateway::to(origin.address()));
    assert_eq!(gateway.get("/").text(), "alive");
    assert!(gateway.metrics().names.is_empty());
}

#[test]
fn a_thousand_addresses_come_over_tcp_and_some_of_them_are_used() {
    let origin = Origin::answers(200, "alive");
    let dns = Dns::start();
    let all: Vec<IpAddr> = (0..1000_u32)
        .map(|n| IpAddr::from(Ipv4Addr::from_bits(0x7f00_0100 + n)))
        .collect();
    dns.addresses("shop.test", &all, 0);
    let gateway = Gateway::to(origin.address())
        .dns(dns.address(), shop(origin.address().port()))
        .start();
    let endpoints = looked_up(&gateway).endpoints;
    assert_eq!(endpoints.len(), MOST_ENDPOINTS);
    assert!(
        dns.asked().iter().any(|asked| asked.over_tcp),
        "{:?}",
        dns.asked()
    );
    let lookups = looked_up(&gateway).lookups.found;
    eventually("more lookups", || {
        (looked_up(&gateway).lookups.found > lookups + 2).then_some(())
    });
    assert_eq!(looked_up(&gateway).endpoints, endpoints, "always the same");
}

#[test]
fn a_name_that_flaps_costs_no_request() {
    let (one, _two, port) = two();
    let dns = Dns::start();
    dns.addresses("shop.test", &[ONE], 0);
    let gateway = Gateway::to(one.address())
        .dns(dns.address(), shop(port))
        .start();
    let mut client = gateway.client();
    let mut said = std::collections::BTreeSet::new();
    for round in 0..40 {
        let answer = if round % 2 == 0 { [TWO] } else { [ONE] };
        let asked = dns.count("shop.test", Kind::A);
        dns.addresses("shop.test", &answer, 0);
        eventually("a lookup", || {
            (dns.count("shop.test", Kind::A) > asked).then_some(())
        });
        let answer = client.get("/");
        assert_eq!(answer.status(), 200);
        said.insert(answer.text());
    }
    assert_eq!(said.len(), 2);
}

#[test]
fn services_have_ports_weights_and_priorities() {
    let (first, heavy, spare) = (
        Origin::answers(200, "light"),
        Origin::answers(200, "heavy"),
        Origin::answers(200, "spare"),
    );
    let dns = Dns::start();
    let service = |priority, weight, origin: SocketAddr| {
        (priority, weight, origin.port(), "host.test".to_owned())
    };
    dns.addresses("host.test", &[ONE], 0);
    let services = vec![
        service(10, 1, first.address()),
        service(10, 3, heavy.address()),
        service(20, 1, spare.address()),
        (5, 1, 80, ".".to_owned()),
    ];
    dns.says("_http._tcp.shop.test", Says::Services(services, 0));
    let source = DnsSource {
        names: vec!["_http._tcp.shop.test".into()],
        records: DnsRecords::Services,
        ..shop(80)
    };
    let gateway = Gateway::to(first.address())
        .dns(dns.address(), source)
        .start();
    let said: Vec<String> = (0..40).map(|_| gateway.get("/").text()).collect();
    let count = |body: &str| said.iter().filter(|one| *one == body).count();
    assert_eq!(
        (count("light"), count("heavy"), count("spare")),
        (10, 30, 0)
    );
    // The better ones are down.
    let services = vec![
        service(10, 1, Origin::nowhere()),
        service(20, 1, spare.address()),
    ];
    dns.says("_http._tcp.shop.test", Says::Services(services, 0));
    soon(&gateway, "spare");
}

#[test]
fn addresses_that_only_this_machine_can_reach_are_not_used() {
    let origin = Origin::answers(200, "alive");
    let dns = Dns::start();
    let metadata = IpAddr::from([169, 254, 169, 254]);
    dns.addresses(
        "shop.test",
        &[metadata, ONE, IpAddr::from([0, 0, 0, 0])],
        60,
    );
    let gateway = Gateway::to(origin.address())
        .dns(dns.address(), shop(origin.address().port()))
        .start();
    let endpoints = looked_up(&gateway).endpoints;
    assert_eq!(endpoints.len(), 1);
    assert_eq!(endpoints[0].address.ip(), ONE);
}

#[test]
fn several_names_are_one_backend_and_one_that_fails_takes_nothing_from_the_others() {
    let (one, _two, port) = two();
    let dns = Dns::start();
    dns.addresses("shop.test", &[ONE], 0);
    dns.addresses("more.test", &[TWO], 0);
    let source = DnsSource {
        names: vec!["shop.test".into(), "more.test".into()],
        ..shop(port)
    };
    let gateway = Gateway::to(one.address())
        .dns(dns.address(), source)
        .start();
    eventually("both names", || {
        (looked_up(&gateway).endpoints.len() == 2).then_some(())
    });
    dns.says("more.test", Says::NoName(0));
    eventually("one is left", || {
        (looked_up(&gateway).endpoints.len() == 1).then_some(())
    });
    assert_eq!(gateway.get("/").text(), "one");
}

#[test]
fn answers_stay_through_generations_that_have_the_same_name() {
    let origin = Origin::answers(200, "alive");
    let dns = Dns::start();
    dns.addresses("shop.test", &[ONE], 60);
    let source = shop(origin.address().port());
    let mut gateway = Gateway::to(origin.address())
        .dns(dns.address(), source.clone())
        .start();
    dns.says("shop.test", Says::Failure);
    for _ in 0..5 {
        gateway.change(Gateway::to(origin.address()).dns(dns.address(), source.clone()));
        assert_eq!(gateway.get("/").text(), "alive");
    }
    assert_eq!(dns.count("shop.test", Kind::A), 1);
}

#[test]
fn a_family_that_is_never_answered_does_not_hold_up_the_other() {
    let origin = Origin::answers(200, "alive");
    let dns = Dns::start();
    dns.says("shop.test", Says::OnlyV4(vec![ONE], 60));
    let start = Instant::now();
    let gateway = Gateway::to(origin.address())
        .dns(dns.address(), shop(origin.address().port()))
        .start();
    assert_eq!(gateway.get("/").text(), "alive");
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
}
