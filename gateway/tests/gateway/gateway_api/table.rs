//! The table of docs/gateway-api.md: every feature of the Gateway API's Standard channel for Gateways
//! and HTTPRoutes, and what the cases show of it.

/// The list of features.
pub(crate) const FEATURES: &str = "features.yaml";
