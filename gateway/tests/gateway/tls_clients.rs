//! Clients' certificates: required, optional, told to origins and filters.

use std::sync::Arc;

use tidegate_core::client_certificate::Detail;
use tidegate_core::client_certificate::Details;
use tidegate_core::client_certificate::ForwardClientCert;
use tidegate_core::client_certificate::Mode;
use tidegate_proxy::Bundle;
use tidegate_testkit::Authority;
use tidegate_testkit::Gateway;
use tidegate_testkit::Https;
use tidegate_testkit::Leaf;
use tidegate_testkit::Origin;
use tidegate_testkit::Pair;
use tidegate_testkit::TlsClient;
use tidegate_testkit::gateway::Builder;

use super::tls::counted;

const XFCC: &str = "x-forwarded-client-cert";

struct World {
    servers: Authority,
    clients: Authority,
    origin: Origin,
}

impl World {
    fn new() -> Self {
        Self {
            servers: Authority::root("servers"),
            clients: Authority::root("clients"),
            origin: Origin::answers(200, "hello"),
        }
    }

    fn builder(&self, optional: bool) -> Builder {
        let leaf = Leaf::named("shop.test").uri("spiffe://td/gateway");
        let certificate = self.servers.sign(&leaf).certificate();
        Gateway::to(self.origin.address())
            .certificate(Some(&certificate))
            .bundle(Some(&self.clients.bundle()))
            .https(Https::at("shop.test", 0).clients(0, optional))
    }

    fn client(&self, shown: Option<&Pair>) -> TlsClient {
        TlsClient::new(&self.servers.pem, shown)
    }

    fn good(&self) -> Pair {
        let leaf = Leaf::named("client.test").uri("spiffe://td/client");
        self.clients
            .sign(&leaf.common_name("a client").for_clients())
    }
}

/// A GET on a new connection. With TLS 1.3, a client learns after its own handshake that it was
/// refused.
fn get(client: &TlsClient, gateway: &Gateway) -> Result<u16, String> {
    let answer = client.get(gateway.address(), "shop.test", "/");
    answer
        .map(|answer| answer.status())
        .map_err(|err| err.to_string())
}

#[test]
fn a_required_certificate_is_verified_and_told_to_the_origin() {
    let world = World::new();
    let gateway = world.builder(false).start();
    assert_eq!(get(&world.client(Some(&world.good())), &gateway), Ok(200));
    let told = world.origin.only_request();
    let told = told.field(XFCC).expect("the origin is told").to_owned();
    assert!(told.starts_with("By=spiffe://td/gateway;Hash="), "{told}");
    assert!(told.contains(";Subject=\"O=Tests,CN=a client\";"), "{told}");
    assert!(
        told.ends_with(";URI=spiffe://td/client;DNS=client.test"),
        "{told}"
    );
}

#[test]
fn a_client_without_a_certificate_or_with_a_bad_one_is_refused() {
    let world = World::new();
    let gateway = world.builder(false).start();
    let err = get(&world.client(None), &gateway).expect_err("refused");
    assert!(err.contains("CertificateRequired"), "{err}");
    counted(&gateway, "no_client_certificate");
    let stranger = Authority::root("strangers").sign(&Leaf::named("client.test"));
    let expired = world
        .clients
        .sign(&Leaf::named("client.test").years(2001, 2002));
    let purpose = world
        .clients
        .sign(&Leaf::named("client.test").for_servers());
    for (bad, alert) in [
        (&stranger, "UnknownCA"),
        (&expired, "CertificateExpired"),
        (&purpose, "UnsupportedCertificate"),
    ] {
        let err = get(&world.client(Some(bad)), &gateway).expect_err("refused");
        assert!(err.contains(alert), "{err} instead of {alert}");
    }
    counted(&gateway, "bad_client_certificate");
    assert!(world.origin.requests().is_empty());
}

#[test]
fn an_optional_certificate_is_told_only_if_it_is_believed() {
    let world = World::new();
    let gateway = world.builder(true).start();
    let stranger = Authority::root("strangers").sign(&Leaf::named("client.test"));
    let good = world.good();
    for (shown, told) in [(None, false), (Some(&stranger), false), (Some(&good), true)] {
        let client = world.client(shown);
        // The second one resumes the session of the first.
        for _ in 0..2 {
            assert_eq!(get(&client, &gateway), Ok(200));
            let requests = world.origin.requests();
            let request = requests.last().expect("it came");
            assert_eq!(request.field(XFCC).is_some(), told, "{request:?}");
        }
    }
    counted(&gateway, "resumed");
}

