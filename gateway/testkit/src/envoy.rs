//! A real Envoy, to compare with.
//!
//! Tests start it only where peers are wanted ([`Envoy::wanted`]): `cargo xtask test --peers`
//! installs it and sets `TIDEGATE_PEERS` and `TIDEGATE_PEERS_DIR`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use crate::Client;
use crate::eventually;

/// A running Envoy with one worker; killed when dropped.
#[derive(Debug)]
pub struct Envoy {
    child: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Envoy {
    /// Whether tests compare with peers; if not, one that wants to says so.
    pub fn wanted() -> bool {
        let wanted = std::env::var_os("TIDEGATE_PEERS").is_some();
        if !wanted {
            eprintln!("not compared with Envoy: run `cargo xtask test --peers`");
        }
        wanted
    }

    /// Starts one with this configuration, which must have an admin address and one listener, both
    /// on port 0, and waits until it listens.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[track_caller]
    pub fn start(config: &str) -> Self {
        let peers = std::env::var_os("TIDEGATE_PEERS_DIR").expect("xtask says where peers are");
        let binary = PathBuf::from(peers).join("envoy/bin/envoy");
        assert!(binary.exists(), "{} is missing", binary.display());
        let folder = tempfile::tempdir().expect("a folder");
        let (admin, path) = (
            folder.path().join("admin"),
            folder.path().join("envoy.yaml"),
        );
        let log = std::fs::File::create(folder.path().join("log")).expect("writable");
        std::fs::write(&path, config).expect("writable");
        let child = Command::new(binary)
            .args(["--concurrency", "1", "--disable-hot-restart", "-l", "error"])
            .arg("-c")
            .arg(&path)
            .arg("--admin-address-path")
            .arg(&admin)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("envoy starts");
        let mut envoy = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            folder,
        };
        let admin: SocketAddr = eventually("envoy's admin address", || {
            let ended = envoy.child.try_wait().expect("it was started");
            assert!(ended.is_none(), "envoy ended: {}", envoy.log());
            std::fs::read_to_string(&admin).ok()?.trim().parse().ok()
        });
        envoy.address = eventually("envoy's listener", || {
            let mut client = Client::try_connect(admin).ok()?;
            let listeners = client.get("/listeners").text();
            let (_, address) = listeners.lines().next()?.rsplit_once("::")?;
            address.trim().parse().ok()
        });
        envoy
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it wrote to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
