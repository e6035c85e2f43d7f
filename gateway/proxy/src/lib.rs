//! The data plane: sockets, HTTP, filters in the path, upstreams. Level 3: decisions come from
//! `tidegate-core`, guests run in `tidegate-host-abi`; nothing here knows a configuration format.
//!
//! A gateway is N workers (`worker`), each a thread with a runtime, sockets, pools and filter
//! instances of its own. A client connection (`downstream`) serves one request after the other;
//! each is an `exchange`. Start reading there.

mod access_log;
mod clock;
mod deadline;
mod downstream;
mod exchange;
mod filters;
mod gateway;
mod generation;
mod http1;
mod http2;
mod inlet;
mod listener;
mod metrics;
mod outlet;
mod own;
mod random;
mod resolver;
mod simulation;
mod tcp;
mod tls;
mod transport;
mod upstream;
mod worker;

pub use filters::canary::Versions;
pub use filters::crypto::AwsLc;
pub use filters::services::LastFault;
pub use gateway::Ended;
pub use gateway::Gateway;
pub use gateway::Meanwhile;
pub use gateway::Options;
pub use gateway::Remote;
pub use gateway::StartError;
pub use generation::Callable;
pub use generation::Generation;
pub use generation::PluginSlot;
pub use generation::Reachable;
pub use listener::BindError;
pub use metrics::GuestMetric;
pub use metrics::GuestMetricValue;
pub use metrics::Metrics;
pub use metrics::PluginGauges;
pub use metrics::PluginNumbers;
pub use metrics::ShadowCounts;
pub use metrics::TcpNumbers;
pub use own::OwnRequest;
pub use own::Unanswered;
pub use resolver::LookedUp;
pub use resolver::Lookups;
pub use simulation::Lines;
pub use simulation::Simulation;
pub use tls::Bundle;
pub use tls::BundleError;
pub use tls::Certificate;
pub use tls::CertificateError;
