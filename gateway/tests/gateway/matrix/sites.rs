//! What stands behind the proxies: origins that do what the path says, alike in both versions of HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;
use h2::Reason;
use h2::RecvStream;
use h2::server::SendResponse;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Request;
use http::Response;
use tidegate_testkit::Http2Origin;
use tidegate_testkit::Message;
use tidegate_testkit::Origin;
use tidegate_testkit::http2;
use tidegate_testkit::origin::OriginConnection;

/// An origin of either version.
#[derive(Debug)]
pub(crate) enum Site {
    Http1(Origin),
    /// With what it has got.
    Http2(Http2Origin, Arc<Mutex<Vec<Message>>>),
}

/// What it does with a request.
#[derive(Debug)]
enum Act {
    /// Ends without an answer.
    Ends,
    /// Never answers.
    Waits,
    Answers(Answer),
}

/// An answer in either version.
#[derive(Debug, Default)]
struct Answer {
    status: String,
    fields: Vec<(&'static str, String)>,
    pieces: Vec<String>,
    trailers: Vec<(&'static str, &'static str)>,
    /// The body has no length.
    is_chunked: bool,
    /// The body ends too early.
    is_cut: bool,
}

impl Site {
    /// One that does what the path says.
    pub(crate) fn by_path(http2: bool) -> Self {
        Self::new(http2, by_path)
    }

    /// One that is not the other.
    pub(crate) fn other(http2: bool) -> Self {
        Self::new(http2, |_| {
            let mut answer = Answer::of("200", "other".to_owned());
            answer.fields.retain(|(name, _)| *name == "content-length");
            Act::Answers(answer)
        })
    }

    fn new(http2: bool, act: fn(&Message) -> Act) -> Self {
        if !http2 {
            return Self::Http1(Origin::script(move |connection| serve(connection, act)));
        }
        let seen = Arc::<Mutex<Vec<Message>>>::default();
        let shared = Arc::clone(&seen);
        let origin = Http2Origin::script(move |request, respond| {
            serve_stream(request, respond, act, Arc::clone(&shared))
        });
        Self::Http2(origin, seen)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Http1(origin) => origin.address(),
            Self::Http2(origin, _) => origin.address(),
        }
    }

    /// The whole requests it has got.
    pub(crate) fn requests(&self) -> Vec<Message> {
        match self {
            Self::Http1(origin) => origin.requests(),
            Self::Http2(_, seen) => lock(seen).clone(),
        }
    }
}

/// What the path says.
fn by_path(request: &Message) -> Act {
    let path = request.start.split(' ').nth(1).unwrap_or_default();
    let mut parts = path.trim_start_matches('/').split(['/', '?']);
    let (what, detail) = (parts.next(), parts.next().unwrap_or_default());
    Act::Answers(match what.unwrap_or_default() {
        "reset" => return Act::Ends,
        "never" => return Act::Waits,
        "trailers" => Answer {
            status: "200".to_owned(),
            fields: vec![("x-origin", "yes".to_owned())],
            pieces: vec!["part".to_owned()],
            trailers: vec![("x-trailer", "one")],
            is_chunked: true,
            is_cut: false,
        },
        "chunks" => Answer {
            status: "200".to_owned(),
            pieces: vec!["one".to_owned(), "two".to_owned()],
            is_chunked: true,
            ..Answer::default()
        },
        "cut" => Answer {
            status: "200".to_owned(),
            fields: vec![("content-length", "10".to_owned())],
            pieces: vec!["part".to_owned()],
            is_cut: true,
            ..Answer::default()
        },
        "twice" => {
            let fields = [
                ("content-length", "0"),
                ("set-cookie", "a=1"),
                ("set-cookie", "b=2"),
                ("x-twice", "one"),
                ("x-twice", "two"),
            ];
            Answer {
                status: "200".to_owned(),
                fields: fields.map(|(name, value)| (name, value.to_owned())).into(),
                ..Answer::default()
            }
        }
        "status" => Answer::of(detail, String::new()),
        "large" => Answer::of("200", "x".repeat(detail.parse().unwrap_or_default())),
        "echo" => Answer::of("200", request.text()),
        "echo-fields" => Answer::of("200", fields(request)),
        _ => Answer::of("200", "from the origin".to_owned()),
    })
}

fn fields(request: &Message) -> String {
    let fields = request.fields.iter();
    let lines = fields.map(|(name, value)| format!("{name}: {value}\n"));
    lines.collect()
}

