//! The cache under a registry that is gone, a tag that moves, and other processes.

use std::sync::atomic::Ordering;

use tidegate_plugin_store::Store;
use tidegate_plugin_store::cache::Cache;
use tidegate_plugin_store::pull::PullPolicy;
use tidegate_plugin_store::pull::Source;
use tidegate_plugin_store::pull::Wanted;

use crate::kit::TAR;
use crate::kit::WASM;
use crate::kit::chain;
use crate::kit::layer;
use crate::kit::module;
use crate::kit::pull;
use crate::kit::pull_always;
use crate::kit::reference;
use crate::kit::refused;
use crate::kit::store;
use crate::stub::Reply;
use crate::stub::Stub;

fn with_image() -> (Stub, tempfile::TempDir) {
    let stub = Stub::start();
    stub.image("a/b", "1", &[(TAR, &layer(&module(1)))]);
    (stub, tempfile::tempdir().unwrap())
}

#[tokio::test]
async fn a_start_without_the_registry_has_what_was_pulled_before_and_says_why() {
    let (stub, folder) = with_image();
    let image = reference(&stub, "a/b:1");
    let digest = pull(&store(folder.path()), &image).await.unwrap().digest;
    stub.rule(|_| Some(Reply::new(503, "")));
    // Another process.
    let store = store(folder.path());
    let pulled = pull_always(&store, &image).await.unwrap();
    assert_eq!(pulled.code.bytes, module(1));
    assert!(pulled.artifact.is_some());
    let Source::CacheAfter(err) = pulled.source else {
        panic!("{:?}", pulled.source);
    };
    assert!(chain(&err).contains("503"), "{}", chain(&err));
    // Who does not want to know is not told, and nobody is asked.
    stub.take_seen();
    let pulled = pull(&store, &image).await.unwrap();
    assert!(matches!(pulled.source, Source::Cache));
    let pinned = reference(&stub, &format!("a/b@{digest}"));
    assert!(matches!(
        pull_always(&store, &pinned).await.unwrap().source,
        Source::Cache
    ));
    assert_eq!(stub.take_seen(), [""; 0]);
    // What was never pulled is not there.
    assert!(
        store
            .cached(&reference(&stub, "a/b:2"))
            .await
            .unwrap()
            .is_none()
    );
    refused(pull(&store, &reference(&stub, "a/b:2")).await, &["503"]);
}

#[tokio::test]
async fn a_tag_that_moves_back_and_forth_is_followed_and_nothing_is_pulled_twice() {
    let (stub, folder) = with_image();
    let store = store(folder.path());
    let image = reference(&stub, "a/b:1");
    for number in [1, 2, 1, 2, 1] {
        stub.image("a/b", "1", &[(TAR, &layer(&module(number)))]);
        let pulled = pull_always(&store, &image).await.unwrap();
        assert_eq!(pulled.code.bytes, module(number));
    }
    let blobs = stub
        .take_seen()
        .iter()
        .filter(|it| it.contains("/blobs/"))
        .count();
    assert_eq!(blobs, 2, "each layer once");
    let wanted = Wanted {
        image: &image,
        given: None,
        policy: PullPolicy::Always,
    };
    let pulled = pull_always(&store, &image).await.unwrap();
    assert!(
        matches!(pulled.source, Source::Unchanged { .. }),
        "{:?}",
        pulled.source
    );
    assert_eq!(stub.take_seen(), ["HEAD /v2/a/b/manifests/1"]);
    assert_eq!(store.resolve(wanted).await.unwrap(), pulled.digest);
    let warning = pulled
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect::<String>();
    assert!(
        warning.contains(&format!("a/b@{}", pulled.digest)),
        "{warning}"
    );
    let pinned = reference(&stub, &format!("a/b@{}", pulled.digest));
    assert_eq!(pull(&store, &pinned).await.unwrap().warnings, []);
}

#[tokio::test]
async fn a_tag_that_moved_to_something_bad_leaves_the_last_good_one() {
    let (stub, folder) = with_image();
    let store = store(folder.path());
    let image = reference(&stub, "a/b:1");
    pull(&store, &image).await.unwrap();
    stub.image("a/b", "1", &[(WASM, b"<html>")]);
    let pulled = pull_always(&store, &image).await.unwrap();
    assert_eq!(pulled.code.bytes, module(1));
    let Source::CacheAfter(err) = pulled.source else {
        panic!("{:?}", pulled.source);
    };
    assert!(chain(&err).contains("a web page"), "{}", chain(&err));
}

