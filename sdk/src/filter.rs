//! What a filter is to the runtime. The attributes `filter` and
//! `network_filter` implement it; nobody else should.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::config::FilterConfig;
use crate::connection::Connection;
use crate::cx::Cx;
use crate::error::Result;
use crate::next::Next;
use crate::request::Request;
use crate::response::Response;

/// What filters of both kinds have.
pub trait Definition: Sized + 'static {
    /// The plugin's configuration.
    type Config: FilterConfig + 'static;
    /// What the setup makes, for all streams.
    type State: 'static;
    /// The crate's name, for messages.
    const NAME: &'static str;
    /// The manifest: JSON with the name, versions, needs, capabilities and the schema of the
    /// configuration. A module carries it in the custom section `tidegate.manifest`.
    const MANIFEST: &'static str;
    /// What runs at intervals.
    const JOBS: &'static [Job<Self>];

    /// Runs once for each configuration and worker, before streams.
    fn setup(cx: Cx<Self::Config>) -> impl Future<Output = Result<Self::State>> + 'static;
}

/// An HTTP filter: one asynchronous function for each exchange.
pub trait Filter: Definition {
    /// Handles one exchange.
    fn run(
        request: Request,
        next: Next,
        cx: Cx<Self::Config, Self::State>,
    ) -> impl Future<Output = Result<Response>> + 'static;
}

/// A network filter: one asynchronous function for each connection.
pub trait NetworkFilter: Definition {
    /// Decides about one connection.
    fn run(
        connection: Connection,
        cx: Cx<Self::Config, Self::State>,
    ) -> impl Future<Output = Result<()>> + 'static;
}

/// The future of a job.
pub type JobFuture = Pin<Box<dyn Future<Output = Result<()>>>>;

/// Something that runs at an interval beside the streams.
pub struct Job<F: Definition> {
    /// The function's name, for messages.
    pub name: &'static str,
    /// From the end of one run to the beginning of the next.
    pub period: Duration,
    /// The function.
    pub run: fn(Cx<F::Config, F::State>) -> JobFuture,
}

impl<F: Definition> std::fmt::Debug for Job<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job")
            .field("name", &self.name)
            .field("period", &self.period)
            .finish_non_exhaustive()
    }
}
