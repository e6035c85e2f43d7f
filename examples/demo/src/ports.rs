//! Which ports the demo takes: those that the files and pages name if they are free, else others.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Result, bail};

/// The port of the quickstart.
const GATEWAY: u16 = 8080;

/// The usual one for HTTPS beside it.
const SECURE: u16 = 8443;

/// The admin API's, unless `--admin` says otherwise.
const ADMIN: u16 = 15000;

/// How many ports are tried.
const TRIED: u16 = 100;

/// What to do about ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ports {
    /// Those people expect, or the next that are free.
    Usual,
    /// Whatever the system gives.
    Any,
}

/// Ports of the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// For traffic.
    pub(crate) gateway: u16,
    /// For traffic over TLS.
    pub(crate) secure: u16,
    /// For the admin API.
    pub(crate) admin: u16,
}

impl Ports {
    /// The gateway's ports; 0 means any. Says so if one is not the usual.
    pub(crate) fn choose(self) -> Result<Chosen> {
        match self {
            Self::Any => Ok(Chosen {
                gateway: 0,
                secure: 0,
                admin: 0,
            }),
            Self::Usual => Ok(Chosen {
                gateway: free_from(GATEWAY)?,
                secure: free_from(SECURE)?,
                admin: free_from(ADMIN)?,
            }),
        }
    }

    /// Where a backend tries to listen first.
    pub(crate) const fn backend(self, usual: u16) -> u16 {
        match self {
            Self::Usual => usual,
            Self::Any => 0,
        }
    }
}

/// The address on this machine.
pub(crate) const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Says that a port is taken, and what is taken in its place.
pub(crate) fn say_taken(usual: u16, instead: u16) {
    println!("Port {usual} is in use by another program; this demo takes {instead}.");
}

fn free_from(first: u16) -> Result<u16> {
    let is_free = |port: &u16| TcpListener::bind(local(*port)).is_ok();
    let Some(free) = (first..first + TRIED).find(is_free) else {
        bail!("none of the ports {first} to {} is free", first + TRIED - 1);
    };
    if free != first {
        say_taken(first, free);
    }
    Ok(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_passed_over() {
        let taken = TcpListener::bind(local(0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        // The last ports of all have no hundred behind them.
        let first = port.min(u16::MAX - TRIED);
        assert_ne!(free_from(first).unwrap(), port);
    }
}
