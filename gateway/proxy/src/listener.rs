//! Listening sockets: binding, accepting, and leaving without resetting anybody.
//!
//! Each worker has a socket of its own on each address (`SO_REUSEPORT`), so that accepting shares
//! nothing. An address is probed without that option first: another process listening there is an
//! error with a name, not a silently shared port.

use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::time::Duration;

use socket2::Domain;
use socket2::Protocol;
use socket2::SockRef;
use socket2::Socket;
use socket2::Type;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Somebody else has it.
    #[error(
        "listener {listener}: address {address} is in use by another process; \
         stop that process or choose another address (port 0 takes any free one)"
    )]
    InUse {
        /// The listener's name.
        listener: String,
        /// The address.
        address: SocketAddr,
    },
    /// The system refuses.
    #[error("listener {listener}: cannot listen on {address}")]
    Refused {
        /// The listener's name.
        listener: String,
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
}

/// Whose sockets may be at an address already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// Somebody else's: then the address is taken.
    AreStrangers,
    /// This gateway's, from an overlapping address or one it is leaving.
    AreOurs,
}

/// Binds one socket a worker; all have the same address, also for port 0.
///
/// # Errors
///
/// [`BindError`] with the listener's name.
pub(crate) fn bind(
    listener: &str,
    address: SocketAddr,
    workers: usize,
    others: Others,
) -> Result<Vec<TcpListener>, BindError> {
    let failed = |source: io::Error| {
        let listener = listener.to_owned();
        if source.kind() == io::ErrorKind::AddrInUse {
            BindError::InUse { listener, address }
        } else {
            BindError::Refused {
                listener,
                address,
                source,
            }
        }
    };
    if address.port() != 0 && others == Others::AreStrangers {
        let probe = socket(address).map_err(failed)?;
        probe
            .bind(&address.into())
            .and_then(|()| probe.listen(1))
            .map_err(failed)?;
    }
    let mut address = address;
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        let bound = listen(address).map_err(failed)?;
        address = bound.local_addr().map_err(failed)?;
        sockets.push(bound);
    }
    Ok(sockets)
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Closed connections that linger in the kernel must not keep a restarted gateway out.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` are two addresses: whoever wants both names both.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Makes the kernel drop new connection attempts on a listening socket, and nothing else.
///
/// Closing a listening socket resets the connections that the kernel has completed for it and that
/// were not accepted yet. With new attempts dropped first, the last of them can be accepted; whoever
/// was dropped tries again and finds another gateway, or a closed port. Best effort: where the
/// system does not have it, the risk is a reset in a window of microseconds.
pub(crate) fn refuse_new(listener: &tokio::net::TcpListener) {
    #[cfg(target_os = "linux")]
    {
        use socket2::SockFilter;
        // The filter sees the TCP header: byte 13 has the flags, SYN is 0x02 and ACK 0x10.
        // Classic BPF: load byte 13; and 0x12; if it is 0x02 drop, else keep all.
        const LOAD_BYTE: u16 = 0x30;
        const AND: u16 = 0x54;
        const JUMP_IF_EQUAL: u16 = 0x15;
        const RETURN: u16 = 0x06;
        let program = [
            SockFilter::new(LOAD_BYTE, 0, 0, 13),
            SockFilter::new(AND, 0, 0, 0x12),
            SockFilter::new(JUMP_IF_EQUAL, 0, 1, 0x02),
            SockFilter::new(RETURN, 0, 0, 0),
            SockFilter::new(RETURN, 0, 0, u32::MAX),
        ];
        if let Err(err) = SockRef::from(listener).attach_filter(&program) {
            tracing::debug!(%err, "new connections cannot be held off while draining");
        }
    }
}

/// What an accept error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AcceptError {
    /// That connection died in the queue; the next one is fine.
    ThatConnection,
    /// The process or system is out of something: wait a little.
    Pressure,
}

/// How long accepting pauses under pressure.
pub(crate) const PRESSURE_PAUSE: Duration = Duration::from_millis(50);

/// Classifies an accept error.
pub(crate) fn classify(err: &io::Error) -> AcceptError {
    match err.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::Interrupted
        | io::ErrorKind::PermissionDenied => AcceptError::ThatConnection,
        _ => AcceptError::Pressure,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;

    use super::AcceptError;
    use super::BindError;
    use super::Others;
    use super::bind;
    use super::classify;

    #[test]
    fn an_address_in_use_is_named_with_its_listener() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = bind("web", any, 2, Others::AreStrangers).expect("a free port");
        let taken = first[0].local_addr().expect("bound");
        assert_eq!(taken, first[1].local_addr().expect("bound"));
        let err = bind("shop", taken, 1, Others::AreStrangers).expect_err("it is taken");
        assert!(matches!(&err, BindError::InUse { listener, address }
            if listener == "shop" && *address == taken));
    }

    #[test]
    fn running_out_of_descriptors_is_pressure_and_an_aborted_connection_is_not() {
        let too_many_files = io::Error::from_raw_os_error(24);
        assert_eq!(classify(&too_many_files), AcceptError::Pressure);
        let aborted = io::Error::from(io::ErrorKind::ConnectionAborted);
        assert_eq!(classify(&aborted), AcceptError::ThatConnection);
    }
}