impl Answer {
    /// A status and a text.
    fn of(status: &str, body: String) -> Self {
        let mut fields = vec![("content-type", "text/plain".to_owned())];
        if !matches!(status, "204" | "304") {
            fields.push(("content-length", body.len().to_string()));
        }
        fields.push(("x-origin", "yes".to_owned()));
        Self {
            status: status.to_owned(),
            fields,
            pieces: vec![body],
            ..Self::default()
        }
    }

    /// As HTTP/1.1 has it.
    fn wire(&self, head_only: bool) -> String {
        let mut wire = format!("HTTP/1.1 {} Said\r\n", self.status);
        for (name, value) in &self.fields {
            wire.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.is_chunked {
            wire.push_str("transfer-encoding: chunked\r\n");
        }
        wire.push_str("\r\n");
        if head_only {
            return wire;
        }
        for piece in &self.pieces {
            if self.is_chunked {
                wire.push_str(&format!("{:x}\r\n{piece}\r\n", piece.len()));
            } else {
                wire.push_str(piece);
            }
        }
        if self.is_chunked {
            wire.push_str("0\r\n");
            for (name, value) in &self.trailers {
                wire.push_str(&format!("{name}: {value}\r\n"));
            }
            wire.push_str("\r\n");
        }
        wire
    }

    /// As HTTP/2 has it.
    async fn send(
        self,
        mut respond: SendResponse<Bytes>,
        head_only: bool,
    ) -> Result<(), h2::Error> {
        let mut head = Response::new(());
        *head.status_mut() = self.status.parse().unwrap_or_default();
        for (name, value) in &self.fields {
            let value = HeaderValue::from_str(value).expect("a value");
            head.headers_mut().append(*name, value);
        }
        let is_empty = self.pieces.iter().all(String::is_empty) && self.trailers.is_empty();
        if head_only || is_empty {
            return respond.send_response(head, true).map(drop);
        }
        let mut stream = respond.send_response(head, false)?;
        let last = self.pieces.len() - 1;
        for (number, piece) in self.pieces.into_iter().enumerate() {
            // One that is cut is shorter than its length: a reset could overtake what came before.
            let ends = number == last && self.trailers.is_empty();
            http2::send(&mut stream, piece.into(), ends).await?;
        }
        if !self.trailers.is_empty() {
            let fields = self.trailers.iter();
            let trailers = fields.map(|(name, value)| {
                let name = HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            });
            stream.send_trailers(HeaderMap::from_iter(trailers))?;
        }
        Ok(())
    }
}

fn is_head_only(request: &Message) -> bool {
    request.start.starts_with("HEAD")
}

/// A connection of HTTP/1.1.
fn serve(connection: &mut OriginConnection, act: fn(&Message) -> Act) -> std::io::Result<()> {
    while let Ok(request) = connection.request() {
        match act(&request) {
            Act::Ends => return Ok(()),
            Act::Waits => return connection.wait_for_close(),
            Act::Answers(answer) => {
                connection.send(answer.wire(is_head_only(&request)))?;
                if answer.is_cut {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// A stream of HTTP/2.
async fn serve_stream(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    act: fn(&Message) -> Act,
    seen: Arc<Mutex<Vec<Message>>>,
) -> Result<(), h2::Error> {
    let (head, mut body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    let mut fields = pairs(&head.headers);
    if let Some(authority) = head.uri.authority() {
        fields.push(("host".to_owned(), authority.to_string()));
    }
    let request = Message {
        start: format!("{} {path} HTTP/1.1", head.method),
        fields,
        body: http2::read_body(&mut body).await?,
        trailers: body
            .trailers()
            .await?
            .as_ref()
            .map(pairs)
            .unwrap_or_default(),
        raw: Vec::new(),
    };
    lock(&seen).push(request.clone());
    match act(&request) {
        Act::Ends => respond.send_reset(Reason::INTERNAL_ERROR),
        Act::Waits => {
            std::future::poll_fn(|cx| respond.poll_reset(cx)).await?;
        }
        Act::Answers(answer) => answer.send(respond, is_head_only(&request)).await?,
    }
    Ok(())
}

/// Fields as messages of tests have them.
pub(crate) fn pairs(fields: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let fields = fields.iter();
    fields
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}

fn lock(seen: &Mutex<Vec<Message>>) -> std::sync::MutexGuard<'_, Vec<Message>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
