//! Good versions that follow one another under load: a short form of `cargo xtask soak`.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::atomic::AtomicU16;

use tidegate_testkit::eventually;

use super::*;

#[test]
fn sixty_versions_under_load_fail_no_request_and_each_answers_in_its_time() {
    let (folder, _origin) = folder("");
    let gateway = Running::start(&folder, &[]);
    let address = gateway.address().expect("it listens");
    // What may answer: from the version that all workers have to the one that was written last.
    let (oldest, newest) = (Arc::new(AtomicU16::new(201)), Arc::new(AtomicU16::new(201)));
    let stop = Arc::new(AtomicBool::new(false));
    let client = || {
        let (oldest, newest) = (Arc::clone(&oldest), Arc::clone(&newest));
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            let mut client = Client::connect(address);
            let mut answers = 0;
            while !stop.load(Ordering::SeqCst) {
                let from = oldest.load(Ordering::SeqCst);
                let status = client.get("/").status();
                let to = newest.load(Ordering::SeqCst);
                assert!(
                    (from..=to).contains(&status),
                    "{status} is not in {from}..={to}"
                );
                answers += 1;
            }
            answers
        })
    };
    let clients: Vec<_> = (0..4).map(|_| client()).collect();
    for status in 202..262 {
        newest.store(status, Ordering::SeqCst);
        folder.write("stamp.wasm", &version(status, WELL));
        assert_eq!(gateway.admin("POST /reload").status(), 200);
        oldest.store(status, Ordering::SeqCst);
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        let answers = client.join().expect("all answers were right");
        assert!(answers > 60, "{answers}");
    }
    let history = gateway.json("/plugins/default/stamp/history");
    assert_eq!(history["versions"].as_array().map(Vec::len), Some(20));
    assert_eq!(history["versions"][0]["number"], 61);
}

/// An origin whose answers do not end.
fn endless() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n";
            if stream.write_all(head).is_ok() {
                held.push(stream);
            }
        }
    });
    address
}

#[test]
fn a_version_is_taken_back_though_streams_hold_as_many_old_ones_as_they_may() {
    let (folder, _origin) = folder("");
    folder.write("apples.yaml", backend("apples", endless()).as_bytes());
    // Requests of many fields go on to the origin.
    let pass = |then: &str| {
        format!("(if (i32.gt_u (local.get 1) (i32.const 20)) (then (return (i32.const 0)))) {then}")
    };
    folder.write("stamp.wasm", &version(201, &pass(WELL)));
    let gateway = Running::start(&folder, &[]);
    let address = gateway.address().expect("it listens");
    let fields: String = (0..30).map(|n| format!("x-{n}: 1\r\n")).collect();
    let mut held = Vec::new();
    let mut hold = || {
        let mut client = Client::connect(address);
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        assert_eq!(client.response_head().status(), 200);
        held.push(client);
    };
    let reload = || gateway.admin("POST /reload").status();
    for status in 202..217 {
        hold();
        folder.write("stamp.wasm", &version(status, &pass(WELL)));
        assert_eq!(reload(), 200);
        assert_eq!(gateway.get("/").status(), status);
    }
    hold();
    // The last that does not have to wait.
    folder.write("stamp.wasm", &version(299, &pass("unreachable")));
    assert_eq!(reload(), 200);
    let waiting = "tidegate_plugin_swap_waiting{plugin=\"default/stamp\"}";
    assert_eq!(gateway.metric(waiting).unwrap_or_default(), 0.0);
    eventually("the version before", || {
        (gateway.get("/").status() == 216).then_some(())
    });
    let story = rolled_back(&gateway);
    assert_eq!(story["version"]["number"], 18, "{story}");
    // The next one waits, and has not served yet.
    folder.write("stamp.wasm", &version(300, &pass(WELL)));
    assert_eq!(reload(), 200);
    assert_eq!(gateway.metric(waiting), Some(1.0));
    assert_eq!(gateway.get("/").status(), 216);
    let number = || gateway.json("/plugins")["plugins"][0]["version"]["number"].clone();
    assert_eq!(number(), 18);
    drop(held);
    eventually("the version that waited", || (number() == 19).then_some(()));
    assert_eq!(gateway.get("/").status(), 300);
}