#[tokio::test]
async fn a_registry_that_says_no_digest_for_a_tag_is_asked_for_the_manifest() {
    let (stub, folder) = with_image();
    let store = store(folder.path());
    let image = reference(&stub, "a/b:1");
    let pulled = pull(&store, &image).await.unwrap();
    for status in [200, 405, 501] {
        stub.forget_rules();
        stub.rule(move |seen| (seen.method == "HEAD").then(|| Reply::new(status, "")));
        let again = pull_always(&store, &image).await.unwrap();
        assert_eq!(again.digest, pulled.digest);
        assert!(
            matches!(again.source, Source::Registry { .. }),
            "{:?}",
            again.source
        );
    }
    let blobs = stub
        .take_seen()
        .iter()
        .filter(|it| it.contains("/blobs/"))
        .count();
    assert_eq!(blobs, 1);
}

#[tokio::test]
async fn a_cache_that_was_corrupted_is_pulled_again() {
    let (stub, folder) = with_image();
    let store = store(folder.path());
    let image = reference(&stub, "a/b:1");
    pull(&store, &image).await.unwrap();
    let blobs = folder.path().join("cache/blobs/sha256");
    for entry in std::fs::read_dir(&blobs).unwrap() {
        std::fs::write(entry.unwrap().path(), "damaged").unwrap();
    }
    let pulled = pull(&store, &image).await.unwrap();
    assert_eq!(pulled.code.bytes, module(1));
    assert!(matches!(pulled.source, Source::Registry { .. }));
    assert!(store.cache.counts().damaged.load(Ordering::Relaxed) > 0);
    // Without a registry it is an error, and not the damaged code.
    for entry in std::fs::read_dir(&blobs).unwrap() {
        std::fs::write(entry.unwrap().path(), "damaged").unwrap();
    }
    stub.rule(|_| Some(Reply::new(503, "")));
    refused(pull(&store, &image).await, &["503"]);
}

/// Runs this test once more in a process of its own, started by this shell script with `"$@"`.
fn in_a_process(test: &str, script: &str, variable: (&str, &str)) -> std::process::Child {
    std::process::Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(variable.0, variable.1)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_the_last_good_version_serves() {
    const INSIDE: &str = "TIDEGATE_TEST_PULL_TO_FULL_DISK";
    const NAME: &str = "keeping::a_full_disk_is_an_error_and_the_last_good_version_serves";
    if std::env::var_os(INSIDE).is_none() {
        // At most 64 or 128 KiB a file, by the shell; without the signal that would end the process.
        let script = "trap '' XFSZ; ulimit -f 128; exec \"$@\"";
        let output = in_a_process(NAME, script, (INSIDE, "1"))
            .wait_with_output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && printed.contains("1 passed"),
            "{printed}"
        );
        return;
    }
    let (stub, folder) = with_image();
    let store = store(folder.path());
    let image = reference(&stub, "a/b:1");
    pull(&store, &image).await.unwrap();
    let large = [module(2), vec![0; 300_000]].concat();
    // A layer that is too large, and one of which too much comes out.
    for layer in [large.clone(), layer(&large)] {
        stub.image("a/b", "1", &[(WASM, &layer)]);
        let pulled = pull_always(&store, &image).await.unwrap();
        assert_eq!(pulled.code.bytes, module(1));
        let Source::CacheAfter(err) = pulled.source else {
            panic!("{:?}", pulled.source);
        };
        let text = chain(&err);
        assert!(
            text.contains("no space is left for") && text.contains("cache"),
            "{text}"
        );
        assert_eq!(err.again(), tidegate_plugin_store::again::Again::Soon);
    }
    let left = std::fs::read_dir(folder.path().join("cache/blobs/sha256")).unwrap();
    assert!(
        left.flatten()
            .all(|it| !it.file_name().to_string_lossy().ends_with(".new"))
    );
}

