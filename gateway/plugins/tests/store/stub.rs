//! A registry of threads and sockets that shares no code with the client, and does what it is told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::StreamOwned;
use sha2::Digest as _;
use sha2::Sha256;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

type Writer = Box<dyn FnOnce(&mut dyn Write) + Send>;

/// What is answered.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Writes all of the answer instead; the connection ends with it.
    pub(crate) raw: Option<Writer>,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            raw: None,
        }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, body.to_string()).with("Content-Type", "application/json")
    }

    pub(crate) fn raw(write: impl FnOnce(&mut dyn Write) + Send + 'static) -> Self {
        Self {
            raw: Some(Box::new(write)),
            ..Self::new(200, "")
        }
    }
}

type Rule = Box<dyn Fn(&Seen) -> Option<Reply> + Send + Sync>;

#[derive(Default)]
struct State {
    blobs: Mutex<BTreeMap<String, Vec<u8>>>,
    /// By name and tag or digest.
    manifests: Mutex<BTreeMap<String, (String, Vec<u8>)>>,
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
}

/// A registry on a free port of this machine. Its threads end with the process.
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

impl Stub {
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    pub(crate) fn start_tls(config: ServerConfig) -> Self {
        Self::start_with(Some(Arc::new(config)))
    }

    fn start_with(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                let tls = tls.clone();
                std::thread::spawn(move || {
                    state.connections.fetch_add(1, Ordering::SeqCst);
                    match tls {
                        None => serve(&state, BufReader::new(stream)),
                        Some(config) => {
                            let connection = ServerConnection::new(config).unwrap();
                            serve(&state, BufReader::new(StreamOwned::new(connection, stream)));
                        }
                    }
                });
            }
        });
        Self { address, state }
    }

    /// What is answered instead of what a registry would.
    pub(crate) fn rule(&self, rule: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) {
        self.state.rules.lock().unwrap().push(Box::new(rule));
    }

    pub(crate) fn forget_rules(&self) {
        self.state.rules.lock().unwrap().clear();
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// The requests so far, as `METHOD target`, and forgets them.
    pub(crate) fn take_seen(&self) -> Vec<String> {
        let seen = std::mem::take(&mut *self.state.seen.lock().unwrap());
        seen.iter()
            .map(|it| format!("{} {}", it.method, it.target))
            .collect()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Puts a blob there.
    pub(crate) fn blob(&self, content: &[u8]) -> String {
        let digest = sha256(content);
        self.state
            .blobs
            .lock()
            .unwrap()
            .insert(digest.clone(), content.to_vec());
        digest
    }

    /// Puts a manifest there, under a tag and its digest.
    pub(crate) fn manifest(&self, name: &str, tag: &str, media_type: &str, text: &str) -> String {
        let digest = sha256(text.as_bytes());
        let mut manifests = self.state.manifests.lock().unwrap();
        for key in [tag, &digest] {
            let value = (media_type.to_owned(), text.as_bytes().to_vec());
            manifests.insert(format!("{name}/{key}"), value);
        }
        digest
    }

    /// Puts an image with these layers there: their media types and content.
    pub(crate) fn image(&self, name: &str, tag: &str, layers: &[(&str, &[u8])]) -> String {
        let config = self.blob(b"{}");
        let layers: Vec<_> = layers
            .iter()
            .map(|(media_type, content)| {
                let digest = self.blob(content);
                serde_json::json!({ "mediaType": media_type, "digest": digest, "size": content.len() })
            })
            .collect();
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2
            },
            "layers": layers,
        });
        self.manifest(name, tag, OCI_MANIFEST, &manifest.to_string())
    }

    pub(crate) fn reference(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }
}

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub(crate) fn sha256(bytes: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

/// Both directions of a connection.
trait Stream: Read + Write {}
impl Stream for TcpStream {}
impl Stream for StreamOwned<ServerConnection, TcpStream> {}

fn serve<S: Stream>(state: &State, mut stream: BufReader<S>) {
    while let Some(seen) = read(&mut stream) {
        state.seen.lock().unwrap().push(seen.clone());
        let ruled = {
            let rules = state.rules.lock().unwrap();
            rules.iter().find_map(|rule| rule(&seen))
        };
        let reply = ruled.unwrap_or_else(|| answer(state, &seen));
        let out = stream.get_mut();
        if let Some(raw) = reply.raw {
            raw(out);
            return;
        }
        let mut head = format!("HTTP/1.1 {} Reason\r\n", reply.status);
        for (name, value) in &reply.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        if !reply
            .headers
            .iter()
            .any(|(name, _)| name == "Content-Length")
        {
            write!(head, "Content-Length: {}\r\n", reply.body.len()).unwrap();
        }
        head.push_str("\r\n");
        let body: &[u8] = if seen.method == "HEAD" {
            b""
        } else {
            &reply.body
        };
        let sent = out
            .write_all(head.as_bytes())
            .and_then(|()| out.write_all(body));
        if sent.and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

fn read(stream: &mut impl BufRead) -> Option<Seen> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    let mut seen = Seen {
        method,
        target,
        headers,
        body: Vec::new(),
    };
    let length = seen.header("content-length").and_then(|it| it.parse().ok());
    seen.body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut seen.body).ok()?;
    Some(seen)
}

/// What a registry answers.
fn answer(state: &State, seen: &Seen) -> Reply {
    let unknown = |code: &str| {
        let error =
            serde_json::json!({ "errors": [{ "code": code, "message": "it is not here" }] });
        Reply::json(404, &error)
    };
    // A proxy may pass on what it was asked for as it is.
    let absolute = seen.target.strip_prefix("http://");
    let absolute = absolute.and_then(|it| it.get(it.find('/')?..));
    let target = absolute.unwrap_or(&seen.target);
    let path = target.split('?').next().unwrap_or_default();
    let Some(path) = path.strip_prefix("/v2/") else {
        return unknown("UNSUPPORTED");
    };
    if let Some((name, tag)) = path.split_once("/manifests/") {
        let mut manifests = state.manifests.lock().unwrap();
        if seen.method == "PUT" {
            let digest = sha256(&seen.body);
            let media_type = seen.header("content-type").unwrap_or_default().to_owned();
            for key in [tag, &digest] {
                let value = (media_type.clone(), seen.body.clone());
                manifests.insert(format!("{name}/{key}"), value);
            }
            return Reply::new(201, "").with("Docker-Content-Digest", digest);
        }
        return match manifests.get(&format!("{name}/{tag}")) {
            Some((media_type, text)) => Reply::new(200, text.clone())
                .with("Content-Type", media_type.clone())
                .with("Docker-Content-Digest", sha256(text)),
            None => unknown("MANIFEST_UNKNOWN"),
        };
    }
    if path.ends_with("/blobs/uploads/") && seen.method == "POST" {
        return Reply::new(202, "").with("Location", format!("/v2/{path}1?state=x%2Fy"));
    }
    let mut blobs = state.blobs.lock().unwrap();
    if path.contains("/blobs/uploads/") && seen.method == "PUT" {
        blobs.insert(sha256(&seen.body), seen.body.clone());
        return Reply::new(201, "");
    }
    match path
        .split_once("/blobs/")
        .and_then(|(_, digest)| blobs.get(digest))
    {
        Some(content) => Reply::new(200, content.clone()),
        None => unknown("BLOB_UNKNOWN"),
    }
}
