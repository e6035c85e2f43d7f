//! The filter: one for each connection, made by a plugin that knows the list.

use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, RootContext, StreamContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, PeerType};

use crate::commands::{Command, first, is_denied};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Plugin::default()));
}}

/// The plugin: its configuration is the denied commands, apart by spaces or line ends.
#[derive(Default)]
struct Plugin {
    denied: Rc<[String]>,
}

impl Context for Plugin {}

impl RootContext for Plugin {
    fn on_configure(&mut self, _size: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        let Ok(text) = String::from_utf8(text) else {
            log(LogLevel::Error, "the configuration is not text");
            return false;
        };
        self.denied = text.split_whitespace().map(str::to_owned).collect();
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::StreamContext)
    }

    fn create_stream_context(&self, _context_id: u32) -> Option<Box<dyn StreamContext>> {
        Some(Box::new(Guard {
            denied: Rc::clone(&self.denied),
            commands: 0,
        }))
    }
}

/// One connection.
struct Guard {
    denied: Rc<[String]>,
    /// Commands that passed.
    commands: u64,
}

impl Context for Guard {}

impl StreamContext for Guard {
    fn on_downstream_data(&mut self, size: usize, _end_of_stream: bool) -> Action {
        let data = self.get_downstream_data(0, size).unwrap_or_default();
        let mut rest = data.as_slice();
        while !rest.is_empty() {
            match first(rest) {
                // The rest comes, together with what is held.
                Command::Incomplete => return Action::Pause,
                Command::Malformed => return self.close("something that is no command"),
                Command::Whole { name, length } => {
                    if is_denied(name, &self.denied) {
                        return self.close(&format!("the command {}", name.escape_ascii()));
                    }
                    self.commands += 1;
                    rest = rest.get(length..).unwrap_or_default();
                }
            }
        }
        Action::Continue
    }

    fn on_downstream_close(&mut self, _peer: PeerType) {
        let commands = self.commands;
        log(LogLevel::Info, &format!("{commands} commands passed"));
    }
}

impl Guard {
    fn close(&self, why: &str) -> Action {
        log(LogLevel::Warn, &format!("a client is cut off for {why}"));
        self.close_downstream();
        Action::Pause
    }
}

/// Logs; a host that cannot is no reason to fail.
fn log(level: LogLevel, text: &str) {
    hostcalls::log(level, text).ok();
}