#[test]
fn a_process_that_is_killed_leaves_nothing_half() {
    const INSIDE: &str = "TIDEGATE_TEST_KILLED";
    const NAME: &str = "keeping::a_process_that_is_killed_leaves_nothing_half";
    if let Some(path) = std::env::var_os(INSIDE) {
        let cache = Cache::open(path.as_ref(), 1 << 30).unwrap();
        for number in 0_u32.. {
            cache
                .keep_bytes(&[number.to_be_bytes().as_slice(), &[7; 40_000]].concat())
                .unwrap();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let blobs = folder.path().join("blobs/sha256");
    let names = || {
        let entries = std::fs::read_dir(&blobs).into_iter().flatten().flatten();
        entries
            .map(|it| it.file_name().into_string().unwrap())
            .collect::<Vec<_>>()
    };
    for round in 1..=5 {
        let path = folder.path().to_str().unwrap();
        let mut child = in_a_process(NAME, "exec \"$@\"", (INSIDE, path));
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let before = names().len();
        // In the middle of something, once it has kept some.
        while names().len() < before + round {
            assert!(std::time::Instant::now() < until, "nothing is kept");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let cache = Cache::open(folder.path(), 1 << 30).unwrap();
        for name in names() {
            let digest = format!("sha256:{name}").parse();
            let digest = digest.unwrap_or_else(|err| panic!("{name} is left: {err}"));
            assert!(cache.blob(digest).unwrap().is_some(), "{name} is half");
        }
        // What it kept before is kept anew, so the next one begins with nothing.
        std::fs::remove_dir_all(&blobs).unwrap();
    }
}

#[tokio::test]
async fn two_gateways_on_one_cache_pull_at_once() {
    let (stub, folder) = with_image();
    let stores: Vec<Store> = (0..4).map(|_| store(folder.path())).collect();
    let image = reference(&stub, "a/b:1");
    let mut pulls = tokio::task::JoinSet::new();
    for store in stores {
        let image = image.clone();
        pulls.spawn(async move {
            for _ in 0..5 {
                let pulled = pull_always(&store, &image).await.unwrap();
                assert_eq!(pulled.code.bytes, module(1));
            }
        });
    }
    pulls.join_all().await;
    let left = std::fs::read_dir(folder.path().join("cache/blobs/sha256")).unwrap();
    let unfinished = left.filter(|it| {
        it.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .ends_with(".new")
    });
    assert_eq!(unfinished.count(), 0);
}

#[tokio::test]
async fn a_pull_that_hangs_holds_up_no_other() {
    let (stub, folder) = with_image();
    stub.image("a/hangs", "1", &[(WASM, &module(2))]);
    let (over, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    stub.rule(move |seen| {
        let wait = std::sync::Arc::clone(&wait);
        seen.target.contains("/a/hangs/").then(|| {
            Reply::raw(move |_| {
                wait.lock().unwrap().recv().ok();
            })
        })
    });
    let store = store(folder.path());
    let (hangs, works) = (reference(&stub, "a/hangs:1"), reference(&stub, "a/b:1"));
    let hanging = pull(&store, &hangs);
    let works = async {
        for _ in 0..3 {
            pull_always(&store, &works).await.unwrap();
        }
    };
    tokio::select! {
        biased;
        outcome = hanging => panic!("{outcome:?}"),
        () = works => {}
    }
    drop(over);
}

#[tokio::test]
async fn what_is_running_is_not_evicted_by_what_is_pulled() {
    let (stub, folder) = with_image();
    let large: Vec<u8> = [module(1), vec![0; 60_000]].concat();
    let larger: Vec<u8> = [module(2), vec![1; 60_000]].concat();
    stub.image("a/b", "1", &[(WASM, &large)]);
    stub.image("a/b", "2", &[(WASM, &larger)]);
    let mut store = store(folder.path());
    store.cache = std::sync::Arc::new(Cache::open(&folder.path().join("small"), 80_000).unwrap());
    let running = pull(&store, &reference(&stub, "a/b:1")).await.unwrap();
    pull(&store, &reference(&stub, "a/b:2")).await.unwrap();
    stub.rule(|_| Some(Reply::new(503, "")));
    let again = pull(&store, &reference(&stub, "a/b:1")).await.unwrap();
    assert_eq!(again.code, running.code);
}
