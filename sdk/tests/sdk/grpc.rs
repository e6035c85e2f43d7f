//! gRPC calls, on a host that answers one as hosts do: with the message, or with a close.

use std::cell::RefCell;
use std::rc::Rc;

use tidegate_sdk::Module;
use tidegate_sdk::prelude::*;
use tidegate_sdk_sys::host::{GrpcCall, PairsRef};
use tidegate_sdk_sys::{Action, BufferType, Guest as _, Host, LogLevel, StreamType, fake};

#[derive(Default)]
struct Answering {
    did: RefCell<Vec<String>>,
}

impl Answering {
    fn note(&self, what: String) -> tidegate_sdk_sys::Result<()> {
        self.did.borrow_mut().push(what);
        Ok(())
    }
}

impl Host for Answering {
    fn log(&self, _: LogLevel, message: &[u8]) -> tidegate_sdk_sys::Result<()> {
        self.note(String::from_utf8_lossy(message).into_owned())
    }

    fn set_effective_context(&self, _: u32) -> tidegate_sdk_sys::Result<()> {
        Ok(())
    }

    fn grpc_call(&self, call: &GrpcCall<'_>, message: &[u8]) -> tidegate_sdk_sys::Result<u32> {
        let of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.note(format!(
            "calls {}/{} {}",
            of(call.service),
            of(call.method),
            of(message)
        ))?;
        Ok(7)
    }

    fn buffer(&self, _: BufferType, _: usize, _: usize) -> tidegate_sdk_sys::Result<Vec<u8>> {
        Ok(b"pong".to_vec())
    }

    fn call_status(&self) -> tidegate_sdk_sys::Result<(u32, Vec<u8>)> {
        Ok((14, b"nobody there".to_vec()))
    }

    fn continue_stream(&self, _: StreamType) -> tidegate_sdk_sys::Result<()> {
        self.note("goes on".to_owned())
    }

    fn send_local_response(
        &self,
        status: u32,
        _: &[u8],
        _: PairsRef<'_>,
        body: &[u8],
        _: Option<u32>,
    ) -> tidegate_sdk_sys::Result<()> {
        self.note(format!("{status} {}", String::from_utf8_lossy(body)))
    }
}

/// Lets requests pass whose call is answered with `pong`.
#[filter]
async fn pings(req: Request, next: Next, cx: &Cx) -> Result<Response> {
    let call = cx.backend("b").grpc("a.Pings", "Ping").message("ping");
    let reply = call.send().await?;
    if reply.status != 0 {
        return Err(Deny::status(503).text(reply.message).into());
    }
    (reply.body == b"pong").or_deny(Deny::forbidden())?;
    next.run(req).await
}

/// A module that has called, and what it did.
fn called() -> (Module<pings>, Rc<Answering>, fake::Installed) {
    let host = Rc::new(Answering::default());
    let installed = fake::install(Rc::<Answering>::clone(&host) as Rc<dyn Host>);
    let module = Module::<pings>::default();
    module.on_context_create(1, 0);
    assert!(module.on_configure(1, 0));
    module.on_context_create(2, 1);
    assert_eq!(module.on_request_headers(2, 4, true), Action::Pause);
    (module, host, installed)
}

#[test]
fn a_call_ends_with_its_message() {
    let (module, host, _installed) = called();
    module.on_grpc_receive(1, 7, 4);
    assert_eq!(*host.did.borrow(), ["calls a.Pings/Ping ping", "goes on"]);
}

#[test]
fn a_call_that_fails_ends_with_its_status() {
    let (module, host, _installed) = called();
    module.on_grpc_close(1, 7, 14);
    assert_eq!(
        *host.did.borrow(),
        ["calls a.Pings/Ping ping", "503 nobody there"]
    );
    module.on_delete(2);
    assert_eq!(module.live(), (0, 0));
}
