//! The callbacks of a stream, in the order of its life.
//!
//! Owns their arguments and what an absent one means: go on. When to call them is the embedder's.

use wasmtime::{TypedFunc, WasmParams, WasmResults};

use super::Instance;
use super::entry::Call;
use super::exports::Exports;
use crate::context::{Context, ContextId, Kind};
use crate::fault::Fault;
use crate::functions::Callback;
use crate::kinds::{BodyAction, HeadersAction, TrailersAction};
use crate::stream::{Side, Streams};

impl Instance {
    /// Creates a stream context of a root context and announces it to the guest.
    ///
    /// Specification: `proxy_on_context_create`.
    ///
    /// # Errors
    /// The fault that ended the guest, now or earlier; or that `root` is no root context.
    pub fn create_stream(
        &mut self,
        streams: &mut dyn Streams,
        root: ContextId,
    ) -> Result<ContextId, Fault> {
        const NAME: &str = "proxy_on_context_create";

        let root = self.context(root, Kind::Root, NAME)?;
        let id = self
            .store
            .data_mut()
            .contexts
            .add(Kind::Stream, root.plugin);
        let context = Context {
            id,
            kind: Kind::Stream,
            plugin: root.plugin,
        };
        let call = call(Callback::ContextCreate, NAME, context);
        let params = (id.get(), root.id.get());
        match self.enter(
            streams,
            call,
            |exports| exports.context_create.as_ref(),
            params,
        ) {
            Ok(_) => Ok(id),
            Err(fault) => {
                self.store.data_mut().contexts.remove(id);
                Err(fault)
            }
        }
    }

    /// The request has headers: `fields` of them, pseudo-headers counted.
    ///
    /// Specification: `proxy_on_request_headers`.
    ///
    /// # Errors
    /// The fault that ended the guest, now or earlier.
    pub fn on_request_headers(
        &mut self,
        streams: &mut dyn Streams,
        context: ContextId,
        fields: u32,
        end_of_stream: bool,
    ) -> Result<HeadersAction, Fault> {
        self.on_headers(streams, context, Side::Request, fields, end_of_stream)
    }

    /// `size` bytes of the request body can be seen in its buffer.
    ///
    /// Specification: `proxy_on_request_body`.
    ///
    /// # Errors
    /// The fault that ended the guest, now or earlier.
    pub fn on_request_body(
        &mut self,
        streams: &mut dyn Streams,
        context: ContextId,
        size: u32,
        end_of_stream: bool,
    ) -> Result<BodyAction, Fault> {
        self.on_body(streams, context, Side::Request, size, end_of_stream)
    }

    /// The request has trailers.
    ///
    /// Specification: `proxy_on_request_trailers`.
    ///
    /// # Errors
    /// The fault that ended the guest, now or earlier.
    pub fn on_request_trailers(
        &mut self,
        streams: &mut dyn Streams,
        context: ContextId,
        fields: u32,
    ) -> Result<TrailersAction, Fault> {
        self.on_trailers(streams, context, Side::Request, fields)
    }

    /// The response has headers: `fields` of them, pseudo-headers counted.
    ///
    /// Specification: `proxy_on_response_headers`.
    ///
    /// # Errors
    /// The fault that ended the guest, now or earlier.
    pub fn on_response_headers(
        &mut self,
        streams: &mut dyn Streams,
        context: ContextId,
        fields: u32,
        end_of_stream: bool,
    ) -> Result<HeadersAction, Fault> {
        self.on_headers(streams, context, Side::Response, fields, end_of_stream)
    }

    /// `size` bytes of the response body can be seen in its buffer.
    ///
    /// Specification: `proxy_on_response_body`.
    ///
    /// # Errors
    /// The fault that ended the guest, now or earlier.
    pub fn on_response_body(
        &mut self,
        streams: &mut dyn Streams,
        context: ContextId,
        size: u32,
        end_of_stream: bool,
    ) -> Result<BodyAction, Fault> {
        self.on_body(streams, context, Side::Response, size, end_of_stream)
    }

    /// The response has trailers.
    ///
    /// Specification: `proxy_on_response_trailers`.
    ///
    /// # Errors
    /// The fault that ended the guest, now or earlier.
    pub fn on_response_trailers(
        &mut self,
        streams: &mut dyn Streams,
        context: ContextId,
        fields: u32,
    ) -> Result<TrailersAction, Fault> {
        self.on_trailers(streams, context, Side::Response, fields)
    }

