//! The functions of a guest as typed handles, looked up once.
//!
//! Owns the difference between ABI versions: header callbacks of 0.1.0 have no end-of-stream flag,
//! so of its two forms only the one that fits the guest is there.

use wasmtime::{Instance, Store, TypedFunc, WasmParams, WasmResults};

use crate::functions::Callback;
use crate::state::State;
use crate::stream::Side;

/// A function of one parameter.
type Of1<R> = Option<TypedFunc<u32, R>>;
/// A function of two.
type Of2<R> = Option<TypedFunc<(u32, u32), R>>;
/// A function of three.
type Of3<R> = Option<TypedFunc<(u32, u32, u32), R>>;

/// A function of four.
type Of4<R> = Option<TypedFunc<(u32, u32, u32, u32), R>>;

/// A function of five.
type Of5<R> = Option<TypedFunc<(u32, u32, u32, u32, u32), R>>;

/// The callbacks of one instance; those it does not export are `None`.
pub(super) struct Exports {
    pub(super) context_create: Of2<()>,
    pub(super) vm_start: Of2<u32>,
    pub(super) configure: Of2<u32>,
    pub(super) tick: Of1<()>,
    pub(super) new_connection: Of1<u32>,
    request: SideExports,
    response: SideExports,
    pub(super) http_call_response: Of5<()>,
    grpc_initial_metadata: Of3<()>,
    grpc_receive: Of3<()>,
    grpc_trailing_metadata: Of3<()>,
    grpc_close: Of3<()>,
    pub(super) redis_call_response: Of4<()>,
    pub(super) queue_ready: Of2<()>,
    pub(super) resolve_dns: Of3<()>,
    pub(super) done: Of1<u32>,
    pub(super) log: Of1<()>,
    pub(super) delete: Of1<()>,
}

/// The callbacks of one side of a stream: those of an HTTP message, and those of a connection.
struct SideExports {
    headers: Of3<u32>,
    headers_old: Of2<u32>,
    body: Of3<u32>,
    trailers: Of2<u32>,
    data: Of3<u32>,
    close: Of2<()>,
}

impl SideExports {
    fn find(store: &mut Store<State>, guest: &Instance, side: &str, peer: &str) -> Self {
        let headers = format!("proxy_on_{side}_headers");
        Self {
            headers: typed(store, guest, &headers),
            headers_old: typed(store, guest, &headers),
            body: typed(store, guest, &format!("proxy_on_{side}_body")),
            trailers: typed(store, guest, &format!("proxy_on_{side}_trailers")),
            data: typed(store, guest, &format!("proxy_on_{peer}_data")),
            close: typed(store, guest, &format!("proxy_on_{peer}_connection_close")),
        }
    }
}

impl Exports {
    /// Looks everything up. The types were checked when the module was.
    pub(super) fn find(store: &mut Store<State>, guest: &Instance) -> Self {
        Self {
            context_create: typed(store, guest, "proxy_on_context_create"),
            vm_start: typed(store, guest, "proxy_on_vm_start"),
            configure: typed(store, guest, "proxy_on_configure"),
            tick: typed(store, guest, "proxy_on_tick"),
            new_connection: typed(store, guest, "proxy_on_new_connection"),
            request: SideExports::find(store, guest, "request", "downstream"),
            response: SideExports::find(store, guest, "response", "upstream"),
            http_call_response: typed(store, guest, "proxy_on_http_call_response"),
            grpc_initial_metadata: typed(store, guest, "proxy_on_grpc_receive_initial_metadata"),
            grpc_receive: typed(store, guest, "proxy_on_grpc_receive"),
            grpc_trailing_metadata: typed(store, guest, "proxy_on_grpc_receive_trailing_metadata"),
            grpc_close: typed(store, guest, "proxy_on_grpc_close"),
            redis_call_response: typed(store, guest, "proxy_on_redis_call_response"),
            queue_ready: typed(store, guest, "proxy_on_queue_ready"),
            resolve_dns: typed(store, guest, "envoy_on_resolve_dns"),
            done: typed(store, guest, "proxy_on_done"),
            log: typed(store, guest, "proxy_on_log"),
            delete: typed(store, guest, "proxy_on_delete"),
        }
    }

    /// The gRPC callback of this kind.
    pub(super) const fn grpc(&self, callback: Callback) -> Option<&TypedFunc<(u32, u32, u32), ()>> {
        match callback {
            Callback::GrpcInitialMetadata => self.grpc_initial_metadata.as_ref(),
            Callback::GrpcReceive => self.grpc_receive.as_ref(),
            Callback::GrpcTrailingMetadata => self.grpc_trailing_metadata.as_ref(),
            Callback::GrpcClose => self.grpc_close.as_ref(),
            _ => None,
        }
    }

    const fn side(&self, side: Side) -> &SideExports {
        match side {
            Side::Request => &self.request,
            Side::Response => &self.response,
        }
    }

    pub(super) const fn headers(&self, side: Side) -> Option<&TypedFunc<(u32, u32, u32), u32>> {
        self.side(side).headers.as_ref()
    }

    /// The header callback of a guest of ABI 0.1.0.
    pub(super) const fn headers_old(&self, side: Side) -> Option<&TypedFunc<(u32, u32), u32>> {
        self.side(side).headers_old.as_ref()
    }

    pub(super) const fn body(&self, side: Side) -> Option<&TypedFunc<(u32, u32, u32), u32>> {
        self.side(side).body.as_ref()
    }

    pub(super) const fn data(&self, side: Side) -> Option<&TypedFunc<(u32, u32, u32), u32>> {
        self.side(side).data.as_ref()
    }

    pub(super) const fn close(&self, side: Side) -> Option<&TypedFunc<(u32, u32), ()>> {
        self.side(side).close.as_ref()
    }

    pub(super) const fn trailers(&self, side: Side) -> Option<&TypedFunc<(u32, u32), u32>> {
        self.side(side).trailers.as_ref()
    }
}

/// The function under a name if it has these types.
pub(super) fn typed<P: WasmParams, R: WasmResults>(
    store: &mut Store<State>,
    guest: &Instance,
    name: &str,
) -> Option<TypedFunc<P, R>> {
    guest.get_func(&mut *store, name)?.typed(&*store).ok()
}
