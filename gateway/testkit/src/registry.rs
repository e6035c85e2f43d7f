//! An OCI registry in memory, for tests of what pulls from one and pushes to one.
//!
//! It serves one name after the other as its moods say: well, never, wrongly. It knows of the
//! distribution specification what clients need; it is written without the gateway's own code.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use bytes::Bytes;
use sha2::Digest as _;
use sha2::Sha256;

use crate::message::Message;
use crate::origin::Origin;
use crate::origin::OriginConnection;

/// The media type of the images that [`Registry::put`] makes.
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
/// That of their configuration.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";

/// How a registry treats a repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Mood {
    /// As it should.
    #[default]
    Fine,
    /// Requests get no answer.
    Hangs,
    /// Manifests come, and blobs get no answer.
    HangsAtBlobs,
    /// Requests get this status.
    Answers(u16),
    /// Blobs have other content than they should.
    WrongBlobs,
    /// Whatever is asked for, a page for people comes.
    Page,
}

#[derive(Debug, Default)]
struct State {
    /// By `repository/digest`.
    manifests: HashMap<String, Vec<u8>>,
    /// By `repository:tag`.
    tags: BTreeMap<String, String>,
    blobs: HashMap<String, Bytes>,
    moods: HashMap<String, Mood>,
    /// What `Authorization` must be.
    login: Option<String>,
    is_down: bool,
    asked: Vec<String>,
}

/// See the module; ends when dropped.
#[derive(Debug)]
pub struct Registry {
    state: Arc<Mutex<State>>,
    origin: Origin,
}

impl Default for Registry {
    fn default() -> Self {
        Self::start()
    }
}

