//! What the backends answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Frame, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, Sleep};

use super::Role;

/// The one credential that `auth` accepts.
const CREDENTIAL: &[u8] = b"Bearer demo-token";

/// Whose it is.
const USER: HeaderValue = HeaderValue::from_static("ada");

/// The longest request body that is read.
const LONGEST_BODY: usize = 1 << 20;

/// How many chunks `/slow` has.
const CHUNKS: u32 = 5;

/// How far they are apart.
const CHUNK_GAP: Duration = Duration::from_millis(200);

type Body = Either<Full<Bytes>, Drip>;

/// The answer of a backend to a request.
pub(super) async fn to(role: Role, request: Request<Incoming>) -> hyper::Result<Response<Body>> {
    match (role, request.uri().path()) {
        (Role::Auth, "/check") => Ok(permission(request.headers())),
        (Role::Auth, _) => Ok(with_status(StatusCode::NOT_FOUND)),
        (Role::Fruit(name), "/slow") => Ok(slowly(name)),
        (Role::Fruit(name), _) => description(name, request).await,
    }
}

fn permission(headers: &HeaderMap) -> Response<Body> {
    let known = headers
        .get(AUTHORIZATION)
        .is_some_and(|it| it.as_bytes() == CREDENTIAL);
    if !known {
        return with_status(StatusCode::UNAUTHORIZED);
    }
    let mut response = with_status(StatusCode::OK);
    response.headers_mut().insert("x-user", USER);
    response
}

fn slowly(name: &'static str) -> Response<Body> {
    let mut response = Response::new(Either::Right(Drip::new(name)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// Who answers, and everything this backend got.
async fn description(
    name: &'static str,
    request: Request<Incoming>,
) -> hyper::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LONGEST_BODY).collect().await else {
        return Ok(with_status(StatusCode::PAYLOAD_TOO_LARGE));
    };
    let body = body.to_bytes();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut answer = json!({
        "backend": name,
        "method": head.method.as_str(),
        "path": path,
        "headers": headers(&head.headers),
    });
    if !body.is_empty()
        && let Value::Object(members) = &mut answer
    {
        members.insert("body".into(), readable(&body));
    }
    let mut response = Response::new(Either::Left(Full::from(format!("{answer:#}\n"))));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-powered-by", HeaderValue::from_static(name));
    Ok(response)
}

/// Headers as JSON; what was sent twice is joined.
fn headers(headers: &HeaderMap) -> Value {
    let mut members = Map::new();
    for name in headers.keys() {
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        members.insert(name.as_str().to_owned(), values.join(", ").into());
    }
    members.into()
}

/// A body as JSON if it is, else as text.
fn readable(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into())
}

fn with_status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = status;
    response
}

/// A body whose chunks come one after the other, with time between them.
pub(super) struct Drip {
    name: &'static str,
    sent: u32,
    wait: Pin<Box<Sleep>>,
}

impl Drip {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            sent: 0,
            wait: Box::pin(tokio::time::sleep(Duration::ZERO)),
        }
    }
}

impl hyper::body::Body for Drip {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.sent == CHUNKS {
            return Poll::Ready(None);
        }
        ready!(self.wait.as_mut().poll(cx));
        self.wait.as_mut().reset(Instant::now() + CHUNK_GAP);
        self.sent += 1;
        let text = format!("{} of {CHUNKS} from {}\n", self.sent, self.name);
        Poll::Ready(Some(Ok(Frame::data(text.into()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_knows_one_token() {
        let check = |credential: Option<&'static str>| {
            let value = credential.map(HeaderValue::from_static);
            let headers = value
                .map(|value| (AUTHORIZATION, value))
                .into_iter()
                .collect();
            permission(&headers).status()
        };
        assert_eq!(check(Some("Bearer demo-token")), StatusCode::OK);
        assert_eq!(check(Some("Bearer other")), StatusCode::UNAUTHORIZED);
        assert_eq!(check(None), StatusCode::UNAUTHORIZED);
    }

    #[test]
    fn a_body_that_is_json_is_shown_as_json() {
        assert_eq!(readable(b"{\"a\":1}"), json!({ "a": 1 }));
        assert_eq!(readable(b"plain \xff"), json!("plain \u{fffd}"));
    }
}
