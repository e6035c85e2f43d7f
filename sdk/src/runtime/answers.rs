//! Answers of call-outs: who waits for which token, and what came.
//!
//! The host delivers answers to a plugin's context, in a callback in which they can be read. What
//! nobody waits for any more is not read.

use std::cell::{OnceCell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tidegate_sdk_sys::{BufferType, Host as _, MapType, Pairs, host};

use crate::runtime::ids::IdMap;

/// Call-outs under way.
#[derive(Default)]
pub(crate) struct Answers {
    http: RefCell<IdMap<Rc<Slot<HttpAnswer>>>>,
    grpc: RefCell<IdMap<Rc<Slot<GrpcAnswer>>>>,
    /// Made by the first command: filters that run none have no code for replies.
    redis: OnceCell<Redis>,
}

/// Redis commands under way.
struct Redis {
    waiting: RefCell<IdMap<Rc<Slot<RedisAnswer>>>>,
    /// Reads a reply and hands it out.
    deliver: fn(&Self, u32, u32, usize),
}

/// What came of a Redis command: the reply as it came, or the status that is not 0.
pub(crate) type RedisAnswer = Result<Vec<u8>, u32>;

/// Where an answer is put.
pub(crate) struct Slot<T> {
    answer: RefCell<Option<T>>,
    waits: RefCell<Option<Waker>>,
}

/// What came of an HTTP call.
pub(crate) enum HttpAnswer {
    /// A response.
    Response {
        headers: Pairs,
        body: Vec<u8>,
        trailers: Pairs,
    },
    /// None: with the text that the host has for why.
    Failed(Vec<u8>),
}

/// What came of a gRPC call.
#[derive(Default)]
pub(crate) struct GrpcAnswer {
    pub(crate) message: Option<Vec<u8>>,
    pub(crate) status: u32,
    pub(crate) details: Vec<u8>,
}

impl<T> Slot<T> {
    fn put(&self, answer: T) {
        *self.answer.borrow_mut() = Some(answer);
        if let Some(waker) = self.waits.take() {
            waker.wake();
        }
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            answer: RefCell::new(None),
            waits: RefCell::new(None),
        }
    }
}

/// Waits for an answer. Dropping it forgets the call; the host may still make it.
pub(crate) struct Answer<T>(Rc<Slot<T>>);

impl<T> Future for Answer<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match self.0.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                *self.0.waits.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Answers {
    /// Waits for the answer of the HTTP call with this token.
    pub(crate) fn http(&self, token: u32) -> Answer<HttpAnswer> {
        let slot = Rc::<Slot<HttpAnswer>>::default();
        self.http.borrow_mut().insert(token, Rc::clone(&slot));
        Answer(slot)
    }

    /// Waits for the end of the gRPC call with this token.
    pub(crate) fn grpc(&self, token: u32) -> Answer<GrpcAnswer> {
        let slot = Rc::<Slot<GrpcAnswer>>::default();
        self.grpc.borrow_mut().insert(token, Rc::clone(&slot));
        Answer(slot)
    }

    /// Waits for the reply to the Redis command with this token.
    pub(crate) fn redis(&self, token: u32) -> Answer<RedisAnswer> {
        let slot = Rc::<Slot<RedisAnswer>>::default();
        let redis = self.redis.get_or_init(|| Redis {
            waiting: RefCell::default(),
            deliver: Redis::deliver,
        });
        redis.waiting.borrow_mut().insert(token, Rc::clone(&slot));
        Answer(slot)
    }

    /// A Redis command has ended: with a reply if the status is 0.
    pub(crate) fn on_redis(&self, token: u32, status: u32, size: usize) {
        if let Some(redis) = self.redis.get() {
            (redis.deliver)(redis, token, status, size);
        }
    }

    /// An HTTP call has ended: with a response if it has headers.
    pub(crate) fn on_http(&self, token: u32, headers: usize, body: usize, trailers: usize) {
        let Some(slot) = self.http.borrow_mut().remove(token) else {
            return;
        };
        if Rc::strong_count(&slot) == 1 {
            return;
        }
        slot.put(read_answer(headers, body, trailers));
    }

    /// The message of a gRPC call has come. A call that goes well ends with it; only one that fails
    /// is closed.
    pub(crate) fn on_grpc_message(&self, token: u32, size: usize) {
        let Some(slot) = self.grpc.borrow_mut().remove(token) else {
            return;
        };
        let message = match size {
            0 => Vec::new(),
            _ => host()
                .buffer(BufferType::GrpcMessage, 0, size)
                .unwrap_or_default(),
        };
        slot.put(GrpcAnswer {
            message: Some(message),
            ..GrpcAnswer::default()
        });
    }

    /// A gRPC call has ended.
    pub(crate) fn on_grpc_close(&self, token: u32, status: u32) {
        let Some(slot) = self.grpc.borrow_mut().remove(token) else {
            return;
        };
        let mut answer = slot.answer.take().unwrap_or_default();
        answer.status = status;
        answer.details = host().call_status().map(|it| it.1).unwrap_or_default();
        slot.put(answer);
    }
}

impl Redis {
    fn deliver(&self, token: u32, status: u32, size: usize) {
        let Some(slot) = self.waiting.borrow_mut().remove(token) else {
            return;
        };
        if Rc::strong_count(&slot) == 1 {
            return;
        }
        slot.put(match status {
            0 => Ok(host()
                .buffer(BufferType::RedisReply, 0, size)
                .unwrap_or_default()),
            failed => Err(failed),
        });
    }
}

fn read_answer(headers: usize, body: usize, trailers: usize) -> HttpAnswer {
    if headers == 0 {
        let (_, why) = host().call_status().unwrap_or_default();
        return HttpAnswer::Failed(why);
    }
    let read = |map, count: usize| match count {
        0 => Pairs::new(),
        _ => host().headers(map).unwrap_or_default(),
    };
    let body = match body {
        0 => Vec::new(),
        _ => host()
            .buffer(BufferType::CallBody, 0, body)
            .unwrap_or_default(),
    };
    HttpAnswer::Response {
        headers: read(MapType::CallHeaders, headers),
        body,
        trailers: read(MapType::CallTrailers, trailers),
    }
}
