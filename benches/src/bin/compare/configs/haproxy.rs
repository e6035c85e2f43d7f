//! HAProxy: one thread.

use crate::configs::Setting;
use crate::scenario::Scenario;

/// The whole file.
pub(crate) fn file(setting: &Setting<'_>) -> String {
    let Setting {
        scenario,
        address,
        origin,
        identity,
        ..
    } = setting;
    let mode = match scenario {
        Scenario::Tcp => "tcp",
        _ => "http",
    };
    let bind = match scenario {
        Scenario::Tls | Scenario::Resumed => {
            let both = identity.both_file.display();
            format!("{address} ssl crt {both} curves X25519 ssl-min-ver TLSv1.3 alpn http/1.1")
        }
        Scenario::H2 | Scenario::Grpc => format!("{address} proto h2"),
        _ => address.to_string(),
    };
    let server = match scenario {
        Scenario::Grpc => " proto h2",
        _ => "",
    };
    let reuse = match mode {
        "http" => "    http-reuse always\n",
        _ => "",
    };
    format!(
        "global
    nbthread 1
    maxconn 4000
    tune.h2.max-concurrent-streams 200

defaults
    mode {mode}
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
{reuse}
frontend clients
    bind {bind}
    default_backend origin

backend origin
    server origin {origin}{server}
"
    )
}
