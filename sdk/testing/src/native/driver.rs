//! What a harness does with the simulator: clients, time, and what a test looks at.

use std::time::Duration;

use tidegate_sdk_sys::Pairs;

use crate::driver::{Driver, Waited};
use crate::fields::Fields;
use crate::native::state::{self, Item, ROOT, Stream};
use crate::native::{Native, PATIENCE, host, nanoseconds};
use crate::request::Request;

impl Driver for Native {
    fn begin(&mut self, exchange: u32, request: &Request, chunks: Vec<Vec<u8>>) {
        self.last_context += 1;
        let context = self.last_context;
        let mut stream = Stream::new(exchange, self.now());
        stream.request.headers = request_headers(request);
        let end = request.ends_with_headers();
        stream.request.incoming.push_back(Item::Headers { end });
        self.world.state().streams.insert(context, stream);
        self.call(ROOT, |guest| guest.on_context_create(context, ROOT));
        for bytes in chunks {
            self.push(exchange, Item::Data { bytes, end: false });
        }
        self.patience = self.now() + PATIENCE;
    }

    fn connect(&mut self, exchange: u32) {
        self.last_context += 1;
        let context = self.last_context;
        let mut stream = Stream::new(exchange, self.now());
        stream.network = true;
        // Its beginning stands where headers do.
        let begins = Item::Headers { end: false };
        stream.request.incoming.push_back(begins);
        self.world.state().streams.insert(context, stream);
        self.call(ROOT, |guest| guest.on_context_create(context, ROOT));
        self.patience = self.now() + PATIENCE;
    }

    fn chunk(&mut self, exchange: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            let bytes = bytes.to_vec();
            self.push(exchange, Item::Data { bytes, end: false });
        }
    }

    fn end(&mut self, exchange: u32, trailers: &Fields) {
        if !trailers.is_empty() {
            self.push(exchange, Item::Trailers(state::pairs(trailers)));
            return;
        }
        // The last part says that it is the last, unless it has been shown already.
        let context = self.context_of(exchange);
        if let Some(context) = context
            && let Some(stream) = self.world.state().streams.get_mut(&context)
            && let Some(Item::Data { end, .. }) = stream.request.incoming.back_mut()
        {
            *end = true;
            return;
        }
        let bytes = Vec::new();
        self.push(exchange, Item::Data { bytes, end: true });
    }

    fn disconnect(&mut self, exchange: u32) {
        if let Some(context) = self.context_of(exchange) {
            self.cut(context);
        }
    }

    fn wait(&mut self) -> Waited {
        self.settle();
        match self.next_moment() {
            Some(next) if next <= self.patience => {
                self.world.state().now = next;
                self.settle();
                Waited::Look
            }
            Some(_) => Waited::InVain("not within 10 minutes of virtual time".to_owned()),
            None => Waited::InVain("nothing is under way that could bring it".to_owned()),
        }
    }

    fn settle(&mut self) {
        /// More at one moment than any test needs.
        const ENDLESS: usize = 1_000_000;
        for _ in 0..ENDLESS {
            let busy = self.pump() || self.start_calls() || self.start_commands() || self.run_due();
            if !busy {
                return;
            }
        }
        crate::fail("the filter keeps its host busy without end: time cannot go on");
    }

    fn ended(&mut self, _exchange: u32) -> Result<(), String> {
        self.settle();
        Ok(())
    }

    fn advance(&mut self, time: Duration) -> Result<(), String> {
        let until = self.now().saturating_add(nanoseconds(time));
        self.settle();
        while let Some(next) = self.next_moment().filter(|next| *next <= until) {
            self.world.state().now = next;
            self.settle();
        }
        self.world.state().now = until;
        self.patience = until + PATIENCE;
        Ok(())
    }

    fn unix_time(&mut self) -> Duration {
        Duration::from_nanos(host::EPOCH.saturating_add(self.now()))
    }

    fn metric(&mut self, name: &str) -> Result<Option<u64>, String> {
        let state = self.world.state();
        let mut metrics = state.metrics.iter();
        let found = metrics.find(|it| it.name == name.as_bytes());
        Ok(found.map(|it| it.value))
    }

    fn shared(&mut self, key: &str) -> Result<Option<Vec<u8>>, String> {
        let state = self.world.state();
        Ok(state.shared.get(key.as_bytes()).map(|it| it.0.clone()))
    }

    fn set_property(&mut self, path: &[&str], value: &[u8]) -> Result<(), String> {
        let path = path.join("\0").into_bytes();
        self.world.state().properties.insert(path, value.to_vec());
        Ok(())
    }

    fn answer_elsewhere(&mut self, exchange: u32, status: u16) -> Result<(), String> {
        match self.context_of(exchange) {
            Some(context) => {
                self.host_answers(context, status);
                Ok(())
            }
            None => Err("the exchange is over".to_owned()),
        }
    }

    fn stop(&mut self) -> Result<(), String> {
        self.end_plugin()
    }
}

/// The headers of a request as filters have them.
fn request_headers(request: &Request) -> Pairs {
    let mut headers = Pairs::new();
    let pseudo = [
        (":authority", request.host.as_str()),
        (":path", &request.path),
        (":method", &request.method),
        (":scheme", "http"),
    ];
    for (name, value) in pseudo {
        headers.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    }
    headers.extend(state::pairs(&request.framed_headers()));
    headers
}
