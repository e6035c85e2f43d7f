//! What the simulated host answers to a filter.

use std::cell::{RefCell, RefMut};

use tidegate_sdk_sys::host::{GrpcCall, PairsRef};
use tidegate_sdk_sys::{
    BufferType, Clock, Host, LogLevel, MapType, MetricType, Pairs, Result, Status, StreamType,
};

use crate::fields::text;
use crate::grpc::Ended;
use crate::native::reach::{body_of, owned, part};
use crate::native::state::{CallKind, Local, Metric, NewCall, ROOT, Setup, State, Tick, Way, find};
use crate::native::{faults, properties, redis};
use crate::observed::LogLine;
use crate::split::random;

/// The clock of the day when the plugin starts: 2026-01-01.
pub(super) const EPOCH: u64 = 1_767_225_600_000_000_000;

/// The host of one plugin.
pub(super) struct World(RefCell<State>);

impl World {
    pub(super) const fn new(state: State) -> Self {
        Self(RefCell::new(state))
    }

    /// What it knows. Guests must not be entered while this is held.
    pub(super) fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }
}

impl Host for World {
    fn log(&self, level: LogLevel, message: &[u8]) -> Result<()> {
        let state = self.state();
        state.may("proxy_log")?;
        if level as u32 >= state.log_level as u32 {
            let text = text(message);
            state
                .seen
                .with(|seen| seen.logs.push(LogLine { level, text }));
        }
        Ok(())
    }

    fn log_level(&self) -> Result<u32> {
        Ok(self.state().log_level as u32)
    }

    fn now(&self, clock: Clock) -> u64 {
        let now = self.state().now;
        match clock {
            Clock::Realtime => EPOCH + now,
            Clock::Monotonic => now,
        }
    }

    fn random(&self, bytes: &mut [u8]) -> Result<()> {
        let mut state = self.state();
        for chunk in bytes.chunks_mut(8) {
            let number = random(&mut state.random).to_le_bytes();
            for (byte, random) in chunk.iter_mut().zip(number) {
                *byte = random;
            }
        }
        Ok(())
    }

    fn set_tick_period(&self, milliseconds: u32) -> Result<()> {
        let mut state = self.state();
        state.may("proxy_set_tick_period_milliseconds")?;
        let period = u64::from(milliseconds) * 1_000_000;
        let due = state.now + period;
        state.tick = (period > 0).then_some(Tick { period, due });
        Ok(())
    }

    fn set_effective_context(&self, context: u32) -> Result<()> {
        let mut state = self.state();
        if context != ROOT && !state.streams.contains_key(&context) {
            return Err(Status::BAD_ARGUMENT);
        }
        state.effective = context;
        Ok(())
    }

    fn done(&self) -> Result<()> {
        Ok(())
    }

    fn header(&self, map: MapType, name: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut state = self.state();
        state.may("proxy_get_header_map_value")?;
        Ok(find(state.map(map)?, name).map(<[u8]>::to_vec))
    }

    fn headers(&self, map: MapType) -> Result<Pairs> {
        let mut state = self.state();
        state.may("proxy_get_header_map_pairs")?;
        state.map(map).cloned()
    }

    fn set_headers(&self, map: MapType, pairs: PairsRef<'_>) -> Result<()> {
        let mut state = self.state();
        state.may("proxy_set_header_map_pairs")?;
        *state.map_mut(map)? = owned(pairs);
        Ok(())
    }

    fn add_header(&self, map: MapType, name: &[u8], value: &[u8]) -> Result<()> {
        let mut state = self.state();
        state.may("proxy_add_header_map_value")?;
        let pair = (name.to_ascii_lowercase(), value.to_vec());
        state.map_mut(map)?.push(pair);
        Ok(())
    }

    fn replace_header(&self, map: MapType, name: &[u8], value: &[u8]) -> Result<()> {
        let mut state = self.state();
        state.may("proxy_replace_header_map_value")?;
        let pairs = state.map_mut(map)?;
        let first = pairs
            .iter()
            .position(|(known, _)| known.eq_ignore_ascii_case(name));
        pairs.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        let at = first.unwrap_or(pairs.len());
        pairs.insert(at, (name.to_ascii_lowercase(), value.to_vec()));
        Ok(())
    }

    fn remove_header(&self, map: MapType, name: &[u8]) -> Result<()> {
        let mut state = self.state();
        state.may("proxy_remove_header_map_value")?;
        // It would only make empty trailers.
        state.map(map)?;
        let pairs = state.map_mut(map)?;
        pairs.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        Ok(())
    }

