//! From the request head to a backend: filters, then the route.
//!
//! Owns the request header phase. No byte has gone upstream when it ends, so that everything a
//! filter decides here costs the origin nothing.

use std::pin::pin;
use std::sync::Arc;

use tidegate_core::backend::Backend;
use tidegate_core::failure::Failure;
use tidegate_core::framing::BodyLength;
use tidegate_core::request::renormalise;
use tidegate_host_abi::Side;

use crate::downstream::Downstream;
use crate::filters::run::FilterRun;
use crate::filters::run::HeadStep;
use crate::filters::run::Stop;
use crate::http1::body::BodyReader;

/// A request that may go to a backend.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) backend: Arc<Backend>,
    /// How the body was framed by the client; [`BodyLength::Empty`] if a filter dropped it.
    pub(crate) length: BodyLength,
}

/// Shows the head to every filter and finds the backend.
pub(crate) async fn admit(
    run: FilterRun<'_>,
    down: &mut Downstream,
    body: &BodyReader,
) -> Result<Admitted, Stop> {
    let mut length = match body.remaining() {
        Some(0) => BodyLength::Empty,
        Some(bytes) => BodyLength::Exactly(bytes),
        None => BodyLength::Chunked,
    };
    for at in 0..run.chain.filters.len() {
        let end_of_stream = length == BodyLength::Empty;
        match run.head(at, Side::Request, end_of_stream).await? {
            HeadStep::Continue => {}
            HeadStep::EndStream => length = BodyLength::Empty,
            HeadStep::Pause => wait(run, at, down).await?,
        }
    }
    let mut state = run.stream.state();
    if state.request_edited {
        renormalise(&mut state.request)?;
    }
    let snapshot = &down.generation.snapshot;
    let backend = snapshot
        .route(&down.listener, &state.request)
        .ok_or(Failure::NoRoute)?;
    state.facts.backend = Some(backend.name.clone());
    Ok(Admitted {
        backend: Arc::clone(backend),
        length,
    })
}

/// Waits for a paused filter, and notices if the client goes away meanwhile.
async fn wait(run: FilterRun<'_>, at: usize, down: &mut Downstream) -> Result<(), Stop> {
    let keep = run.worker.sizes().head_bytes;
    let gone = pin!(down.reader.gone(keep));
    let resumed = pin!(run.resumed(at, Side::Request));
    tokio::select! {
        biased;
        resumed = resumed => resumed,
        _ = gone => Err(Stop::Failure(Failure::ClientClosed)),
    }
}
