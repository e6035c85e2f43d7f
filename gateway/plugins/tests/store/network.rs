//! What is connected to, and how: TLS, proxies, redirects, networks.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;

use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::PrivatePkcs8KeyDer;
use tidegate_plugin_store::again::Again;
use tidegate_plugin_store::http::Client;
use tidegate_plugin_store::http::Limits;
use tidegate_plugin_store::http::Networks;
use tidegate_plugin_store::http::Proxies;
use tidegate_plugin_store::pull::Source;
use tidegate_plugin_store::registry::HostSettings;
use tidegate_plugin_store::registry::Mirror;
use tidegate_plugin_store::registry::Mirrors;

use crate::kit::WASM;
use crate::kit::module;
use crate::kit::pull;
use crate::kit::pull_always;
use crate::kit::reference;
use crate::kit::refused;
use crate::kit::store;
use crate::kit::store_with;
use crate::stub::Reply;
use crate::stub::Stub;

fn with_image() -> (Stub, tempfile::TempDir) {
    let stub = Stub::start();
    stub.image("a/b", "1", &[(WASM, &module(1))]);
    (stub, tempfile::tempdir().unwrap())
}

/// A registry with TLS for `localhost`, and the file of its authority.
fn secure(folder: &std::path::Path) -> (Stub, PathBuf) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = parameters.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(parameters, key);
    let names = vec!["localhost".to_owned(), "registry.test".to_owned()];
    let leaf_key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(names).unwrap();
    let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap();
    let file = folder.join("authority.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    let stub = Stub::start_tls(config);
    stub.image("a/b", "1", &[(WASM, &module(1))]);
    (stub, file)
}

fn settings(plain_http: Option<bool>, ca_file: Option<PathBuf>) -> HostSettings {
    HostSettings {
        plain_http,
        ca_file,
    }
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused_until_its_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (stub, authority) = secure(folder.path());
    let host = format!("localhost:{}", stub.address.port());
    let image = format!("{host}/a/b:1").parse().unwrap();
    let mut store = store(folder.path());
    store
        .hosts
        .by_host
        .insert(host.clone(), settings(Some(false), None));
    let err = refused(
        pull(&store, &image).await,
        &["no secure connection", "UnknownIssuer"],
    );
    assert_eq!(err.again(), Again::Late);
    store
        .hosts
        .by_host
        .insert(host.clone(), settings(None, Some(authority.clone())));
    let pulled = pull(&store, &image).await.unwrap();
    assert_eq!(pulled.code.bytes, module(1));
    // A certificate for another name is none.
    let other = format!("127.0.0.1:{}", stub.address.port());
    store
        .hosts
        .by_host
        .insert(other.clone(), settings(None, Some(authority)));
    let image = format!("{other}/a/b:1").parse().unwrap();
    refused(pull(&store, &image).await, &["no secure connection"]);
    let missing = folder.path().join("missing.pem");
    store
        .hosts
        .by_host
        .insert(other, settings(None, Some(missing)));
    refused(pull(&store, &image).await, &["missing.pem"]);
}

#[tokio::test]
async fn a_registry_without_tls_where_tls_is_wanted_is_refused() {
    let (stub, folder) = with_image();
    let mut store = store(folder.path());
    let host = stub.address.to_string();
    store
        .hosts
        .by_host
        .insert(host, settings(Some(false), None));
    refused(
        pull(&store, &reference(&stub, "a/b:1")).await,
        &["no secure connection"],
    );
    assert!(stub.seen().is_empty());
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (stub, authority) = secure(folder.path());
    let (plain, _) = with_image();
    let to = format!("http://{}/x", plain.address);
    stub.rule(move |seen| {
        let reply = Reply::new(307, "").with("Location", to.clone());
        seen.target.contains("/blobs/").then_some(reply)
    });
    let host = format!("localhost:{}", stub.address.port());
    let mut store = store(folder.path());
    store
        .hosts
        .by_host
        .insert(host.clone(), settings(None, Some(authority)));
    let outcome = pull(&store, &format!("{host}/a/b:1").parse().unwrap()).await;
    refused(outcome, &["from HTTPS to what is not encrypted"]);
    assert!(plain.seen().is_empty());
    // Nor is a token server without TLS believed by a registry with it.
    stub.forget_rules();
    let realm = format!("Bearer realm=\"http://{}/token\"", plain.address);
    stub.rule(move |_| Some(Reply::new(401, "").with("WWW-Authenticate", realm.clone())));
    let outcome = pull(&store, &format!("{host}/a/b:1").parse().unwrap()).await;
    refused(outcome, &["is plain HTTP, and the registry is not"]);
    assert!(plain.seen().is_empty());
}

