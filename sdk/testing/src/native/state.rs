//! What the simulated host knows: streams, timers, metrics, data.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tidegate_sdk_sys::{LogLevel, MetricType, Pairs, Status};

use crate::fields::Fields;
use crate::grpc::Ended;
use crate::observed::{LogLine, Seen};
use crate::redis::RedisLogin;
use crate::reply::Reply;

/// The plugin's own context.
pub(super) const ROOT: u32 = 1;

/// Bytes of a body that the host holds for a filter.
pub(super) const BUFFER_LIMIT: usize = 1024 * 1024;

/// Everything that host calls read and change.
pub(super) struct State {
    /// Nanoseconds of the monotonic clock.
    pub(super) now: u64,
    pub(super) random: u64,
    pub(super) effective: u32,
    pub(super) name: &'static str,
    pub(super) seen: Seen,
    pub(super) log_level: LogLevel,
    pub(super) config: Vec<u8>,
    /// The configuration can be read.
    pub(super) configuring: bool,
    pub(super) tick: Option<Tick>,
    pub(super) streams: BTreeMap<u32, Stream>,
    /// Calls that were asked for in the callback that runs.
    pub(super) new_calls: Vec<NewCall>,
    /// The same of Redis commands.
    pub(super) new_commands: Vec<NewCommand>,
    pub(super) last_token: u32,
    /// The answer that the running callback is about.
    pub(super) answer: Option<CallAnswer>,
    /// The end of a gRPC call that the running callback is about.
    pub(super) grpc_end: Option<Ended>,
    /// The reply of Redis that the running callback is about.
    pub(super) redis_reply: Vec<u8>,
    pub(super) shared: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    pub(super) versions: u32,
    pub(super) metrics: Vec<Metric>,
    pub(super) properties: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) denied: BTreeSet<String>,
    pub(super) backends: BTreeSet<String>,
    pub(super) tidegate: bool,
    pub(super) setup: Setup,
}

/// How far the plugin's setup is, if it said that it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Setup {
    Unsaid,
    Pending,
    Done,
    Failed(String),
}

/// The timer of the plugin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tick {
    pub(super) period: u64,
    pub(super) due: u64,
}

/// A metric.
pub(super) struct Metric {
    pub(super) kind: MetricType,
    pub(super) name: Vec<u8>,
    pub(super) value: u64,
}

/// A call that the filter asked for.
pub(super) struct NewCall {
    pub(super) token: u32,
    pub(super) backend: String,
    pub(super) kind: CallKind,
    pub(super) headers: Fields,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Fields,
    /// Milliseconds; 0 is none.
    pub(super) timeout: u32,
}

/// Which protocol a call is made in.
pub(super) enum CallKind {
    Http,
    Grpc { path: String },
}

/// A Redis command that the filter asked for.
pub(super) struct NewCommand {
    pub(super) token: u32,
    pub(super) backend: String,
    /// The command, in RESP.
    pub(super) query: Vec<u8>,
    pub(super) login: RedisLogin,
    /// Milliseconds.
    pub(super) timeout: u32,
}

/// What a filter gets of a call.
#[derive(Debug, Clone, Default)]
pub(super) struct CallAnswer {
    pub(super) headers: Pairs,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Pairs,
}

/// An exchange as the filter has it.
pub(super) struct Stream {
    pub(super) exchange: u32,
    /// When the client began.
    pub(super) began: u64,
    pub(super) request: Side,
    pub(super) response: Side,
    /// It is a connection: bytes both ways, without headers.
    pub(super) network: bool,
    /// What the server behind a network filter has not answered yet.
    pub(super) unanswered: Vec<u8>,
    /// Its place among the requests that the application got, or the connections of the server.
    pub(super) app: Option<usize>,
    /// The end of an answer that came before the request had ended.
    pub(super) early: Option<Reply>,
    pub(super) local: Option<Local>,
    /// The filter wants it closed.
    pub(super) closed: bool,
    /// An answer was made here: the application's is not wanted any more.
    pub(super) replied: bool,
    pub(super) properties: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The exchange is over, and the filter looks back.
    pub(super) over: bool,
    /// What the filter wants of the next attempts, and of how many.
    pub(super) fault: Option<(Fault, u32)>,
    /// The attempt has not begun, because the filter wants it late.
    pub(super) delayed: bool,
}

/// What an attempt comes to.
#[derive(Clone)]
pub(super) struct Fault {
    /// The status of HTTP, and that of gRPC, of an attempt that fails.
    pub(super) status: Option<(u16, Option<u32>)>,
    /// Nanoseconds.
    pub(super) delay: u64,
}

