//! The kinds of text and numbers that resources are made of, with their limits.
//!
//! Each is a schema with a rule in words; the check against the schema is what refuses bad values,
//! so the code behind it may rely on them. Limits are the Kubernetes and Gateway APIs' own.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use schemars::JsonSchema;
use schemars::Schema;
use schemars::SchemaGenerator;
use schemars::json_schema;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::IgnoredAny;
use serde::de::Visitor;

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $max:literal, $pattern:literal, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(inline)]
        pub struct $name(
            #[schemars(
                length(max = $max),
                regex(pattern = $pattern),
                extend("x-tidegate-rule" = $rule)
            )]
            pub String,
        );

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(
    /// The name of a resource.
    ObjectName, 253, r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
    "a resource name: lower-case letters, digits, `-` and `.`, at most 253"
);
text!(
    /// The name of a namespace.
    NamespaceName, 63, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    "a namespace: lower-case letters, digits and `-`, at most 63"
);
text!(
    /// The name of a listener or rule.
    SectionName, 253, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    "a name: lower-case letters, digits, `-` and `.`, at most 253"
);
text!(
    /// An API group; empty for the core one.
    Group, 253, r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    "an API group such as `gateway.networking.k8s.io`, or empty for the core group"
);
text!(
    /// The kind of a resource.
    KindName, 63, r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$",
    "the kind of a resource, such as `Service`"
);
text!(
    /// A host, with a leading `*.` for all hosts below it.
    Hostname, 253, r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    "a lower-case host name without port, such as `shop.test` or `*.shop.test`"
);
text!(
    /// A host without wildcard.
    PreciseHostname, 253, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    "a lower-case host name without port or wildcard, such as `shop.test`"
);
text!(
    /// The name of a header field or query parameter.
    FieldName, 256, r"^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$",
    "a name of letters, digits and `-`, such as `x-user`, at most 256"
);
text!(
    /// A name of environment variables.
    EnvName, 256, r"^[A-Za-z_][A-Za-z0-9_.-]*$",
    "a name of letters, digits and `_`, not beginning with a digit"
);
text!(
    /// A duration (GEP-2257): `500ms`, `10s`, `1m30s`, `2h`.
    DurationText, 28, r"^([0-9]{1,5}(h|m|s|ms)){1,4}$",
    "a duration such as `500ms`, `10s`, `1m30s` or `2h`"
);
text!(
    /// A number of bytes: `1048576`, `64Ki`, `1Mi`.
    SizeText, 20, r"^[0-9]+(k|M|G|Ki|Mi|Gi)?$",
    "a number of bytes with an optional unit, such as `64Ki` or `1Mi`"
);
text!(
    /// A percentage: `5%`, `0.25%`.
    PercentText, 9, r"^[0-9]{1,4}([.][0-9]{1,3})?%$",
    "a percentage such as `5%` or `0.25%`"
);
text!(
    /// Where a request of the gateway's own goes: a path, with a query if it needs one.
    RequestTarget, 2048, r"^/[!-\x22$-~]*$",
    "a path that begins with `/`, with a query if it needs one, without spaces and `#`"
);
text!(
    /// A host, with a port if it needs one.
    HostPort, 259, r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?$",
    "a lower-case host name, with a port if it needs one, such as `hooks.test` or `hooks.test:8443`"
);
text!(
    /// A SHA-256.
    Sha256Text, 71, r"^(sha256:)?[0-9a-fA-F]{64}$",
    "a SHA-256: 64 hexadecimal digits, perhaps with `sha256:` in front"
);

impl PercentText {
    /// The number before the sign; `None` if it is none.
    pub fn percent(&self) -> Option<f64> {
        self.strip_suffix('%')?.parse().ok()
    }
}

/// A field that is accepted or refused without being looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl JsonSchema for Ignored {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Ignored".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
    }
}

/// A port by number or name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortRef {
    /// By number.
    Number(u16),
    /// By name.
    Name(String),
}

impl<'de> Deserialize<'de> for PortRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PortRefVisitor)
    }
}

struct PortRefVisitor;

impl Visitor<'_> for PortRefVisitor {
    type Value = PortRef;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a port number from 1 to 65535, or the name of a port")
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<PortRef, E> {
        match u16::try_from(value) {
            Ok(port) if port > 0 => Ok(PortRef::Number(port)),
            _ => Err(E::invalid_value(
                serde::de::Unexpected::Unsigned(value),
                &self,
            )),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<PortRef, E> {
        match u64::try_from(value) {
            Ok(value) => self.visit_u64(value),
            Err(_) => Err(E::invalid_value(
                serde::de::Unexpected::Signed(value),
                &self,
            )),
        }
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<PortRef, E> {
        Ok(PortRef::Name(value.to_owned()))
    }
}

impl JsonSchema for PortRef {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PortRef".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "x-kubernetes-int-or-string": true })
    }
}