#[tokio::test]
async fn redirects_end_and_lead_to_no_forbidden_address() {
    let (stub, folder) = with_image();
    let store = store(folder.path());
    let image = reference(&stub, "a/b:1");
    for (to, because) in [
        ("/v2/again", "there were five before it"),
        ("http://169.254.169.254/latest/meta-data", "plain HTTP"),
        (
            "https://169.254.169.254/latest/meta-data",
            "link-local addresses are never fetched",
        ),
        ("https://[fe80::1]/", "link-local"),
        ("https://[::ffff:169.254.169.254]/", "link-local"),
        ("https://0.0.0.0/", "not the address of one machine"),
        ("https://100.100.100.200/", "metadata"),
        ("ftp://example.com/", "neither https nor http"),
        (
            "https://me:secret@example.com/",
            "credentials do not belong",
        ),
        ("http://registry.example/", "plain HTTP"),
    ] {
        stub.forget_rules();
        stub.rule(move |_| Some(Reply::new(302, "").with("Location", to)));
        stub.take_seen();
        let err = refused(pull(&store, &image).await, &[because]);
        assert!(!crate::kit::chain(&err).contains("secret"));
        let requests = stub.take_seen().len();
        assert_eq!(requests, if to.starts_with('/') { 6 } else { 1 }, "{to}");
    }
}

#[tokio::test]
async fn the_operators_networks_bound_what_is_fetched_from() {
    let (stub, folder) = with_image();
    let image = reference(&stub, "a/b:1");
    let with = |allow: &[&str], deny: &[&str]| {
        let read = |list: &[&str]| list.iter().map(|it| it.parse().unwrap()).collect();
        let networks = Networks {
            allow: read(allow),
            deny: read(deny),
        };
        store_with(
            folder.path(),
            Client::new(networks, Proxies::none(), Limits::default()),
        )
    };
    let outcome = pull(&with(&["10.0.0.0/8"], &[]), &image).await;
    let err = refused(
        outcome,
        &[
            "127.0.0.1, which is not fetched from",
            "in none of the networks",
        ],
    );
    assert_eq!(err.again(), Again::Late);
    refused(
        pull(&with(&[], &["127.0.0.0/8"]), &image).await,
        &["the operator denies its network"],
    );
    assert_eq!(stub.connections(), 0);
    pull(&with(&["127.0.0.0/8"], &[]), &image).await.unwrap();
}

#[tokio::test]
async fn plain_http_is_spoken_with_loopback_and_where_it_is_allowed_only() {
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::start();
    let variables = |name: &str| (name == "ALL_PROXY").then(|| proxy.url());
    let proxies = Proxies::from_variables(variables).unwrap();
    let client = Client::new(Networks::default(), proxies, Limits::default());
    let mut store = store_with(folder.path(), client);
    let image = "registry.test:5000/a/b:1".parse().unwrap();
    // The proxy has no such host, and would be asked for it by CONNECT: that is TLS.
    refused(
        pull(&store, &image).await,
        &["does not connect to registry.test:5000"],
    );
    assert_eq!(proxy.take(), ["CONNECT registry.test:5000"]);
    let plain = settings(Some(true), None);
    store
        .hosts
        .by_host
        .insert("registry.test:5000".to_owned(), plain);
    let (stub, _) = with_image();
    proxy.lead("registry.test:5000", stub.address);
    let pulled = pull(&store, &image).await.unwrap();
    let warnings: Vec<String> = pulled.warnings.iter().map(ToString::to_string).collect();
    let warnings = warnings.join("; ");
    assert!(
        warnings.contains("registry.test:5000 is spoken to without TLS"),
        "{warnings}"
    );
    assert!(proxy.take()[0].starts_with("GET http://registry.test:5000/v2/a/b/manifests/1"));
}

