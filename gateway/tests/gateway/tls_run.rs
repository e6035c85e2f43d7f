//! TLS as resources say it, under `tidegate run`: certificates that change while traffic flows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use tidegate_testkit::Authority;
use tidegate_testkit::Origin;
use tidegate_testkit::Pair;
use tidegate_testkit::TlsClient;
use tidegate_testkit::TlsFront;
use tidegate_testkit::certs::sha256;
use tidegate_testkit::eventually;

use super::process::Folder;
use super::process::Running;
use super::process::backend;
use super::process::route;

const GATEWAY: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec:
  gatewayClassName: tidegate
  addresses: [{ type: IPAddress, value: 127.0.0.1 }]
  listeners:
  - name: https
    port: 0
    protocol: HTTPS
    hostname: shop.test
    tls:
      certificateRefs: [{ group: tidegate.dev, kind: Certificate, name: shop }]
"#;

fn certificate(folder: &str) -> String {
    format!(
        r#"
apiVersion: tidegate.dev/v1alpha1
kind: Certificate
metadata: {{ name: shop }}
spec: {{ certificate: {folder}/tls.crt, key: {folder}/tls.key }}
"#
    )
}

/// Requests without end, each on a connection of its own or all on one.
struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Load {
    fn start(address: SocketAddr, authority: &str, keeps: bool) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let (stopped, pem) = (Arc::clone(&stop), authority.to_owned());
        let thread = std::thread::spawn(move || {
            let client = TlsClient::new(&pem, None);
            let mut kept = client.connect(address, "shop.test").expect("TLS");
            let mut served = 0;
            while !stopped.load(Ordering::SeqCst) {
                if !keeps {
                    kept = client.connect(address, "shop.test").expect("TLS");
                }
                let answer = kept.get("shop.test", "/").expect("an answer");
                assert_eq!(answer.status(), 200);
                served += 1;
            }
            served
        });
        Self { stop, thread }
    }

    fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        assert!(self.thread.join().expect("no request failed") > 0);
    }
}

/// Waits until new connections are shown this certificate.
#[track_caller]
fn shows(address: SocketAddr, authority: &Authority, pair: &Pair) {
    let expected = pair.certificate().sha256();
    eventually("the certificate", || {
        let client = TlsClient::new(&authority.pem, None);
        let mut connection = client.connect(address, "shop.test").expect("TLS");
        (sha256(&connection.shown()) == expected).then_some(())
    });
}

#[test]
fn certificates_in_files_change_under_load_and_a_bad_pair_never_serves() {
    let authority = Authority::root("root");
    let pair = || authority.server("shop.test");
    let (first, second, third) = (pair(), pair(), pair());
    let origin = Origin::answers(200, "hello");
    let folder = Folder::of(&[
        ("gateway.yaml", GATEWAY),
        ("certificate.yaml", &certificate(".")),
        ("route.yaml", &route("shop")),
        ("shop.yaml", &backend("shop", origin.address())),
        ("tls.crt", &first.chain),
        ("tls.key", &first.key),
    ]);
    let gateway = Running::start(&folder, &[]);
    let address = gateway.address().expect("it listens");
    shows(address, &authority, &first);
    let loads = [
        Load::start(address, &authority.pem, true),
        Load::start(address, &authority.pem, false),
    ];
    // A moment lies between the two files.
    folder.write("tls.crt", second.chain.as_bytes());
    folder.write("tls.key", second.key.as_bytes());
    shows(address, &authority, &second);
    folder.write("tls.crt", third.chain.as_bytes());
    gateway.logs("the private key does not belong to the certificate");
    shows(address, &authority, &second);
    let refused = eventually("the problem", || {
        let resource = gateway.resource("Certificate", "shop")?;
        let problem = resource.pointer("/problems/0/reason")?;
        (problem == "CertificateNotUsable").then_some(resource)
    });
    assert!(
        refused
            .to_string()
            .contains("the version before it serves on")
    );
    folder.write("tls.key", third.key.as_bytes());
    shows(address, &authority, &third);
    loads.into_iter().for_each(Load::end);
    let not_after = r#"tidegate_certificate_not_after_seconds{certificate="default/shop"}"#;
    assert!(
        gateway
            .metric(not_after)
            .is_some_and(|seconds| seconds > 1e9)
    );
    let dump = gateway.admin("GET /config_dump").text();
    assert!(
        dump.contains("shop.test") && !dump.contains("PRIVATE KEY"),
        "{dump}"
    );
}

