//! A real Envoy, to compare with.
//!
//! Tests start it only where peers are wanted ([`Envoy::wanted`]): `cargo xtask test --peers`
//! installs it and sets `TIDEGATE_PEERS` and `TIDEGATE_PEERS_DIR`.

mod config;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

pub use config::EnvoyConfig;

use crate::Client;
use crate::eventually;

/// A running Envoy with one worker; killed when dropped.
#[derive(Debug)]
pub struct Envoy {
    child: Child,
    /// By name.
    listeners: Vec<(String, SocketAddr)>,
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
        Self::start_with(config, 1)
    }

    /// The same with so many listeners.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[track_caller]
    pub fn start_with(config: &str, listeners: usize) -> Self {
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
            listeners: Vec::new(),
            folder,
        };
        let admin: SocketAddr = eventually("envoy's admin address", || {
            let ended = envoy.child.try_wait().expect("it was started");
            assert!(ended.is_none(), "envoy ended: {}", envoy.log());
            std::fs::read_to_string(&admin).ok()?.trim().parse().ok()
        });
        envoy.listeners = eventually("envoy's listeners", || {
            let mut client = Client::try_connect(admin).ok()?;
            let page = client.get("/listeners").text();
            let found = page.lines().map_while(|line| {
                let (name, address) = line.split_once("::")?;
                Some((name.to_owned(), address.trim().parse().ok()?))
            });
            let found: Vec<_> = found.collect();
            (found.len() == listeners).then_some(found)
        });
        envoy
    }

    /// Waits until it answers that request with that status: it knows its listeners before they
    /// are served.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[must_use]
    #[track_caller]
    pub fn until(self, request: &str, status: u16) -> Self {
        eventually("envoy to serve", || {
            let mut client = Client::try_connect(self.address()).ok()?;
            client.try_send(request).ok()?;
            (client.try_response().ok()?.status() == status).then_some(())
        });
        self
    }

    /// Where it listens first.
    ///
    /// # Panics
    ///
    /// If it has no listener.
    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        self.listeners.first().expect("a listener").1
    }

    /// Where the listener of that name is.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[track_caller]
    pub fn listener(&self, name: &str) -> SocketAddr {
        let found = self.listeners.iter().find(|(known, _)| known == name);
        found.expect("a listener of that name").1
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
