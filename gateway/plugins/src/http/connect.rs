//! Opening a connection: names, checked addresses, proxies, TLS.
//!
//! Owns the order of it. What is checked is the address that is then connected to, so a name that
//! means something else a moment later changes nothing.

use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::http::error::HttpError;
use crate::http::networks::Loopback;
use crate::http::networks::Networks;
use crate::http::proxies::Proxy;
use crate::http::redirect::Origin;
use crate::http::trust::Trust;
use crate::http::tunnel;

/// Most addresses of a name that are tried; more would only divide the time that each of them has.
const MOST_ADDRESSES: usize = 8;

/// Bytes to and from a peer, whatever is in between.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// What a connection is opened with.
#[derive(Debug)]
pub(crate) struct Dial<'a> {
    pub(crate) origin: &'a Origin,
    pub(crate) loopback: Loopback,
    pub(crate) networks: &'a Networks,
    pub(crate) proxy: Option<&'a Proxy>,
    pub(crate) trust: &'a Trust,
    pub(crate) limit: Duration,
}

impl Dial<'_> {
    /// A connection on which the request can be sent.
    pub(crate) async fn connect(&self) -> Result<Box<dyn Io>, HttpError> {
        let slow = |_| HttpError::Slow {
            host: self.origin.authority(),
            what: "the connection",
            limit: self.limit,
        };
        tokio::time::timeout(self.limit, self.open())
            .await
            .map_err(slow)?
    }

    async fn open(&self) -> Result<Box<dyn Io>, HttpError> {
        let io = match self.proxy {
            Some(proxy) => self.through(proxy).await?,
            None => Box::new(self.directly().await?),
        };
        if self.origin.is_secure {
            return self.secure(self.origin, io).await;
        }
        Ok(io)
    }

    async fn directly(&self) -> Result<TcpStream, HttpError> {
        let mut addresses = addresses(self.origin).await?;
        let first = addresses.first().copied();
        let mut refused = None;
        addresses.retain(|address| {
            let verdict = self.networks.check(address.ip(), self.loopback);
            if let Err(rule) = verdict {
                refused.get_or_insert((address.ip(), rule));
            }
            verdict.is_ok()
        });
        match (refused, addresses.is_empty()) {
            (Some((address, source)), true) => Err(HttpError::Network {
                host: self.origin.host.clone(),
                address,
                source,
            }),
            _ => self.any_of(&addresses, first.is_some()).await,
        }
    }

    /// The first that accepts. One of several that says nothing must not use up all the time.
    async fn any_of(
        &self,
        addresses: &[SocketAddr],
        is_known: bool,
    ) -> Result<TcpStream, HttpError> {
        let nothing = if is_known {
            io::ErrorKind::AddrNotAvailable
        } else {
            io::ErrorKind::NotFound
        };
        let mut last = io::Error::new(nothing, "the name has no address");
        let each = self.limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        for address in addresses {
            match tokio::time::timeout(each, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Without it requests would wait for acknowledgements; failing is no reason to stop.
                    stream.set_nodelay(true).ok();
                    return Ok(stream);
                }
                Ok(Err(err)) => last = err,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(HttpError::Connect {
            host: self.origin.authority(),
            source: last,
        })
    }

    async fn through(&self, proxy: &Proxy) -> Result<Box<dyn Io>, HttpError> {
        // Only it knows what a name means there; an address means the same everywhere.
        if let Some(address) = literal(&self.origin.host) {
            self.networks
                .check(address, self.loopback)
                .map_err(|source| HttpError::Network {
                    host: self.origin.host.clone(),
                    address,
                    source,
                })?;
        }
        let origin = Origin::of(&proxy.url)?;
        let addresses = addresses(&origin).await?;
        let unreachable = |source| HttpError::Proxy {
            proxy: origin.authority(),
            host: self.origin.authority(),
            reason: format!("it cannot be connected to: {source}"),
        };
        let stream = TcpStream::connect(addresses.as_slice())
            .await
            .map_err(unreachable)?;
        stream.set_nodelay(true).ok();
        let mut io: Box<dyn Io> = Box::new(stream);
        if origin.is_secure {
            io = self.secure(&origin, io).await?;
        }
        if self.origin.is_secure {
            tunnel::ask(&mut io, self.origin, proxy)
                .await
                .map_err(|reason| HttpError::Proxy {
                    proxy: origin.authority(),
                    host: self.origin.authority(),
                    reason,
                })?;
        }
        Ok(io)
    }

    async fn secure(&self, origin: &Origin, io: Box<dyn Io>) -> Result<Box<dyn Io>, HttpError> {
        let failed = |source| HttpError::Tls {
            host: origin.authority(),
            hint: self.trust.hint(),
            source,
        };
        let name = match literal(&origin.host) {
            Some(address) => ServerName::IpAddress(address.into()),
            None => ServerName::try_from(origin.host.clone())
                .map_err(|err| failed(io::Error::other(err)))?,
        };
        let config = self.trust.config();
        let config = config.map_err(|err| failed(io::Error::other(err)))?;
        let connector = TlsConnector::from(config);
        let secured = connector.connect(name, io).await;
        secured
            .map(|stream| Box::new(stream) as Box<dyn Io>)
            .map_err(failed)
    }
}

/// The address that a host is written as.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}

async fn addresses(origin: &Origin) -> Result<Vec<SocketAddr>, HttpError> {
    if let Some(address) = literal(&origin.host) {
        return Ok(vec![SocketAddr::new(address, origin.port)]);
    }
    let found = tokio::net::lookup_host((origin.host.as_str(), origin.port));
    let found = found.await.map_err(|source| HttpError::Resolve {
        host: origin.host.clone(),
        source,
    })?;
    Ok(found.take(MOST_ADDRESSES).collect())
}
