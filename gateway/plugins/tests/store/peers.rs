//! A real registry (CNCF distribution), and what others' tools push to it and pull from it: skopeo,
//! which containers' tools share their code with, oras, and Sigstore's libraries, which sign.
//!
//! `cargo xtask test --peers` installs them.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use tidegate_plugin_store::Reference;
use tidegate_plugin_store::Store;
use tidegate_plugin_store::credentials::Credentials;
use tidegate_plugin_store::credentials::Given;
use tidegate_plugin_store::layout::Layout;
use tidegate_plugin_store::progress::Progress;
use tidegate_plugin_store::progress::Silent;
use tidegate_plugin_store::pull::Source;
use tidegate_plugin_store::push::Description;
use tidegate_plugin_store::push::Format;
use tidegate_plugin_store::push::Image;
use tidegate_plugin_store::registry::manifest::Manifest;
use tidegate_plugin_store::signatures::Form;
use tidegate_plugin_store::signatures::Key;
use tidegate_plugin_store::signatures::Mode;
use tidegate_plugin_store::signatures::Rule;
use tidegate_plugin_store::signatures::Verdict;

use crate::kit::CONTENT;
use crate::kit::TAR;
use crate::kit::WASM;
use crate::kit::chain;
use crate::kit::layer;
use crate::kit::module;
use crate::kit::pull;
use crate::kit::pull_always;
use crate::kit::pull_given;
use crate::kit::refused;
use crate::kit::store;
use crate::signing::kit::rule;
use crate::signing::kit::ruled;
use crate::stub::sha256;

/// `me` with the password `s3cret`, as htpasswd writes it (bcrypt).
const HTPASSWD: &str = "me:$2b$04$V0HNjhRIkwPmfUwksrCrWu0S155vCwvxVf9nM8Y/sfe9Qo9uG6NB6\n";

