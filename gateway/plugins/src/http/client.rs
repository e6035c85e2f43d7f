//! Requests and their redirects.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use url::Url;

use crate::http::body::ResponseBody;
use crate::http::body::Upload;
use crate::http::connect::Dial;
use crate::http::error::HttpError;
use crate::http::idle::Connection;
use crate::http::idle::Idle;
use crate::http::idle::Key;
use crate::http::networks::Loopback;
use crate::http::networks::Networks;
use crate::http::proxies::Proxies;
use crate::http::redirect;
use crate::http::redirect::MOST_REDIRECTS;
use crate::http::redirect::Origin;
use crate::http::trust::Trust;
use crate::quote;

/// What servers are told about who asks.
const USER_AGENT: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"));
/// What the request target of a URL is that cannot be one.
const NO_TARGET: &str = "it cannot be asked for";

/// How long is waited for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For a name, a connection and the handshake of TLS together.
    pub connect: Duration,
    /// From a request to the head of its answer; again for every piece of an upload.
    pub head: Duration,
    /// Between two pieces of an answer.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            head: Duration::from_secs(30),
            idle: Duration::from_secs(30),
        }
    }
}

/// A client with its rules and its idle connections. To be used on one runtime.
#[derive(Debug)]
pub struct Client {
    networks: Networks,
    proxies: Proxies,
    limits: Limits,
    idle: Arc<Idle>,
}

/// By what right a host is spoken to.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    /// Who may vouch for it.
    pub(crate) trust: Arc<Trust>,
    /// Who plain HTTP is spoken with.
    pub(crate) plain: Arc<[Origin]>,
    /// Whether the URL was named as loopback by who may do so.
    pub(crate) loopback: Loopback,
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    /// Sent to this host only, and not to one that a redirect leads to.
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) body: Option<Upload>,
    pub(crate) access: Access,
}

/// An answer, after redirects.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Where it came from in the end.
    pub(crate) url: Url,
    /// The addresses that sent the request on, in order.
    pub(crate) via: Vec<Url>,
    pub(crate) body: ResponseBody,
}

impl Access {
    /// Refuses what would be plain HTTP where that is not allowed.
    fn check(&self, url: &Url, origin: &Origin) -> Result<(), HttpError> {
        let is_named = self.loopback == Loopback::Named && redirect::is_loopback(url);
        if origin.is_secure || is_named || self.plain.contains(origin) {
            return Ok(());
        }
        Err(HttpError::PlainHttp {
            url: quote::url(url),
        })
    }
}

impl Client {
    /// A client that keeps to these rules.
    #[must_use]
    pub fn new(networks: Networks, proxies: Proxies, limits: Limits) -> Self {
        Self {
            networks,
            proxies,
            limits,
            idle: Arc::default(),
        }
    }

    /// Sends a request, and follows redirects of requests without a body.
    pub(crate) async fn send(&self, mut request: Request) -> Result<Response, HttpError> {
        let mut via = Vec::new();
        for _ in 0..=MOST_REDIRECTS {
            let url = request.url.clone();
            let origin = Origin::of(&url)?;
            let mut response = self.exchange(&request, &origin).await?;
            let target = redirect::target(&url, response.status, &response.headers)?;
            let Some(target) = target.filter(|_| request.body.is_none()) else {
                response.via = via;
                return Ok(response);
            };
            via.push(url);
            if Origin::of(&target)? != origin {
                request.authorization = None;
            }
            request.access.loopback = redirect::sent(&target, request.access.loopback);
            request.url = target;
        }
        Err(HttpError::Redirect {
            to: quote::url(&request.url),
            url: quote::url(&request.url),
            reason: "there were five before it",
        })
    }

    async fn exchange(&self, request: &Request, origin: &Origin) -> Result<Response, HttpError> {
        request.access.check(&request.url, origin)?;
        let key = Key {
            origin: origin.clone(),
            loopback: request.access.loopback,
            trust: Arc::clone(&request.access.trust),
        };
        // A kept connection may close in this moment; only what changes nothing is sent again.
        if request.body.is_none()
            && request.method.is_safe()
            && let Some(connection) = self.idle.take(&key)
        {
            match self.on(connection, request, &key).await {
                Err(HttpError::Exchange { .. }) => {}
                outcome => return outcome,
            }
        }
        let connection = self.connect(request, &key).await?;
        self.on(connection, request, &key).await
    }

