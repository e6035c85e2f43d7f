//! The answers to calls that plugins made: HTTP, gRPC, Redis.
//!
//! Owns the tokens of calls: an answer is reported while its token is open, a last one closes it,
//! and what comes for a token that is not open is dropped. I/O is the embedder's.

use wasmtime::{TypedFunc, WasmParams};

use super::Instance;
use super::entry::Call;
use super::exports::Exports;
use crate::calls::CallKind;
use crate::context::{Context, ContextId, Kind};
use crate::fault::Fault;
use crate::functions::Callback;
use crate::services::{CallResponse, CalloutToken, GrpcEvent, RedisFailed};
use crate::state::Input;
use crate::stream::Streams;
use bytes::Bytes;

impl Instance {
    /// Gives a root context the answer to its HTTP call. An answer that nobody waits for is
    /// dropped.
    ///
    /// # Errors
    /// The fault that ended the guest, now or earlier.
    pub fn on_http_call_response(
        &mut self,
        streams: &mut dyn Streams,
        root: ContextId,
        token: CalloutToken,
        response: &CallResponse,
    ) -> Result<(), Fault> {
        const NAME: &str = "proxy_on_http_call_response";

        self.usable()?;
        if self.store.data_mut().calls.open.remove(&token.0).is_none() {
            return Ok(());
        }
        let context = self.context(root, Kind::Root, NAME)?;
        let params = (
            root.get(),
            token.0,
            count(response.headers.len()),
            count(response.body.len()),
            count(response.trailers.len()),
        );
        let call = Call {
            callback: Callback::HttpCallResponse,
            name: NAME,
            context,
        };
        let input = Input::CallResponse(response.clone());
        self.answer(
            streams,
            call,
            input,
            |exports| exports.http_call_response.as_ref(),
            params,
        )
    }

    /// Reports what came of a gRPC call or stream. What comes for one that is over, or was
    /// cancelled, is dropped.
    ///
    /// A unary call has one event, a message or a close; a stream ends with its close.
    ///
    /// # Errors
    /// The fault that ended the guest, now or earlier.
    pub fn on_grpc_event(
        &mut self,
        streams: &mut dyn Streams,
        token: CalloutToken,
        event: GrpcEvent,
    ) -> Result<(), Fault> {
        let (callback, name) = match &event {
            GrpcEvent::InitialMetadata(_) => (
                Callback::GrpcInitialMetadata,
                "proxy_on_grpc_receive_initial_metadata",
            ),
            GrpcEvent::Message(_) => (Callback::GrpcReceive, "proxy_on_grpc_receive"),
            GrpcEvent::TrailingMetadata(_) => (
                Callback::GrpcTrailingMetadata,
                "proxy_on_grpc_receive_trailing_metadata",
            ),
            GrpcEvent::Close { .. } => (Callback::GrpcClose, "proxy_on_grpc_close"),
        };
        self.usable()?;
        let is_call = CallKind::of(token.0) == CallKind::GrpcCall;
        let is_last = match &event {
            GrpcEvent::Close { .. } => true,
            GrpcEvent::Message(_) => is_call,
            GrpcEvent::InitialMetadata(_) | GrpcEvent::TrailingMetadata(_) => false,
        };
        let Some(context) = self.caller(token, is_last, name)? else {
            return Ok(());
        };
        let number = match &event {
            GrpcEvent::InitialMetadata(pairs) | GrpcEvent::TrailingMetadata(pairs) => {
                count(pairs.len())
            }
            GrpcEvent::Message(message) => count(message.len()),
            GrpcEvent::Close { status, .. } => *status,
        };
        let params = (context.id.get(), token.0, number);
        let call = Call {
            callback,
            name,
            context,
        };
        self.answer(
            streams,
            call,
            Input::Grpc(event),
            |exports| exports.grpc(callback),
            params,
        )
    }

    /// Gives a root context the reply to its Redis command, as it came. One that nobody waits for
    /// is dropped.
    ///
    /// # Errors
    /// The fault that ended the guest, now or earlier.
    pub fn on_redis_call_response(
        &mut self,
        streams: &mut dyn Streams,
        token: CalloutToken,
        reply: Result<Bytes, RedisFailed>,
    ) -> Result<(), Fault> {
        const NAME: &str = "proxy_on_redis_call_response";

        self.usable()?;
        let Some(context) = self.caller(token, true, NAME)? else {
            return Ok(());
        };
        let (status, reply) = match reply {
            Ok(reply) => (0, reply),
            // Higress: any status but 0.
            Err(failed) => (failed as u32, Bytes::new()),
        };
        let params = (context.id.get(), token.0, status, count(reply.len()));
        let call = Call {
            callback: Callback::RedisCallResponse,
            name: NAME,
            context,
        };
        self.answer(
            streams,
            call,
            Input::RedisReply(reply),
            |exports| exports.redis_call_response.as_ref(),
            params,
        )
    }

    /// The root context that made a call, if the call is open.
    fn caller(
        &mut self,
        token: CalloutToken,
        is_last: bool,
        callback: &'static str,
    ) -> Result<Option<Context>, Fault> {
        let open = &mut self.store.data_mut().calls.open;
        let call = match is_last {
            true => open.remove(&token.0),
            false => open.get(&token.0).copied(),
        };
        let Some(root) = call.and_then(|call| self.root(call.plugin)) else {
            return Ok(None);
        };
        self.context(root, Kind::Root, callback).map(Some)
    }

    /// Enters the guest with an answer it can read meanwhile.
    fn answer<P: WasmParams>(
        &mut self,
        streams: &mut dyn Streams,
        call: Call,
        input: Input,
        function: impl FnOnce(&Exports) -> Option<&TypedFunc<P, ()>>,
        params: P,
    ) -> Result<(), Fault> {
        self.store.data_mut().running.input = input;
        let entered = self.enter(streams, call, function, params);
        self.store.data_mut().running.input = Input::None;
        entered?;
        self.delete_released(streams)
    }
}

/// A length as guests count; they cannot hold more anyway.
fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