/// Debian's `docker-registry` on a free port; killed when dropped.
struct RealRegistry {
    child: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl RealRegistry {
    /// One that wants a password; `None`, said on standard error, where peers are not wanted.
    fn start(test: &str) -> Option<Self> {
        if std::env::var_os("TIDEGATE_PEERS").is_none() {
            eprintln!("{test}: not run with real programs: run `cargo xtask test --peers`");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let at = folder.path().display();
        std::fs::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
        let config = format!(
            "version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: {at}/data }} }}\n\
             http: {{ addr: \"{address}\", secret: x }}\n\
             auth: {{ htpasswd: {{ realm: tests, path: {at}/htpasswd }} }}\n"
        );
        let path = folder.path().join("config.yml");
        std::fs::write(&path, config).unwrap();
        let printed = std::fs::File::create(folder.path().join("printed")).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(printed)
            .spawn()
            .unwrap_or_else(|err| panic!("docker-registry does not start: {err}"));
        let registry = Self {
            child,
            address,
            folder,
        };
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            let printed = std::fs::read_to_string(registry.folder.path().join("printed"));
            assert!(Instant::now() < until, "it does not listen: {printed:?}");
            std::thread::yield_now();
        }
        Some(registry)
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn reference(&self, rest: &str) -> Reference {
        format!("{}/{rest}", self.address).parse().unwrap()
    }

    /// A store with the credentials that skopeo wrote when it logged in.
    fn store(&self) -> Store {
        let file = self.path().join("auth.json");
        if !file.exists() {
            let mut login = skopeo();
            login
                .args(["login", "--tls-verify=false", "--authfile"])
                .arg(&file);
            run(login.args(["-u", "me", "-p", "s3cret", &self.address.to_string()]));
        }
        let mut store = store(self.path());
        store.credentials = Credentials::from_files([file]);
        store
    }

    /// Copies an image with skopeo.
    fn copy(&self, arguments: &[&str], from: &str, to: &str) {
        let mut copy = skopeo();
        copy.args(["copy", "--src-tls-verify=false", "--dest-tls-verify=false"]);
        copy.arg("--authfile").arg(self.path().join("auth.json"));
        run(copy.args(arguments).args([from, to]));
    }

    /// Pushes files, each with its media type, with oras.
    fn oras_push(&self, to: &str, files: &[(&str, &str, &[u8])]) {
        let folder = tempfile::tempdir().unwrap();
        let mut oras = self
            .oras("c.push(target=sys.argv[2], files=sys.argv[3:], disable_path_validation=True)");
        oras.arg(self.reference(to).to_string());
        for (name, media_type, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
            oras.arg(format!("{name}:{media_type}"));
        }
        run(oras.current_dir(folder.path()));
    }

    /// A line of Python that has a client of oras, `c`.
    fn oras(&self, line: &str) -> Command {
        let peers = std::env::var_os("TIDEGATE_PEERS_DIR").expect("xtask says where peers are");
        let python = PathBuf::from(peers).join("oras/bin/python");
        assert!(python.exists(), "{} is missing", python.display());
        let script = format!(
            "import sys, oras.client\n\
             c = oras.client.OrasClient(hostname=sys.argv[1], insecure=True, auth_backend='basic')\n\
             c.auth.set_basic_auth('me', 's3cret')\n{line}\n"
        );
        let mut oras = Command::new(python);
        oras.args(["-c", &script, &self.address.to_string()]);
        oras
    }
}

impl Drop for RealRegistry {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Signs an image of a registry with Sigstore's libraries for JavaScript; the public key.
fn sigstore_sign(registry: &RealRegistry, name: &str, digest: &str) -> String {
    let peers = std::env::var_os("TIDEGATE_PEERS_DIR").expect("xtask says where peers are");
    let peers = PathBuf::from(peers);
    let ours = peers.join("node/bin/node");
    let node = if ours.exists() { ours } else { "node".into() };
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/signatures");
    let mut sign = Command::new(node);
    sign.arg(tests.join("attach.mjs"))
        .arg(peers.join("sigstore"));
    sign.arg(format!("{}/{name}", registry.address));
    run(sign.args([digest, "me", "s3cret"]))
}

fn skopeo() -> Command {
    let mut skopeo = Command::new("skopeo");
    // Machines without Debian's configuration of containers have no policy.
    skopeo.arg("--insecure-policy");
    skopeo
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|err| panic!("{command:?}: {err}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

async fn push(store: &Store, to: &Reference, module: &[u8], format: Format) -> Image {
    let description = Description {
        title: Some("filter".to_owned()),
        abi: Some("0.2.1".to_owned()),
        ..Description::default()
    };
    let module = Bytes::copy_from_slice(module);
    let image = Image::new(&module, format, &description).unwrap();
    let silent: Arc<dyn Progress> = Arc::new(Silent);
    let pushed = store.push(to, None, &image, &silent).await;
    let pushed = pushed.unwrap_or_else(|err| panic!("{}", chain(&err)));
    assert_eq!(pushed.digest, image.digest);
    image
}

#[tokio::test]
async fn what_we_push_others_pull_in_both_formats() {
    let Some(registry) = RealRegistry::start("what_we_push_others_pull") else {
        return;
    };
    let store = registry.store();
    let large: Vec<u8> = [module(1), vec![3; 3 << 20]].concat();
    for (format, layout, tag) in [
        (Format::Compat, Layout::Compat, "compat"),
        (Format::Cncf, Layout::Cncf, "cncf"),
    ] {
        let to = registry.reference(&format!("me/filter:{tag}"));
        let image = push(&store, &to, &large, format).await;
        // Again: everything is there, and the digest is the same.
        push(&store, &to, &large, format).await;

        let mut inspect = skopeo();
        inspect.args(["inspect", "--raw", "--tls-verify=false", "--authfile"]);
        inspect.arg(registry.path().join("auth.json"));
        let raw = run(inspect.arg(format!("docker://{to}")));
        assert_eq!(raw.as_bytes(), image.manifest);

        let copied = registry.path().join(tag);
        let folder = format!("dir:{}", copied.display());
        registry.copy(&[], &format!("docker://{to}"), &folder);
        let manifest: Manifest = serde_json::from_slice(&image.manifest).unwrap();
        let layer = std::fs::read(copied.join(manifest.layers[0].digest.to_hex())).unwrap();
        assert_eq!(sha256(&layer), manifest.layers[0].digest.to_string());

        let pulled = pull(&store, &to).await.unwrap();
        assert_eq!(
            (pulled.code.bytes.as_ref(), pulled.digest),
            (large.as_slice(), image.digest)
        );
        assert_eq!(pulled.artifact.unwrap().layout, layout);
    }
    let out = registry.path().join("out");
    let mut oras = registry.oras("c.pull(target=sys.argv[2], outdir=sys.argv[3])");
    run(oras
        .arg(registry.reference("me/filter:cncf").to_string())
        .arg(&out));
    assert_eq!(std::fs::read(out.join("plugin.wasm")).unwrap(), large);
}

#[tokio::test]
async fn what_oras_pushes_we_pull_in_every_layout_of_artifacts() {
    let Some(registry) = RealRegistry::start("what_oras_pushes_we_pull") else {
        return;
    };
    let store = registry.store();
    let module = module(1);
    let config = "application/vnd.module.wasm.config.v1+json";
    let spec = "application/vnd.module.wasm.spec.v1+yaml";
    let archive = layer(&module);
    for (tag, files, layout) in [
        (
            "wasm",
            vec![("plugin.wasm", WASM, &module[..])],
            Layout::Unlabelled,
        ),
        (
            "single",
            vec![("plugin.wasm", CONTENT, &module[..])],
            Layout::OciSingle,
        ),
        (
            "two",
            vec![
                ("c.json", config, b"{}"),
                ("plugin.wasm", CONTENT, &module[..]),
            ],
            Layout::Oci,
        ),
        (
            "old",
            vec![(
                "plugin.wasm",
                "application/vnd.wasm.content.layer.v1+wasm",
                &module[..],
            )],
            Layout::Krustlet,
        ),
        (
            "tar",
            vec![
                ("spec.yaml", spec, b"a: b"),
                ("plugin.tar.gz", TAR, &archive),
            ],
            Layout::Compat,
        ),
    ] {
        let name = format!("oras/filter:{tag}");
        registry.oras_push(&name, &files);
        let pulled = pull(&store, &registry.reference(&name)).await;
        let pulled = pulled.unwrap_or_else(|err| panic!("{tag}: {}", chain(&err)));
        assert_eq!(pulled.code.bytes, module, "{tag}");
        assert_eq!(pulled.artifact.unwrap().layout, layout, "{tag}");
    }
}

#[tokio::test]
async fn a_folder_that_we_write_skopeo_pushes_and_the_digest_stays() {
    let Some(registry) = RealRegistry::start("a_folder_that_we_write") else {
        return;
    };
    let store = registry.store();
    let module = Bytes::from(module(1));
    for format in [Format::Compat, Format::Cncf] {
        let image = Image::new(&module, format, &Description::default()).unwrap();
        let folder = registry.path().join(format!("{format:?}"));
        image.write_folder(&folder, Some("1.0")).unwrap();
        let to = registry.reference("me/folder:1.0");
        registry.copy(
            &[],
            &format!("oci:{}:1.0", folder.display()),
            &format!("docker://{to}"),
        );
        let pulled = pull_always(&store, &to).await.unwrap();
        assert_eq!(
            (pulled.digest, pulled.code.bytes),
            (image.digest, module.clone())
        );
    }
}

#[tokio::test]
async fn what_skopeo_makes_of_an_image_we_pull() {
    let Some(registry) = RealRegistry::start("what_skopeo_makes_of_an_image") else {
        return;
    };
    let store = registry.store();
    let large: Vec<u8> = [module(1), vec![3; 1 << 20]].concat();
    let ours = registry.reference("me/filter:1");
    push(&store, &ours, &large, Format::Compat).await;
    let from = format!("docker://{ours}");
    // It compresses anew only what it finds uncompressed, and where it knows no other copy.
    let folder = |name: &str| format!("dir:{}", registry.path().join(name).display());
    let zstd = ["--dest-compress", "--dest-compress-format", "zstd"];
    registry.copy(&["--dest-decompress"], &from, &folder("plain"));
    registry.copy(&zstd, &folder("plain"), &folder("zstd"));
    for (tag, arguments, from, layout) in [
        (
            "docker",
            ["--format", "v2s2"].as_slice(),
            from,
            Layout::CompatDocker,
        ),
        ("plain", &[], folder("plain"), Layout::Compat),
        (
            "zstd",
            &["--preserve-digests"],
            folder("zstd"),
            Layout::Compat,
        ),
    ] {
        let to = registry.reference(&format!("skopeo/filter:{tag}"));
        registry.copy(arguments, &from, &format!("docker://{to}"));
        let pulled = pull(&store, &to).await;
        let pulled = pulled.unwrap_or_else(|err| panic!("{tag}: {}", chain(&err)));
        assert_eq!(pulled.code.bytes, large, "{tag}");
        let artifact = pulled.artifact.unwrap();
        assert_eq!(artifact.layout, layout, "{tag}");
        assert_eq!(
            artifact.media_type.ends_with("zstd"),
            tag == "zstd",
            "{}",
            artifact.media_type
        );
    }
}

#[tokio::test]
async fn a_real_registry_lets_nobody_in_without_the_right_password() {
    let Some(registry) = RealRegistry::start("a_real_registry_lets_nobody_in") else {
        return;
    };
    let image = registry.reference("me/filter:1");
    let anonymous = store(registry.path());
    refused(
        pull(&anonymous, &image).await,
        &["401", "UNAUTHORIZED", "docker login"],
    );
    let password_file = registry.path().join("password");
    let given = Given::Password {
        username: "me".to_owned(),
        password_file: password_file.clone(),
    };
    std::fs::write(&password_file, "wrong").unwrap();
    let err = refused(
        pull_given(&anonymous, &image, &given).await,
        &["401", "were refused"],
    );
    assert!(!chain(&err).contains("wrong"));
    std::fs::write(&password_file, "s3cret\n").unwrap();
    let outcome = pull_given(&anonymous, &image, &given).await;
    refused(outcome, &[" has no ", "MANIFEST_UNKNOWN"]);
    push(&registry.store(), &image, &module(1), Format::Compat).await;
    let pulled = pull_given(&anonymous, &image, &given).await.unwrap();
    assert_eq!(pulled.code.bytes, module(1));
}

#[tokio::test]
async fn a_real_registry_that_was_stopped_is_not_missed() {
    let Some(mut registry) = RealRegistry::start("a_real_registry_that_was_stopped") else {
        return;
    };
    let image = registry.reference("me/filter:1");
    push(&registry.store(), &image, &module(1), Format::Compat).await;
    let digest = pull(&registry.store(), &image).await.unwrap().digest;
    registry.stop();
    let again = pull_always(&registry.store(), &image).await.unwrap();
    assert_eq!(
        (again.code.bytes.as_ref(), again.digest),
        (module(1).as_slice(), digest)
    );
    let Source::CacheAfter(err) = again.source else {
        panic!("{:?}", again.source);
    };
    assert!(chain(&err).contains("cannot connect to"), "{}", chain(&err));
}

#[tokio::test]
async fn an_index_of_a_real_registry_is_followed_and_referrers_are_found_by_tag() {
    let Some(registry) = RealRegistry::start("an_index_of_a_real_registry") else {
        return;
    };
    let store = registry.store();
    let image = push(
        &store,
        &registry.reference("me/filter:1"),
        &module(1),
        Format::Cncf,
    )
    .await;
    let index = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": image.media_type, "digest": image.digest, "size": image.manifest.len(),
            "platform": { "os": "wasip1", "architecture": "wasm" },
        }],
    });
    let put = |tag: &str| {
        let file = registry.path().join("index.json");
        std::fs::write(&file, index.to_string()).unwrap();
        let mut curl = Command::new("curl");
        curl.args(["-sSf", "-u", "me:s3cret", "-T"]).arg(file);
        curl.args([
            "-H",
            "Content-Type: application/vnd.oci.image.index.v1+json",
        ]);
        run(curl.arg(format!(
            "http://{}/v2/me/filter/manifests/{tag}",
            registry.address
        )));
    };
    put("index");
    let pulled = pull(&store, &registry.reference("me/filter:index"))
        .await
        .unwrap();
    assert_eq!(
        (pulled.manifest, pulled.code.bytes.as_ref()),
        (image.digest, module(1).as_slice())
    );
    assert_eq!(
        pulled.digest.to_string(),
        sha256(index.to_string().as_bytes())
    );

    // This registry is too old for the referrers API.
    let wanted = tidegate_plugin_store::pull::Wanted {
        image: &registry.reference("me/filter:1"),
        given: None,
        policy: tidegate_plugin_store::pull::PullPolicy::Always,
    };
    let session = store.session(wanted).await.unwrap();
    assert_eq!(session.referrers(image.digest, None).await.unwrap(), []);
    put(&format!("sha256-{}", image.digest.to_hex()));
    let found = session.referrers(image.digest, None).await.unwrap();
    assert_eq!(
        found.iter().map(|it| it.digest).collect::<Vec<_>>(),
        [image.digest]
    );
}

#[tokio::test]
async fn what_sigstores_libraries_sign_in_a_real_registry_is_accepted_also_offline() {
    let Some(mut registry) = RealRegistry::start("what_sigstores_libraries_sign") else {
        return;
    };
    let image = registry.reference("me/filter:1");
    let digest = push(&registry.store(), &image, &module(1), Format::Compat)
        .await
        .digest;
    let unsigned = ruled(registry.store(), rule(Mode::Require, &["other.pub"]));
    refused(
        pull(&unsigned, &image).await,
        &["has no valid signature", "there is none"],
    );
    let public = sigstore_sign(&registry, "me/filter", &digest.to_string());
    let key = Key::from_pem("mine.pub", public.as_bytes()).unwrap();
    refused(
        pull(&unsigned, &image).await,
        &["a Sigstore bundle by another key"],
    );
    let strict = |key: &Key| {
        let rule = Rule {
            keys: vec![key.clone()],
            ..rule(Mode::Require, &[])
        };
        ruled(registry.store(), rule)
    };
    let expected = Verdict::Valid {
        key: "mine.pub".to_owned(),
        form: Form::Statement,
    };
    let (store, again) = (strict(&key), strict(&key));
    assert_eq!(pull(&store, &image).await.unwrap().signature, expected);
    registry.stop();
    let pulled = pull_always(&again, &image).await.unwrap();
    assert_eq!(pulled.signature, expected);
    assert!(matches!(pulled.source, Source::CacheAfter(_)));
}