#[tokio::test]
async fn nobody_else_leads_to_loopback() {
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::start();
    let variables = |name: &str| (name == "HTTP_PROXY").then(|| proxy.url());
    let proxies = Proxies::from_variables(variables).unwrap();
    let client = Client::new(Networks::default(), proxies, Limits::default());
    let mut store = store_with(folder.path(), client);
    let host = "registry.test:5000".to_owned();
    store
        .hosts
        .by_host
        .insert(host.clone(), settings(Some(true), None));
    let (stub, _) = with_image();
    proxy.lead(&host, stub.address);
    // What only this machine reaches, such as the gateway's own admin API.
    let (private, _) = with_image();
    let image = format!("{host}/a/b:1").parse().unwrap();
    for (to, because) in [
        (
            format!("http://{}/", private.address),
            "would be plain HTTP",
        ),
        (
            format!("https://{}/", private.address),
            "loopback is fetched from only if",
        ),
        (
            format!("https://localhost:{}/", private.address.port()),
            "loopback is fetched from only",
        ),
    ] {
        stub.forget_rules();
        let location = to.clone();
        stub.rule(move |_| Some(Reply::new(307, "").with("Location", location.clone())));
        refused(pull(&store, &image).await, &[because]);
        stub.forget_rules();
        let realm = format!("Bearer realm=\"{to}\"");
        stub.rule(move |_| Some(Reply::new(401, "").with("WWW-Authenticate", realm.clone())));
        refused(pull(&store, &image).await, &["gave no token", because]);
    }
    assert_eq!(private.connections(), 0);
}

#[tokio::test]
async fn proxies_are_asked_to_connect_with_their_own_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let (stub, authority) = secure(folder.path());
    let proxy = Proxy::start();
    proxy.lead("registry.test:443", stub.address);
    proxy.want("Basic bWU6czNjcmV0");
    let image = "registry.test/a/b:1".parse().unwrap();
    let with = |user: &str| {
        let url = proxy.url().replace("http://", &format!("http://{user}"));
        let variables = |name: &str| (name == "HTTPS_PROXY").then(|| url.clone());
        let proxies = Proxies::from_variables(variables).unwrap();
        let client = Client::new(Networks::default(), proxies, Limits::default());
        let mut store = store_with(folder.path(), client);
        let settings = settings(None, Some(authority.clone()));
        store
            .hosts
            .by_host
            .insert("registry.test".to_owned(), settings);
        store
    };
    let err = refused(
        pull(&with(""), &image).await,
        &["it wants credentials", "put them into the proxy's address"],
    );
    assert_eq!(err.again(), Again::Soon);
    refused(
        pull(&with("me:wrong@"), &image).await,
        &["it wants credentials"],
    );
    let pulled = pull(&with("me:s3cret@"), &image).await.unwrap();
    assert_eq!(pulled.code.bytes, module(1));
    assert!(
        stub.seen()
            .iter()
            .all(|it| it.header("proxy-authorization").is_none())
    );
    // Behind a proxy, too, an address that is written down is checked.
    let forbidden = "169.254.169.254/a/b:1".parse().unwrap();
    refused(pull(&with("me:s3cret@"), &forbidden).await, &["link-local"]);
}

#[tokio::test]
async fn mirrors_are_asked_in_order_and_each_failure_is_told() {
    let (stub, folder) = with_image();
    let dead = TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let mirror = Stub::start();
    mirror.image("hub/me/x", "1", &[(WASM, &module(7))]);
    let to = |to: String, is_only| Mirror {
        from: stub.address.to_string(),
        to,
        is_only,
    };
    let mut store = store(folder.path());
    let both = [
        to(dead.to_string(), false),
        to(format!("{}/hub", mirror.address), false),
    ];
    store.mirrors = Mirrors::new(both.to_vec()).unwrap();
    let pulled = pull(&store, &reference(&stub, "me/x:1")).await.unwrap();
    assert_eq!(pulled.code.bytes, module(7));
    assert!(stub.seen().is_empty());
    // What the mirrors do not have is at its own place.
    let pulled = pull(&store, &reference(&stub, "a/b:1")).await.unwrap();
    assert_eq!(pulled.code.bytes, module(1));
    let outcome = pull(&store, &reference(&stub, "a/nowhere:1")).await;
    let err = refused(
        outcome,
        &["from any place", "hub/a/nowhere:1", "cannot connect to"],
    );
    assert_eq!(err.again(), Again::Soon, "the dead mirror may live again");
    let only = [to(format!("{}/hub", mirror.address), true)];
    store.mirrors = Mirrors::new(only.to_vec()).unwrap();
    stub.image("a/c", "1", &[(WASM, &module(2))]);
    refused(
        pull(&store, &reference(&stub, "a/c:1")).await,
        &[" has no hub/a/c:1"],
    );
}

#[tokio::test]
async fn one_connection_serves_a_pull() {
    let (stub, folder) = with_image();
    let store = store(folder.path());
    pull_always(&store, &reference(&stub, "a/b:1"))
        .await
        .unwrap();
    let expected = stub.seen().len();
    assert!(expected >= 2);
    assert_eq!(stub.connections(), 1);
}

