//! A module with a network filter: callbacks of connections.
//!
//! A connection is a stream whose request is what the client sends and whose response is what the
//! backend sends, without headers.

use std::rc::Rc;

use tidegate_sdk_sys::{Action, Guest};

use crate::connection::Connection;
use crate::filter::NetworkFilter;
use crate::runtime::callbacks::common_callbacks;
use crate::runtime::plugin::{Configured, Plugins};
use crate::runtime::side::{Direction, Held};
use crate::runtime::stream::Stream;

/// A module with the network filter `F`.
pub struct NetworkModule<F: NetworkFilter> {
    plugins: Plugins<F>,
}

impl<F: NetworkFilter> Default for NetworkModule<F> {
    fn default() -> Self {
        Self {
            plugins: Plugins::default(),
        }
    }
}

impl<F: NetworkFilter> std::fmt::Debug for NetworkModule<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetworkModule")
            .field("filter", &F::NAME)
            .finish_non_exhaustive()
    }
}

impl<F: NetworkFilter> NetworkModule<F> {
    /// How many connections and background tasks are under way: both are 0 once nothing leaks.
    #[must_use]
    pub fn live(&self) -> (usize, usize) {
        self.plugins.runtime.live()
    }

    fn on_close(&self, context: u32, direction: Direction) {
        self.plugins.stream(context, |stream| {
            stream.on_close(&self.plugins.runtime, direction);
            Action::Continue
        });
    }
}

/// The whole decision about one connection.
async fn connection<F: NetworkFilter>(stream: Rc<Stream>, configured: Option<Rc<Configured<F>>>) {
    let result = match Plugins::context(&stream, configured).await {
        Ok(cx) => F::run(Connection::new(Rc::clone(&stream)), cx).await,
        Err(error) => Err(error),
    };
    stream.decide(result);
}

impl<F: NetworkFilter> Guest for NetworkModule<F> {
    common_callbacks!();

    fn on_context_create(&self, context: u32, parent: u32) {
        self.plugins.on_context_create(context, parent, true);
    }

    fn on_new_connection(&self, context: u32) -> Action {
        self.plugins.stream(context, |stream| {
            let runtime = &self.plugins.runtime;
            stream.callback(Direction::Request, Held::Headers, runtime, |_| {
                let configured = self.plugins.configured(stream.root.id());
                stream.start(Box::pin(connection(Rc::clone(stream), configured)));
            })
        })
    }

    fn on_downstream_data(&self, context: u32, size: usize, end: bool) -> Action {
        self.plugins.on_body(context, Direction::Request, size, end)
    }

    fn on_upstream_data(&self, context: u32, size: usize, end: bool) -> Action {
        self.plugins
            .on_body(context, Direction::Response, size, end)
    }

    fn on_downstream_close(&self, context: u32, _by: u32) {
        self.on_close(context, Direction::Request);
    }

    fn on_upstream_close(&self, context: u32, _by: u32) {
        self.on_close(context, Direction::Response);
    }

    fn on_request_headers(&self, _context: u32, _headers: usize, _end: bool) -> Action {
        Action::Continue
    }

    fn on_request_body(&self, _context: u32, _size: usize, _end: bool) -> Action {
        Action::Continue
    }

    fn on_request_trailers(&self, _context: u32, _trailers: usize) -> Action {
        Action::Continue
    }

    fn on_response_headers(&self, _context: u32, _headers: usize, _end: bool) -> Action {
        Action::Continue
    }

    fn on_response_body(&self, _context: u32, _size: usize, _end: bool) -> Action {
        Action::Continue
    }

    fn on_response_trailers(&self, _context: u32, _trailers: usize) -> Action {
        Action::Continue
    }
}
