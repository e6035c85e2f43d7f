//! Registries that send something else than they should.

use std::time::Duration;

use tidegate_plugin_store::again::Again;
use tidegate_plugin_store::digest::Digest;
use tidegate_plugin_store::progress::Silent;
use tidegate_plugin_store::pull::Download;

use crate::kit::TAR;
use crate::kit::WASM;
use crate::kit::impatient;
use crate::kit::layer;
use crate::kit::module;
use crate::kit::pull;
use crate::kit::reference;
use crate::kit::refused;
use crate::kit::store;
use crate::kit::store_with;
use crate::stub::OCI_MANIFEST;
use crate::stub::Reply;
use crate::stub::Stub;
use crate::stub::sha256;

fn with_image() -> (Stub, tempfile::TempDir) {
    let stub = Stub::start();
    stub.image("a/b", "1", &[(WASM, &module(1))]);
    (stub, tempfile::tempdir().unwrap())
}

#[tokio::test]
async fn what_is_not_a_registry_is_said_to_be_none() {
    let (stub, folder) = with_image();
    let store = store(folder.path());
    let image = reference(&stub, "a/b:1");
    stub.rule(|_| Some(Reply::new(200, "<html>hello").with("Content-Type", "text/html")));
    refused(
        pull(&store, &image).await,
        &["a page (text/html)", "no OCI registry"],
    );
    stub.forget_rules();
    stub.rule(|_| Some(Reply::new(404, "<html>what?").with("Content-Type", "text/html")));
    refused(
        pull(&store, &image).await,
        &["404 with text/html", "no OCI registry"],
    );
    stub.forget_rules();
    stub.rule(|_| Some(Reply::new(200, "")));
    refused(
        pull(&store, &image).await,
        &["answered nothing", "no OCI registry"],
    );
    stub.forget_rules();
    stub.rule(|_| Some(Reply::new(200, "{}").with("Content-Type", "application/json")));
    refused(
        pull(&store, &image).await,
        &["neither layers nor manifests"],
    );
    stub.forget_rules();
    stub.rule(|_| {
        Some(Reply::raw(|out| {
            drop(out.write_all(b"SSH-2.0-OpenSSH\r\n"));
        }))
    });
    refused(pull(&store, &image).await, &["the exchange with"]);
}

#[tokio::test]
async fn an_image_of_dockers_first_schema_is_to_be_pushed_again() {
    let (stub, folder) = (Stub::start(), tempfile::tempdir().unwrap());
    let old = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let text = r#"{"schemaVersion":1,"name":"a/b","tag":"1","fsLayers":[]}"#;
    stub.manifest("a/b", "1", old, text);
    let outcome = pull(&store(folder.path()), &reference(&stub, "a/b:1")).await;
    refused(outcome, &["docker's schema 1", "push it again"]);
}

#[tokio::test]
async fn a_tag_that_does_not_exist_is_named() {
    let (stub, folder) = with_image();
    let outcome = pull(&store(folder.path()), &reference(&stub, "a/b:nope")).await;
    let err = refused(outcome, &[" has no a/b:nope (MANIFEST_UNKNOWN)"]);
    assert_eq!(err.again(), Again::Late);
}

#[tokio::test]
async fn a_manifest_of_another_digest_is_refused() {
    let (stub, folder) = with_image();
    let store = store(folder.path());
    // The registry lies about what it sends.
    stub.rule(|seen| {
        let lie = sha256(b"something else");
        let text = r#"{"schemaVersion":2,"config":{"digest":"x","size":1},"layers":[]}"#;
        seen.target
            .contains("/manifests/")
            .then(|| Reply::new(200, text).with("Docker-Content-Digest", lie))
    });
    let outcome = pull(&store, &reference(&stub, "a/b:1")).await;
    refused(
        outcome,
        &["the registry says sha256:", "has the digest sha256:"],
    );
    // It sends something else than it was asked for, and says so.
    let pinned = reference(&stub, &format!("a/b@{}", sha256(b"what is wanted")));
    stub.forget_rules();
    stub.rule(|seen| {
        let text = r#"{"schemaVersion":2,"config":{"digest":"x","size":1},"layers":[]}"#;
        seen.target
            .contains("/manifests/")
            .then(|| Reply::new(200, text).with("Docker-Content-Digest", sha256(text.as_bytes())))
    });
    refused(
        pull(&store, &pinned).await,
        &["the reference asks for sha256:"],
    );
}

