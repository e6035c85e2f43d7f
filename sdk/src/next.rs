//! The rest of the chain and the backend, as one future.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use crate::body::RequestBody;
use crate::error::Result;
use crate::request::Request;
use crate::response::Response;
use crate::runtime::side::{Body, Held};
use crate::runtime::stream::{Phase, Stream, Waiting};

/// What comes after this filter.
#[derive(Debug)]
#[must_use = "a filter that does not run what comes next has to return a response of its own"]
pub struct Next {
    stream: Rc<Stream>,
}

/// A request, or what is left of it, that can go on.
pub trait Forward: sealed::Forward {}

mod sealed {
    pub trait Forward {
        fn forward(self);
    }
}

impl Forward for Request {}
impl Forward for RequestBody {}

impl sealed::Forward for Request {
    fn forward(self) {
        self.stream.request.release();
    }
}

impl sealed::Forward for RequestBody {
    fn forward(self) {
        self.stream.request.release();
    }
}

impl Next {
    pub(crate) const fn new(stream: Rc<Stream>) -> Self {
        Self { stream }
    }

    /// Lets the request go on and waits for the response's headers, which are held until the
    /// filter returns. The request's body may still be on its way then.
    ///
    /// If another filter, a timeout or the client ends the exchange while this waits, it never
    /// returns: the filter's future is dropped, and with it what it holds.
    ///
    /// # Errors
    /// None today; a later version may have some.
    pub async fn run(self, request: impl Forward) -> Result<Response> {
        let stream = self.stream;
        request.forward();
        let has_response = stream.response.begun.get();
        stream.phase.set(if has_response {
            Phase::Response
        } else {
            Phase::Next
        });
        stream.waits_for(Waiting::For("the response"));
        poll_fn(|cx| {
            if stream.phase.get() == Phase::Response {
                return Poll::Ready(());
            }
            stream.wait(&stream.response, cx.waker());
            Poll::Pending
        })
        .await;
        Ok(Response::of_backend(stream))
    }

    /// Lets the request's headers go on and keeps its body back: to read it before it goes on
    /// with [`run`](Self::run), on hosts that hold no headers for a body.
    ///
    /// The headers may reach the backend before the body is judged; a refusal then ends a request
    /// that has begun there.
    #[must_use]
    pub fn pass_headers(&self, request: Request) -> RequestBody {
        let side = &self.stream.request;
        let body_has_begun = side.held.get() == Held::Body;
        if !body_has_begun && !side.ended.get() {
            *side.body.borrow_mut() = Body::Collect;
        }
        if !body_has_begun {
            side.released.set(true);
        }
        RequestBody::new(request.stream)
    }
}
