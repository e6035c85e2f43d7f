//! The gateway as a whole, over real sockets: one file a subject.

#[path = "gateway/abuse.rs"]
mod abuse;
#[path = "gateway/access_log.rs"]
mod access_log;
#[path = "gateway/admin.rs"]
mod admin;
#[path = "gateway/attempts.rs"]
mod attempts;
#[path = "gateway/author.rs"]
mod author;
#[path = "gateway/bodies.rs"]
mod bodies;
#[path = "gateway/canary.rs"]
mod canary;
#[path = "gateway/check.rs"]
mod check;
#[path = "gateway/clients.rs"]
mod clients;
#[path = "gateway/command.rs"]
mod command;
#[path = "gateway/compatibility.rs"]
mod compatibility;
#[path = "gateway/connections.rs"]
mod connections;
#[path = "gateway/decisions.rs"]
mod decisions;
#[path = "gateway/dns.rs"]
mod dns;
#[path = "gateway/drain.rs"]
mod drain;
#[path = "gateway/endings.rs"]
mod endings;
#[path = "gateway/examples.rs"]
mod examples;
#[path = "gateway/explain.rs"]
mod explain;
#[path = "gateway/ext_auth.rs"]
mod ext_auth;
#[path = "gateway/extensions.rs"]
mod extensions;
#[path = "gateway/families.rs"]
mod families;
#[path = "gateway/faults.rs"]
mod faults;
#[path = "gateway/filters.rs"]
mod filters;
#[path = "gateway/framing.rs"]
mod framing;
#[path = "gateway/gateway_api.rs"]
mod gateway_api;
#[path = "gateway/generations.rs"]
mod generations;
#[path = "gateway/grpc.rs"]
mod grpc;
#[path = "gateway/headers.rs"]
mod headers;
#[path = "gateway/hello_filter.rs"]
mod hello_filter;
#[path = "gateway/http2.rs"]
mod http2;
#[path = "gateway/http2_calls.rs"]
mod http2_calls;
#[path = "gateway/http2_filters.rs"]
mod http2_filters;
#[path = "gateway/http2_grpc.rs"]
mod http2_grpc;
#[path = "gateway/http2_origins.rs"]
mod http2_origins;
#[path = "gateway/http2_pings.rs"]
mod http2_pings;
#[path = "gateway/http2_tls.rs"]
mod http2_tls;
#[path = "gateway/injected.rs"]
mod injected;
#[path = "gateway/isolation.rs"]
mod isolation;
#[path = "gateway/istio.rs"]
mod istio;
#[path = "gateway/lengths.rs"]
mod lengths;
#[path = "gateway/local_responses.rs"]
mod local_responses;
#[path = "gateway/long_bodies.rs"]
mod long_bodies;
#[path = "gateway/manifests.rs"]
mod manifests;
#[path = "gateway/matrix.rs"]
mod matrix;
#[path = "gateway/origins.rs"]
mod origins;
#[path = "gateway/other_protocols.rs"]
mod other_protocols;
#[path = "gateway/password_files.rs"]
mod password_files;
#[path = "gateway/pauses.rs"]
mod pauses;
#[path = "gateway/plugin_kinds.rs"]
mod plugin_kinds;
#[path = "gateway/policies.rs"]
mod policies;
#[path = "gateway/process.rs"]
mod process;
#[path = "gateway/programs.rs"]
mod programs;
#[path = "gateway/pulls.rs"]
mod pulls;
#[path = "gateway/rate_limit_service.rs"]
mod rate_limit_service;
#[path = "gateway/rate_limits.rs"]
mod rate_limits;
#[path = "gateway/readme.rs"]
mod readme;
#[path = "gateway/redaction.rs"]
mod redaction;
#[path = "gateway/redis.rs"]
mod redis;
#[path = "gateway/reload.rs"]
mod reload;
#[path = "gateway/rollbacks.rs"]
mod rollbacks;
#[path = "gateway/rollouts.rs"]
mod rollouts;
#[path = "gateway/run.rs"]
mod run;
#[path = "gateway/selection.rs"]
mod selection;
#[path = "gateway/setups.rs"]
mod setups;
#[path = "gateway/shadow.rs"]
mod shadow;
#[path = "gateway/shared_limits.rs"]
mod shared_limits;
#[path = "gateway/smuggling.rs"]
mod smuggling;
#[path = "gateway/sse.rs"]
mod sse;
#[path = "gateway/tcp.rs"]
mod tcp;
#[path = "gateway/tenancy.rs"]
mod tenancy;
#[path = "gateway/tls.rs"]
mod tls;
#[path = "gateway/tls_clients.rs"]
mod tls_clients;
#[path = "gateway/tls_filters.rs"]
mod tls_filters;
#[path = "gateway/tls_origins.rs"]
mod tls_origins;
#[path = "gateway/tls_peers.rs"]
mod tls_peers;
#[path = "gateway/tls_run.rs"]
mod tls_run;
#[path = "gateway/upgrades.rs"]
mod upgrades;
#[path = "gateway/websocket.rs"]
mod websocket;
#[path = "gateway/websocket_http2.rs"]
mod websocket_http2;