#[tokio::test]
async fn a_blob_with_other_content_is_refused() {
    let (stub, folder) = with_image();
    stub.rule(|seen| {
        let other = module(2);
        seen.target
            .contains("/blobs/")
            .then(|| Reply::new(200, other))
    });
    let store = store(folder.path());
    refused(
        pull(&store, &reference(&stub, "a/b:1")).await,
        &["with other content"],
    );
    // And what came is nowhere.
    let blobs = folder.path().join("cache/blobs/sha256");
    let modules = std::fs::read_dir(blobs)
        .unwrap()
        .map(|it| it.unwrap().path());
    let modules = modules.filter(|it| std::fs::read(it).unwrap().starts_with(b"\0asm"));
    assert_eq!(modules.count(), 0);
}

#[tokio::test]
async fn a_blob_that_is_cut_or_too_long_is_refused_and_worth_another_try() {
    let (stub, folder) = with_image();
    let store = store(folder.path());
    let image = reference(&stub, "a/b:1");
    let length = module(1).len();
    let blobs = |reply: fn(usize) -> Reply| {
        stub.forget_rules();
        stub.rule(move |seen| seen.target.contains("/blobs/").then(|| reply(length)));
    };
    blobs(|length| {
        Reply::raw(move |out| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n\0asm");
            out.write_all(head.as_bytes()).unwrap();
        })
    });
    let err = refused(pull(&store, &image).await, &["only 4 came"]);
    assert_eq!(err.again(), Again::Soon);
    // Without a length, and with an honest one of something shorter.
    blobs(|_| Reply::raw(|out| out.write_all(b"HTTP/1.1 200 OK\r\n\r\n\0asm").unwrap()));
    refused(pull(&store, &image).await, &["only 4 came"]);
    blobs(|_| Reply::new(200, "\0asm"));
    refused(pull(&store, &image).await, &["4 are announced"]);
    blobs(|_| {
        Reply::raw(|out| {
            out.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                .unwrap();
            // It goes on until nobody listens.
            while out.write_all(b"4\r\n\0asm\r\n").is_ok() {}
        })
    });
    refused(pull(&store, &image).await, &["more came"]);
    // The other try.
    stub.forget_rules();
    assert_eq!(pull(&store, &image).await.unwrap().code.bytes, module(1));
}

#[tokio::test]
async fn an_oversized_blob_is_not_read() {
    let stub = Stub::start();
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let config = stub.blob(b"{}");
    let put = |tag: &str, size: u64| {
        let text = serde_json::json!({
            "schemaVersion": 2,
            "config": { "digest": config, "size": 2 },
            "layers": [{ "mediaType": WASM, "digest": sha256(b"huge"), "size": size }],
        });
        stub.manifest("a", tag, OCI_MANIFEST, &text.to_string());
    };
    put("says-so", 2 << 30);
    let outcome = pull(&store, &reference(&stub, "a:says-so")).await;
    refused(
        outcome,
        &["has 2147483648 bytes, more than the limit of 4194304"],
    );
    assert!(!stub.take_seen().iter().any(|it| it.contains("/blobs/")));
    // A manifest that lies: 2 GiB come, and are cut off where the manifest's size ends.
    put("lies", 1000);
    let (sent, told) = std::sync::mpsc::channel();
    let sent = std::sync::Mutex::new(sent);
    stub.rule(move |seen| {
        let sent = sent.lock().unwrap().clone();
        seen.target.contains("/blobs/").then(|| {
            Reply::raw(move |out| {
                let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                out.write_all(head.as_bytes()).unwrap();
                let piece = [b"10000\r\n".as_slice(), &[0; 65536], b"\r\n"].concat();
                let pieces = (0..32768).take_while(|_| out.write_all(&piece).is_ok());
                sent.send(pieces.count()).unwrap();
            })
        })
    });
    refused(
        pull(&store, &reference(&stub, "a:lies")).await,
        &["more came"],
    );
    let told = tokio::task::spawn_blocking(move || told.recv_timeout(Duration::from_secs(20)));
    let pieces = told.await.unwrap().unwrap();
    assert!(pieces < 1000, "{pieces} pieces of 64 KiB were taken");
    stub.forget_rules();
    stub.rule(|seen| {
        seen.target.contains("/blobs/").then(|| {
            Reply::raw(|out| {
                out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n")
                    .unwrap();
            })
        })
    });
    refused(
        pull(&store, &reference(&stub, "a:lies")).await,
        &["has 2147483648 bytes"],
    );
}