#[tokio::test]
async fn a_registry_that_closes_every_connection_is_asked_on_new_ones() {
    let (stub, folder) = with_image();
    let layer = module(1);
    let digest = crate::stub::sha256(&layer);
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "config": { "digest": crate::stub::sha256(b"{}"), "size": 2 },
        "layers": [{ "mediaType": WASM, "digest": digest, "size": layer.len() }],
    });
    let manifest = manifest.to_string().into_bytes();
    stub.rule(move |seen| {
        let is_blob = seen.target.contains("/blobs/");
        let body = if is_blob {
            layer.clone()
        } else {
            manifest.clone()
        };
        let is_head = seen.method == "HEAD";
        // Nothing says that the connection ends with the answer.
        Some(Reply::raw(move |out| {
            write!(
                out,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                body.len()
            )
            .unwrap();
            if !is_head {
                out.write_all(&body).unwrap();
            }
        }))
    });
    let store = store(folder.path());
    for _ in 0..5 {
        let pulled = pull_always(&store, &reference(&stub, "a/b:1"))
            .await
            .unwrap();
        assert!(
            !matches!(pulled.source, Source::CacheAfter(_)),
            "{:?}",
            pulled.source
        );
    }
    assert!(stub.connections() >= 2);
}

#[tokio::test]
async fn a_registry_is_found_by_every_name_of_loopback() {
    let (stub, folder) = with_image();
    let store = store(folder.path());
    let port = stub.address.port();
    for host in ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]"] {
        let image = format!("{host}:{port}/a/b:1").parse().unwrap();
        let pulled = pull(&store, &image).await;
        let pulled = pulled.unwrap_or_else(|err| panic!("{host}: {}", crate::kit::chain(&err)));
        assert_eq!(pulled.code.bytes, module(1));
    }
}

#[tokio::test]
async fn a_name_without_an_address_and_a_dead_registry_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let image = "no-such-host.invalid/a/b:1".parse().unwrap();
    let err = refused(pull(&store, &image).await, &["cannot find the address of"]);
    assert_eq!(err.again(), Again::Soon);
    let dead = TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let image = format!("{dead}/a/b:1").parse().unwrap();
    let err = refused(
        pull(&store, &image).await,
        &["cannot connect to", "refused"],
    );
    assert_eq!(err.again(), Again::Soon);
}

/// A proxy that knows a few hosts.
struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<ProxyState>>,
}

#[derive(Default)]
struct ProxyState {
    hosts: Vec<(String, SocketAddr)>,
    wanted: Option<String>,
    seen: Vec<String>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(ProxyState::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || Self::serve(&state, stream));
            }
        });
        Self { address, state }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn lead(&self, host: &str, to: SocketAddr) {
        self.state.lock().unwrap().hosts.push((host.to_owned(), to));
    }

    fn want(&self, authorization: &str) {
        self.state.lock().unwrap().wanted = Some(authorization.to_owned());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }

    /// One request, then bytes both ways.
    fn serve(state: &Mutex<ProxyState>, mut client: TcpStream) {
        let mut reader = BufReader::new(client.try_clone().unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let line = head.lines().next().unwrap();
        let (method, rest) = line.split_once(' ').unwrap();
        let target = rest.split(' ').next().unwrap();
        let host = target
            .trim_start_matches("http://")
            .split('/')
            .next()
            .unwrap();
        let (to, is_welcome) = {
            let mut state = state.lock().unwrap();
            state.seen.push(format!("{method} {target}"));
            let to = state
                .hosts
                .iter()
                .find(|(name, _)| name == host)
                .map(|(_, to)| *to);
            let is_welcome = state.wanted.as_ref().is_none_or(|it| head.contains(it));
            (to, is_welcome)
        };
        let refusal = match (is_welcome, to) {
            (false, _) => Some("407 Proxy Authentication Required"),
            (true, None) => Some("502 Bad Gateway"),
            (true, Some(_)) => None,
        };
        if let Some(refusal) = refusal {
            write!(client, "HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n").ok();
            return;
        }
        let mut server = TcpStream::connect(to.unwrap()).unwrap();
        if method == "CONNECT" {
            client
                .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                .unwrap();
        } else {
            let path = target
                .trim_start_matches("http://")
                .trim_start_matches(host);
            let head = head.replacen(target, path, 1);
            server.write_all(head.as_bytes()).unwrap();
        }
        let mut back = server.try_clone().unwrap();
        let mut to_client = client.try_clone().unwrap();
        let answers = std::thread::spawn(move || {
            std::io::copy(&mut back, &mut to_client).ok();
            to_client.shutdown(std::net::Shutdown::Both).ok();
        });
        std::io::copy(&mut reader, &mut server).ok();
        server.shutdown(std::net::Shutdown::Both).ok();
        answers.join().unwrap();
    }
}
