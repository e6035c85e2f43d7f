//! The load of a scenario, and how much of it a proxy did.

mod h2load;
mod resumed;
mod talk;
mod wrk;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use tidegate_benches::process::Core;

use crate::configs::Identity;
use crate::scenario::Scenario;

/// How much longer than asked a load generator may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What load there is.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    pub(crate) scenario: Scenario,
    /// Connections, where the scenario does not say how many.
    pub(crate) connections: u32,
    /// The size of the response body that is asked for.
    pub(crate) bytes: u32,
    /// Where the load generator runs.
    pub(crate) core: Core,
    pub(crate) identity: &'a Identity,
}

impl Load<'_> {
    /// Puts load on a proxy and returns how much it did, in the scenario's unit. An error of the
    /// proxy is one of the measurement.
    pub(crate) fn run(&self, to: SocketAddr, seconds: u32) -> Result<f64> {
        let count = match self.scenario {
            Scenario::Http
            | Scenario::Large
            | Scenario::Jwt
            | Scenario::Rbac
            | Scenario::ExtAuthz
            | Scenario::Chain => wrk::run(self, to, seconds)?,
            Scenario::Tls | Scenario::H2 | Scenario::Grpc => h2load::run(self, to, seconds)?,
            Scenario::Resumed => resumed::run(self, to, seconds)?,
            Scenario::Websocket => talk::run(self, &talk::Talk::WEBSOCKET, to, seconds)?,
            Scenario::Tcp => talk::run(self, &talk::Talk::BYTES, to, seconds)?,
        };
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let count = count as f64;
        Ok(match self.scenario {
            Scenario::Tcp => count * talk::Talk::BYTES.mebibytes(),
            _ => count,
        })
    }
}
