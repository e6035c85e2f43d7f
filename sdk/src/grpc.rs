//! gRPC calls with one message each way. Messages are bytes: bring your own protobuf.

use std::rc::Rc;
use std::time::Duration;

use tidegate_sdk_sys::host::GrpcCall;
use tidegate_sdk_sys::text::decimal;
use tidegate_sdk_sys::{Host as _, Status, host};

use crate::backend::{Client, DEFAULT_TIMEOUT, refusal};
use crate::error::{CallFailure, Error, Result};
use crate::headers::{HeaderList, text};
use crate::runtime::Runtime;

/// A gRPC call that is being put together.
#[derive(Debug)]
#[must_use = "a call is made when send is awaited"]
pub struct GrpcRequest {
    backend: Client,
    service: String,
    method: String,
    metadata: HeaderList,
    message: Vec<u8>,
    timeout: Duration,
    wrong: Option<Error>,
}

impl GrpcRequest {
    pub(crate) fn new(backend: Client, service: &str, method: &str) -> Self {
        Self {
            backend,
            service: String::from(service),
            method: String::from(method),
            metadata: HeaderList::default(),
            message: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
            wrong: None,
        }
    }

    /// Adds metadata. What HTTP does not allow makes `send` fail.
    pub fn metadata(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if let Err(error) = self.metadata.add(name, value.as_ref()) {
            self.wrong.get_or_insert(error);
        }
        self
    }

    /// Sets the message, serialised.
    pub fn message(mut self, message: impl Into<Vec<u8>>) -> Self {
        self.message = message.into();
        self
    }

    /// Sets how long the call may take; 5 s without it.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes the call and waits for its end.
    ///
    /// # Errors
    /// If the host cannot make it. A call that the server refused is an answer, with its status.
    pub async fn send(self) -> Result<GrpcReply> {
        if let Some(error) = self.wrong {
            return Err(error.context(["call to backend ", self.backend.name()].concat()));
        }
        let metadata = self.metadata.borrowed();
        // 0 would be no limit at all.
        let timeout_milliseconds = u32::try_from(self.timeout.as_millis())
            .unwrap_or(u32::MAX)
            .max(1);
        let call = GrpcCall {
            backend: self.backend.name().as_bytes(),
            service: self.service.as_bytes(),
            method: self.method.as_bytes(),
            metadata: &metadata,
            timeout_milliseconds,
        };
        let token = host()
            .grpc_call(&call, &self.message)
            .map_err(|status| Error::call(self.backend.name(), refused(status)))?;
        self.backend.waits();
        let answer = Runtime::current().answers.grpc(token).await;
        Ok(GrpcReply {
            backend: self.backend.into_name(),
            status: answer.status,
            message: text(answer.details),
            body: answer.message.unwrap_or_default(),
        })
    }
}

/// Hosts say this of a backend that they do not have; for HTTP calls they say something else.
fn refused(status: Status) -> CallFailure {
    match status {
        Status::INTERNAL_FAILURE => CallFailure::Unknown,
        other => refusal(other),
    }
}

/// How a gRPC call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcReply {
    backend: Rc<str>,
    /// The status of gRPC: 0 is OK.
    pub status: u32,
    /// The text that came with the status.
    pub message: String,
    /// The message, serialised; empty if none came.
    pub body: Vec<u8>,
}

impl GrpcReply {
    /// The message, if the call went well.
    ///
    /// # Errors
    /// With the status and its text, if it is another than OK.
    pub fn ok(self) -> Result<Vec<u8>> {
        if self.status == 0 {
            return Ok(self.body);
        }
        let status = decimal(self.status.into());
        let mut why = ["call to backend ", &self.backend, ": gRPC status ", &status].concat();
        if !self.message.is_empty() {
            why.push_str(": ");
            why.push_str(&self.message);
        }
        Err(Error::new(why))
    }
}
