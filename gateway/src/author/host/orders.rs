//! What is said between `tidegate plugin host` and a test: one JSON object a line.
//!
//! `tidegate-sdk-testing` has the other end. Both are of one version: the SDK is what this binary
//! carries.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Deserialize;
use serde::Serialize;

/// What a test wants.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum Order {
    /// Start the plugin; answered by `listening` or `refused`.
    Start(Box<Plan>),
    /// Move time on by so many milliseconds; answered by `done`.
    Advance { ms: u64 },
    /// Set an attribute of all exchanges; answered by `done`.
    Property { path: Vec<String>, value: Vec<u8> },
    /// Answered by `metrics`.
    Metrics,
    /// Answered by `streams`.
    Streams,
    /// Answered by `shared`.
    Shared { key: String },
    /// End; answered by `stopped`.
    Stop,
}

/// What a plugin is started with.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Plan {
    /// The plugin's configuration.
    pub(super) config: Vec<u8>,
    /// The application behind it.
    pub(super) app: SocketAddr,
    /// Backends that it can call.
    pub(super) backends: BTreeMap<String, SocketAddr>,
    /// Whether it filters connections, not requests.
    pub(super) network: bool,
    pub(super) stop_iteration: bool,
    /// Functions of the ABI that it may not call.
    pub(super) denied: Vec<String>,
    pub(super) properties: Vec<(Vec<String>, Vec<u8>)>,
    pub(super) shared: Vec<(String, Vec<u8>)>,
    /// The least level of its lines that are passed on; a number of the ABI.
    pub(super) log_level: u32,
    pub(super) request_timeout_ms: Option<u64>,
}

/// What happened.
#[derive(Debug, Serialize)]
#[serde(tag = "is", rename_all = "camelCase")]
pub(super) enum Event {
    /// The plugin serves at this address.
    Listening { address: SocketAddr },
    /// The plugin was not started.
    Refused { why: String },
    /// The filter wrote a line, at a level of the ABI.
    Log { level: u32, text: String },
    /// An order was carried out.
    Done,
    /// Values of counters and gauges, and how many values histograms got.
    Metrics { values: BTreeMap<String, u64> },
    /// How many streams the plugin knows.
    Streams { count: usize },
    /// A value of the shared data.
    Shared { value: Option<Vec<u8>> },
    /// The order cannot be carried out.
    Wrong { why: String },
    /// All has ended.
    Stopped,
}