    async fn connect(&self, request: &Request, key: &Key) -> Result<Connection, HttpError> {
        let dial = Dial {
            origin: &key.origin,
            loopback: key.loopback,
            networks: &self.networks,
            proxy: self.proxies.find(&request.url),
            trust: &key.trust,
            limit: self.limits.connect,
        };
        let io = TokioIo::new(dial.connect().await?);
        let (sender, connection) =
            http1::handshake(io)
                .await
                .map_err(|source| HttpError::Exchange {
                    host: key.origin.authority(),
                    source,
                })?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // Whoever waits for an answer hears of it too.
            if let Err(err) = connection.await {
                tracing::debug!("a connection of a pull ended: {err}");
            }
        });
        Ok(Connection {
            sender,
            _driver: driver,
        })
    }

    async fn on(
        &self,
        mut connection: Connection,
        request: &Request,
        key: &Key,
    ) -> Result<Response, HttpError> {
        let host = key.origin.authority();
        let message = self.message(request, &key.origin)?;
        let answer = self.answer(&mut connection, message, &host).await?;
        let (head, incoming) = answer.into_parts();
        let home = (Arc::clone(&self.idle), key.clone(), connection);
        Ok(Response {
            status: head.status,
            headers: head.headers,
            url: request.url.clone(),
            via: Vec::new(),
            body: ResponseBody::new(host, incoming, self.limits.idle, home),
        })
    }

    fn message(
        &self,
        request: &Request,
        origin: &Origin,
    ) -> Result<http::Request<Upload>, HttpError> {
        let url = &request.url;
        let wrong = || HttpError::Address {
            url: quote::url(url),
            reason: NO_TARGET,
        };
        // A proxy that passes plain HTTP on wants to know the host; all others get the path.
        let proxy = self.proxies.find(url).filter(|_| !origin.is_secure);
        let target = match proxy {
            Some(_) => url
                .as_str()
                .split('#')
                .next()
                .unwrap_or_default()
                .to_owned(),
            None => match url.query() {
                Some(query) => format!("{}?{query}", url.path()),
                None => url.path().to_owned(),
            },
        };
        let mut message = http::Request::new(request.body.clone().unwrap_or_default());
        *message.method_mut() = request.method.clone();
        *message.uri_mut() = target.parse().map_err(|_| wrong())?;
        let headers = message.headers_mut();
        headers.clone_from(&request.headers);
        let host = HeaderValue::from_str(&origin.authority()).map_err(|_| wrong())?;
        headers.insert(header::HOST, host);
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if let Some(value) = &request.authorization {
            headers.insert(header::AUTHORIZATION, value.clone());
        }
        if let Some(value) = proxy.and_then(|it| it.authorization.clone()) {
            headers.insert(header::PROXY_AUTHORIZATION, value);
        }
        Ok(message)
    }

    /// The head of the answer. While an upload moves, it may take as long as it takes.
    async fn answer(
        &self,
        connection: &mut Connection,
        message: http::Request<Upload>,
        host: &str,
    ) -> Result<http::Response<Incoming>, HttpError> {
        let limit = self.limits.head;
        let failed = |source| HttpError::Exchange {
            host: host.to_owned(),
            source,
        };
        let sent = message.body().counter();
        let mut before = sent.load(Ordering::Relaxed);
        let exchange = async {
            connection.sender.ready().await?;
            connection.sender.send_request(message).await
        };
        let mut exchange = std::pin::pin!(exchange);
        loop {
            match tokio::time::timeout(limit, exchange.as_mut()).await {
                Ok(answer) => return answer.map_err(failed),
                Err(_) => {
                    let now = sent.load(Ordering::Relaxed);
                    if now == before {
                        return Err(HttpError::Slow {
                            host: host.to_owned(),
                            what: "an answer",
                            limit,
                        });
                    }
                    before = now;
                }
            }
        }
    }
}
