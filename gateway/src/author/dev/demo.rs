//! A backend for those who have none at hand: it shows what it gets.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http::Response;
use http::StatusCode;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::task::JoinSet;

/// Bytes of a request's body that are read.
const MOST_BYTES: usize = 1 << 20;
/// Connections at a time; more wait.
const MOST_CONNECTIONS: usize = 256;

/// Serves on an address until the process ends, if it is one of this machine's own and nobody
/// listens there. Returns whether it does.
///
/// # Errors
///
/// The system's, if it gives no thread.
pub(crate) fn start(name: &str, address: SocketAddr) -> io::Result<bool> {
    if !address.ip().is_loopback() || address.port() == 0 {
        return Ok(false);
    }
    // Somebody listens there, or the port is not for us to take.
    let Ok(listener) = TcpListener::bind(address) else {
        return Ok(false);
    };
    listener.set_nonblocking(true)?;
    let name: Arc<str> = Arc::from(name);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("demo".to_owned())
        .spawn(move || runtime.block_on(serve(listener, name)))?;
    Ok(true)
}

async fn serve(listener: TcpListener, name: Arc<str>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => {
                let Ok((stream, _)) = accepted else {
                    continue;
                };
                let name = Arc::clone(&name);
                let service = service_fn(move |request| answer(Arc::clone(&name), request));
                connections.spawn(async move {
                    let connection = http1::Builder::new();
                    // A client that breaks off is none of our business.
                    connection.serve_connection(TokioIo::new(stream), service).await.ok();
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Shows the request. `/status/NNN` is answered with that status.
async fn answer(
    name: Arc<str>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MOST_BYTES).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes);
    let mut headers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.as_str()).or_default().push(value);
    }
    let headers: BTreeMap<&str, String> = headers
        .into_iter()
        .map(|(name, values)| (name, values.join(", ")))
        .collect();
    let shown = json!({
        "demo": &*name,
        "method": head.method.as_str(),
        "path": head.uri.path_and_query().map_or("/", |path| path.as_str()),
        "headers": headers,
        "body": body.map_or_else(
            |_| "more than this demo reads, or cut".to_owned(),
            |body| String::from_utf8_lossy(&body).into_owned(),
        ),
    });
    let mut response = Response::new(Full::from(format!("{shown:#}\n")));
    let wanted = head.uri.path().strip_prefix("/status/");
    if let Some(Ok(status)) = wanted.map(str::parse::<StatusCode>)
        && !status.is_informational()
    {
        *response.status_mut() = status;
    }
    let fields = [
        ("content-type", "application/json"),
        ("server", "tidegate-demo"),
        // For filters that ask a service who somebody is.
        ("x-user", "demo"),
    ];
    for (name, value) in fields {
        response
            .headers_mut()
            .insert(name, http::HeaderValue::from_static(value));
    }
    Ok(response)
}
