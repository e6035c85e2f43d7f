//! Whether an address that could not be bound is free by now.

use std::net::SocketAddr;

use rustix::net::AddressFamily;
use rustix::net::SocketFlags;
use rustix::net::SocketType;
use rustix::net::sockopt;

/// Whether an address can be bound. Never listens on it: a client that came just then would be lost.
pub(crate) fn is_free(address: SocketAddr) -> bool {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let bound = || {
        let socket = rustix::net::socket_with(
            family,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            Some(rustix::net::ipproto::TCP),
        )?;
        // As listeners are bound: what only lingers in the kernel is no obstacle.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        rustix::net::bind(&socket, &address)
    };
    bound().is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::is_free;

    #[test]
    fn an_address_is_free_once_nobody_listens_there_though_its_connections_linger() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(taken) = TcpListener::bind(address) else {
                // Not every machine has both families.
                assert_ne!(address, "127.0.0.1:0");
                continue;
            };
            let address = taken.local_addr().expect("bound");
            assert!(!is_free(address));
            let client = std::net::TcpStream::connect(address).expect("connected");
            let (server, _) = taken.accept().expect("accepted");
            // Whoever closes first is the one whose side lingers.
            drop(server);
            drop(client);
            drop(taken);
            assert!(is_free(address));
        }
    }
}
