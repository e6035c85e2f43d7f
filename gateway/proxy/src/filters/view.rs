//! An exchange as one filter sees it: the `StreamHost` of host calls.
//!
//! Owns which maps and bodies are there in which phase. What a filter asks for is noted in the
//! state and acted on by the driver after the callback.

use bytes::Bytes;
use tidegate_host_abi::AttemptFault;
use tidegate_host_abi::BackendChoice;
use tidegate_host_abi::BodyBuffer;
use tidegate_host_abi::Edited;
use tidegate_host_abi::Field;
use tidegate_host_abi::HeaderEdit;
use tidegate_host_abi::Injected;
use tidegate_host_abi::LocalResponse;
use tidegate_host_abi::MapKind;
use tidegate_host_abi::Property;
use tidegate_host_abi::PropertyValue;
use tidegate_host_abi::Selected;
use tidegate_host_abi::Side;
use tidegate_host_abi::StreamHost;
use tidegate_host_abi::StreamKind;
use tidegate_host_abi::UpstreamHost;

use crate::exchange::local::LOCAL_RESPONSE;
use crate::exchange::state::Faults;
use crate::exchange::state::Local;
use crate::exchange::state::Phase;
use crate::exchange::state::State;
use crate::filters::fields;
use crate::filters::fields::Fields;
use crate::filters::hosts;
use crate::filters::properties;

/// Bytes of custom properties that one stream may hold.
const MAX_PROPERTY_BYTES: usize = 256 * 1024;

/// One filter's view of one exchange, for the length of a host call.
pub(crate) struct FilterView<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) filter: usize,
}

impl FilterView<'_> {
    fn map(&self, map: MapKind) -> Option<&dyn Fields> {
        match map {
            MapKind::RequestHeaders | MapKind::ResponseHeaders if self.has_let_go(map) => None,
            // Envoy's log has no request trailers.
            MapKind::RequestTrailers if self.state.phase == Phase::Done && self.is_strict() => None,
            MapKind::RequestHeaders => Some(&self.state.request),
            MapKind::ResponseHeaders if self.state.phase >= Phase::ResponseHeaders => {
                Some(&self.state.response)
            }
            MapKind::RequestTrailers => self
                .state
                .request_trailers
                .as_deref()
                .map(|map| map as &dyn Fields),
            MapKind::ResponseTrailers => self
                .state
                .response_trailers
                .as_deref()
                .map(|map| map as &dyn Fields),
            _ => None,
        }
    }

    fn map_mut(&mut self, map: MapKind) -> Option<&mut dyn Fields> {
        let phase = self.state.phase;
        match map {
            MapKind::RequestHeaders | MapKind::ResponseHeaders if self.has_let_go(map) => None,
            MapKind::RequestHeaders if phase == Phase::RequestHeaders => {
                Some(&mut self.state.request)
            }
            MapKind::ResponseHeaders if phase == Phase::ResponseHeaders => {
                Some(&mut self.state.response)
            }
            MapKind::RequestTrailers if phase < Phase::Done => self.trailers(Side::Request),
            MapKind::ResponseTrailers if phase < Phase::Done => self.trailers(Side::Response),
            _ => None,
        }
    }

    /// Whether a strict filter has let this head go; when it logs, it has it again.
    fn has_let_go(&self, map: MapKind) -> bool {
        let side = match map {
            MapKind::RequestHeaders => Side::Request,
            _ => Side::Response,
        };
        let known = self.state.filters.get(self.filter);
        let gone = known.is_some_and(|known| known.side_ref(side).head_gone);
        gone && self.state.phase < Phase::Done
    }

    fn is_strict(&self) -> bool {
        let filter = self.state.chain.filters.get(self.filter);
        filter.is_some_and(|filter| filter.plugin.spec().strict)
    }

    /// The name of its plugin.
    fn plugin(&self) -> &str {
        let filter = self.state.chain.filters.get(self.filter);
        filter.map_or("", |filter| filter.plugin.name())
    }

    /// Tells whoever reads the plugin's log what became of a call.
    fn warn(&self, message: std::fmt::Arguments<'_>) {
        if let Some(filter) = self.state.chain.filters.get(self.filter) {
            filter.vm.warn(filter.plugin.name(), message);
        }
    }

    /// Trailers that came, or that a filter may create at the end of a body it sees.
    fn trailers(&mut self, side: Side) -> Option<&mut dyn Fields> {
        let there = match side {
            Side::Request => self.state.request_trailers.is_some(),
            Side::Response => self.state.response_trailers.is_some(),
        };
        if !there {
            let known = self.state.side(self.filter, side)?;
            if !(known.body_visible && known.ended) {
                return None;
            }
            known.made_trailers = true;
        }
        let trailers = match side {
            Side::Request => &mut self.state.request_trailers,
            Side::Response => &mut self.state.response_trailers,
        };
        Some(&mut **trailers.get_or_insert_with(Box::default))
    }
}

