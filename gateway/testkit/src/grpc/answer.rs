//! What the methods of a gRPC origin answer.
//!
//! Everything about gRPC (the five bytes before a message, the status in trailers) is written here
//! by hand, so that a mistake of the gateway is not made twice.

use bytes::BufMut as _;
use bytes::Bytes;
use bytes::BytesMut;
use h2::Reason;
use h2::RecvStream;
use h2::SendStream;
use h2::server::SendResponse;
use http::HeaderMap;
use http::HeaderValue;
use http::Request;
use http::Response;
use tokio::sync::Notify;

/// Does what the last part of the path says.
pub(super) async fn to(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    goes_away: &Notify,
) -> Result<(), h2::Error> {
    let (parts, body) = request.into_parts();
    let mut messages = Messages::new(body);
    let method = parts.uri.path().rsplit('/').next().unwrap_or_default();
    match method {
        "Unary" | "Goaway" => {
            let message = messages.next().await?.unwrap_or_default();
            let mut stream = respond.send_response(head(), false)?;
            stream.send_data(framed(&[b"re:", &message[..]].concat()), false)?;
            stream.send_trailers(status("0", None))?;
            if method == "Goaway" {
                goes_away.notify_one();
            }
        }
        "Reports" => {
            let mut text = format!("{} {}\n", parts.method, parts.uri);
            for (name, value) in &parts.headers {
                text += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
            }
            let mut stream = respond.send_response(head(), false)?;
            stream.send_data(framed(text.as_bytes()), false)?;
            stream.send_trailers(status("0", None))?;
        }
        "Echo" => {
            let mut stream = respond.send_response(head(), false)?;
            while let Some(message) = messages.next().await? {
                stream.send_data(framed(&message), false)?;
            }
            stream.send_trailers(status("0", None))?;
        }
        "Joins" => {
            let mut all = Vec::new();
            while let Some(message) = messages.next().await? {
                all.push(String::from_utf8_lossy(&message).into_owned());
            }
            let mut stream = respond.send_response(head(), false)?;
            stream.send_data(framed(all.join(" ").as_bytes()), false)?;
            stream.send_trailers(status("0", None))?;
        }
        "Denied" => {
            let mut head = head();
            head.headers_mut().extend(status("7", Some("no%20entry")));
            respond.send_response(head, true)?;
        }
        "Never" => until_reset(&mut respond).await?,
        "Half" => {
            let stream = respond.send_response(head(), false)?;
            stalled(stream).await?;
        }
        "Resets" => respond.send_reset(Reason::INTERNAL_ERROR),
        "Refuses" => respond.send_reset(Reason::REFUSED_STREAM),
        _ => return wrong(method, respond).await,
    }
    Ok(())
}

/// Answers that are failures or no gRPC.
async fn wrong(method: &str, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    if let Some(code) = method.strip_prefix("Http") {
        let mut response = Response::new(());
        *response.status_mut() = code.parse().unwrap_or_default();
        response
            .headers_mut()
            .insert("content-type", HeaderValue::from_static("text/plain"));
        let mut stream = respond.send_response(response, false)?;
        return stream.send_data(Bytes::from_static(b"not grpc"), true);
    }
    let mut stream = respond.send_response(head(), false)?;
    match method {
        "Fails" => stream.send_trailers(status("9", Some("not now")))?,
        "FailsLate" => {
            stream.send_data(framed(b"first"), false)?;
            stream.send_trailers(status("9", Some("not now")))?;
        }
        "ResetsLate" => {
            stream.send_data(framed(b"first"), false)?;
            tokio::task::yield_now().await;
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
        "Three" => {
            for message in ["one", "", "three"] {
                stream.send_data(framed(message.as_bytes()), false)?;
            }
            stream.send_trailers(status("0", None))?;
        }
        "Empty" => stream.send_trailers(status("0", None))?,
        "NoTrailers" => stream.send_data(framed(b"whole"), true)?,
        "Cut" => stream.send_data(framed(b"whole message").slice(..9), true)?,
        _ => return strange(method, stream).await,
    }
    Ok(())
}

/// Answers that begin well.
async fn strange(method: &str, mut stream: SendStream<Bytes>) -> Result<(), h2::Error> {
    match method {
        "Odd" => {
            stream.send_data(framed(b"whole"), false)?;
            stream.send_trailers(status("many", None))?;
        }
        "NoStatus" => {
            stream.send_data(framed(b"whole"), false)?;
            let mut trailers = HeaderMap::new();
            trailers.insert("x-last", HeaderValue::from_static("yes"));
            stream.send_trailers(trailers)?;
        }
        "Compressed" => {
            let mut message = BytesMut::from(&framed(b"zip")[..]);
            message[0] = 1;
            stream.send_data(message.freeze(), false)?;
            stream.send_trailers(status("0", None))?;
        }
        "Split" => {
            for byte in framed(b"bit by bit") {
                stream.send_data(Bytes::copy_from_slice(&[byte]), false)?;
                tokio::task::yield_now().await;
            }
            stream.send_trailers(status("0", None))?;
        }
        "Huge" => {
            stream.send_data(framed(&vec![b'x'; 2 << 20]), false)?;
            stalled(stream).await?;
        }
        "Claims" => {
            // Five bytes that promise four gigabytes.
            stream.send_data(Bytes::from_static(b"\0\xff\xff\xff\xff"), false)?;
            stalled(stream).await?;
        }
        _ => stream.send_trailers(status("12", Some("no such method")))?,
    }
    Ok(())
}

async fn until_reset(respond: &mut SendResponse<Bytes>) -> Result<(), h2::Error> {
    let reason = std::future::poll_fn(|cx| respond.poll_reset(cx)).await?;
    Err(reason.into())
}

async fn stalled(mut stream: SendStream<Bytes>) -> Result<(), h2::Error> {
    let reason = std::future::poll_fn(|cx| stream.poll_reset(cx)).await?;
    Err(reason.into())
}

pub(super) fn head() -> Response<()> {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers.insert("x-initial", HeaderValue::from_static("hello"));
    response
}

fn status(code: &'static str, message: Option<&'static str>) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    if let Some(message) = message {
        trailers.insert("grpc-message", HeaderValue::from_static(message));
    }
    trailers
}

/// The message with its five bytes.
pub(super) fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).expect("a small message"));
    framed.put_slice(message);
    framed.freeze()
}

/// Takes messages out of a request body.
pub(super) struct Messages {
    body: RecvStream,
    bytes: BytesMut,
}

impl Messages {
    pub(super) fn new(body: RecvStream) -> Self {
        Self {
            body,
            bytes: BytesMut::new(),
        }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, h2::Error> {
        loop {
            if self.bytes.len() >= 5 {
                let length = u32::from_be_bytes(self.bytes[1..5].try_into().expect("four bytes"));
                let end = 5 + length as usize;
                if self.bytes.len() >= end {
                    return Ok(Some(self.bytes.split_to(end).freeze().slice(5..)));
                }
            }
            let Some(data) = self.body.data().await else {
                assert!(self.bytes.is_empty(), "a message was cut");
                return Ok(None);
            };
            let data = data?;
            self.body.flow_control().release_capacity(data.len())?;
            self.bytes.extend_from_slice(&data);
        }
    }
}
