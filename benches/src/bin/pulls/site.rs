//! A gateway with plugins of the registry, and an origin behind it.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use tidegate_benches::places;
use tidegate_benches::process::{Core, Running, free_address, head_of};

/// What an answer of the admin API may take.
const LIMIT: Duration = Duration::from_secs(20);

/// The files, and what was kept of what was pulled.
pub(crate) struct Site {
    folder: TempDir,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    _origin: Running,
}

impl Site {
    /// Plugins of these references, in the path of everything.
    pub(crate) fn new(references: &[String], load: Core) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (address, admin, origin) = (free_address()?, free_address()?, free_address()?);
        let mut command = Command::new(places::own("origin")?);
        command.arg(origin.to_string());
        let mut running = Running::start("origin", &mut command, Some(load), folder.path())?;
        running.wait_until_answers(origin, "/100")?;
        let config = folder.path().join("config");
        fs::create_dir(&config)?;
        fs::write(
            config.join("gateway.yaml"),
            yaml(address, origin, references)?,
        )?;
        Ok(Self {
            folder,
            address,
            admin,
            _origin: running,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the gateway, on this core.
    pub(crate) fn start(&self, core: Core) -> Result<Running> {
        let mut command = Command::new(places::tidegate()?);
        command.args(["run", "--workers", "1", "--access-log", "off"]);
        command.arg("--log").arg("warn");
        command.arg("--admin").arg(self.admin.to_string());
        command.arg("-c").arg(self.path("config"));
        command.arg("--state-dir").arg(self.path("state"));
        Running::start("gateway", &mut command, Some(core), self.folder.path())
    }

    /// How many filters have seen a response: each adds a field.
    pub(crate) fn filters(&self) -> usize {
        let head = head_of(self.address, "/100").unwrap_or_default();
        head.lines()
            .filter(|line| line.starts_with("x-by:"))
            .count()
    }

    /// What the only filter says of itself.
    pub(crate) fn says(&self) -> Option<String> {
        let head = head_of(self.address, "/100").ok()?;
        let line = head.lines().find_map(|line| line.strip_prefix("x-by: "))?;
        Some(line.to_owned())
    }

    /// Makes the gateway ask for all tags.
    pub(crate) fn reload(&self) -> Result<()> {
        let mut stream = TcpStream::connect(self.admin).context("the admin API")?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream
            .write_all(b"POST /reload HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 2"), "no reload: {answer}");
        Ok(())
    }
}

fn yaml(listen: SocketAddr, origin: SocketAddr, references: &[String]) -> Result<String> {
    let (address, port) = (listen.ip(), listen.port());
    let mut text = format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{ name: edge }}
spec:
  gatewayClassName: tidegate
  addresses: [{{ type: IPAddress, value: {address} }}]
  listeners: [{{ name: http, port: {port}, protocol: HTTP }}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: all }}
spec:
  parentRefs: [{{ name: edge }}]
  rules:
    - backendRefs: [{{ group: tidegate.dev, kind: Backend, name: origin }}]
---
apiVersion: tidegate.dev/v1alpha1
kind: Backend
metadata: {{ name: origin }}
spec: {{ endpoints: [{{ address: \"{origin}\" }}] }}
"
    );
    for (number, reference) in references.iter().enumerate() {
        write!(
            text,
            "---
apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: {{ name: p{number} }}
spec:
  source: {{ oci: \"{reference}\" }}
  pullPolicy: Always
  targetRefs: [{{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }}]
"
        )?;
    }
    Ok(text)
}
