//! What the admin API answers.
//!
//! Owns paths and methods. Reading is GET or HEAD; whatever changes something is POST and an order to
//! the control thread, so that reloads follow each other whoever asks for them.

use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http_body_util::Full;
use tokio::sync::oneshot;

use crate::admin::dump;
use crate::admin::metrics;
use crate::admin::plugins;
use crate::admin::pulls;
use crate::admin::resources;
use crate::admin::versions;
use crate::admin::versions::Asked;
use crate::control::reload::PluginWish;
use crate::status::Board;
use crate::status::Outcome;

/// How long a client that asked for a reload waits for its end.
const RELOAD_PATIENCE: Duration = Duration::from_secs(50);

/// What is said of orders that come too late.
const GONE: &str = "the gateway is ending\n";

/// The page that lists all others.
const HELP: &str = "\
tidegate admin API

GET  /ready        200 once traffic is served, 503 with the reason before and while draining; says which
                   plugins of registries are from the cache or not here, and why
GET  /live         200 as long as the process answers
GET  /metrics      numbers in the Prometheus text format
GET  /config_dump  what serves: generation, addresses, listeners, rules, backends, plugins
GET  /plugins      every plugin: where its code is from, what it uses now, and its last fault with the
                   guest's call stack
GET  /plugins/NAME/history   the versions of a plugin that served: when, and why they ended
POST /plugins/NAME/rollback  serve the version before, or ?to=VERSION: a number or a digest
POST /plugins/NAME/resume    serve what the resource asks for again
GET  /resources    every resource with its conditions, and all problems of the last load
POST /reload       read the configuration again now; answers with the result
POST /drain        stop accepting, finish what runs, end
GET  /help         this page
";

/// What the control thread is asked to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Read the configuration again, whether it has changed or not; tell when it is done.
    Reload(oneshot::Sender<Outcome>),
    /// Serve another version of a plugin; tell when it is done.
    Wish(PluginWish),
    /// End in good order.
    Drain,
}

/// Everything that is needed to answer.
#[derive(Debug)]
pub(crate) struct Answers {
    /// What there is to tell.
    pub(crate) board: Board,
    /// Where orders go.
    pub(crate) orders: mpsc::Sender<Order>,
}

impl Answers {
    /// Answers a request that may be answered.
    pub(crate) async fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let asked = Asked::of(path);
        let is_order = match &asked {
            Some(asked) => asked.is_order(),
            None => matches!(path, "/reload" | "/drain"),
        };
        let allowed = match *request.method() {
            Method::GET | Method::HEAD => !is_order,
            Method::POST => is_order,
            _ => false,
        };
        let known = is_order
            || asked.is_some()
            || matches!(
                path,
                "/" | "/help"
                    | "/ready"
                    | "/live"
                    | "/metrics"
                    | "/config_dump"
                    | "/plugins"
                    | "/resources"
            );
        if !known {
            return text(
                StatusCode::NOT_FOUND,
                "no such page; GET /help lists them\n",
            );
        }
        if !allowed {
            let methods = if is_order { "POST" } else { "GET, HEAD" };
            let mut answer = text(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("{path} takes {methods}\n"),
            );
            answer
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static(methods));
            return answer;
        }
        if let Some(asked) = asked {
            return self.versions(&asked, request.uri().query()).await;
        }
        match path {
            "/ready" => self.ready(),
            "/live" => text(StatusCode::OK, "live\n"),
            "/metrics" => {
                let pulls = self.board.pulls();
                let numbers = metrics::text(&self.board.read(), &self.board.metrics(), pulls);
                typed(
                    StatusCode::OK,
                    "text/plain; version=0.0.4; charset=utf-8",
                    numbers,
                )
            }
            "/config_dump" => {
                let names = self.board.metrics().names;
                json(dump::config(&self.board.read(), &names))
            }
            "/plugins" => json(plugins::page(&self.board)),
            "/resources" => {
                let now = self.board.metrics();
                json(resources::page_of(
                    &self.board.read(),
                    &now,
                    self.board.pulls(),
                ))
            }
            "/reload" => self.reload().await,
            "/drain" => {
                self.orders.send(Order::Drain).ok();
                text(StatusCode::ACCEPTED, "draining\n")
            }
            _ => text(StatusCode::OK, HELP),
        }
    }

    /// The versions of a plugin, or an order about them.
    async fn versions(&self, asked: &Asked<'_>, query: Option<&str>) -> Response<Full<Bytes>> {
        let (plugin, wish) = match versions::wish(asked, query) {
            Err(wrong) => return text(StatusCode::BAD_REQUEST, wrong),
            Ok(Some(order)) => order,
            Ok(None) => {
                let (Asked::History(name) | Asked::Back(name) | Asked::Resume(name)) = asked;
                return match versions::page(&self.board.read(), name) {
                    Some(page) => json(page),
                    None => text(
                        StatusCode::NOT_FOUND,
                        "no such plugin; GET /plugins lists them\n",
                    ),
                };
            }
        };
        let (answer, answered) = oneshot::channel();
        let order = PluginWish {
            plugin: plugin.to_owned(),
            wish,
            answer,
        };
        self.orders.send(Order::Wish(order)).ok();
        match tokio::time::timeout(RELOAD_PATIENCE, answered).await {
            Err(_) => text(
                StatusCode::ACCEPTED,
                "it goes on; GET /plugins has its result\n",
            ),
            Ok(Err(_)) => text(StatusCode::SERVICE_UNAVAILABLE, GONE),
            Ok(Ok(Ok(said))) => text(StatusCode::OK, format!("{said}\n")),
            Ok(Ok(Err(err))) => text(versions::status_of(&err), format!("{err}\n")),
        }
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        let status = self.board.read();
        let remarks = pulls::remarks(&status, self.board.pulls());
        match status.not_ready(Instant::now()) {
            None => text(StatusCode::OK, format!("ready\n{remarks}")),
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n{remarks}")),
        }
    }

    async fn reload(&self) -> Response<Full<Bytes>> {
        let (done, outcome) = oneshot::channel();
        self.orders.send(Order::Reload(done)).ok();
        match tokio::time::timeout(RELOAD_PATIENCE, outcome).await {
            Err(_) => text(
                StatusCode::ACCEPTED,
                "the reload goes on; GET /resources has its result\n",
            ),
            Ok(Err(_)) => text(StatusCode::SERVICE_UNAVAILABLE, GONE),
            Ok(Ok(outcome)) => {
                let status = self.board.read();
                let problems = status.problems.len();
                let line = format!(
                    "{}: generation {} serves, {problems} problems\n",
                    outcome.label(),
                    status.generation
                );
                let code = match outcome {
                    Outcome::Success => StatusCode::OK,
                    // The request was fine, the files are not; GET /resources says why.
                    Outcome::Partial | Outcome::Failure => StatusCode::CONFLICT,
                };
                text(code, line)
            }
        }
    }
}

/// A page of text.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", body)
}

fn json(body: Vec<u8>) -> Response<Full<Bytes>> {
    typed(StatusCode::OK, "application/json", body)
}

fn typed(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    answer
}