/// One direction of an exchange.
#[derive(Default)]
pub(super) struct Side {
    pub(super) headers: Pairs,
    /// The filter was shown the headers.
    pub(super) begun: bool,
    /// The headers went on.
    pub(super) forwarded: bool,
    /// The headers were the end of it.
    pub(super) ends_with_headers: bool,
    pub(super) trailers: Option<Pairs>,
    /// What the filter holds of the body.
    pub(super) body: Vec<u8>,
    pub(super) body_visible: bool,
    /// The filter was shown the end.
    pub(super) end_shown: bool,
    /// The filter made the trailers.
    pub(super) made_trailers: bool,
    pub(super) hold: Hold,
    /// Counts holds, so that a time limit knows which one it is for.
    pub(super) holds: u64,
    pub(super) resume: bool,
    pub(super) incoming: VecDeque<Item>,
    /// The length that was announced when the headers went on, and what has gone on since.
    pub(super) announced: Option<usize>,
    pub(super) passed: usize,
    pub(super) finished: bool,
}

/// A part of a message.
pub(super) enum Item {
    Headers {
        end: bool,
    },
    Data {
        bytes: Vec<u8>,
        end: bool,
    },
    Trailers(Pairs),
    /// The sender is gone.
    Cut,
}

/// What a filter holds back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Hold {
    #[default]
    No,
    /// The headers; the body stays with its sender.
    Headers,
    /// The headers, and it is shown the body.
    HeadersOfBody,
    /// What came of the body, and perhaps the headers.
    Body,
    /// The same, and the sender waits.
    Watermark,
    /// The trailers, and what it holds of the body.
    Trailers,
}

/// A response made here.
pub(super) struct Local {
    pub(super) status: u16,
    pub(super) headers: Pairs,
    pub(super) body: Vec<u8>,
    pub(super) grpc_status: Option<u32>,
}

/// Which direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Request,
    Response,
}

impl Stream {
    pub(super) fn new(exchange: u32, began: u64) -> Self {
        Self {
            exchange,
            began,
            request: Side::default(),
            response: Side::default(),
            network: false,
            unanswered: Vec::new(),
            app: None,
            early: None,
            local: None,
            closed: false,
            replied: false,
            properties: BTreeMap::new(),
            over: false,
            fault: None,
            delayed: false,
        }
    }

    pub(super) const fn side(&self, way: Way) -> &Side {
        match way {
            Way::Request => &self.request,
            Way::Response => &self.response,
        }
    }

    pub(super) const fn side_mut(&mut self, way: Way) -> &mut Side {
        match way {
            Way::Request => &mut self.request,
            Way::Response => &mut self.response,
        }
    }
}

impl Side {
    /// The first value of a header.
    pub(super) fn header(&self, name: &[u8]) -> Option<&[u8]> {
        find(&self.headers, name)
    }

    pub(super) fn text(&self, name: &str) -> String {
        let value = self.header(name.as_bytes());
        value.map(crate::fields::text).unwrap_or_default()
    }
}

impl State {
    /// The stream that host calls are about now.
    pub(super) fn stream(&mut self) -> Option<&mut Stream> {
        self.streams.get_mut(&self.effective)
    }

    /// Says something in the place of the host.
    pub(super) fn host_says(&self, level: LogLevel, text: String) {
        self.seen
            .with(|seen| seen.logs.push(LogLine { level, text }));
    }

    /// Whether the plugin may call a function of the ABI.
    pub(super) fn may(&self, function: &str) -> Result<(), Status> {
        if !self.denied.contains(function) {
            return Ok(());
        }
        self.host_says(
            LogLevel::Error,
            format!("{}: the plugin may not call {function}", self.name),
        );
        Err(Status::INTERNAL_FAILURE)
    }

    /// A token that no call had.
    pub(super) const fn next_token(&mut self) -> u32 {
        self.last_token += 4;
        self.last_token
    }
}

/// The first value with a name.
pub(super) fn find<'a>(pairs: &'a Pairs, name: &[u8]) -> Option<&'a [u8]> {
    let mut pairs = pairs.iter();
    let found = pairs.find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_slice())
}

/// Fields as host calls have them, without pseudo-headers.
pub(super) fn fields(pairs: &Pairs) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in pairs.iter().filter(|(name, _)| !name.starts_with(b":")) {
        fields.add(&crate::fields::text(name), value.as_slice());
    }
    fields
}

/// Fields as filters have them.
pub(super) fn pairs(fields: &Fields) -> Pairs {
    let all = fields.0.iter();
    all.map(|(name, value)| (name.clone().into_bytes(), value.clone()))
        .collect()
}
