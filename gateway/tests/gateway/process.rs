//! `tidegate run` as a process, with its folder, its log and its admin API.

use std::io::BufRead as _;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;

use serde_json::Value;
use tidegate_testkit::Client;
use tidegate_testkit::Message;
use tidegate_testkit::Origin;
use tidegate_testkit::eventually;

/// The command, with nothing of the surroundings in it.
pub(crate) fn tidegate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    for name in [
        "TIDEGATE_LOG",
        "RUST_BACKTRACE",
        "STATE_DIRECTORY",
        "XDG_STATE_HOME",
        "HOME",
        "NOTIFY_SOCKET",
    ] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end: exit code, standard output, standard error.
pub(crate) fn finish(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().expect("tidegate runs");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// A folder of configuration files.
#[derive(Debug)]
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    /// A folder with these files.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        for (name, text) in files {
            folder.write(name, text.as_bytes());
        }
        folder
    }

    /// A folder with [`GATEWAY`], a route of everything to an origin, and these files.
    pub(crate) fn before(origin: &Origin, files: &[(&str, &str)]) -> Self {
        let folder = Self::of(&[
            ("gateway.yaml", GATEWAY),
            ("route.yaml", &route("apples")),
            ("apples.yaml", &backend("apples", origin.address())),
        ]);
        for (name, text) in files {
            folder.write(name, text.as_bytes());
        }
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts a file in place as a whole, as careful programs do.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let new = self.file(&format!(".{name}.new"));
        std::fs::write(&new, bytes).expect("written");
        std::fs::rename(new, self.file(name)).expect("renamed");
    }
}

/// A Gateway on a free port of this machine.
pub(crate) const GATEWAY: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec:
  gatewayClassName: tidegate
  addresses: [{ type: IPAddress, value: 127.0.0.1 }]
  listeners: [{ name: http, port: 0, protocol: HTTP }]
"#;

/// A route that sends everything to one backend.
pub(crate) fn route(backend: &str) -> String {
    format!(
        r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: all }}
spec:
  parentRefs: [{{ name: edge }}]
  rules:
    - backendRefs: [{{ group: tidegate.dev, kind: Backend, name: {backend} }}]
"#
    )
}

/// A backend with one endpoint.
pub(crate) fn backend(name: &str, address: SocketAddr) -> String {
    format!(
        r#"
apiVersion: tidegate.dev/v1alpha1
kind: Backend
metadata: {{ name: {name} }}
spec: {{ endpoints: [{{ address: "{address}" }}] }}
"#
    )
}

/// A running `tidegate run`, killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    admin: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Running {
    /// Starts it without state; it serves when this returns.
    pub(crate) fn start(folder: &Folder, args: &[&str]) -> Self {
        let args = [&["--state-dir", "off"], args].concat();
        Self::start_with(folder.path(), &args)
    }

    /// Starts it with exactly these arguments beside the configuration.
    pub(crate) fn start_with(config: &Path, args: &[&str]) -> Self {
        let mut command = tidegate();
        command.arg("run").arg("-c").arg(config);
        command.args(["--admin", "127.0.0.1:0", "--workers", "2"]);
        Self::spawn(command.args(args))
    }

    /// Starts a command and waits for its admin API.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut running = Self::spawn_bare(command);
        running.admin = eventually("the admin API", || {
            let ended = running.child.try_wait().expect("it can be waited for");
            assert_eq!(ended, None, "it ended: {:#?}", running.log());
            let find = |line: &String| line.rsplit_once("admin API on ")?.1.trim().parse().ok();
            running.log().iter().find_map(find)
        });
        running
    }

    /// Starts a command that has no admin API.
    pub(crate) fn spawn_bare(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tidegate starts");
        let stderr = child.stderr.take().expect("it is piped");
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.lock().expect("no panic").push(line);
            }
        });
        Self {
            child,
            admin: SocketAddr::from(([127, 0, 0, 1], 0)),
            log,
        }
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().expect("no panic").clone()
    }

    /// Waits for a line with this text; returns it.
    #[track_caller]
    pub(crate) fn logs(&self, part: &str) -> String {
        eventually(&format!("{part:?} in the log"), || {
            self.log().into_iter().find(|line| line.contains(part))
        })
    }

    /// The address of the admin API.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the admin API.
    #[track_caller]
    pub(crate) fn admin(&self, line: &str) -> Message {
        ask(self.admin, line, "Host: localhost\r\n")
    }

    #[track_caller]
    pub(crate) fn json(&self, path: &str) -> Value {
        let answer = self.admin(&format!("GET {path}"));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        serde_json::from_str(&answer.text()).expect("JSON")
    }

    /// Where its only bind listens now; `None` while it has none.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let dump = self.json("/config_dump");
        let bind = dump.pointer("/binds/0")?;
        if bind.get("listening")? != true {
            return None;
        }
        bind.get("address")?.as_str()?.parse().ok()
    }

    /// Where the bind listens whose name ends so.
    #[track_caller]
    pub(crate) fn address_of(&self, name: &str) -> SocketAddr {
        let dump = self.json("/config_dump");
        let binds = dump.pointer("/binds").and_then(Value::as_array);
        let text = |bind: &Value, key: &str| bind.get(key)?.as_str().map(str::to_owned);
        let mut all = binds.into_iter().flatten();
        let found = all.find(|bind| text(bind, "name").is_some_and(|it| it.ends_with(name)));
        let address = found.and_then(|bind| text(bind, "address")?.parse().ok());
        address.expect("such a bind listens")
    }

    /// One request on a connection of its own, to whatever listens now.
    pub(crate) fn get(&self, path: &str) -> Message {
        Client::connect(self.address().expect("it listens")).get(path)
    }

    /// The generation that serves.
    pub(crate) fn generation(&self) -> u64 {
        let dump = self.json("/config_dump");
        let number = dump.get("generation").and_then(Value::as_u64);
        number.expect("a number")
    }

    /// The value of a metric, by its name with labels as they are written.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let page = self.admin("GET /metrics").text();
        let line = page.lines().find(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(' '))
        })?;
        line.rsplit_once(' ')?.1.parse().ok()
    }

    /// What /resources says about one.
    #[track_caller]
    pub(crate) fn resource(&self, kind: &str, name: &str) -> Option<Value> {
        let page = self.json("/resources");
        let list = page.get("resources").and_then(Value::as_array);
        let list = list.expect("a list");
        let is =
            |one: &Value, key, value: &str| one.get(key).and_then(Value::as_str) == Some(value);
        let found = list
            .iter()
            .find(|one| is(one, "kind", kind) && is(one, "name", name));
        found.cloned()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        eventually("the gateway to end", || {
            self.child.try_wait().expect("it can be waited for")
        })
        .code()
    }

    /// Ends it at once, as no signal handler can see.
    pub(crate) fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("what a gateway logged:\n{}", self.log().join("\n"));
        }
    }
}

/// Sends one request with these header lines.
#[track_caller]
pub(crate) fn ask(address: SocketAddr, line: &str, fields: &str) -> Message {
    let mut client = Client::connect(address);
    client.send(format!(
        "{line} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n"
    ));
    client.response()
}

/// A line of what the kernel says about a process, in KiB.
pub(crate) fn memory(id: u32, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let found = status.lines().find_map(|it| it.strip_prefix(line));
    let number = found.and_then(|rest| rest.trim().strip_suffix(" kB"));
    number.and_then(|it| it.parse().ok()).expect("a number")
}

/// Makes the peak of memory start again from now.
pub(crate) fn reset_peak(id: u32) {
    std::fs::write(format!("/proc/{id}/clear_refs"), "5").expect("it is ours");
}
