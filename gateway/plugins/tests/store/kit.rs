//! What the tests are made of: stores, modules, archives.

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidegate_plugin_store::Reference;
use tidegate_plugin_store::Store;
use tidegate_plugin_store::cache::Cache;
use tidegate_plugin_store::credentials::Credentials;
use tidegate_plugin_store::credentials::Given;
use tidegate_plugin_store::http::Client;
use tidegate_plugin_store::http::Limits;
use tidegate_plugin_store::http::Networks;
use tidegate_plugin_store::http::Proxies;
use tidegate_plugin_store::memory::Memory;
use tidegate_plugin_store::progress::Silent;
use tidegate_plugin_store::pull::PullError;
use tidegate_plugin_store::pull::PullLimits;
use tidegate_plugin_store::pull::PullPolicy;
use tidegate_plugin_store::pull::Pulled;
use tidegate_plugin_store::pull::Wanted;
use tidegate_plugin_store::registry::Hosts;
use tidegate_plugin_store::registry::Mirrors;

use crate::stub::Stub;

pub(crate) const TAR: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const WASM: &str = "application/wasm";
pub(crate) const CONTENT: &str = "application/vnd.module.wasm.content.layer.v1+wasm";

/// A store in a folder, that waits for nothing long.
pub(crate) fn store(folder: &Path) -> Store {
    let limits = Limits {
        connect: Duration::from_secs(10),
        head: Duration::from_secs(10),
        idle: Duration::from_secs(10),
    };
    store_with(
        folder,
        Client::new(Networks::default(), Proxies::none(), limits),
    )
}

/// The same with another client.
pub(crate) fn store_with(folder: &Path, client: Client) -> Store {
    let cache = Cache::open(&folder.join("cache"), 1 << 30).unwrap();
    Store {
        client: Arc::new(client),
        tokens: Arc::default(),
        cache: Arc::new(cache),
        credentials: Credentials::none(),
        hosts: Hosts::default(),
        mirrors: Mirrors::default(),
        signatures: Arc::default(),
        limits: PullLimits {
            layer_bytes: 4 << 20,
            module_bytes: 8 << 20,
            total: Duration::from_secs(60),
        },
        memory: Memory::default(),
    }
}

/// A client that waits this long for an answer, and for the next bytes of one.
pub(crate) fn impatient(head: Duration, idle: Duration) -> Client {
    let limits = Limits {
        connect: Duration::from_secs(10),
        head,
        idle,
    };
    Client::new(Networks::default(), Proxies::none(), limits)
}

/// A module that is told from others by a number.
pub(crate) fn module(number: u8) -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    // A custom section called "x".
    module.extend([0, 3, 1, b'x', number]);
    module
}

pub(crate) fn component() -> Vec<u8> {
    b"\0asm\x0d\0\x01\0".to_vec()
}

/// A member of an archive.
pub(crate) struct Member<'a> {
    pub(crate) path: &'a str,
    pub(crate) kind: u8,
    pub(crate) content: &'a [u8],
}

pub(crate) fn file<'a>(path: &'a str, content: &'a [u8]) -> Member<'a> {
    Member {
        path,
        kind: b'0',
        content,
    }
}

/// An archive of these.
pub(crate) fn tar(members: &[Member<'_>]) -> Vec<u8> {
    let mut tar = Vec::new();
    for Member {
        path,
        kind,
        content,
    } in members
    {
        let mut head = vec![0; 512];
        head[..path.len()].copy_from_slice(path.as_bytes());
        head[100..107].copy_from_slice(b"0000644");
        head[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        head[148..156].fill(b' ');
        head[156] = *kind;
        head[157..161].copy_from_slice(b"/etc");
        head[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
        head[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        tar.extend(head);
        tar.extend_from_slice(content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    ruzstd::encoding::compress_to_vec(bytes, level)
}

/// A compressed archive with `plugin.wasm`.
pub(crate) fn layer(module: &[u8]) -> Vec<u8> {
    gzip(&tar(&[file("plugin.wasm", module)]))
}

pub(crate) fn reference(stub: &Stub, rest: &str) -> Reference {
    stub.reference(rest).parse().unwrap()
}

pub(crate) async fn pull(store: &Store, image: &Reference) -> Result<Pulled, PullError> {
    pull_with(store, image, PullPolicy::IfNotPresent, None).await
}

pub(crate) async fn pull_always(store: &Store, image: &Reference) -> Result<Pulled, PullError> {
    pull_with(store, image, PullPolicy::Always, None).await
}

pub(crate) async fn pull_given(
    store: &Store,
    image: &Reference,
    given: &Given,
) -> Result<Pulled, PullError> {
    pull_with(store, image, PullPolicy::Always, Some(given)).await
}

async fn pull_with(
    store: &Store,
    image: &Reference,
    policy: PullPolicy,
    given: Option<&Given>,
) -> Result<Pulled, PullError> {
    let wanted = Wanted {
        image,
        given,
        policy,
    };
    store.pull(wanted, &Silent).await
}

/// An error with its causes.
pub(crate) fn chain(err: &dyn Error) -> String {
    let mut text = err.to_string();
    let mut cause = err.source();
    while let Some(err) = cause {
        text = format!("{text}: {err}");
        cause = err.source();
    }
    text
}

/// The error that says this.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(
    outcome: Result<T, PullError>,
    because: &[&str],
) -> PullError {
    let err = outcome.expect_err("it must be refused");
    let text = chain(&err);
    for part in because {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    err
}