    fn buffer(&self, buffer: BufferType, start: usize, max: usize) -> Result<Vec<u8>> {
        let mut state = self.state();
        state.may("proxy_get_buffer_bytes")?;
        if let Some(way) = body_of(buffer) {
            let body = state.body(way);
            return Ok(body.map(|it| part(it, start, max)).unwrap_or_default());
        }
        match buffer {
            BufferType::PluginConfiguration if state.configuring => {
                Ok(part(&state.config, start, max))
            }
            BufferType::CallBody => {
                let answer = state.answer.as_ref().ok_or(Status::NOT_FOUND)?;
                Ok(part(&answer.body, start, max))
            }
            BufferType::GrpcMessage => match &state.grpc_end {
                Some(Ended::Message(message)) => Ok(part(message, start, max)),
                _ => Err(Status::NOT_FOUND),
            },
            BufferType::RedisReply => Ok(part(&state.redis_reply, start, max)),
            BufferType::PluginConfiguration => Err(Status::NOT_FOUND),
            _ => Ok(Vec::new()),
        }
    }

    fn set_buffer(
        &self,
        buffer: BufferType,
        start: usize,
        size: usize,
        bytes: &[u8],
    ) -> Result<()> {
        let mut state = self.state();
        state.may("proxy_set_buffer_bytes")?;
        let way = body_of(buffer).ok_or(Status::BAD_ARGUMENT)?;
        let body = state.body(way).ok_or(Status::BAD_ARGUMENT)?;
        let start = start.min(body.len());
        let end = start.saturating_add(size).min(body.len());
        body.splice(start..end, bytes.iter().copied());
        Ok(())
    }

    fn continue_stream(&self, stream: StreamType) -> Result<()> {
        let mut state = self.state();
        state.may("proxy_continue_stream")?;
        let way = match stream {
            StreamType::Request => Way::Request,
            StreamType::Response => Way::Response,
            StreamType::Downstream if state.stream().is_some_and(|it| it.network) => Way::Request,
            StreamType::Downstream => return Ok(()),
            StreamType::Upstream if state.tidegate => Way::Response,
            // Envoy's answer.
            StreamType::Upstream => return Err(Status::UNIMPLEMENTED),
        };
        if let Some(stream) = state.stream() {
            stream.side_mut(way).resume = true;
        }
        Ok(())
    }

    fn close_stream(&self, _stream: StreamType) -> Result<()> {
        let mut state = self.state();
        state.may("proxy_close_stream")?;
        if let Some(stream) = state.stream() {
            stream.closed = true;
        }
        Ok(())
    }

    fn send_local_response(
        &self,
        status: u32,
        _details: &[u8],
        headers: PairsRef<'_>,
        body: &[u8],
        grpc_status: Option<u32>,
    ) -> Result<()> {
        let mut state = self.state();
        state.may("proxy_send_local_response")?;
        let local = Local {
            status: u16::try_from(status).unwrap_or(500),
            headers: owned(headers),
            body: body.to_vec(),
            grpc_status,
        };
        let ignored = match state.stream() {
            None => Some("the context is no stream"),
            Some(stream) if stream.over || stream.replied || stream.local.is_some() => {
                Some("the exchange has one already")
            }
            Some(stream) => {
                stream.local = Some(local);
                None
            }
        };
        if let Some(why) = ignored {
            let name = state.name;
            let line = format!("{name}: a local response is ignored: {why}");
            state.host_says(LogLevel::Warn, line);
        }
        Ok(())
    }

    fn http_call(
        &self,
        backend: &[u8],
        headers: PairsRef<'_>,
        body: &[u8],
        trailers: PairsRef<'_>,
        timeout_milliseconds: u32,
    ) -> Result<u32> {
        let mut state = self.state();
        state.may("proxy_http_call")?;
        let (headers, backend) = (owned(headers), text(backend));
        let complete = [":method", ":path", ":authority"]
            .iter()
            .all(|name| find(&headers, name.as_bytes()).is_some());
        if !complete || !state.backends.contains(&backend) {
            return Err(Status::BAD_ARGUMENT);
        }
        let token = state.next_token();
        state.new_calls.push(NewCall {
            token,
            backend,
            kind: CallKind::Http,
            headers: crate::native::all_fields(&headers),
            body: body.to_vec(),
            trailers: crate::native::all_fields(&owned(trailers)),
            timeout: timeout_milliseconds,
        });
        Ok(token)
    }

    fn grpc_call(&self, call: &GrpcCall<'_>, message: &[u8]) -> Result<u32> {
        self.state().ask_grpc(call, message)
    }

    fn call_status(&self) -> Result<(u32, Vec<u8>)> {
        let state = self.state();
        if let Some(Ended::Status(status, text)) = &state.grpc_end {
            return Ok((*status, text.clone().into_bytes()));
        }
        let failed = state
            .answer
            .as_ref()
            .is_some_and(|it| it.headers.is_empty());
        Ok(if failed {
            (11, b"reset".to_vec())
        } else {
            (0, Vec::new())
        })
    }