#[test]
fn what_a_client_claims_about_certificates_is_removed() {
    let world = World::new();
    let gateway = world.builder(true).start();
    let mut connection = world
        .client(None)
        .connect(gateway.address(), "shop.test")
        .expect("TLS");
    connection
        .send(format!(
            "GET / HTTP/1.1\r\nHost: shop.test\r\n{XFCC}: Hash=forged\r\n\r\n"
        ))
        .expect("sent");
    assert_eq!(connection.response().expect("an answer").status(), 200);
    assert_eq!(world.origin.only_request().field(XFCC), None);
}

#[test]
fn behind_a_trusted_proxy_the_certificate_follows_those_it_saw() {
    let world = World::new();
    let gateway = world.builder(false).trusted_hops(1).start();
    let client = world.client(Some(&world.good()));
    let mut connection = client.connect(gateway.address(), "shop.test").expect("TLS");
    connection
        .send(format!(
            "GET / HTTP/1.1\r\nHost: shop.test\r\n{XFCC}: Hash=aa\r\n\r\n"
        ))
        .expect("sent");
    assert_eq!(connection.response().expect("an answer").status(), 200);
    let request = world.origin.only_request();
    let told = request.field(XFCC).expect("the origin is told");
    assert!(
        told.starts_with("Hash=aa,By=spiffe://td/gateway;Hash="),
        "{told}"
    );
}

#[test]
fn a_session_of_a_listener_that_asks_less_is_not_resumed_where_more_is_asked() {
    let world = World::new();
    let mut gateway = world.builder(true).start();
    let client = world.client(None);
    let mut kept = client.connect(gateway.address(), "shop.test").expect("TLS");
    assert_eq!(kept.get("shop.test", "/").expect("an answer").status(), 200);
    gateway.change(world.builder(false));
    let err = get(&client, &gateway).expect_err("refused");
    assert!(err.contains("CertificateRequired"), "{err}");
    // Nor does a connection of before go on as if nothing had changed.
    assert_eq!(kept.get("shop.test", "/").expect("an answer").status(), 421);
    assert_eq!(world.origin.requests().len(), 1);
}

#[test]
fn a_client_whose_certificate_is_revoked_is_refused_also_on_what_it_has_open() {
    let world = World::new();
    let below = world.clients.intermediate("below");
    let client = |serial: u64| below.sign(&Leaf::named("client.test").serial(serial).for_clients());
    let (bad, good) = (client(7), client(8));
    let builder = |bundle: &Arc<Bundle>, optional: bool| {
        let certificate = world.servers.server("shop.test").certificate();
        Gateway::to(world.origin.address())
            .certificate(Some(&certificate))
            .bundle(Some(bundle))
            .https(Https::at("shop.test", 0).clients(0, optional))
    };
    let lists = |serials: &[u64]| {
        let own = world.clients.revoked(&[], 4000);
        world
            .clients
            .bundle_with(&format!("{own}{}", below.revoked(serials, 4000)))
    };
    let mut gateway = builder(&lists(&[]), false).start();
    let mut kept: Vec<_> = [&bad, &good]
        .into_iter()
        .map(|pair| {
            let client = world.client(Some(pair));
            client.connect(gateway.address(), "shop.test").expect("TLS")
        })
        .collect();
    for connection in &mut kept {
        assert_eq!(
            connection
                .get("shop.test", "/")
                .expect("an answer")
                .status(),
            200
        );
    }
    gateway.change(builder(&lists(&[7]), false));
    let err = get(&world.client(Some(&bad)), &gateway).expect_err("refused");
    assert!(err.contains("CertificateRevoked"), "{err}");
    assert_eq!(get(&world.client(Some(&good)), &gateway), Ok(200));
    // Of the connections of before, that of the good client goes on as if nothing had happened.
    let after: Vec<u16> = kept
        .iter_mut()
        .map(|one| one.get("shop.test", "/").expect("an answer").status())
        .collect();
    assert_eq!(after, [421, 200]);
    // Where certificates are optional, it is a client without one.
    gateway.change(builder(&lists(&[7]), true));
    for (pair, told) in [(&bad, false), (&good, true)] {
        assert_eq!(get(&world.client(Some(pair)), &gateway), Ok(200));
        let requests = world.origin.requests();
        assert_eq!(
            requests.last().expect("it came").field(XFCC).is_some(),
            told
        );
    }
}

