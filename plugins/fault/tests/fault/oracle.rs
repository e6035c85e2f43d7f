//! Envoy's own filter, asked for the same faults by the same headers.
#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "this is the test's own process, and no module"
)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate_sdk_testing::{Mode, get, json, mode, post};

use crate::start;

/// How long it may take to start.
const START: Duration = Duration::from_secs(60);

/// What becomes of a request: its status, that of gRPC, and whether it waited.
type Outcome = (u16, Option<String>, bool);

/// A running Envoy.
struct Oracle {
    envoy: Child,
    folder: PathBuf,
    address: SocketAddr,
}

impl Oracle {
    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("fault-oracle-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let (config, admin) = (folder.join("envoy.json"), folder.join("admin"));
        std::fs::write(&config, configuration().to_string()).expect("a file");
        let program = std::env::var_os("TIDEGATE_ENVOY").unwrap_or_else(|| "envoy".into());
        let envoy = Command::new(program)
            .args(["--concurrency", "1", "--disable-hot-restart", "-l", "error"])
            .arg("-c")
            .arg(&config)
            .arg("--admin-address-path")
            .arg(&admin)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("envoy");
        let mut this = Self {
            envoy,
            folder,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let began = Instant::now();
        while began.elapsed() < START {
            assert!(matches!(this.envoy.try_wait(), Ok(None)), "Envoy has ended");
            if let Some(address) = listener(&admin) {
                this.address = address;
                return this;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("Envoy is not ready after {START:?}");
    }

    fn ask(&self, headers: &[(&str, &str)]) -> Outcome {
        let lines: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let request = format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{lines}\r\n");
        let answer = exchange(self.address, &request).expect("an answer");
        let field = |name: &str| {
            let mut lines = answer.lines();
            lines
                .find_map(|it| it.strip_prefix(name))
                .map(str::to_owned)
        };
        let status = answer.get(9..12).and_then(|it| it.parse().ok());
        let waited = field("x-flags: ").is_some_and(|flags| flags.contains("DI"));
        (status.expect("a status"), field("grpc-status: "), waited)
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.envoy.kill().ok();
        self.envoy.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

fn exchange(address: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The address of its listener, once it serves.
fn listener(admin: &Path) -> Option<SocketAddr> {
    let admin = std::fs::read_to_string(admin).ok()?.trim().parse().ok()?;
    let ask = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        exchange(admin, &request).ok()
    };
    ask("/ready")?.contains("LIVE").then_some(())?;
    let listeners = ask("/listeners?format=json")?;
    let (_, body) = listeners.split_once("\"address\": \"127.0.0.1\",")?;
    let (_, port) = body.split_once("\"port_value\": ")?;
    let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
    Some(SocketAddr::from(([127, 0, 0, 1], digits.parse().ok()?)))
}

fn typed(name: &str, mut config: Value) -> Value {
    let name = format!("type.googleapis.com/envoy.extensions.{name}");
    if let Some(fields) = config.as_object_mut() {
        fields.insert("@type".to_owned(), name.into());
    }
    config
}

fn configuration() -> Value {
    let any = json!({"address": "127.0.0.1", "port_value": 0});
    let all = json!({"numerator": 100});
    let faults = typed(
        "filters.http.fault.v3.HTTPFault",
        json!({
            "abort": {"header_abort": {}, "percentage": all},
            "delay": {"header_delay": {}, "percentage": all},
        }),
    );
    let flags = json!({"header": {"key": "x-flags", "value": "%RESPONSE_FLAGS%"}});
    let route = json!({"match": {"prefix": "/"}, "direct_response": {"status": 200}});
    let router = typed("filters.http.router.v3.Router", json!({}));
    let manager = typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        json!({
            "stat_prefix": "oracle",
            "route_config": {
                "response_headers_to_add": [flags],
                "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}],
            },
            "http_filters": [
                {"name": "fault", "typed_config": faults},
                {"name": "router", "typed_config": router},
            ],
        }),
    );
    json!({
        "admin": {"address": {"socket_address": any}},
        "static_resources": {"listeners": [{
            "name": "oracle",
            "address": {"socket_address": any},
            "filter_chains": [{"filters": [{"name": "manager", "typed_config": manager}]}],
        }]},
    })
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");

#[test]
fn headers_ask_for_what_they_ask_envoys_own_filter_for() {
    if mode() != Mode::Envoy {
        return; // There is only one of it, where Envoy is.
    }
    let abort = |value| ("x-envoy-fault-abort-request", value);
    let grpc = |value| ("x-envoy-fault-abort-grpc-request", value);
    let share = |value| ("x-envoy-fault-abort-request-percentage", value);
    let delay = |value| ("x-envoy-fault-delay-request", value);
    let delays = |value| ("x-envoy-fault-delay-request-percentage", value);
    let mut rows = vec![
        vec![],
        vec![abort("503"), GRPC],
        vec![grpc("14"), GRPC],
        vec![abort("418"), grpc("7")],
        vec![abort("418"), grpc("7"), GRPC],
        vec![abort("none"), grpc("7"), GRPC],
        vec![abort("503"), share("0")],
        vec![delay("1"), delays("0")],
        vec![delay("1"), delays("none")],
        vec![share("100"), delays("100")],
    ];
    for value in [
        "503", "200", "599", "600", "199", "", "x", "-503", "+503", "0503", "503.0", "5e2",
    ] {
        rows.push(vec![abort(value)]);
    }
    for value in ["1", "5", "8", "14", "16"] {
        // Of others it is 200 there, and the nearest status here.
        rows.push(vec![grpc(value), GRPC]);
    }
    for value in ["100", "150", "none", "-5", ""] {
        rows.push(vec![abort("503"), share(value)]);
    }
    for value in ["1", "0", "", "x", "-1", "1.5", "1s"] {
        rows.push(vec![delay(value)]);
    }
    let oracle = Oracle::start();
    let mut h = start(&json!({"allowHeaderControl": true}));
    let mut differences = Vec::new();
    for row in &rows {
        let waits = h.metric("fault_delays");
        let request = match row.contains(&GRPC) {
            true => post("/").body(""),
            false => get("/"),
        };
        let answer = h.send(
            row.iter()
                .fold(request, |it, (name, value)| it.header(name, value)),
        );
        let waited = h.metric("fault_delays") > waits;
        let ours = (answer.status(), answer.header("grpc-status"), waited);
        let theirs = oracle.ask(row);
        if ours != theirs {
            differences.push(format!("{row:?}: {ours:?}, Envoy's own: {theirs:?}"));
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}
