//! The plugin: what all streams of one configuration share.
//!
//! Owns start and configuration, the settings, and the number that `/hello` answers with. It
//! makes one `filter` for each stream.

use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel, MetricType, Status};

use crate::config::Config;
use crate::filter::Filter;

/// Where the instances of this filter keep the number that `/hello` answers with.
const HELLO_COUNT: &str = "hello_count";

/// Each failed attempt means that another instance succeeded, so a few are enough.
const COUNT_ATTEMPTS: u32 = 100;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Plugin::default()));
}}

/// The plugin: one per configuration, it makes the filter of each stream.
#[derive(Default)]
struct Plugin {
    settings: Rc<Settings>,
}

/// What every stream needs to know.
#[derive(Default)]
pub(crate) struct Settings {
    /// What the operator configured.
    pub(crate) config: Config,
    /// The number of the metric that counts requests.
    pub(crate) requests_metric: u32,
}

impl Context for Plugin {}

impl RootContext for Plugin {
    fn on_configure(&mut self, _size: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        let config = match Config::parse(&text) {
            Ok(config) => config,
            Err(problem) => {
                log(
                    LogLevel::Error,
                    &format!("configuration refused: {problem}"),
                );
                return false;
            }
        };
        let Ok(requests_metric) = hostcalls::define_metric(MetricType::Counter, "hello_requests")
        else {
            log(
                LogLevel::Error,
                "the host refused the metric hello_requests",
            );
            return false;
        };
        self.settings = Rc::new(Settings {
            config,
            requests_metric,
        });
        start_count(self);
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Filter::new(Rc::clone(&self.settings))))
    }
}

/// Makes the shared number exist, because a missing one cannot be compared and swapped.
fn start_count(context: &impl Context) {
    let (known, _) = context.get_shared_data(HELLO_COUNT);
    if known.is_none() {
        store_count(context, 0, None).ok();
    }
}

/// The next number. Two instances get the same one only if one loses every attempt.
pub(crate) fn count(context: &impl Context) -> u64 {
    let mut number = 0;
    for _ in 0..COUNT_ATTEMPTS {
        let (bytes, version) = context.get_shared_data(HELLO_COUNT);
        let known = bytes.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        number = u64::from_le_bytes(known.unwrap_or_default()).saturating_add(1);
        if store_count(context, number, version) == Ok(()) {
            break;
        }
    }
    number
}

fn store_count(context: &impl Context, number: u64, version: Option<u32>) -> Result<(), Status> {
    context.set_shared_data(HELLO_COUNT, Some(&number.to_le_bytes()), version)
}

/// Writes a line to the log of the host.
pub(crate) fn log(level: LogLevel, message: &str) {
    hostcalls::log(level, message).ok();
}