#[tokio::test]
async fn an_oversized_manifest_is_not_read() {
    let (stub, folder) = with_image();
    stub.rule(|seen| {
        seen.target.contains("/manifests/").then(|| {
            Reply::raw(|out| {
                out.write_all(b"HTTP/1.1 200 OK\r\n\r\n{").unwrap();
                while out.write_all(&[b' '; 65536]).is_ok() {}
            })
        })
    });
    let outcome = pull(&store(folder.path()), &reference(&stub, "a/b:1")).await;
    refused(outcome, &["more than 4194304 bytes"]);
}

#[tokio::test]
async fn a_registry_that_stops_sending_is_given_up() {
    let (stub, folder) = with_image();
    let (short, long) = (Duration::from_millis(500), Duration::from_secs(10));
    let store = store_with(folder.path(), impatient(long, short));
    let image = reference(&stub, "a/b:1");
    let length = module(1).len();
    // The other side of the channel is never used: the answer waits until the test is over.
    let (over, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    let hang = std::sync::Arc::clone(&wait);
    stub.rule(move |seen| {
        let wait = std::sync::Arc::clone(&hang);
        seen.target.contains("/blobs/").then(|| {
            Reply::raw(move |out| {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n\0asm");
                out.write_all(head.as_bytes()).unwrap();
                out.flush().unwrap();
                wait.lock().unwrap().recv().ok();
            })
        })
    });
    let err = refused(
        pull(&store, &image).await,
        &["0.5 s", "the next bytes of its answer"],
    );
    assert_eq!(err.again(), Again::Soon);
    drop(over);
    // One that accepts and says nothing at all.
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let image = format!("{}/a:1", silent.local_addr().unwrap())
        .parse()
        .unwrap();
    let store = store_with(folder.path(), impatient(short, long));
    refused(pull(&store, &image).await, &["0.5 s", "an answer"]);
}

#[tokio::test]
async fn a_pull_that_takes_too_long_in_all_is_given_up() {
    let (stub, folder) = with_image();
    let mut store = store(folder.path());
    store.limits.total = Duration::from_millis(400);
    let length = module(1).len();
    stub.rule(move |seen| {
        seen.target.contains("/blobs/").then(|| {
            Reply::raw(move |out| {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                out.write_all(head.as_bytes()).unwrap();
                // Never idle for long, and never done: nobody listens in the end.
                let (_keep, wait) = std::sync::mpsc::channel::<()>();
                for _ in 0..length - 1 {
                    if out.write_all(b"\0").and_then(|()| out.flush()).is_err() {
                        return;
                    }
                    wait.recv_timeout(Duration::from_millis(100)).ok();
                }
            })
        })
    });
    refused(
        pull(&store, &reference(&stub, "a/b:1")).await,
        &["was not there after 0.4 s"],
    );
}

#[tokio::test]
async fn a_busy_registry_says_when_to_come_again() {
    let (stub, folder) = with_image();
    let store = store(folder.path());
    let image = reference(&stub, "a/b:1");
    for (status, retry_after, expected) in [
        (429, Some("7"), Again::After(Duration::from_secs(7))),
        (
            503,
            Some("99999999"),
            Again::After(Duration::from_secs(600)),
        ),
        (
            503,
            Some("Wed, 21 Oct 2015 07:28:00 GMT"),
            Again::After(Duration::ZERO),
        ),
        (429, None, Again::Soon),
        (500, None, Again::Soon),
        (418, None, Again::Late),
    ] {
        stub.forget_rules();
        stub.rule(move |_| {
            let error =
                serde_json::json!({ "errors": [{ "code": "TOOMANY", "message": "slow\ndown" }] });
            let reply = Reply::json(status, &error);
            Some(match retry_after {
                Some(value) => reply.with("Retry-After", value),
                None => reply,
            })
        });
        let said = status.to_string();
        let err = refused(pull(&store, &image).await, &[&said, "TOOMANY slow down"]);
        assert_eq!(err.again(), expected, "{status} {retry_after:?}");
    }
}

#[tokio::test]
async fn a_module_of_a_web_server_is_what_its_digest_says() {
    let stub = Stub::start();
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let content = module(1);
    let served = content.clone();
    stub.rule(move |seen| {
        let reply = match seen.target.as_str() {
            "/f/auth.wasm?token=s3cret" => Reply::new(200, served.clone()),
            "/huge.wasm" => Reply::new(200, vec![0; 5 << 20]),
            "/page.wasm" => Reply::new(200, "<html>"),
            _ => Reply::new(503, "").with("Retry-After", "3"),
        };
        Some(reply)
    });
    let download = |path: &str, content: &[u8]| Download {
        url: format!("http://{}/{path}", stub.address).parse().unwrap(),
        sha256: Digest::of(content),
    };
    let wanted = download("f/auth.wasm?token=s3cret", &content);
    let (code, _pins) = store.download(&wanted, &Silent).await.unwrap();
    assert_eq!(
        (code.name.as_str(), code.bytes.as_ref()),
        ("auth", content.as_slice())
    );
    assert_eq!(stub.take_seen().len(), 1);
    store.download(&wanted, &Silent).await.unwrap();
    assert_eq!(stub.take_seen(), [""; 0], "it is in the cache");

    let wrong = download("f/auth.wasm?token=s3cret", b"other");
    let err = refused(store.download(&wrong, &Silent).await, &["change `sha256`"]);
    assert!(!err.to_string().contains("s3cret"), "{err}");
    refused(
        store.download(&download("huge.wasm", b""), &Silent).await,
        &["more than 4194304 bytes"],
    );
    refused(
        store
            .download(&download("page.wasm", b"<html>"), &Silent)
            .await,
        &["is a web page"],
    );
    let err = refused(
        store.download(&download("gone", b""), &Silent).await,
        &["503"],
    );
    assert_eq!(err.again(), Again::After(Duration::from_secs(3)));
}

#[tokio::test]
async fn layers_that_were_no_modules_count_against_the_limit_together() {
    let stub = Stub::start();
    let folder = tempfile::tempdir().unwrap();
    let large: Vec<u8> = (0..3 << 20)
        .map(|at: u32| at.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let other = [&large[..], b"x"].concat();
    stub.image(
        "a",
        "1",
        &[(TAR, &layer(&module(1))), ("a/b", &large), ("a/b", &other)],
    );
    let image = reference(&stub, "a:1");
    assert!(
        pull(&store(folder.path()), &image).await.is_ok(),
        "archives come first"
    );
    stub.image("a", "2", &[("a/b", &large), (WASM, &other)]);
    let outcome = pull(&store(folder.path()), &reference(&stub, "a:2")).await;
    refused(outcome, &["the layers before it were too large"]);
}
