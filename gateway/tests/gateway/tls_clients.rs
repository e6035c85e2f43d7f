//! Clients' certificates: required, optional, told to origins and filters.

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
