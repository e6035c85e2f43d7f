//! What TrafficPolicies and Telemetry say about the clients of a Gateway.

use std::time::Duration;

use tidegate_core::client_certificate::Detail;
use tidegate_core::client_certificate::Details;
use tidegate_core::client_certificate::ForwardClientCert;
use tidegate_core::client_certificate::Mode;
use tidegate_core::defaults::SizeLimits;
use tidegate_core::defaults::Timeouts;
use tidegate_core::snapshot::AccessLog;

use super::policies::Policies;
use super::policies::bytes;
use super::policies::pings;
use super::policies::time;
use super::world::Candidate;
use crate::kinds::policy as kinds;
use crate::kinds::policy::AccessLogFormat;
use crate::place::At;

/// What concerns the clients of a Gateway.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ClientSettings {
    pub(crate) trusted_hops: usize,
    pub(crate) forward_client_cert: ForwardClientCert,
    pub(crate) timeouts: Timeouts,
    pub(crate) sizes: SizeLimits,
    pub(crate) access_log: AccessLog,
    /// Whether connections begin with a PROXY protocol header.
    pub(crate) proxy_protocol: bool,
    /// How long TCP connections may be silent, if that is said.
    pub(crate) tcp_idle: Option<Duration>,
}

impl Policies<'_> {
    /// What a Gateway's policies say about its clients, defaults elsewhere.
    pub(crate) fn of_gateway(&self, gateway: &Candidate) -> ClientSettings {
        let key = ("Gateway", gateway.namespace(), gateway.name(), None);
        let mut settings = ClientSettings::default();
        if let Some(policy) = self.traffic.get(&key) {
            if let Some(hops) = &policy.trusted_hops {
                settings.trusted_hops = usize::try_from(hops.value).unwrap_or(0);
            }
            if let Some(given) = &policy.forward_client_cert {
                settings.forward_client_cert = forward_client_cert(given);
            }
            settings.proxy_protocol = policy.proxy_protocol.as_ref().is_some_and(|one| **one);
            settings.timeouts.pings = pings(policy.http2_pings.as_ref());
            if let Some(given) = &policy.timeouts {
                settings.tcp_idle = time(given.tcp_idle.as_ref());
                let timeouts = &mut settings.timeouts;
                set(&mut timeouts.header_read, time(given.header_read.as_ref()));
                set(&mut timeouts.keep_alive, time(given.keep_alive.as_ref()));
                set(&mut timeouts.stream_idle, time(given.stream_idle.as_ref()));
                set(&mut timeouts.write_stall, time(given.write_stall.as_ref()));
            }
            if let Some(given) = &policy.limits {
                let sizes = &mut settings.sizes;
                let count = given.header_count.as_ref();
                set(&mut sizes.head_bytes, bytes(given.headers.as_ref()));
                set(
                    &mut sizes.head_fields,
                    count.and_then(|count| usize::try_from(count.value).ok()),
                );
                set(
                    &mut sizes.buffered_body_bytes,
                    bytes(given.buffered_body.as_ref()),
                );
            }
        }
        let telemetry = self.telemetry.get(&key);
        let log = telemetry.and_then(|telemetry| telemetry.access_log.as_ref());
        if let Some(format) = log.and_then(|log| log.format.as_ref()) {
            settings.access_log = match format.value {
                AccessLogFormat::Text => AccessLog::Text,
                AccessLogFormat::Json => AccessLog::Json,
                AccessLogFormat::Off => AccessLog::Off,
            };
        }
        settings
    }
}

fn forward_client_cert(given: &kinds::ForwardClientCert) -> ForwardClientCert {
    use kinds::ClientCertDetail as Given;
    use kinds::ForwardClientCertMode as GivenMode;
    let detail = |one: &At<Given>| match one.value {
        Given::Subject => Detail::Subject,
        Given::Uri => Detail::Uri,
        Given::Dns => Detail::Dns,
        Given::Cert => Detail::Cert,
        Given::Chain => Detail::Chain,
    };
    let details = given.details.as_ref();
    ForwardClientCert {
        mode: match given.mode.value {
            GivenMode::Sanitize => Mode::Sanitize,
            GivenMode::ForwardOnly => Mode::ForwardOnly,
            GivenMode::AppendForward => Mode::AppendForward,
            GivenMode::SanitizeSet => Mode::SanitizeSet,
            GivenMode::AlwaysForwardOnly => Mode::AlwaysForwardOnly,
        },
        details: details.map_or_else(Details::default, |given| {
            Details::of(given.iter().map(detail))
        }),
    }
}

fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *place = given;
    }
}