impl Registry {
    /// An empty registry on a free port of this machine.
    pub fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        let origin = Origin::script(move |connection| serve(connection, &shared));
        Self { state, origin }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.origin.address()
    }

    /// The reference of `name:tag`, or of a name, here.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address())
    }

    /// Puts a module under a tag; returns the digest of the image.
    pub fn put(&self, name: &str, tag: &str, module: &[u8]) -> String {
        self.put_content(name, tag, "application/wasm", module)
    }

    /// The same for any content of that media type.
    pub fn put_content(&self, name: &str, tag: &str, media_type: &str, layer: &[u8]) -> String {
        self.put_layer(name, tag, media_type, layer, "{}")
    }

    /// The same with these annotations as JSON.
    pub(crate) fn put_layer(
        &self,
        name: &str,
        tag: &str,
        media_type: &str,
        layer: &[u8],
        annotations: &str,
    ) -> String {
        let about = format!(
            r#""mediaType":"{media_type}","size":{},"annotations":{annotations}"#,
            layer.len()
        );
        self.put_described(name, tag, layer, &about)
    }

    /// The same with a layer of a module that is said to have so many bytes.
    pub fn put_claim(&self, name: &str, tag: &str, layer: &[u8], claimed: usize) -> String {
        let about = format!(r#""mediaType":"application/wasm","size":{claimed}"#);
        self.put_described(name, tag, layer, &about)
    }

    /// The same with what is said about the layer beside its digest, as fields of JSON.
    fn put_described(&self, name: &str, tag: &str, layer: &[u8], about: &str) -> String {
        let config = b"{}";
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{IMAGE}","config":{{"mediaType":"{CONFIG}","digest":"{}","size":{}}},"layers":[{{"digest":"{}",{about}}}]}}"#,
            digest(config),
            config.len(),
            digest(layer),
        );
        let image = digest(manifest.as_bytes());
        let mut state = self.state();
        for blob in [config.as_slice(), layer] {
            state
                .blobs
                .insert(digest(blob), Bytes::copy_from_slice(blob));
        }
        let key = format!("{name}/{image}");
        state.manifests.insert(key, manifest.into_bytes());
        state.tags.insert(format!("{name}:{tag}"), image.clone());
        image
    }

    /// Takes a tag away.
    pub fn untag(&self, name: &str, tag: &str) {
        self.state().tags.remove(&format!("{name}:{tag}"));
    }

    /// Makes a tag lead to an image that is here.
    pub fn tag(&self, name: &str, tag: &str, image: &str) {
        let key = format!("{name}:{tag}");
        self.state().tags.insert(key, image.to_owned());
    }

    /// Treats a repository so from now on.
    pub fn treat(&self, name: &str, mood: Mood) {
        self.state().moods.insert(name.to_owned(), mood);
    }

    /// Wants this value of `Authorization` from now on; with `None`, nothing.
    pub fn want_login(&self, authorization: Option<&str>) {
        self.state().login = authorization.map(str::to_owned);
    }

    /// Closes every connection without a word, or serves again.
    pub fn set_down(&self, is_down: bool) {
        self.state().is_down = is_down;
    }

    /// What was asked for so far: methods with paths.
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    /// The tags there are, as `name:tag`, with the images they lead to.
    pub fn tags(&self) -> BTreeMap<String, String> {
        self.state().tags.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The digest of content, as registries write it.
pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

/// An answer: status, more fields, body.
type Answer = (u16, Vec<(&'static str, String)>, Bytes);

fn plain(status: u16) -> Answer {
    (status, Vec::new(), Bytes::new())
}

fn serve(connection: &mut OriginConnection, shared: &Mutex<State>) -> io::Result<()> {
    while !lock(shared).is_down {
        let request = connection.request()?;
        let mut words = request.start.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default().to_owned();
        let (mood, blob) = {
            let mut state = lock(shared);
            if state.is_down {
                return Ok(());
            }
            state.asked.push(format!("{method} {target}"));
            let name = repository(&target);
            let mood = state.moods.get(name).cloned().unwrap_or_default();
            (mood, target.contains("/blobs/sha256:"))
        };
        let answer = match mood {
            Mood::Hangs => return connection.wait_for_close(),
            Mood::HangsAtBlobs if blob => return connection.wait_for_close(),
            Mood::Answers(status) => plain(status),
            Mood::Page => {
                let fields = vec![("content-type", "text/html".to_owned())];
                (
                    200,
                    fields,
                    Bytes::from_static(b"<!doctype html><title>Welcome</title>"),
                )
            }
            Mood::Fine | Mood::HangsAtBlobs | Mood::WrongBlobs => {
                let mut answer = answer(&mut lock(shared), &request, &method, &target);
                if mood == Mood::WrongBlobs && blob {
                    let mut wrong = answer.2.to_vec();
                    if let Some(byte) = wrong.last_mut() {
                        *byte = !*byte;
                    }
                    answer.2 = wrong.into();
                }
                answer
            }
        };
        send(connection, &method, answer)?;
    }
    Ok(())
}

/// The name in `/v2/NAME/manifests/…` and the like.
fn repository(target: &str) -> &str {
    let rest = target.strip_prefix("/v2/").unwrap_or_default();
    let ends = ["/manifests/", "/blobs/", "/referrers/", "/tags/"];
    let end = ends.iter().filter_map(|end| rest.find(end)).min();
    end.and_then(|end| rest.get(..end)).unwrap_or(rest)
}

fn answer(state: &mut State, request: &Message, method: &str, target: &str) -> Answer {
    if let Some(login) = &state.login
        && request.field("authorization") != Some(login.as_str())
    {
        let fields = vec![("www-authenticate", "Basic realm=\"test\"".to_owned())];
        return (
            401,
            fields,
            Bytes::from_static(br#"{"errors":[{"code":"UNAUTHORIZED"}]}"#),
        );
    }
    let name = repository(target).to_owned();
    let rest = target.strip_prefix(&format!("/v2/{name}")).unwrap_or("");
    let last = target.rsplit('/').next().unwrap_or_default();
    match (method, rest) {
        (_, "" | "/") => (200, Vec::new(), Bytes::from_static(b"{}")),
        ("GET" | "HEAD", rest) if rest.starts_with("/manifests/") => {
            let image = match last.strip_prefix("sha256:") {
                Some(_) => Some(last.to_owned()),
                None => state.tags.get(&format!("{name}:{last}")).cloned(),
            };
            let found = image.and_then(|image| {
                let manifest = state.manifests.get(&format!("{name}/{image}"))?;
                Some((image, manifest.clone()))
            });
            let Some((image, manifest)) = found else {
                let why = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no such tag"}]}"#;
                return (404, Vec::new(), Bytes::from_static(why));
            };
            let fields = vec![
                ("content-type", IMAGE.to_owned()),
                ("docker-content-digest", image),
            ];
            (200, fields, manifest.into())
        }
        ("GET" | "HEAD", rest) if rest.starts_with("/blobs/sha256:") => {
            match state.blobs.get(last) {
                Some(blob) => (200, Vec::new(), blob.clone()),
                None => plain(404),
            }
        }
        ("POST", "/blobs/uploads/") => {
            let location = format!("/v2/{name}/blobs/uploads/one");
            (202, vec![("location", location)], Bytes::new())
        }
        ("PUT", rest) if rest.starts_with("/blobs/uploads/") => {
            let found = digest(&request.body);
            let wanted = last.rsplit("digest=").next().unwrap_or_default();
            if wanted.replace("%3A", ":") != found {
                return plain(400);
            }
            state
                .blobs
                .insert(found.clone(), request.body.clone().into());
            let fields = vec![
                ("location", format!("/v2/{name}/blobs/{found}")),
                ("docker-content-digest", found),
            ];
            (201, fields, Bytes::new())
        }
        ("PUT", rest) if rest.starts_with("/manifests/") => {
            let image = digest(&request.body);
            let key = format!("{name}/{image}");
            state.manifests.insert(key, request.body.clone());
            if !last.starts_with("sha256:") {
                state.tags.insert(format!("{name}:{last}"), image.clone());
            }
            (201, vec![("docker-content-digest", image)], Bytes::new())
        }
        _ => plain(404),
    }
}

fn send(connection: &mut OriginConnection, method: &str, answer: Answer) -> io::Result<()> {
    let (status, fields, body) = answer;
    let mut head = format!(
        "HTTP/1.1 {status} Said\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("docker-distribution-api-version: registry/2.0\r\n\r\n");
    connection.send(head)?;
    match method {
        "HEAD" => Ok(()),
        // In pieces: one call for a large blob would hold a core up, where kernels do not interrupt themselves.
        _ => body
            .chunks(64 << 10)
            .try_for_each(|piece| connection.send(piece)),
    }
}
