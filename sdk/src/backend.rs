//! HTTP calls to backends: made by the host, awaited here.

use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_sdk_sys::{Host as _, Status, host};

use crate::error::{CallFailure, Error, Result};
use crate::grpc::GrpcRequest;
use crate::headers::{HeaderList, text};
use crate::runtime::Runtime;
use crate::runtime::answers::HttpAnswer;
use crate::runtime::stream::{Stream, Waiting};

/// How long a call may take unless it says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Calls to one backend, by the name that the host's configuration has for it.
#[derive(Debug, Clone)]
pub struct Client {
    name: Rc<str>,
    stream: Option<Rc<Stream>>,
}

impl Client {
    pub(crate) fn new(name: &str, stream: Option<Rc<Stream>>) -> Self {
        Self {
            name: Rc::from(name),
            stream,
        }
    }

    /// A call with any method. `path` begins with `/` and may have a query.
    pub fn request(&self, method: &str, path: &str) -> Call {
        Call {
            backend: self.clone(),
            method: String::from(method),
            path: String::from(path),
            authority: String::from(&*self.name),
            headers: HeaderList::default(),
            body: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
            wrong: None,
        }
    }

    /// A GET.
    pub fn get(&self, path: &str) -> Call {
        self.request("GET", path)
    }

    /// A POST.
    pub fn post(&self, path: &str) -> Call {
        self.request("POST", path)
    }

    /// A PUT.
    pub fn put(&self, path: &str) -> Call {
        self.request("PUT", path)
    }

    /// A gRPC call with one message each way.
    pub fn grpc(&self, service: &str, method: &str) -> GrpcRequest {
        GrpcRequest::new(self.clone(), service, method)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn into_name(self) -> Rc<str> {
        self.name
    }

    /// Says for messages what the stream waits for.
    pub(crate) fn waits(&self) {
        if let Some(stream) = &self.stream {
            stream.waits_for(Waiting::Backend(Rc::clone(&self.name)));
        }
    }
}

/// A call that is being put together.
#[derive(Debug)]
#[must_use = "a call is made when send is awaited"]
pub struct Call {
    backend: Client,
    method: String,
    path: String,
    authority: String,
    headers: HeaderList,
    body: Vec<u8>,
    timeout: Duration,
    wrong: Option<Error>,
}

impl Call {
    /// Adds a header. One that HTTP does not allow makes `send` fail.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if let Err(error) = self.headers.add(name, value.as_ref()) {
            self.wrong.get_or_insert(error);
        }
        self
    }

    /// Sets the host to ask for; without it, that is the backend's name.
    pub fn host(mut self, authority: &str) -> Self {
        self.authority = String::from(authority);
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a body of JSON with its content type.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(bytes) => self.body = bytes,
            Err(error) => {
                self.wrong.get_or_insert(error.into());
            }
        }
        self.header("content-type", "application/json")
    }

    /// Sets a body of form fields with its content type (application/x-www-form-urlencoded).
    pub fn form<N: AsRef<str>, V: AsRef<str>>(
        mut self,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        for (name, value) in fields {
            if !self.body.is_empty() {
                self.body.push(b'&');
            }
            push_escaped(&mut self.body, name.as_ref());
            self.body.push(b'=');
            push_escaped(&mut self.body, value.as_ref());
        }
        self.header("content-type", "application/x-www-form-urlencoded")
    }

    /// Sets how long the call may take; 5 s without it.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes the call and waits for the answer, whatever its status.
    ///
    /// Dropping the future forgets the call; the host may finish it.
    ///
    /// # Errors
    /// If there is no answer: [`Error::call_failure`] says why.
    pub async fn send(self) -> Result<Reply> {
        if let Some(error) = self.wrong {
            return Err(error.context(["call to backend ", self.backend.name()].concat()));
        }
        let failed = |why| Error::call(self.backend.name(), why);
        let mut headers: Vec<(&[u8], &[u8])> = vec![
            (b":method", self.method.as_bytes()),
            (b":path", self.path.as_bytes()),
            (b":authority", self.authority.as_bytes()),
        ];
        headers.extend(self.headers.borrowed());
        let milliseconds = u32::try_from(self.timeout.as_millis())
            .unwrap_or(u32::MAX)
            .max(1);
        let token = host()
            .http_call(
                self.backend.name().as_bytes(),
                &headers,
                &self.body,
                &[],
                milliseconds,
            )
            .map_err(|status| failed(refusal(status)))?;
        self.backend.waits();
        match Runtime::current().answers.http(token).await {
            HttpAnswer::Response {
                headers,
                body,
                trailers,
            } => Ok(Reply {
                backend: self.backend.name,
                headers: HeaderList(headers),
                body,
                trailers: HeaderList(trailers),
            }),
            HttpAnswer::Failed(why) => Err(failed(failure(&why))),
        }
    }
}

pub(crate) fn refusal(status: Status) -> CallFailure {
    match status {
        Status::BAD_ARGUMENT | Status::NOT_FOUND | Status::PARSE_FAILURE => CallFailure::Unknown,
        other => CallFailure::Refused(other),
    }
}

/// Hosts give a text beside a call that failed; time-outs have the word in it.
fn failure(why: &[u8]) -> CallFailure {
    let why = String::from_utf8_lossy(why).to_ascii_lowercase();
    if why.contains("timeout") || why.contains("timed out") {
        CallFailure::Timeout
    } else {
        CallFailure::Unreachable
    }
}

fn push_escaped(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b' ' => out.push(b'+'),
            b'*' | b'-' | b'.' | b'_' => out.push(byte),
            _ if byte.is_ascii_alphanumeric() => out.push(byte),
            _ => {
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
}

/// What a backend answered.
#[derive(Debug, Clone)]
pub struct Reply {
    backend: Rc<str>,
    headers: HeaderList,
    body: Vec<u8>,
    trailers: HeaderList,
}

impl Reply {
    /// The status. Hosts that get no answer in time may make one up: 503 or 504.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.header(":status")
            .and_then(|it| it.parse().ok())
            .unwrap_or(0)
    }

    /// The reply, if its status is 200 to 299.
    ///
    /// # Errors
    /// With the status, if it is another.
    pub fn ok(self) -> Result<Self> {
        let status = self.status();
        if (200..300).contains(&status) {
            return Ok(self);
        }
        Err(Error::call(&self.backend, CallFailure::Status(status)))
    }

    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name)
    }

    /// The headers, with `:status`.
    #[must_use]
    pub const fn headers(&self) -> &HeaderList {
        &self.headers
    }

    /// The trailers.
    #[must_use]
    pub const fn trailers(&self) -> &HeaderList {
        &self.trailers
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, as text; what is no UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn text(&self) -> String {
        text(self.body.clone())
    }

    /// The body, as JSON.
    ///
    /// # Errors
    /// If it is not the JSON that is asked for.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Error::from(error).context(["answer of backend ", &self.backend].concat())
        })
    }
}
