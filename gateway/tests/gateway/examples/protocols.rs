//! Examples of other protocols than plain HTTP.

use tidegate_testkit::Authority;
use tidegate_testkit::GrpcOrigin;
use tidegate_testkit::Origin;
use tidegate_testkit::Peer;
use tidegate_testkit::Port;
use tidegate_testkit::TlsClient;
use tidegate_testkit::TlsFront;
use tidegate_testkit::Wire;
use tidegate_testkit::eventually;
use tidegate_testkit::http2;
use tidegate_testkit::websocket;
use tidegate_testkit::websocket::Frame;

use crate::examples::certificate;
use crate::examples::copy;
use crate::examples::edit;
use crate::examples::examples;
use crate::examples::write_pair;
use crate::process::Running;
use crate::process::ask;
use crate::process::finish;

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