#[test]
fn lists_must_cover_the_way_to_the_authority_and_count_when_they_are_out_of_date() {
    let world = World::new();
    let below = world.clients.intermediate("below");
    let pair = |serial: u64| below.sign(&Leaf::named("client.test").serial(serial).for_clients());
    let own = world.clients.revoked(&[], 4000);
    for (lists, serial, expected) in [
        // Nothing is known of what is below.
        (own.clone(), 8, Err("UnknownCA")),
        // Nothing is known of the one between.
        (below.revoked(&[], 4000), 8, Err("UnknownCA")),
        // Out of date, they are better than none.
        (
            format!("{own}{}", below.revoked(&[7], 2002)),
            7,
            Err("CertificateRevoked"),
        ),
        (format!("{own}{}", below.revoked(&[7], 2002)), 8, Ok(200)),
        // Somebody else's with the same name says nothing.
        (
            format!("{own}{}", Authority::root("below").revoked(&[], 4000)),
            8,
            Err(""),
        ),
    ] {
        let certificate = world.servers.server("shop.test").certificate();
        let gateway = Gateway::to(world.origin.address())
            .certificate(Some(&certificate))
            .bundle(Some(&world.clients.bundle_with(&lists)))
            .https(Https::at("shop.test", 0).clients(0, false))
            .start();
        let got = get(&world.client(Some(&pair(serial))), &gateway);
        match (got, expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected),
            (Err(got), Err(expected)) => assert!(got.contains(expected), "{got}"),
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn a_new_list_of_other_authorities_leaves_connections_alone() {
    let world = World::new();
    let mut gateway = world.builder(true).start();
    let good = world.good();
    let mut kept: Vec<_> = [Some(&good), None]
        .into_iter()
        .map(|shown| {
            let client = world.client(shown);
            client.connect(gateway.address(), "shop.test").expect("TLS")
        })
        .collect();
    // Authorities that are read anew from the same text are others to the gateway.
    gateway.change(world.builder(true));
    for connection in &mut kept {
        for _ in 0..2 {
            let answer = connection.get("shop.test", "/").expect("an answer");
            assert_eq!(answer.status(), 200);
        }
    }
}

#[test]
fn what_origins_are_told_of_certificates_is_what_was_asked_for() {
    let world = World::new();
    let told = |mode: Mode, details: &[Detail], shown: Option<&Pair>| {
        let settings = ForwardClientCert {
            mode,
            details: Details::of(details.iter().copied()),
        };
        let gateway = world.builder(true).forward_client_cert(settings).start();
        let client = world.client(shown);
        let mut connection = client.connect(gateway.address(), "shop.test").expect("TLS");
        connection
            .send(format!(
                "GET / HTTP/1.1\r\nHost: shop.test\r\n{XFCC}: Hash=aa\r\n\r\n"
            ))
            .expect("sent");
        assert_eq!(connection.response().expect("an answer").status(), 200);
        let requests = world.origin.requests();
        let request = requests.last().expect("it came");
        request.field(XFCC).map(str::to_owned)
    };
    let good = world.good();
    assert_eq!(told(Mode::Sanitize, &[], Some(&good)), None);
    assert_eq!(
        told(Mode::ForwardOnly, &[], Some(&good)).as_deref(),
        Some("Hash=aa")
    );
    assert_eq!(told(Mode::ForwardOnly, &[], None), None);
    assert_eq!(
        told(Mode::AlwaysForwardOnly, &[], None).as_deref(),
        Some("Hash=aa")
    );
    let appended = told(Mode::AppendForward, &[Detail::Uri], Some(&good)).expect("told");
    assert!(
        appended.starts_with("Hash=aa,By=spiffe://td/gateway;Hash="),
        "{appended}"
    );
    assert!(appended.ends_with(";URI=spiffe://td/client"), "{appended}");
    let set = told(Mode::SanitizeSet, &[Detail::Cert], Some(&good)).expect("told");
    let pem = good.bare().chain.replace("\r\n", "\n");
    let escaped = [
        ("\n", "%0A"),
        (" ", "%20"),
        ("+", "%2B"),
        ("/", "%2F"),
        ("=", "%3D"),
    ]
    .into_iter()
    .fold(pem, |text, (from, to)| text.replace(from, to));
    assert!(
        set.ends_with(&format!(";Cert=\"{escaped}\"")),
        "{set}\n{escaped}"
    );
}

#[test]
fn without_a_usable_bundle_no_client_is_believed() {
    let world = World::new();
    let certificate = world.servers.server("shop.test").certificate();
    let gateway = Gateway::to(world.origin.address())
        .certificate(Some(&certificate))
        .bundle(None)
        .https(Https::at("shop.test", 0).clients(0, false))
        .start();
    let err = get(&world.client(Some(&world.good())), &gateway).expect_err("refused");
    assert!(err.contains("UnknownCA"), "{err}");
    assert!(world.origin.requests().is_empty());
}
