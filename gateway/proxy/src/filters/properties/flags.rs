//! `response.flags`: why an exchange ended badly, in the bits that Envoy has for it.
//!
//! Owns which of our reasons is which of Envoy's `CoreResponseFlag`s. What Envoy has no flag for
//! has none.

/// The bits for the short name of a failure, 0 for none, and for a delay that a filter wanted.
pub(crate) fn bits(flag: &str, delayed: bool) -> i64 {
    of_failure(flag) | i64::from(delayed) << DELAY_INJECTED
}

fn of_failure(flag: &str) -> i64 {
    let place = match flag {
        "no_endpoint" => NO_HEALTHY_UPSTREAM,
        "upstream_timeout" | "request_timeout" | "backend_request_timeout" => {
            UPSTREAM_REQUEST_TIMEOUT
        }
        "connect_failed" | "connect_timeout" => UPSTREAM_CONNECTION_FAILURE,
        tls if tls.starts_with("upstream_tls_") => UPSTREAM_CONNECTION_FAILURE,
        "upstream_reset" | "upstream_body_cut" => UPSTREAM_CONNECTION_TERMINATION,
        "no_route" => NO_ROUTE_FOUND,
        "fault_injected" => FAULT_INJECTED,
        "client_closed" | "client_stalled" => DOWNSTREAM_CONNECTION_TERMINATION,
        "request_body_timeout" | "upstream_body_timeout" => STREAM_IDLE_TIMEOUT,
        "idle_connection" => STREAM_IDLE_TIMEOUT,
        "bad_chunk" => DOWNSTREAM_PROTOCOL_ERROR,
        "upstream_protocol_error" | "upstream_headers_too_large" => UPSTREAM_PROTOCOL_ERROR,
        "no_backend" => NO_CLUSTER_FOUND,
        _ => return 0,
    };
    1 << place
}

// The places of Envoy's flags.
const NO_HEALTHY_UPSTREAM: u32 = 1;
const UPSTREAM_REQUEST_TIMEOUT: u32 = 2;
const UPSTREAM_CONNECTION_FAILURE: u32 = 5;
const UPSTREAM_CONNECTION_TERMINATION: u32 = 6;
const NO_ROUTE_FOUND: u32 = 8;
const DELAY_INJECTED: u32 = 9;
const FAULT_INJECTED: u32 = 10;
const DOWNSTREAM_CONNECTION_TERMINATION: u32 = 14;
const STREAM_IDLE_TIMEOUT: u32 = 16;
const DOWNSTREAM_PROTOCOL_ERROR: u32 = 18;
const UPSTREAM_PROTOCOL_ERROR: u32 = 23;
const NO_CLUSTER_FOUND: u32 = 24;

#[cfg(test)]
mod tests {
    use tidegate_core::failure::Failure;

    use super::bits;

    #[test]
    fn failures_have_the_bits_of_envoy() {
        for (failure, expected) in [
            (Failure::NoEndpoint, 0x2),
            (Failure::UpstreamTimeout, 0x4),
            (Failure::RequestTimeout, 0x4),
            (Failure::BackendRequestTimeout, 0x4),
            (Failure::ConnectFailed, 0x20),
            (Failure::ConnectTimeout, 0x20),
            (Failure::UpstreamTlsUntrusted, 0x20),
            (Failure::UpstreamReset, 0x40),
            (Failure::UpstreamBodyCut, 0x40),
            (Failure::NoRoute, 0x100),
            (Failure::ClientClosed, 0x4000),
            (Failure::ClientStalled, 0x4000),
            (Failure::RequestBodyTimeout, 0x1_0000),
            (Failure::UpstreamBodyTimeout, 0x1_0000),
            (Failure::BadChunk, 0x4_0000),
            (Failure::UpstreamProtocol, 0x80_0000),
            (Failure::UpstreamHeadersTooLarge, 0x80_0000),
            (Failure::NoBackend, 0x100_0000),
            (Failure::PluginFault, 0),
        ] {
            let bits = bits(failure.verdict().flag, false);
            assert_eq!(bits, expected, "{failure:?}");
        }
        assert_eq!((bits("", false), bits("", true)), (0, 0x200));
        assert_eq!(bits("fault_injected", true), 0x600);
    }
}
