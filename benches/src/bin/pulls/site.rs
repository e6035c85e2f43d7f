//! A gateway with plugins of the registry, and an origin behind it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use tidegate_benches::process::{Core, Running, free_address, head_of, serving};
use tidegate_benches::resources::{all_to, plugin};

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
        let (address, admin) = (free_address()?, free_address()?);
        let (running, origin) = Running::origin(Some(load), folder.path())?;
        let config = folder.path().join("config");
        fs::create_dir(&config)?;
        let plugins = (0..).zip(references).map(|(number, reference)| {
            let spec = format!("  source: {{ oci: \"{reference}\" }}\n  pullPolicy: Always\n");
            plugin(&format!("p{number}"), &spec)
        });
        let files: String = [all_to(origin, address)]
            .into_iter()
            .chain(plugins)
            .collect();
        fs::write(config.join("gateway.yaml"), files)?;
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
        let mut command = serving(&self.path("config"), 1)?;
        command.arg("--admin").arg(self.admin.to_string());
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
