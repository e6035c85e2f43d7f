//! The service that both filters ask, and an Envoy that asks it.

use std::net::SocketAddr;

use tidegate_testkit::EnvoyConfig;
use tidegate_testkit::Origin;

/// A service that answers by the end of the path: well, or badly.
pub(crate) fn auth() -> Origin {
    Origin::script(|connection| {
        while let Ok(request) = connection.request() {
            let target = request.start.split(' ').nth(1).unwrap_or_default();
            let path = target.split('?').next().unwrap_or_default();
            let answer = match path.strip_prefix("/check").unwrap_or(path) {
                "/yes" => {
                    "HTTP/1.1 200 OK\r\nx-secret: 1\r\nset-cookie: a=1\r\ncontent-length: 0\r\n\r\n"
                }
                "/identity" => {
                    "HTTP/1.1 200 OK\r\nx-user: ada\r\nx-roles: admin\r\nx-new: 1\r\n\
                     x-envoy-auth-headers-to-remove: x-drop, cookie\r\ncontent-length: 2\r\n\r\nok"
                }
                "/groups" => {
                    "HTTP/1.1 200 OK\r\nx-user: ada\r\nx-roles: a\r\nx-roles: b\r\n\
                     content-length: 0\r\n\r\n"
                }
                "/no" => {
                    "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\nx-why: a\r\n\
                     www-authenticate: Bearer\r\nx-internal: 7\r\ncontent-length: 2\r\n\r\n{}"
                }
                "/login" => {
                    "HTTP/1.1 302 Found\r\nlocation: https://login.test/\r\nset-cookie: a=1\r\n\
                     set-cookie: b=2\r\ncontent-length: 0\r\n\r\n"
                }
                "/empty" => "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
                "/other-2xx" => "HTTP/1.1 202 Accepted\r\ncontent-length: 4\r\n\r\nwait",
                "/error" => "HTTP/1.1 500 Oops\r\nx-user: root\r\ncontent-length: 5\r\n\r\nstack",
                "/garbage" => "what do you want?\r\n\r\n",
                "/cut" => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nnever all",
                "/stalls" => return connection.wait_for_close(),
                _ => return Ok(()),
            };
            if request.start.starts_with("HEAD") {
                let head = answer
                    .split_inclusive("\r\n\r\n")
                    .next()
                    .unwrap_or_default();
                connection.send(head)?;
            } else {
                connection.send(answer)?;
            }
            if matches!(path, "/check/garbage" | "/check/cut") {
                return Ok(());
            }
        }
        Ok(())
    })
}

/// The configuration of an Envoy with its own filter.
pub(crate) fn envoy(filter: &str, auth: SocketAddr, origin: SocketAddr) -> EnvoyConfig {
    let common = "transport_api_version: V3";
    EnvoyConfig::new()
        .filter("ext_authz.v3.ExtAuthz", &[common, filter])
        .cluster("origin", origin)
        .cluster("auth", auth)
}
