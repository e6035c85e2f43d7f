//! What a backend says on a gRPC stream, as events for the filter.
//!
//! Owns the status of whatever comes: trailers, a head without a body, HTTP errors, resets. Statuses
//! and the order of events are Envoy's, measured on 1.40.

use std::collections::VecDeque;

use bytes::Bytes;
use h2::Reason;
use h2::RecvStream;
use h2::client::ResponseFuture;
use http::HeaderMap;
use http::Response;
use http::StatusCode;
use tidegate_core::failure::Failure;
use tidegate_core::grpc;
use tidegate_core::grpc::FrameError;
use tidegate_core::grpc::Frames;
use tidegate_host_abi::GrpcEvent;

use crate::filters::callout::append_pairs;
use crate::filters::callout::pair;

/// The events of one stream, from its head to its close.
#[derive(Debug)]
pub(super) struct Inbound {
    stage: Stage,
    frames: Frames,
    limit: usize,
    ready: VecDeque<GrpcEvent>,
    unprocessed: bool,
}

#[derive(Debug)]
enum Stage {
    Head(ResponseFuture),
    Body(RecvStream),
    Over,
}

impl Inbound {
    /// Messages may be up to `limit` bytes long.
    pub(super) fn new(response: ResponseFuture, limit: usize) -> Self {
        Self {
            stage: Stage::Head(response),
            ..Self::over(limit)
        }
    }

    /// There was never a stream.
    pub(super) fn failed(failure: Failure) -> Self {
        let mut inbound = Self::over(0);
        inbound.unreachable(&reason_of(failure));
        inbound
    }

    /// The request cannot be sent.
    pub(super) fn refused(why: &str) -> Self {
        let mut inbound = Self::over(0);
        inbound
            .ready
            .push_back(GrpcEvent::InitialMetadata(Vec::new()));
        inbound.break_off(grpc::INTERNAL, why);
        inbound
    }

    fn over(limit: usize) -> Self {
        Self {
            stage: Stage::Over,
            frames: Frames::new(limit),
            limit,
            ready: VecDeque::new(),
            unprocessed: false,
        }
    }

