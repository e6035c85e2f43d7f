//! Real servers on free ports of this machine, with a folder of their own; killed when dropped.
//!
//! Tests start them only where peers are wanted ([`Peer::wanted`]): `cargo xtask test --peers`
//! installs them and sets `TIDEGATE_PEERS` and `TIDEGATE_PEERS_DIR`. Envoy is [`crate::Envoy`].

use std::ffi::OsString;
use std::fs::File;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use crate::eventually;

/// MariaDB would write 100 MB of nothing first.
const SMALL_LOG: &str = "--innodb-log-file-size=8M";

/// A server that runs.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

/// A server to be started: where it shall listen, and where its files are.
#[derive(Debug)]
pub struct Place {
    /// A port that was free a moment ago.
    pub address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Peer {
    /// Whether tests use real programs; if not, the one of this name says so.
    pub fn wanted(test: &str) -> bool {
        let wanted = std::env::var_os("TIDEGATE_PEERS").is_some();
        if !wanted {
            eprintln!("{test}: not run with real programs: run `cargo xtask test --peers`");
        }
        wanted
    }

    /// nginx with these directives in its only `server`, and these beside it.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[track_caller]
    pub fn nginx(http: &str, server: &str) -> Self {
        let place = Place::new();
        let (address, folder) = (place.address, place.folder.path().display());
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|name| format!("{name}_temp_path {folder}/{name};\n"))
            .collect();
        // It gives up root otherwise, and with it this folder.
        let text = format!(
            "daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n\
             events {{ worker_connections 1000; }}\n\
             http {{ {temporary} access_log off;\n{http}\n\
             server {{ listen {address};\n{server}\n }} }}\n"
        );
        let config = place.file("nginx.conf", text);
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-p"]).arg(place.path());
        place.start(command.arg("-c").arg(config))
    }

    /// HAProxy with one frontend in mode `http` to this server.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[track_caller]
    pub fn haproxy(server: SocketAddr) -> Self {
        let place = Place::new();
        let config = format!(
            "global\n  nbthread 1\n  maxconn 500\ndefaults\n  mode http\n  timeout connect 5s\n  \
             timeout client 60s\n  timeout server 60s\n  http-reuse always\nfrontend clients\n  \
             bind {}\n  default_backend origin\nbackend origin\n  server origin {server}\n",
            place.address
        );
        let config = place.file("haproxy.cfg", config);
        place.start(Command::new("haproxy").arg("-db").arg("-f").arg(config))
    }

    /// A script for Node, called with the port and the folder.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[track_caller]
    pub fn node(script: &str) -> Self {
        let place = Place::new();
        let script = place.file("server.js", script);
        let mut command = Command::new(node());
        command.arg(script).arg(place.address.port().to_string());
        command.arg(place.path());
        place.start(&mut command)
    }

    /// A script for the Python that has grpcio, called with the port and these words.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[track_caller]
    pub fn python(script: &str, words: &[&str]) -> Self {
        let place = Place::new();
        let script = place.file("server.py", script);
        let mut command = Command::new(python());
        command.arg(script).arg(place.address.port().to_string());
        place.start(command.args(words))
    }

    /// Redis that keeps nothing, with these settings.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[track_caller]
    pub fn redis(settings: &[&str]) -> Self {
        Self::redis_in(Place::new(), settings)
    }

    /// The same where one was before.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[track_caller]
    pub fn redis_at(address: SocketAddr, settings: &[&str]) -> Self {
        Self::redis_in(Place::at(address), settings)
    }

    #[track_caller]
    fn redis_in(place: Place, settings: &[&str]) -> Self {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.args(["--port", &place.address.port().to_string(), "--dir"]);
        command.arg(place.path());
        place.start(command.args(settings))
    }

    /// MariaDB with an empty data folder and its user `root`, who needs no password.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[track_caller]
    pub fn mariadb() -> Self {
        let place = Place::new();
        let data = place.path().join("data");
        let data = data.to_str().expect("the folder's name is text");
        let made = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal"])
            .args(["--skip-test-db", SMALL_LOG, &format!("--datadir={data}")])
            .args(as_root())
            .stdin(Stdio::null())
            .output()
            .expect("mariadb-install-db starts");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "no database: {said}");
        let mut command = Command::new(sbin("mariadbd"));
        command
            .args(["--no-defaults", "--bind-address=127.0.0.1"])
            .args(["--skip-name-resolve", SMALL_LOG])
            .arg(format!("--datadir={data}"))
            .arg(format!("--port={}", place.address.port()))
            .arg(format!("--socket={}/socket", place.path().display()))
            .args(as_root());
        place.start(&mut command)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is in one of its files; nothing while there is none.
    pub fn file(&self, name: &str) -> String {
        std::fs::read(self.folder.path().join(name))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Place {
    /// A free port and an empty folder.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        Self {
            address: listener.local_addr().expect("it is bound"),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// Where somebody listened before, with an empty folder.
    ///
    /// # Panics
    ///
    /// If there is no room for a folder.
    pub fn at(address: SocketAddr) -> Self {
        Self {
            address,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a file there, and says where it is.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    /// Starts a program and waits until it listens; what it prints goes to the file `printed`.
    ///
    /// # Panics
    ///
    /// If it ends or does not listen.
    #[track_caller]
    pub fn start(self, command: &mut Command) -> Peer {
        let name = command.get_program().to_string_lossy().into_owned();
        let printed = File::create(self.path().join("printed")).expect("writable");
        let child = command
            .stdin(Stdio::null())
            .stdout(printed.try_clone().expect("a file"))
            .stderr(printed)
            .spawn()
            .unwrap_or_else(|err| panic!("{name} does not start: {err}"));
        let mut peer = Peer {
            child,
            address: self.address,
            folder: self.folder,
        };
        eventually(&format!("{name} listens"), || {
            let ended = peer.child.try_wait().expect("it was started");
            assert!(ended.is_none(), "{name} ended: {}", peer.file("printed"));
            TcpStream::connect(peer.address).ok()
        });
        peer
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

/// The Python that has grpcio.
///
/// # Panics
///
/// If peers were not installed.
pub fn python() -> PathBuf {
    let path = peers().join("grpcio/bin/python");
    assert!(path.exists(), "{} is missing", path.display());
    path
}

/// Node: that of the machine, else the one that came with the filters' toolchains.
///
/// # Panics
///
/// If there is none, and xtask does not say where peers are.
pub fn node() -> OsString {
    let ours = peers().join("node/bin/node");
    let works = Command::new("node").arg("--version").output();
    match works {
        Ok(output) if output.status.success() => "node".into(),
        _ => ours.into(),
    }
}

/// Where peers are that were installed for this repository only.
pub(crate) fn peers() -> PathBuf {
    let folder = std::env::var_os("TIDEGATE_PEERS_DIR");
    folder.expect("xtask says where peers are").into()
}

/// Administrators' programs are in a folder that an ordinary PATH lacks.
fn sbin(name: &str) -> PathBuf {
    let path = Path::new("/usr/sbin").join(name);
    if path.exists() { path } else { name.into() }
}

/// What MariaDB wants to hear from root, and from nobody else.
fn as_root() -> Option<&'static str> {
    let is_root = Command::new("id").arg("-u").output();
    let is_root = is_root.is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    is_root.then_some("--user=root")
}
