//! A connection as one filter sees it: the `StreamHost` of host calls.
//!
//! Owns which data is there when, and what filters may ask of a connection. What a filter asks for
//! is noted in the state and acted on by the driver after the callback.

use std::borrow::Cow;

use tidegate_host_abi::BodyBuffer;
use tidegate_host_abi::Edited;
use tidegate_host_abi::Field;
use tidegate_host_abi::HeaderEdit;
use tidegate_host_abi::LocalResponse;
use tidegate_host_abi::MapKind;
use tidegate_host_abi::Property;
use tidegate_host_abi::PropertyValue;
use tidegate_host_abi::Side;
use tidegate_host_abi::StreamHost;
use tidegate_host_abi::StreamKind;

use crate::filters::properties::PEER_ADDRESS;
use crate::filters::properties::PEER_URI_SANS;
use crate::filters::properties::flags;
use crate::filters::properties::tls;
use crate::filters::view::keep_property;
use crate::tcp::stream::ConnectionState;

/// Envoy's number for a listener that takes traffic in.
const INBOUND: i64 = 1;

/// One filter's view of one connection, for the length of a host call.
pub(crate) struct ConnectionView<'a> {
    pub(crate) state: &'a mut ConnectionState,
    pub(crate) filter: usize,
}

impl ConnectionView<'_> {
    /// Tells whoever reads the plugin's log what became of a call.
    fn warn(&self, message: std::fmt::Arguments<'_>) {
        if let Some(filter) = self.state.chain.get(self.filter) {
            filter.vm.warn(filter.plugin.name(), message);
        }
    }
}

impl StreamHost for ConnectionView<'_> {
    fn field(&self, _: MapKind, _: &[u8]) -> Field<'_> {
        Field::Unavailable
    }

    fn visit_fields(&self, _: MapKind, _: &mut dyn FnMut(&[u8], &[u8])) -> bool {
        false
    }

    fn edit(&mut self, _: MapKind, _: HeaderEdit<'_>) -> Edited {
        Edited::Unavailable
    }

    fn body(&mut self, _: Side) -> Option<&mut BodyBuffer> {
        None
    }

    fn data(&mut self, side: Side) -> Option<&mut BodyBuffer> {
        let side = self.state.side(self.filter, side)?;
        side.visible.then_some(&mut side.data)
    }

    fn property(&self, property: &Property<'_>) -> Option<PropertyValue<'_>> {
        match property {
            Property::FilterState(PEER_ADDRESS) => Some(owned(self.state.facts.peer.to_string())),
            Property::FilterState(PEER_URI_SANS) => {
                tls::peer_uris(self.state.facts.secured.as_ref()?)
            }
            Property::Other(path) => self.custom(path),
            Property::FilterState(key) => self.custom(key.strip_prefix(b"wasm.").unwrap_or(key)),
            Property::Metadata(b"") => Some(PropertyValue::Bytes(Cow::Borrowed(b""))),
            Property::Metadata(b"filter_metadata" | b"typed_filter_metadata") => {
                Some(PropertyValue::Map(Vec::new()))
            }
            _ => self
                .connection(property)
                .or_else(|| self.origin(property))
                .or_else(|| tls::read(self.state.facts.secured.as_ref()?, property)),
        }
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
            StreamKind::Downstream => Side::Request,
            StreamKind::Upstream => Side::Response,
            StreamKind::Request | StreamKind::Response => return,
        };
        if let Some(side) = self.state.side(self.filter, side) {
            side.resume = true;
        }
        self.state.wake();
    }

    fn close_stream(&mut self, kind: StreamKind) {
        if matches!(kind, StreamKind::Downstream | StreamKind::Upstream) {
            self.state.closed = true;
            self.state.wake();
        }
    }

    fn send_local_response(&mut self, _: LocalResponse) {
        self.warn(format_args!(
            "its local response is ignored: a connection has no responses"
        ));
    }

    fn clear_route_cache(&mut self) {}
}

impl ConnectionView<'_> {
    fn custom(&self, path: &[u8]) -> Option<PropertyValue<'_>> {
        let mut known = self.state.properties.iter();
        let (_, value) = known.find(|(known, _)| known == path)?;
        Some(PropertyValue::Bytes(Cow::Borrowed(value)))
    }

    fn connection(&self, property: &Property<'_>) -> Option<PropertyValue<'_>> {
        let facts = &self.state.facts;
        let borrowed = |text: &'_ str| PropertyValue::Bytes(Cow::Owned(text.as_bytes().to_vec()));
        let value = match property {
            Property::SourceAddress => owned(facts.peer.to_string()),
            Property::SourcePort => PropertyValue::Int(i64::from(facts.peer.port())),
            Property::DestinationAddress => owned(facts.local.to_string()),
            Property::DestinationPort => PropertyValue::Int(i64::from(facts.local.port())),
            Property::ConnectionId => {
                PropertyValue::Int(i64::try_from(facts.id).unwrap_or(i64::MAX))
            }
            Property::ConnectionMtls => {
                let secured = facts.secured.as_ref();
                PropertyValue::Bool(secured.is_some_and(|secured| secured.client.is_some()))
            }
            Property::ConnectionRequestedServerName => {
                borrowed(facts.server_name.as_deref().unwrap_or(""))
            }
            Property::ResponseFlags => PropertyValue::Int(flags::bits(facts.flag, false)),
            Property::RequestTime => {
                PropertyValue::Nanos(i64::try_from(facts.started_unix_nanos).unwrap_or(i64::MAX))
            }
            Property::XdsRouteName => borrowed(&facts.rule.name),
            Property::XdsFilterChainName => borrowed(&facts.rule.listener),
            Property::XdsListenerDirection => PropertyValue::Int(INBOUND),
            _ => return None,
        };
        Some(value)
    }

    fn origin(&self, property: &Property<'_>) -> Option<PropertyValue<'_>> {
        let facts = &self.state.facts;
        let value = match property {
            Property::XdsClusterName => {
                let backend = facts.backend.as_ref()?;
                owned(backend.backend.name.as_str().to_owned())
            }
            Property::UpstreamAddress => owned(facts.endpoint?.to_string()),
            Property::UpstreamPort => PropertyValue::Int(i64::from(facts.endpoint?.port())),
            Property::UpstreamLocalAddress => owned(facts.origin_local?.to_string()),
            Property::UpstreamRequestAttemptCount => PropertyValue::Int(i64::from(facts.attempts)),
            Property::UpstreamNumEndpoints => {
                let endpoints = facts.backend.as_ref()?.backend.endpoints.len();
                PropertyValue::Int(i64::try_from(endpoints).unwrap_or(i64::MAX))
            }
            _ => return None,
        };
        Some(value)
    }
}

fn owned(text: String) -> PropertyValue<'static> {
    PropertyValue::Bytes(Cow::Owned(text.into_bytes()))
}