    fn shared_data(&self, key: &[u8]) -> Result<Option<(Vec<u8>, u32)>> {
        let state = self.state();
        state.may("proxy_get_shared_data")?;
        Ok(state.shared.get(key).cloned())
    }

    fn set_shared_data(&self, key: &[u8], value: &[u8], version: u32) -> Result<()> {
        let mut state = self.state();
        state.may("proxy_set_shared_data")?;
        let known = state.shared.get(key).map(|it| it.1);
        if version != 0 && known.is_some_and(|known| known != version) {
            return Err(Status::CAS_MISMATCH);
        }
        state.versions += 1;
        let entry = (value.to_vec(), state.versions);
        state.shared.insert(key.to_vec(), entry);
        Ok(())
    }

    fn define_metric(&self, kind: MetricType, name: &[u8]) -> Result<u32> {
        let mut state = self.state();
        state.may("proxy_define_metric")?;
        let known = state.metrics.iter();
        let known = known
            .enumerate()
            .find(|(_, it)| it.name == name && it.kind == kind);
        let at = match known {
            Some((at, _)) => at,
            None => {
                let name = name.to_vec();
                state.metrics.push(Metric {
                    kind,
                    name,
                    value: 0,
                });
                state.metrics.len() - 1
            }
        };
        let number = u32::try_from(at + 1).map_err(|_| Status::INTERNAL_FAILURE)?;
        Ok((number << 2) | kind as u32)
    }

    fn increment_metric(&self, metric: u32, by: i64) -> Result<()> {
        let mut state = self.state();
        state.may("proxy_increment_metric")?;
        let metric = state.metric(metric)?;
        match metric.kind {
            MetricType::Histogram => return Err(Status::BAD_ARGUMENT),
            MetricType::Counter if by < 0 => return Err(Status::BAD_ARGUMENT),
            MetricType::Counter | MetricType::Gauge => {
                metric.value = metric.value.saturating_add_signed(by);
            }
        }
        Ok(())
    }

    fn record_metric(&self, metric: u32, value: u64) -> Result<()> {
        let mut state = self.state();
        state.may("proxy_record_metric")?;
        let metric = state.metric(metric)?;
        match metric.kind {
            MetricType::Counter => metric.value = metric.value.saturating_add(value),
            MetricType::Gauge => metric.value = value,
            // Tests ask how many values there were.
            MetricType::Histogram => metric.value += 1,
        }
        Ok(())
    }

    fn metric(&self, metric: u32) -> Result<u64> {
        let mut state = self.state();
        state.may("proxy_get_metric")?;
        let metric = state.metric(metric)?;
        match metric.kind {
            MetricType::Histogram => Err(Status::BAD_ARGUMENT),
            MetricType::Counter | MetricType::Gauge => Ok(metric.value),
        }
    }

    fn property(&self, path: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut state = self.state();
        state.may("proxy_get_property")?;
        Ok(properties::read(&mut state, path))
    }

    fn set_property(&self, path: &[u8], value: &[u8]) -> Result<()> {
        let mut state = self.state();
        state.may("proxy_set_property")?;
        let stream = state.stream().ok_or(Status::NOT_FOUND)?;
        stream.properties.insert(path.to_vec(), value.to_vec());
        Ok(())
    }

    fn call_foreign_function(&self, name: &[u8], argument: &[u8]) -> Result<Vec<u8>> {
        let mut state = self.state();
        state.may("proxy_call_foreign_function")?;
        match name {
            b"tidegate.setup_pending" if state.tidegate && state.configuring => {
                state.setup = Setup::Pending;
            }
            b"tidegate.setup_done" if state.tidegate && state.setup == Setup::Pending => {
                state.setup = match argument {
                    b"" => Setup::Done,
                    why => Setup::Failed(text(why)),
                };
            }
            b"tidegate.redis" if state.tidegate => return redis::ask(&mut state, argument),
            b"clear_route_cache" => {}
            b"tidegate.select_backend" if state.tidegate => {
                // The rule has one backend, and it is chosen when the request goes on.
                let is_open = state.stream().is_some_and(|it| !it.request.forwarded);
                let first_or_last = matches!(argument, [1, 0 | 1, 0, 0, 0, 0]);
                if !is_open || !first_or_last {
                    return Err(Status::BAD_ARGUMENT);
                }
            }
            b"tidegate.fail_attempt" if state.tidegate => {
                let (fault, attempts) = faults::read(argument).ok_or(Status::BAD_ARGUMENT)?;
                let stream = state.stream().filter(|it| !it.request.forwarded);
                stream.ok_or(Status::BAD_ARGUMENT)?.fault =
                    (attempts > 0).then_some((fault, attempts));
            }
            _ => return Err(Status::NOT_FOUND),
        }
        Ok(Vec::new())
    }
}
