//! Bodies, both ways, in pieces.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper::body::SizeHint;

use crate::http::error::HttpError;
use crate::http::idle::Connection;
use crate::http::idle::Idle;
use crate::http::idle::Key;

/// Bytes that are handed to a connection at once.
const PIECE: usize = 64 << 10;

/// What is told of every piece of an upload.
pub(crate) type OnPiece = Arc<dyn Fn(u64) + Send + Sync>;

/// The body of a request.
#[derive(Clone, Default)]
pub(crate) struct Upload {
    rest: Bytes,
    /// How much was handed over, for who waits for an answer.
    sent: Arc<AtomicU64>,
    on_piece: Option<OnPiece>,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({} bytes)", self.rest.len())
    }
}

impl Upload {
    /// These bytes; `on_piece` is told how many of them are on their way.
    pub(crate) fn new(bytes: Bytes, on_piece: Option<OnPiece>) -> Self {
        Self {
            rest: bytes,
            sent: Arc::default(),
            on_piece,
        }
    }

    /// Counts what was handed over so far.
    pub(crate) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.sent)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        let sent = self.sent.fetch_add(length as u64, Ordering::Relaxed) + length as u64;
        if let Some(on_piece) = &self.on_piece {
            on_piece(sent);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// The body of an answer. Dropped before its end, its connection is closed.
pub struct ResponseBody {
    host: String,
    incoming: Incoming,
    idle_limit: Duration,
    home: Option<(Arc<Idle>, Key, Connection)>,
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl ResponseBody {
    pub(super) fn new(
        host: String,
        incoming: Incoming,
        idle_limit: Duration,
        home: (Arc<Idle>, Key, Connection),
    ) -> Self {
        let mut body = Self {
            host,
            incoming,
            idle_limit,
            home: Some(home),
        };
        if body.incoming.is_end_stream() {
            body.ended();
        }
        body
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`HttpError`] if the peer stops sending, or cuts the connection before the end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            let frame = tokio::time::timeout(self.idle_limit, self.incoming.frame());
            let frame = frame.await.map_err(|_| HttpError::Slow {
                host: self.host.clone(),
                what: "the next bytes of its answer",
                limit: self.idle_limit,
            })?;
            match frame {
                None => {
                    self.ended();
                    return Ok(None);
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Ok(Some(data));
                    }
                }
                Some(Err(source)) => {
                    return Err(HttpError::Exchange {
                        host: self.host.clone(),
                        source,
                    });
                }
            }
        }
    }

    /// All of it, or its first `most + 1` bytes if it is longer.
    ///
    /// # Errors
    ///
    /// As of [`ResponseBody::piece`].
    pub async fn up_to(&mut self, most: usize) -> Result<Vec<u8>, HttpError> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > most {
                bytes.truncate(most + 1);
                break;
            }
        }
        Ok(bytes)
    }

    /// What its length is said to be.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    fn ended(&mut self) {
        if let Some((idle, key, connection)) = self.home.take() {
            idle.put(key, connection);
        }
    }
}