    /// Whether the response has begun.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.stage, Stage::Head(_))
    }

    /// Whether the backend said that it has not looked at the request: it may be sent again.
    pub(super) fn is_unprocessed(&self) -> bool {
        self.unprocessed
    }

    /// Ends the stream from this side.
    pub(super) fn give_up(&mut self, status: grpc::Status, why: &str) {
        if matches!(self.stage, Stage::Over) {
            return; // It has ended already, and is told so.
        }
        self.ready.clear();
        if !self.has_begun() {
            self.ready.push_back(GrpcEvent::InitialMetadata(Vec::new()));
        }
        self.break_off(status, why);
    }

    /// The next event; `None` after the close. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Option<GrpcEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            match &mut self.stage {
                Stage::Head(response) => {
                    let head = response.await;
                    self.head(head);
                }
                Stage::Body(body) => match body.data().await {
                    Some(data) => self.data(data),
                    None => {
                        let trailers = body.trailers().await;
                        self.trailers(trailers);
                    }
                },
                Stage::Over => return None,
            }
        }
    }

    fn head(&mut self, head: Result<Response<RecvStream>, h2::Error>) {
        let (head, body) = match head {
            Ok(response) => response.into_parts(),
            Err(err) => {
                self.unprocessed = is_unprocessed(&err);
                self.unreachable(&connect_error(word_of(&err)));
                return;
            }
        };
        let told = grpc::status_of(&head.headers);
        let nothing = GrpcEvent::InitialMetadata(Vec::new());
        if body.is_end_stream() && (told.is_some() || head.status == StatusCode::OK) {
            self.ready.push_back(nothing);
            self.end(Some(head.status), &head.headers);
        } else if head.status != StatusCode::OK {
            self.ready.push_back(nothing);
            let status = told.unwrap_or_else(|| grpc::status_of_http(head.status));
            self.break_off(status, "");
        } else {
            let pairs = pairs(Some(head.status), &head.headers);
            self.ready.push_back(GrpcEvent::InitialMetadata(pairs));
            self.stage = Stage::Body(body);
        }
    }

    fn data(&mut self, data: Result<Bytes, h2::Error>) {
        let mut data = match data {
            Ok(data) => data,
            Err(err) => {
                let why = format!("upstream reset after response started: {}", word_of(&err));
                self.break_off(grpc::INTERNAL, &why);
                return;
            }
        };
        if let Stage::Body(body) = &mut self.stage {
            // What is held here is bounded by itself.
            body.flow_control().release_capacity(data.len()).ok();
        }
        loop {
            match self.frames.next(&mut data) {
                Ok(Some(message)) => self.ready.push_back(GrpcEvent::Message(message)),
                Ok(None) => return,
                Err(FrameError::Flags) => {
                    self.break_off(grpc::INTERNAL, "a message is compressed or no gRPC");
                    return;
                }
                Err(FrameError::TooLong) => {
                    let why = format!("a message is longer than {} bytes", self.limit);
                    self.break_off(grpc::RESOURCE_EXHAUSTED, &why);
                    return;
                }
            }
        }
    }

    fn trailers(&mut self, trailers: Result<Option<HeaderMap>, h2::Error>) {
        match trailers {
            Ok(Some(trailers)) => self.end(None, &trailers),
            Ok(None) if self.frames.is_inside() => {
                self.break_off(grpc::UNKNOWN, "the last message was cut");
            }
            Ok(None) => self.break_off(grpc::UNKNOWN, "there was no status"),
            Err(err) => self.data(Err(err)),
        }
    }

    /// The end that the backend meant.
    fn end(&mut self, status: Option<StatusCode>, trailers: &HeaderMap) {
        self.ready
            .push_back(GrpcEvent::TrailingMetadata(pairs(status, trailers)));
        self.ready.push_back(GrpcEvent::Close {
            status: grpc::status_of(trailers).unwrap_or(grpc::UNKNOWN),
            message: grpc::message_of(trailers),
        });
        self.stage = Stage::Over;
    }

    /// An end that nobody meant.
    fn break_off(&mut self, status: grpc::Status, why: &str) {
        self.ready
            .push_back(GrpcEvent::TrailingMetadata(Vec::new()));
        self.ready.push_back(GrpcEvent::Close {
            status,
            message: Bytes::copy_from_slice(why.as_bytes()),
        });
        self.stage = Stage::Over;
    }

    /// There is no response: filters see one that Envoy would have made.
    fn unreachable(&mut self, why: &str) {
        self.ready.push_back(GrpcEvent::InitialMetadata(Vec::new()));
        let mut trailers = HeaderMap::new();
        let mut status = StatusCode::SERVICE_UNAVAILABLE;
        grpc::answer(&mut status, &mut trailers, why.as_bytes(), None);
        self.end(Some(status), &trailers);
    }
}

fn pairs(status: Option<StatusCode>, headers: &HeaderMap) -> Vec<(Bytes, Bytes)> {
    let mut pairs = Vec::with_capacity(headers.len() + 1);
    pairs.extend(status.map(|status| pair(":status", status.as_str())));
    append_pairs(&mut pairs, headers);
    pairs
}

/// A backend that refuses a stream, or goes away before it, has not looked at it (RFC 9113 §8.7).
fn is_unprocessed(err: &h2::Error) -> bool {
    err.is_remote() && (err.is_go_away() || err.reason() == Some(Reason::REFUSED_STREAM))
}

/// What happened to a stream, in Envoy's words.
fn word_of(err: &h2::Error) -> &'static str {
    if err.is_io() {
        "connection termination"
    } else if err.is_reset() && err.is_remote() {
        match err.reason() {
            Some(Reason::REFUSED_STREAM) => "remote refused stream reset",
            _ => "remote reset",
        }
    } else if err.is_library() {
        "protocol error"
    } else {
        "connection termination"
    }
}

fn connect_error(word: &str) -> String {
    format!("upstream connect error or disconnect/reset before headers. reset reason: {word}")
}

fn reason_of(failure: Failure) -> String {
    match failure {
        Failure::NoEndpoint => "no healthy upstream".to_owned(),
        Failure::ConnectTimeout => connect_error("connection timeout"),
        Failure::ConnectFailed => connect_error("remote connection failure"),
        _ => connect_error("connection termination"),
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::failure::Failure;
    use tidegate_core::grpc;

    use super::Inbound;

    #[test]
    fn who_gives_up_a_stream_that_has_ended_is_told_how_it_ended() {
        let mut given_up = Inbound::failed(Failure::ConnectFailed);
        given_up.give_up(grpc::RESOURCE_EXHAUSTED, "too many messages wait");
        let told: Vec<_> = given_up.ready.into();
        let ended: Vec<_> = Inbound::failed(Failure::ConnectFailed).ready.into();
        assert_eq!(told, ended);
    }
}