    /// Ends a stream context: done, log, delete. After that the number is not alive, whatever the
    /// outcome; calling it again is an error of the embedder.
    ///
    /// Specification: `proxy_on_done`, `proxy_on_log`, `proxy_on_delete`.
    ///
    /// A guest's wish to wait (`on_done` answering 0) is honoured for root contexts only, as in
    /// Envoy.
    ///
    /// # Errors
    /// The fault that ended the guest, now or earlier.
    pub fn finish_stream(
        &mut self,
        streams: &mut dyn Streams,
        context: ContextId,
    ) -> Result<(), Fault> {
        let ended = match self.context(context, Kind::Stream, "proxy_on_done") {
            Ok(context) => self
                .done(streams, context)
                .and_then(|_| self.log_and_delete(streams, context)),
            Err(fault) => Err(fault),
        };
        if self
            .store
            .data()
            .contexts
            .get(context)
            .is_some_and(|found| found.kind == Kind::Stream)
        {
            self.store.data_mut().contexts.remove(context);
        }
        ended
    }

    /// Asks a context whether it is done; `None` if it has no opinion.
    pub(super) fn done(
        &mut self,
        streams: &mut dyn Streams,
        context: Context,
    ) -> Result<Option<u32>, Fault> {
        let call = call(Callback::Done, "proxy_on_done", context);
        self.enter(
            streams,
            call,
            |exports| exports.done.as_ref(),
            context.id.get(),
        )
    }

    pub(super) fn log_and_delete(
        &mut self,
        streams: &mut dyn Streams,
        context: Context,
    ) -> Result<(), Fault> {
        let id = context.id.get();
        let log = call(Callback::Log, "proxy_on_log", context);
        self.enter(streams, log, |exports| exports.log.as_ref(), id)?;
        let delete = call(Callback::Delete, "proxy_on_delete", context);
        self.enter(streams, delete, |exports| exports.delete.as_ref(), id)?;
        Ok(())
    }

    /// Enters a callback, given with its name, for a live stream or connection; `None` if the guest
    /// has no such callback.
    pub(super) fn on_stream<P: WasmParams, R: WasmResults>(
        &mut self,
        streams: &mut dyn Streams,
        context: ContextId,
        (callback, name): (Callback, &'static str),
        function: impl FnOnce(&Exports) -> Option<&TypedFunc<P, R>>,
        params: impl FnOnce(u32) -> P,
    ) -> Result<Option<R>, Fault> {
        let context = self.context(context, Kind::Stream, name)?;
        let params = params(context.id.get());
        self.enter(streams, call(callback, name, context), function, params)
    }

    fn on_headers(
        &mut self,
        streams: &mut dyn Streams,
        context: ContextId,
        side: Side,
        fields: u32,
        end_of_stream: bool,
    ) -> Result<HeadersAction, Fault> {
        let which = match side {
            Side::Request => (Callback::RequestHeaders, "proxy_on_request_headers"),
            Side::Response => (Callback::ResponseHeaders, "proxy_on_response_headers"),
        };
        let action = if self.exports.headers_old(side).is_some() {
            let params = |id| (id, fields);
            self.on_stream(streams, context, which, |it| it.headers_old(side), params)?
        } else {
            let params = |id| (id, fields, end_of_stream.into());
            self.on_stream(streams, context, which, |it| it.headers(side), params)?
        };
        Ok(action.map_or(HeadersAction::Continue, HeadersAction::from_guest))
    }

    fn on_body(
        &mut self,
        streams: &mut dyn Streams,
        context: ContextId,
        side: Side,
        size: u32,
        end_of_stream: bool,
    ) -> Result<BodyAction, Fault> {
        let which = match side {
            Side::Request => (Callback::RequestBody, "proxy_on_request_body"),
            Side::Response => (Callback::ResponseBody, "proxy_on_response_body"),
        };
        let params = |id| (id, size, end_of_stream.into());
        let action = self.on_stream(streams, context, which, |it| it.body(side), params)?;
        Ok(action.map_or(BodyAction::Continue, BodyAction::from_guest))
    }

    fn on_trailers(
        &mut self,
        streams: &mut dyn Streams,
        context: ContextId,
        side: Side,
        fields: u32,
    ) -> Result<TrailersAction, Fault> {
        let which = match side {
            Side::Request => (Callback::RequestTrailers, "proxy_on_request_trailers"),
            Side::Response => (Callback::ResponseTrailers, "proxy_on_response_trailers"),
        };
        let params = |id| (id, fields);
        let action = self.on_stream(streams, context, which, |it| it.trailers(side), params)?;
        Ok(action.map_or(TrailersAction::Continue, TrailersAction::from_guest))
    }
}

/// An entry into a callback.
pub(super) const fn call(callback: Callback, name: &'static str, context: Context) -> Call {
    Call {
        callback,
        name,
        context,
    }
}
