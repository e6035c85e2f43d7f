//! The numbers of the Proxy-Wasm ABI as Rust enums.
//!
//! Owns the statuses, levels, map, buffer, stream and metric kinds, and the actions a callback
//! answers with. It gives no function its meaning; that is in `host_calls`.
//!
//! Invariant: a number from a guest becomes a value of these types or a refusal, never a panic.

/// The number a guest sent is no member of the enumeration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("number {0} is not defined by the Proxy-Wasm ABI")]
pub struct UnknownNumber(pub u32);

/// Declares an enum with its numbers in one place.
macro_rules! numbered {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum $name {
            $($(#[$doc])* $variant = $number,)+
        }

        impl TryFrom<u32> for $name {
            type Error = UnknownNumber;

            fn try_from(number: u32) -> Result<Self, UnknownNumber> {
                match number {
                    $($number => Ok(Self::$variant),)+
                    other => Err(UnknownNumber(other)),
                }
            }
        }

        impl From<$name> for u32 {
            fn from(value: $name) -> Self {
                value as Self
            }
        }
    };
}

numbered! {
    /// What a host function answers a guest.
    Status {
        /// Done.
        Ok = 0,
        /// There is no such thing.
        NotFound = 1,
        /// An argument makes no sense.
        BadArgument = 2,
        /// A value cannot be encoded.
        SerializationFailure = 3,
        /// A value cannot be decoded.
        ParseFailure = 4,
        /// An address is outside the guest's memory. Only a broken guest sees this.
        InvalidMemoryAccess = 6,
        /// A queue has no item.
        Empty = 7,
        /// Somebody else changed the value first.
        CasMismatch = 8,
        /// The host will not or cannot do it now.
        InternalFailure = 10,
        /// The host has no such function. The Rust SDK cannot represent it, so it is never sent.
        Unimplemented = 12,
    }
}

numbered! {
    /// How serious a log line is.
    #[derive(PartialOrd, Ord)]
    LogLevel {
        /// Finest detail.
        Trace = 0,
        /// For whoever debugs the plugin.
        Debug = 1,
        /// Normal events.
        Info = 2,
        /// Something is odd.
        Warn = 3,
        /// Something failed.
        Error = 4,
        /// The plugin cannot go on; panics of Rust filters use it.
        Critical = 5,
    }
}

numbered! {
    /// The header maps a guest names.
    MapKind {
        /// Request header fields.
        RequestHeaders = 0,
        /// Request trailers.
        RequestTrailers = 1,
        /// Response header fields.
        ResponseHeaders = 2,
        /// Response trailers.
        ResponseTrailers = 3,
        /// Initial metadata of a gRPC call.
        GrpcInitialMetadata = 4,
        /// Trailing metadata of a gRPC call.
        GrpcTrailingMetadata = 5,
        /// Header fields of the answer to an HTTP call.
        CallResponseHeaders = 6,
        /// Trailers of the answer to an HTTP call.
        CallResponseTrailers = 7,
    }
}

numbered! {
    /// The byte buffers a guest names.
    BufferKind {
        /// The request body.
        RequestBody = 0,
        /// The response body.
        ResponseBody = 1,
        /// TCP bytes from the client.
        DownstreamData = 2,
        /// TCP bytes from the backend.
        UpstreamData = 3,
        /// The body of the answer to an HTTP call.
        CallResponseBody = 4,
        /// A gRPC message.
        GrpcMessage = 5,
        /// The configuration of the VM.
        VmConfiguration = 6,
        /// The configuration of the plugin.
        PluginConfiguration = 7,
        /// The arguments of a foreign function.
        ForeignArguments = 8,
        /// The reply to a Redis command, as it came (Higress).
        RedisReply = 9,
    }
}

numbered! {
    /// The half streams a guest continues or closes.
    StreamKind {
        /// The request.
        Request = 0,
        /// The response.
        Response = 1,
        /// The client's TCP connection.
        Downstream = 2,
        /// The backend's TCP connection.
        Upstream = 3,
    }
}

numbered! {
    /// Who has closed a connection.
    PeerType {
        /// Nobody can tell.
        Unknown = 0,
        /// The proxy.
        Local = 1,
        /// The other end.
        Remote = 2,
    }
}

numbered! {
    /// The metrics a guest defines.
    MetricKind {
        /// Only grows.
        Counter = 0,
        /// Goes up and down.
        Gauge = 1,
        /// Counts values in buckets.
        Histogram = 2,
    }
}

impl LogLevel {
    /// The level as one lower-case word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// What a header callback wants to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeadersAction {
    /// Go on to the next filter.
    Continue,
    /// Hold the headers until the guest continues the stream. Whether body callbacks come
    /// meanwhile depends on [`crate::Plugin::stop_iteration`].
    Pause,
    /// Hold everything and buffer the body up to the limit.
    StopAllBuffer,
    /// Hold everything and let flow control stop the sender.
    StopAllWatermark,
}

impl HeadersAction {
    /// The action a guest means; numbers above 4 count as 4, as in Envoy. 2 was once to end the
    /// message without its body; Envoy goes on with it, and so do we.
    #[must_use]
    pub const fn from_guest(number: u32) -> Self {
        match number {
            0 | 2 => Self::Continue,
            1 => Self::Pause,
            3 => Self::StopAllBuffer,
            _ => Self::StopAllWatermark,
        }
    }
}

/// What a body callback wants to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyAction {
    /// Forward what is buffered.
    Continue,
    /// Keep the bytes, buffer on, and call again with the total.
    Pause,
    /// Keep the bytes and let flow control stop the sender.
    Watermark,
    /// Drop this chunk from the chain; used after a local response.
    NoBuffer,
}

