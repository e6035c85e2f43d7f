//! A module with an HTTP filter: callbacks of requests and responses.

use std::rc::Rc;

use tidegate_sdk_sys::{Action, Guest};

use crate::filter::Filter;
use crate::next::Next;
use crate::request::Request;
use crate::runtime::callbacks::common_callbacks;
use crate::runtime::plugin::{Configured, Plugins};
use crate::runtime::side::{Direction, Held};
use crate::runtime::stream::Stream;

/// A module with the HTTP filter `F`.
pub struct Module<F: Filter> {
    plugins: Plugins<F>,
}

impl<F: Filter> Default for Module<F> {
    fn default() -> Self {
        Self {
            plugins: Plugins::default(),
        }
    }
}

impl<F: Filter> std::fmt::Debug for Module<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module")
            .field("filter", &F::NAME)
            .finish_non_exhaustive()
    }
}

impl<F: Filter> Module<F> {
    /// How many streams and background tasks are under way: both are 0 once nothing leaks.
    #[must_use]
    pub fn live(&self) -> (usize, usize) {
        self.plugins.runtime.live()
    }
}

/// The whole life of a filter in one exchange.
async fn exchange<F: Filter>(stream: Rc<Stream>, configured: Option<Rc<Configured<F>>>) {
    let result = match Plugins::context(&stream, configured).await {
        Ok(cx) => {
            let request = Request::new(Rc::clone(&stream));
            F::run(request, Next::new(Rc::clone(&stream)), cx).await
        }
        Err(error) => Err(error),
    };
    stream.finish(result);
}

impl<F: Filter> Guest for Module<F> {
    common_callbacks!();

    fn on_context_create(&self, context: u32, parent: u32) {
        self.plugins.on_context_create(context, parent, false);
    }

    fn on_request_headers(&self, context: u32, _headers: usize, end: bool) -> Action {
        self.plugins.stream(context, |stream| {
            stream.request.begun.set(true);
            stream.request.ended.set(end);
            let runtime = &self.plugins.runtime;
            stream.callback(Direction::Request, Held::Headers, runtime, |_| {
                let configured = self.plugins.configured(stream.root.id());
                stream.start(Box::pin(exchange(Rc::clone(stream), configured)));
            })
        })
    }

    fn on_request_body(&self, context: u32, size: usize, end: bool) -> Action {
        self.plugins.on_body(context, Direction::Request, size, end)
    }

    fn on_request_trailers(&self, context: u32, _trailers: usize) -> Action {
        self.plugins.on_trailers(context, Direction::Request)
    }

    fn on_response_headers(&self, context: u32, _headers: usize, end: bool) -> Action {
        self.plugins.stream(context, |stream| {
            let runtime = &self.plugins.runtime;
            stream.callback(Direction::Response, Held::Headers, runtime, |stream| {
                stream.on_response(end);
            })
        })
    }

    fn on_response_body(&self, context: u32, size: usize, end: bool) -> Action {
        self.plugins
            .on_body(context, Direction::Response, size, end)
    }

    fn on_response_trailers(&self, context: u32, _trailers: usize) -> Action {
        self.plugins.on_trailers(context, Direction::Response)
    }

    fn on_new_connection(&self, _context: u32) -> Action {
        Action::Continue
    }

    fn on_downstream_data(&self, _context: u32, _size: usize, _end: bool) -> Action {
        Action::Continue
    }

    fn on_downstream_close(&self, _context: u32, _by: u32) {}

    fn on_upstream_data(&self, _context: u32, _size: usize, _end: bool) -> Action {
        Action::Continue
    }

    fn on_upstream_close(&self, _context: u32, _by: u32) {}
}
