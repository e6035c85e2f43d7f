//! Real programs as peers of TLS, and `tidegate proxy` with it: curl and openssl.

use std::io::BufRead as _;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use tidegate_testkit::Authority;
use tidegate_testkit::Gateway;
use tidegate_testkit::Https;
use tidegate_testkit::Leaf;
use tidegate_testkit::Origin;
use tidegate_testkit::Pair;
use tidegate_testkit::TlsClient;
use tidegate_testkit::TlsFront;
use tidegate_testkit::eventually;

use super::process::finish;
use super::process::tidegate;

/// A folder with an authority, and a pair of it for `localhost` and 127.0.0.1.
struct World {
    folder: tempfile::TempDir,
    authority: Authority,
    pair: Pair,
}

impl World {
    fn new() -> Self {
        let authority = Authority::root("root");
        let pair = authority.sign(&Leaf::named("localhost").and_name("127.0.0.1"));
        let world = Self {
            folder: tempfile::tempdir().expect("a folder"),
            authority,
            pair,
        };
        world.write("ca.crt", &world.authority.pem);
        world.write("tls.crt", &world.pair.chain);
        world.write("tls.key", &world.pair.key);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text_path(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    /// `tidegate proxy --tls` in front of an origin.
    fn proxy(&self, to: &str, args: &[&str]) -> Running {
        let (certificate, key) = (self.text_path("tls.crt"), self.text_path("tls.key"));
        let tls = ["--tls", &certificate, &key];
        Running::start(&[&["--to", to][..], &tls, args].concat())
    }

    /// Runs curl against a gateway; standard output is what `-w` says.
    fn curl(&self, gateway: SocketAddr, args: &[&str]) -> (bool, String) {
        let url = format!("https://localhost:{}/", gateway.port());
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--output", "/dev/null"]);
        curl.args(["--max-time", "20", "--cacert", &self.text_path("ca.crt")]);
        let output = curl.args(args).arg(url).output().expect("curl runs");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        (output.status.success(), text)
    }

    /// Runs `openssl s_client` against a gateway.
    fn openssl(&self, gateway: SocketAddr, args: &[&str]) -> String {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-connect", &gateway.to_string()]);
        openssl.args(["-CAfile", &self.text_path("ca.crt")]);
        openssl.args(args).stdin(Stdio::null());
        let output = openssl.output().expect("openssl runs");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

/// A running `tidegate proxy`, killed when dropped.
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Running {
    fn start(args: &[&str]) -> Self {
        let mut child = tidegate()
            .args(["proxy", "--listen", "127.0.0.1:0", "--workers", "2"])
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tidegate starts");
        let stderr = child.stderr.take().expect("it is piped");
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let address = lines
            .find_map(|line| line.rsplit_once("listening on ")?.1.trim().parse().ok())
            .expect("it says where it listens");
        // Keep reading, so that it never has to wait for us.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn curl_is_served_over_tls_1_2_and_1_3() {
    let world = World::new();
    let origin = Origin::answers(200, "hello");
    let gateway = world.proxy(&format!("http://{}", origin.address()), &[]);
    for version in ["--tlsv1.2", "--tlsv1.3"] {
        let only = ["--tls-max", version.trim_start_matches("--tlsv")];
        let args = [
            &[version][..],
            &only,
            &["-w", "%{http_code} %{ssl_verify_result}"],
        ]
        .concat();
        let (good, text) = world.curl(gateway.address, &args);
        assert!(good && text == "200 0", "{version}: {text}");
    }
    let (good, text) = world.curl(gateway.address, &["--tls-max", "1.1", "--tlsv1.0"]);
    assert!(!good, "older versions are refused: {text}");
}

#[test]
fn openssl_resumes_sessions_and_sees_the_chain() {
    let world = World::new();
    let origin = Origin::answers(200, "hello");
    let gateway = world.proxy(&format!("http://{}", origin.address()), &[]);
    let session = world.text_path("session");
    for version in ["-tls1_2", "-tls1_3"] {
        // Tickets of TLS 1.3 come after the handshake: the client has to wait for an answer.
        let request = world.path("request");
        std::fs::write(
            &request,
            "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        )
        .expect("written");
        let run = |args: &[&str]| {
            let mut openssl = Command::new("openssl");
            openssl.args([
                "s_client",
                "-connect",
                &gateway.address.to_string(),
                version,
            ]);
            openssl.args([
                "-CAfile",
                &world.text_path("ca.crt"),
                "-servername",
                "localhost",
            ]);
            openssl.args(["-ign_eof"]).args(args);
            openssl.stdin(std::fs::File::open(&request).expect("there"));
            let output = openssl.output().expect("openssl runs");
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
        };
        let first = run(&["-sess_out", &session]);
        assert!(first.contains("Verify return code: 0 (ok)"), "{first}");
        assert!(first.contains("\nNew, "), "{version}: {first}");
        let second = run(&["-sess_in", &session]);
        assert!(second.contains("\nReused, "), "{version}: {second}");
    }
    let offered = world.openssl(gateway.address, &["-alpn", "http/1.1"]);
    assert!(offered.contains("ALPN protocol: http/1.1"), "{offered}");
    let refused = world.openssl(gateway.address, &["-alpn", "spdy/3"]);
    assert!(refused.contains("no application protocol"), "{refused}");
}

#[test]
fn openssl_is_served_by_version_and_name_and_with_its_certificate() {
    let world = World::new();
    let origin = Origin::answers(200, "hello");
    let shown = world.authority.sign(&Leaf::named("ada").for_clients());
    let stranger = Authority::root("stranger").sign(&Leaf::named("eve").for_clients());
    for (name, pair) in [("ada", &shown), ("eve", &stranger)] {
        world.write(&format!("{name}.crt"), &pair.chain);
        world.write(&format!("{name}.key"), &pair.key);
    }
    let certificate = |name: &str| world.authority.server(name).certificate();
    let gateway = Gateway::to(origin.address())
        .certificate(Some(&certificate("shop.test")))
        .certificate(Some(&certificate("bank.test")))
        .bundle(Some(&world.authority.bundle()))
        .https(Https::at("shop.test", 0).only_13())
        .https(Https::at("bank.test", 1).clients(0, false))
        .start();
    let ask = |host: &str, args: &[&str]| {
        let request = world.path("request");
        let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        std::fs::write(&request, text).expect("written");
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-connect", &gateway.address().to_string()]);
        openssl.args([
            "-CAfile",
            &world.text_path("ca.crt"),
            "-verify_hostname",
            host,
        ]);
        openssl.args(["-servername", host, "-ign_eof"]).args(args);
        openssl.stdin(std::fs::File::open(&request).expect("there"));
        let output = openssl.output().expect("openssl runs");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let served =
        |text: &str| text.contains("HTTP/1.1 200") && text.contains("Verify return code: 0 (ok)");
    let text = ask("shop.test", &["-tls1_3"]);
    assert!(served(&text) && text.contains("TLSv1.3"), "{text}");
    let text = ask("shop.test", &["-tls1_2"]);
    assert!(text.contains("alert protocol version"), "{text}");
    let text = ask("other.test", &[]);
    assert!(text.contains("unrecognized name"), "{text}");
    let with = |name: &str| {
        [
            world.text_path(&format!("{name}.crt")),
            world.text_path(&format!("{name}.key")),
        ]
    };
    let [certificate, key] = with("ada");
    for version in ["-tls1_2", "-tls1_3"] {
        let text = ask("bank.test", &["-cert", &certificate, "-key", &key, version]);
        assert!(served(&text), "{version}: {text}");
    }
    let text = ask("bank.test", &[]);
    assert!(
        !served(&text) && text.contains("certificate required"),
        "{text}"
    );
    let [certificate, key] = with("eve");
    let text = ask("bank.test", &["-cert", &certificate, "-key", &key]);
    assert!(!served(&text) && text.contains("alert"), "{text}");
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn an_https_origin_is_verified_by_its_authority() {
    let world = World::new();
    let origin = Origin::answers(200, "hello");
    let front = TlsFront::new(origin.address(), &world.pair, &["http/1.1"], None);
    let to = format!("https://localhost:{}", front.address().port());
    let by_address = format!("https://{}", front.address());
    let authorities = world.text_path("ca.crt");
    let client = TlsClient::new(&world.authority.pem, None);
    let status = |gateway: &Running| {
        let answer = client.get(gateway.address, "localhost", "/");
        answer.expect("an answer").status()
    };
    assert_eq!(status(&world.proxy(&to, &["--ca", &authorities])), 200);
    assert_eq!(
        status(&world.proxy(&by_address, &["--ca", &authorities])),
        200
    );
    assert_eq!(
        status(&world.proxy(&to, &[])),
        502,
        "the machine does not know it"
    );
    assert_eq!(status(&world.proxy(&to, &["--insecure-skip-verify"])), 200);
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn the_files_of_the_command_line_are_followed() {
    let world = World::new();
    let origin = Origin::answers(200, "hello");
    let inside = Authority::root("inside");
    let front = TlsFront::new(
        origin.address(),
        &inside.sign(&Leaf::named("localhost").serial(7)),
        &["http/1.1"],
        None,
    );
    world.write("inside.crt", &inside.pem);
    world.write("inside.crl", &inside.revoked(&[], 4000));
    let old = world
        .authority
        .sign(&Leaf::named("localhost").years(2001, 2002));
    world.write("tls.crt", &old.chain);
    world.write("tls.key", &old.key);
    let to = format!("https://localhost:{}", front.address().port());
    let (ca, crl) = (world.text_path("inside.crt"), world.text_path("inside.crl"));
    let gateway = world.proxy(&to, &["--ca", &ca, "--crl", &crl]);
    let get = || world.curl(gateway.address, &["-w", "%{http_code}"]);
    let (fine, text) = get();
    assert!(
        !fine && text.contains("expired"),
        "an expired one is shown: {text}"
    );
    let next = world.authority.server("localhost");
    world.write("tls.crt", &next.chain);
    world.write("tls.key", &next.key);
    eventually("the next certificate", || {
        (get() == (true, "200".to_owned())).then_some(())
    });
    // What cannot be used changes nothing.
    world.write("tls.key", "no key");
    world.write("inside.crl", &inside.revoked(&[7], 4000));
    eventually("the origin to be refused", || {
        (get() == (true, "502".to_owned())).then_some(())
    });
    world.write("inside.crl", &inside.revoked(&[8], 4000));
    let told = Command::new("kill")
        .args(["-HUP", &gateway.child.id().to_string()])
        .status();
    assert!(told.expect("kill runs").success());
    eventually("the origin to be believed", || {
        (get() == (true, "200".to_owned())).then_some(())
    });
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let world = World::new();
    let other = world.authority.server("localhost");
    world.write("other.key", &other.key);
    let fails = |args: &[&str], status: i32, why: &str| {
        let mut command = tidegate();
        command.args(["proxy", "--to", "http://127.0.0.1:9"]);
        let (code, _, text) = finish(command.args(args));
        assert_eq!(code, Some(status), "{text}");
        assert!(text.contains(why), "{text} without {why}");
    };
    let path = |name| world.text_path(name);
    fails(
        &["--tls", &path("tls.crt"), &path("other.key")],
        1,
        "does not belong",
    );
    fails(&["--tls", &path("tls.crt"), &path("gone")], 1, "gone");
    fails(&["--tls", &path("tls.crt")], 2, "--tls");
    fails(&["--ca", &path("ca.crt")], 1, "there is none");
    fails(&["--crl", &path("ca.crt")], 2, "--ca");
    fails(&["--insecure"], 2, "--insecure-skip-verify");
}