impl BodyAction {
    /// The action a guest means; numbers above 3 count as 3, as in Envoy.
    #[must_use]
    pub const fn from_guest(number: u32) -> Self {
        match number {
            0 => Self::Continue,
            1 => Self::Pause,
            2 => Self::Watermark,
            _ => Self::NoBuffer,
        }
    }
}

/// What a trailer callback wants to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TrailersAction {
    /// Forward the trailers.
    Continue,
    /// Hold them until the guest continues the stream.
    Pause,
}

impl TrailersAction {
    /// The action a guest means; every number but 0 pauses.
    #[must_use]
    pub const fn from_guest(number: u32) -> Self {
        match number {
            0 => Self::Continue,
            _ => Self::Pause,
        }
    }
}

/// What a callback of a connection wants to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionAction {
    /// Go on to the next filter, with the bytes there are.
    Continue,
    /// Hold the connection, or its bytes, until the guest continues the stream. More bytes are
    /// shown together with those that are held.
    Pause,
}

impl ConnectionAction {
    /// The action a guest means; every number but 0 pauses, as in Envoy.
    #[must_use]
    pub const fn from_guest(number: u32) -> Self {
        match number {
            0 => Self::Continue,
            _ => Self::Pause,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_the_abi_does_not_know_are_refused() {
        assert_eq!(MapKind::try_from(8), Err(UnknownNumber(8)));
        assert_eq!(Status::try_from(5), Err(UnknownNumber(5)));
        assert_eq!(LogLevel::try_from(u32::MAX), Err(UnknownNumber(u32::MAX)));
        assert_eq!(BufferKind::try_from(8), Ok(BufferKind::ForeignArguments));
    }

    #[test]
    fn unknown_actions_count_as_the_strictest_one() {
        assert_eq!(HeadersAction::from_guest(2), HeadersAction::Continue);
        assert_eq!(
            HeadersAction::from_guest(99),
            HeadersAction::StopAllWatermark
        );
        assert_eq!(BodyAction::from_guest(99), BodyAction::NoBuffer);
        assert_eq!(TrailersAction::from_guest(99), TrailersAction::Pause);
    }
}