/// Keeps a custom property among those of a stream, unless they become too many: then what the path
/// had stays.
pub(crate) fn keep_property(
    properties: &mut Vec<(Vec<u8>, Vec<u8>)>,
    path: &[u8],
    value: &[u8],
) -> Result<(), String> {
    let others = properties.iter().filter(|(known, _)| known != path);
    let held: usize = others.map(|(path, value)| path.len() + value.len()).sum();
    if held + path.len() + value.len() > MAX_PROPERTY_BYTES {
        return Err(format!(
            "a property is refused: a stream has at most {MAX_PROPERTY_BYTES} bytes of them"
        ));
    }
    match properties.iter_mut().find(|(known, _)| known == path) {
        Some((_, known)) => *known = value.to_vec(),
        None => properties.push((path.to_vec(), value.to_vec())),
    }
    Ok(())
}

/// The header that an edit is about.
fn edited_name<'a>(edit: &HeaderEdit<'a>) -> &'a [u8] {
    match edit {
        HeaderEdit::Add { name, .. }
        | HeaderEdit::Set { name, .. }
        | HeaderEdit::Remove { name } => name,
        HeaderEdit::ReplaceAll(_) => b"(all of them)",
    }
}

impl StreamHost for FilterView<'_> {
    fn field(&self, map: MapKind, name: &[u8]) -> Field<'_> {
        match self.map(map) {
            None => Field::Unavailable,
            Some(found) => fields::get(found, name).map_or(Field::Absent, Field::Value),
        }
    }

    fn visit_fields(&self, map: MapKind, visit: &mut dyn FnMut(&[u8], &[u8])) -> bool {
        let Some(found) = self.map(map) else {
            return false;
        };
        fields::visit(found, visit);
        true
    }

    fn edit(&mut self, map: MapKind, edit: HeaderEdit<'_>) -> Edited {
        if matches!(edit, HeaderEdit::Remove { .. }) && self.map(map).is_none() {
            return Edited::Unavailable; // It would only make empty trailers.
        }
        let Some(found) = self.map_mut(map) else {
            return Edited::Unavailable;
        };
        let name = edited_name(&edit);
        if fields::edit(found, edit).is_err() {
            self.state.invalid_header = true;
            let plugin = self.plugin();
            let name = name.escape_ascii();
            self.state.blame = Some(format!("plugin {plugin} set the header {name}"));
        }
        self.state.request_edited |= map == MapKind::RequestHeaders;
        Edited::Done
    }

    fn body(&mut self, side: Side) -> Option<&mut BodyBuffer> {
        let side = self.state.side(self.filter, side)?;
        side.body_visible.then_some(&mut side.body)
    }

    fn property(&self, property: &Property<'_>) -> Option<PropertyValue<'_>> {
        properties::read(self.state, property)
    }

    fn set_property(&mut self, path: &[u8], value: &[u8]) -> bool {
        let kept = keep_property(&mut self.state.properties, path, value);
        if let Err(message) = &kept {
            self.warn(format_args!("{message}"));
        }
        kept.is_ok()
    }

    fn continue_stream(&mut self, kind: StreamKind) {
        let side = match kind {
            StreamKind::Request => Side::Request,
            StreamKind::Response => Side::Response,
            StreamKind::Downstream | StreamKind::Upstream => return,
        };
        let strict = self.is_strict();
        if let Some(side) = self.state.side(self.filter, side) {
            side.resume = true;
            side.head_gone |= strict;
        }
        self.state.wake();
    }

    fn close_stream(&mut self, _: StreamKind) {
        self.state.closed = true;
        self.state.closed_by.get_or_insert(self.filter);
        self.state.wake();
    }

    fn send_local_response(&mut self, response: LocalResponse) {
        if self.state.local.is_some() || self.state.phase == Phase::Done {
            self.warn(format_args!(
                "a local response is ignored: the exchange has one already"
            ));
            return;
        }
        if self.state.phase == Phase::ResponseSent {
            let plugin = self.plugin();
            self.state.blame = Some(format!("plugin {plugin} answered too late"));
        }
        self.state.answered_by.get_or_insert(self.filter);
        // If the origin's is on its way it can only be cut, which the driver does.
        self.state.local = Some(Local {
            response,
            flag: LOCAL_RESPONSE,
        });
        self.state.wake();
    }

    fn clear_route_cache(&mut self) {
        // The route is chosen after the last filter, from what the head says then.
    }

    fn upstream_hosts(&self) -> Option<Vec<UpstreamHost>> {
        let endpoints = hosts::endpoints(self.state)?;
        Some(endpoints.iter().map(hosts::described).collect())
    }

    fn override_upstream_host(&mut self, address: &str) -> bool {
        match address.parse() {
            Ok(address) => {
                self.state.chosen_endpoint = Some(Box::new(address));
                true
            }
            Err(_) => false,
        }
    }

    fn select_backend(&mut self, choice: BackendChoice<'_>) -> Selected {
        hosts::select(self.state, choice)
    }

    fn fail_attempts(&mut self, fault: AttemptFault, attempts: u32) -> bool {
        if self.state.phase != Phase::RequestHeaders {
            return false;
        }
        let filter = self.filter;
        let faults = &mut self.state.faults;
        faults.retain(|known| known.filter != filter);
        if attempts > 0 {
            faults.push(Faults {
                filter,
                fault,
                attempts,
            });
        }
        true
    }

    fn inject_response(&mut self, data: Bytes, end: bool) -> Injected {
        self.state.inject(self.filter, &data, end)
    }
}
