//! The numbers of the ABI that choose: which map, which buffer, which stream (v0.2.1, "Types").

macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident { $($(#[$item:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum $name { $($(#[$item])* $variant = $number,)* }

        impl $name {
            /// The kind that has this number, if there is one.
            #[must_use]
            pub fn of(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

kinds! {
    /// How important a line of the log is.
    LogLevel {
        /// Every step.
        Trace = 0,
        /// For whoever looks for a fault.
        Debug = 1,
        /// Something happened.
        Info = 2,
        /// Something is not as it should be.
        Warn = 3,
        /// Something failed.
        Error = 4,
        /// The filter cannot go on.
        Critical = 5,
    }
}

kinds! {
    /// A map of headers or trailers.
    MapType {
        /// The request's headers, with `:method`, `:path`, `:authority` and `:scheme`.
        RequestHeaders = 0,
        /// The request's trailers.
        RequestTrailers = 1,
        /// The response's headers, with `:status`.
        ResponseHeaders = 2,
        /// The response's trailers.
        ResponseTrailers = 3,
        /// The metadata that came first of a gRPC call's answer.
        GrpcInitialMetadata = 4,
        /// The metadata that came last of a gRPC call's answer.
        GrpcTrailingMetadata = 5,
        /// The headers of a call-out's answer.
        CallHeaders = 6,
        /// The trailers of a call-out's answer.
        CallTrailers = 7,
    }
}

kinds! {
    /// Bytes that the host holds.
    BufferType {
        /// What of the request's body is here.
        RequestBody = 0,
        /// What of the response's body is here.
        ResponseBody = 1,
        /// What of the client's bytes is here (network filters).
        DownstreamData = 2,
        /// What of the backend's bytes is here (network filters).
        UpstreamData = 3,
        /// The body of a call-out's answer.
        CallBody = 4,
        /// A message of a gRPC call.
        GrpcMessage = 5,
        /// The configuration of the virtual machine.
        VmConfiguration = 6,
        /// The configuration of the plugin.
        PluginConfiguration = 7,
        /// The arguments of a foreign function that the host calls.
        ForeignArguments = 8,
        /// The reply to a Redis command, as the server sent it (Higress and Tidegate).
        RedisReply = 9,
    }
}

kinds! {
    /// A direction of a stream.
    StreamType {
        /// An HTTP request.
        Request = 0,
        /// An HTTP response.
        Response = 1,
        /// A connection's bytes from the client.
        Downstream = 2,
        /// A connection's bytes from the backend.
        Upstream = 3,
    }
}

kinds! {
    /// What a metric counts.
    MetricType {
        /// It only grows.
        Counter = 0,
        /// It goes up and down.
        Gauge = 1,
        /// A distribution of values.
        Histogram = 2,
    }
}

kinds! {
    /// What the host does after a stream's callback (v0.2.1 names 0 and 1).
    Action {
        /// Go on to the next filter.
        Continue = 0,
        /// Hold what came until we say so. For bodies: hold and collect.
        Pause = 1,
        /// For bodies alone: hold what came, and let the sender wait (Envoy's `StopIterationAndWatermark`).
        Watermark = 2,
    }
}

kinds! {
    /// A clock of WASI preview 1.
    Clock {
        /// Nanoseconds since 1970.
        Realtime = 0,
        /// Nanoseconds since some moment; never goes back.
        Monotonic = 1,
    }
}
