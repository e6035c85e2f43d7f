//! Limits that a rate limit service keeps: which service, and what it is told.

use serde_json::Value;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;
use tidegate_sdk::prelude::*;

use super::limit::Part;
use super::limit::StoreConfig;
use super::limit::WhenMissing;
use crate::descriptor::usual_key;

/// A rate limit service.
#[derive(FilterConfig, Debug, Clone, PartialEq, Eq)]
pub(crate) struct RlsConfig {
    /// The service, over gRPC. The Plugin's `allow.backends` lists it.
    pub(crate) backend: Backend,
    /// The `domain` in the service's configuration.
    #[config(min_len = 1, max_len = 256)]
    pub(crate) domain: String,
    /// How long a request waits for it at most.
    #[config(default = "20ms", min = "1ms", max = "10s")]
    pub(crate) timeout: Duration,
}

/// The name of an entry in descriptors.
#[derive(Debug, Clone)]
pub(crate) struct DescriptorKey(String);

impl FilterConfig for DescriptorKey {
    const SCHEMA: &'static Schema = &Schema::text().min_len(1).max_len(256);

    fn read(value: &Value) -> std::result::Result<Self, Problem> {
        String::read(value).map(Self)
    }
}

/// The names of a key's parts in descriptors; none if the store takes no descriptors.
pub(super) fn descriptor_keys(
    store: &StoreConfig,
    key: &[Part],
    when_missing: WhenMissing,
    names: Option<&[DescriptorKey]>,
) -> std::result::Result<Vec<String>, Problem> {
    let wrong = |field, message| Err(Problem::new(message).under(field));
    match (store, names) {
        (StoreConfig::Rls(_), _) if key.is_empty() => wrong(
            "key",
            "a rate limit service needs a part at least, such as {const: all}",
        ),
        // A descriptor without entries is none: what is to share a limit would have none.
        (StoreConfig::Rls(_), _)
            if when_missing == WhenMissing::Share && !key.iter().any(Part::is_always_there) =>
        {
            wrong(
                "whenMissing",
                "share needs a part that all requests have, such as {const: all}: the service is asked \
                 with the parts that are there",
            )
        }
        (StoreConfig::Rls(_), Some(names)) if names.len() != key.len() => wrong(
            "descriptorKeys",
            "expected one name for each part of the key",
        ),
        (StoreConfig::Rls(_), Some(names)) => Ok(names.iter().map(|it| it.0.clone()).collect()),
        (StoreConfig::Rls(_), None) => {
            let names = key.iter().map(usual_key);
            Ok(names.map(str::to_owned).collect())
        }
        (StoreConfig::Local | StoreConfig::Redis(_), Some(_)) => {
            wrong("descriptorKeys", "only the store rls has descriptors")
        }
        (StoreConfig::Local | StoreConfig::Redis(_), None) => Ok(Vec::new()),
    }
}
