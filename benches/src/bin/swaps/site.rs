//! The gateway that is changed, its files, and an origin whose answers never end.
//!
//! Owns the filter: each version answers with its own number, but lets requests of many fields pass to
//! the origin, which holds them.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tidegate_benches::proc_files::{Memory, memory};
use tidegate_benches::process::{Core, Running, free_address, serving};
use tidegate_benches::resources::{all_to, plugin};

/// How long the admin API may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Digits of a version in its answer.
pub(crate) const DIGITS: usize = 7;

/// See the module.
pub(crate) struct Site {
    running: Running,
    folder: TempDir,
    /// Where it serves.
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
}

impl Site {
    /// Starts it with version 1.
    pub(crate) fn start(core: Core) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (address, admin) = (free_address()?, free_address()?);
        let config = folder.path().join("config");
        fs::create_dir(&config)?;
        let number = plugin("number", "  source: { file: number.wasm }\n");
        let files = all_to(endless()?, address) + &number;
        fs::write(config.join("gateway.yaml"), files)?;
        let mut command = serving(&config, 2)?;
        command.arg("--admin").arg(admin.to_string());
        command.arg("--state-dir").arg(folder.path().join("state"));
        fs::write(config.join("number.wasm"), module(1)?)?;
        let running = Running::start("tidegate", &mut command, Some(core), folder.path())?;
        let mut site = Self {
            running,
            folder,
            address,
            admin,
        };
        site.running.wait_until_answers(site.admin, "/ready")?;
        Ok(site)
    }

    /// Puts a version of the filter in place, as careful programs do.
    pub(crate) fn write(&self, code: &[u8]) -> Result<()> {
        let new = self.config().join(".number.wasm.new");
        fs::write(&new, code)?;
        fs::rename(new, self.config().join("number.wasm"))?;
        Ok(())
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// Has the files read again; when this returns, all workers have what is in them.
    pub(crate) fn reload(&self) -> Result<()> {
        let head = self.ask("POST /reload")?;
        ensure!(
            head.starts_with("HTTP/1.1 200 "),
            "the reload failed:\n{head}"
        );
        Ok(())
    }

    /// A number at /metrics, by its name with labels.
    pub(crate) fn metric(&self, name: &str) -> Result<u64> {
        let page = self.ask("GET /metrics")?;
        let mut lines = page.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value
            .with_context(|| format!("there is no metric {name}"))?
            .trim()
            .parse()
            .context("a metric is a number")
    }

    /// Whether /plugins names that digest as what serves.
    pub(crate) fn serves(&self, digest: &str) -> Result<bool> {
        let page = self.ask("GET /plugins")?;
        Ok(page.contains(digest))
    }

    /// Bytes of its memory.
    pub(crate) fn resident(&self) -> Result<u64> {
        memory(self.running.id(), Memory::Resident)
    }

    /// What it logged.
    pub(crate) fn printed(&self) -> String {
        self.running.printed()
    }

    fn ask(&self, line: &str) -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.admin, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        )?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        Ok(page)
    }
}

/// The code of a version.
pub(crate) fn module(number: u64) -> Result<Vec<u8>> {
    let text = format!(
        r#"(module
        (import "env" "proxy_send_local_response"
            (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 2)
        (data (i32.const 16) "{number:0DIGITS$}")
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 65536))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (if (i32.gt_u (local.get 1) (i32.const 20)) (then (return (i32.const 0))))
            (drop (call $answer (i32.const 200) (i32.const 0) (i32.const 0) (i32.const 16)
                (i32.const {DIGITS}) (i32.const 0) (i32.const 0) (i32.const -1)))
            (i32.const 1)))"#
    );
    Ok(wat::parse_str(text)?)
}

/// The same code with another digest: a section that nobody reads is added.
pub(crate) fn variant(code: &Path, number: u64) -> Result<Vec<u8>> {
    let mut bytes = fs::read(code)?;
    // A custom section: its id, its size, a name of one letter, and what is in it.
    let content = format!("{number:08}");
    let size = u8::try_from(content.len() + 2)?;
    bytes.extend([0, size, 1, b'n']);
    bytes.extend(content.as_bytes());
    Ok(bytes)
}

/// A request that the origin answers without an end; it lasts as long as the connection is kept.
pub(crate) fn long_stream(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let fields: String = (0..30).map(|n| format!("x-{n}: 1\r\n")).collect();
    write!(stream, "GET /long HTTP/1.1\r\nhost: a\r\n{fields}\r\n")?;
    let mut some = [0; 512];
    let count = stream.read(&mut some)?;
    let head = String::from_utf8_lossy(some.get(..count).unwrap_or_default());
    ensure!(head.starts_with("HTTP/1.1 200 "), "no long stream:\n{head}");
    Ok(stream)
}

/// An origin that sends a head and then nothing.
fn endless() -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    std::thread::Builder::new()
        .name("origin".to_owned())
        .spawn(move || {
            let mut held = Vec::new();
            for mut stream in listener.incoming().flatten() {
                let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n";
                if stream.write_all(head).is_ok() {
                    held.push(stream);
                }
            }
        })?;
    Ok(address)
}