#[test]
fn a_secret_that_kubernetes_swaps_serves_as_a_whole() {
    let authority = Authority::root("root");
    let origin = Origin::answers(200, "hello");
    let folder = Folder::of(&[
        ("gateway.yaml", GATEWAY),
        ("certificate.yaml", &certificate("mount")),
        ("route.yaml", &route("shop")),
        ("shop.yaml", &backend("shop", origin.address())),
    ]);
    let mount = folder.file("mount");
    std::fs::create_dir(&mount).expect("made");
    let swap = |version: &str, pair: &Pair| {
        let data = mount.join(version);
        std::fs::create_dir(&data).expect("made");
        std::fs::write(data.join("tls.crt"), &pair.chain).expect("written");
        std::fs::write(data.join("tls.key"), &pair.key).expect("written");
        let new = mount.join("..data_tmp");
        std::os::unix::fs::symlink(version, &new).expect("linked");
        std::fs::rename(new, mount.join("..data")).expect("swapped");
    };
    let first = authority.server("shop.test");
    swap("..one", &first);
    for file in ["tls.crt", "tls.key"] {
        let target = std::path::Path::new("..data").join(file);
        std::os::unix::fs::symlink(target, mount.join(file)).expect("linked");
    }
    let gateway = Running::start(&folder, &[]);
    let address = gateway.address().expect("it listens");
    shows(address, &authority, &first);
    for version in ["..two", "..three"] {
        let next = authority.server("shop.test");
        swap(version, &next);
        shows(address, &authority, &next);
    }
    let log = gateway.log().join("\n");
    assert!(!log.contains("does not belong"), "never half of it: {log}");
}

#[test]
fn a_certificate_that_cannot_be_used_stops_a_start_with_its_place() {
    let authority = Authority::root("root");
    let wrong = authority.sign(&tidegate_testkit::Leaf::named("shop.test").for_clients());
    let folder = Folder::of(&[
        ("gateway.yaml", GATEWAY),
        ("certificate.yaml", &certificate(".")),
        ("route.yaml", &route("shop")),
        ("shop.yaml", &backend("shop", Origin::nowhere())),
        ("tls.crt", &wrong.chain),
        ("tls.key", &wrong.key),
    ]);
    let mut check = super::process::tidegate();
    check.arg("check").arg("-c").arg(folder.path());
    let (code, out, _) = super::process::finish(&mut check);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("certificate.yaml:"), "{out}");
    assert!(out.contains("does not include servers"), "{out}");
    assert!(!out.contains("PRIVATE KEY"), "{out}");
}

#[test]
fn a_gateway_that_starts_with_an_expired_certificate_shows_it_and_says_so() {
    let authority = Authority::root("root");
    let expired = authority.sign(&tidegate_testkit::Leaf::named("shop.test").years(2001, 2002));
    let origin = Origin::answers(200, "hello");
    let folder = Folder::of(&[
        ("gateway.yaml", GATEWAY),
        ("certificate.yaml", &certificate(".")),
        ("route.yaml", &route("shop")),
        ("shop.yaml", &backend("shop", origin.address())),
        ("tls.crt", &expired.chain),
        ("tls.key", &expired.key),
    ]);
    let gateway = Running::start(&folder, &[]);
    let address = gateway.address().expect("it listens");
    let client = TlsClient::new(&authority.pem, None);
    let err = client
        .get(address, "shop.test", "/")
        .expect_err("the client refuses it");
    assert!(err.to_string().contains("xpired"), "{err}");
    gateway.logs("it expired on 2002-01-01");
    gateway.logs("certificate Certificate default/shop has expired: clients refuse it");
    let good = authority.server("shop.test");
    folder.write("tls.crt", good.chain.as_bytes());
    folder.write("tls.key", good.key.as_bytes());
    eventually("the good one", || {
        client.get(address, "shop.test", "/").ok()
    });
    folder.write("tls.crt", expired.chain.as_bytes());
    folder.write("tls.key", expired.key.as_bytes());
    eventually("the refusal", || {
        let resource = gateway.resource("Certificate", "shop")?;
        let message = resource.pointer("/problems/0/message")?.to_string();
        message.contains("it expired on").then_some(())
    });
    shows(address, &authority, &good);
}

#[test]
fn a_list_of_revoked_certificates_is_followed() {
    let (servers, clients) = (Authority::root("servers"), Authority::root("clients"));
    let leaf = tidegate_testkit::Leaf::named("client.test");
    let shown = clients.sign(&leaf.serial(7).for_clients());
    let origin = Origin::answers(200, "hello");
    let asking = format!(
        "{GATEWAY}  tls: {{ frontend: {{ default: {{ validation: {{ caCertificateRefs: [{{ group: tidegate.dev, kind: Certificate, name: clients }}] }} }} }} }}\n"
    );
    let believed = "---\napiVersion: tidegate.dev/v1alpha1\nkind: Certificate\nmetadata: { name: clients }\nspec: { ca: ca.crt, crl: ca.crl }\n";
    let pair = servers.server("shop.test");
    let folder = Folder::of(&[
        ("gateway.yaml", &asking),
        ("certificate.yaml", &certificate(".")),
        ("clients.yaml", believed),
        ("route.yaml", &route("shop")),
        ("shop.yaml", &backend("shop", origin.address())),
        ("tls.crt", &pair.chain),
        ("tls.key", &pair.key),
        ("ca.crt", &clients.pem),
        ("ca.crl", &clients.revoked(&[8], 4000)),
    ]);
    let gateway = Running::start(&folder, &[]);
    let address = gateway.address().expect("it listens");
    let get = || {
        let client = TlsClient::new(&servers.pem, Some(&shown));
        let answer = client.get(address, "shop.test", "/");
        answer
            .map(|answer| answer.status())
            .map_err(|err| err.to_string())
    };
    assert_eq!(get(), Ok(200));
    let next = r#"tidegate_revocation_list_next_update_seconds{bundle="default/clients"}"#;
    assert!(gateway.metric(next).is_some_and(|seconds| seconds > 1e9));
    let lists = || {
        gateway
            .json("/config_dump")
            .pointer("/bundles/0/revocationLists")
            .cloned()
    };
    assert_eq!(lists(), Some(1.into()));
    folder.write("ca.crl", clients.revoked(&[7, 8], 4000).as_bytes());
    eventually("the client to be refused", || {
        get().err().filter(|err| err.contains("CertificateRevoked"))
    });
    // A list that cannot be read leaves the one before.
    folder.write("ca.crl", b"nothing");
    gateway.logs("no `-----BEGIN X509 CRL-----` in it");
    let err = get().expect_err("refused");
    assert!(err.contains("CertificateRevoked"), "{err}");
}

