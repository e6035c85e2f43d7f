//! What the gateway itself says about a guest.
//!
//! Owns that such lines count as the guest's own: whoever can cause a line without end could drown
//! the log with it, whoever writes it.

use std::fmt;
use std::sync::Arc;

use tidegate_host_abi::GuestLog;
use tidegate_host_abi::LogLevel;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::Services as _;

use crate::filters::services::VmServices;

/// The voice for remarks about one plugin.
#[derive(Debug)]
pub(crate) struct Remarks {
    services: Arc<VmServices>,
    plugin: Option<Arc<Plugin>>,
}

impl Remarks {
    pub(super) fn new(services: &Arc<VmServices>, plugin: Option<&Arc<Plugin>>) -> Self {
        Self {
            services: Arc::clone(services),
            plugin: plugin.cloned(),
        }
    }

    /// Warns whoever reads the plugin's log.
    pub(crate) fn warn(&self, message: fmt::Arguments<'_>) {
        let name = self.plugin.as_ref().map_or("", |plugin| plugin.name());
        warn(&self.services, name, message);
    }
}

/// The same for who has no need to keep the voice.
pub(super) fn warn(services: &VmServices, plugin: &str, message: fmt::Arguments<'_>) {
    if services.log_level() > LogLevel::Warn {
        return;
    }
    services.log(&GuestLog {
        plugin,
        root_id: "",
        level: LogLevel::Warn,
        message: format!("host: {message}").as_bytes(),
    });
}