#[test]
fn a_backend_tls_policy_is_followed() {
    let authority = Authority::root("root");
    let origin = Origin::answers(200, "hello");
    let inside = authority.server("inside.test");
    let front = TlsFront::new(origin.address(), &inside, &["http/1.1"], None);
    let policy = |hostname: &str| {
        format!(
            r#"
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {{ name: shop }}
spec:
  targetRefs: [{{ group: tidegate.dev, kind: Backend, name: shop }}]
  validation:
    caCertificateRefs: [{{ group: tidegate.dev, kind: Certificate, name: inside }}]
    hostname: {hostname}
---
apiVersion: tidegate.dev/v1alpha1
kind: Certificate
metadata: {{ name: inside }}
spec: {{ ca: ca.crt }}
"#
        )
    };
    let folder = Folder::of(&[
        ("gateway.yaml", super::process::GATEWAY),
        ("route.yaml", &route("shop")),
        ("shop.yaml", &backend("shop", front.address())),
        ("policy.yaml", &policy("inside.test")),
        ("ca.crt", &authority.pem),
    ]);
    let gateway = Running::start(&folder, &[]);
    assert_eq!(gateway.get("/").status(), 200);
    assert_eq!(front.seen()[0].server_name.as_deref(), Some("inside.test"));
    folder.write("policy.yaml", policy("other.test").as_bytes());
    eventually("the other name", || {
        (gateway.get("/").status() == 502).then_some(())
    });
    folder.write("policy.yaml", policy("inside.test").as_bytes());
    eventually("the right name", || {
        (gateway.get("/").status() == 200).then_some(())
    });
    folder.write("ca.crt", Authority::root("another").pem.as_bytes());
    eventually("another authority", || {
        (gateway.get("/").status() == 502).then_some(())
    });
}

#[test]
fn a_certificate_that_went_bad_keeps_its_own_last_good_version_among_others() {
    let authority = Authority::root("root");
    let pair = authority.server("shop.test");
    let other = authority.server("bank.test");
    let origin = Origin::answers(200, "hello");
    let folder = Folder::of(&[
        ("gateway.yaml", GATEWAY),
        ("certificate.yaml", &certificate(".")),
        ("route.yaml", &route("shop")),
        ("shop.yaml", &backend("shop", origin.address())),
        ("tls.crt", &pair.chain),
        ("tls.key", &pair.key),
        ("other.crt", &other.chain),
        ("other.key", &other.key),
    ]);
    let gateway = Running::start(&folder, &[]);
    let address = gateway.address().expect("it listens");
    shows(address, &authority, &pair);
    let before = gateway.generation();
    // Another listener comes before this one, with another certificate, and this one's goes bad.
    folder.write("tls.crt", b"no certificate");
    gateway.logs("the version before it serves on");
    let bank = r#"  - name: bank
    port: 0
    protocol: HTTPS
    hostname: bank.test
    tls:
      certificateRefs: [{ group: tidegate.dev, kind: Certificate, name: bank }]
"#;
    let (head, listeners) = GATEWAY.split_once("  - name: https").expect("a listener");
    let both = format!("{head}{bank}  - name: https{listeners}");
    let certificate = "
apiVersion: tidegate.dev/v1alpha1
kind: Certificate
metadata: { name: bank }
spec: { certificate: other.crt, key: other.key }
";
    folder.write("bank.yaml", certificate.as_bytes());
    folder.write("gateway.yaml", both.as_bytes());
    let client = TlsClient::new(&authority.pem, None);
    eventually("both names to be served", || {
        let shown = |name| {
            let connected = client.connect(gateway.address()?, name);
            Some(sha256(&connected.ok()?.shown()))
        };
        let bank = shown("bank.test")? == other.certificate().sha256();
        let shop = shown("shop.test")? == pair.certificate().sha256();
        assert!(shop, "the last good version is another resource's");
        bank.then_some(())
    });
    assert!(gateway.generation() > before);
}
