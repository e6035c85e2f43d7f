//! The callbacks.

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

/// The headers' name if nothing is configured.
const DEFAULT_NAME: &str = "x-bench";

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Plugin { name: DEFAULT_NAME.into() }));
}}

struct Plugin {
    name: Rc<str>,
}

impl Context for Plugin {}

impl RootContext for Plugin {
    fn on_configure(&mut self, _size: usize) -> bool {
        let Some(configured) = self.get_plugin_configuration() else {
            return true;
        };
        let Ok(name) = String::from_utf8(configured) else {
            return false;
        };
        if !name.is_empty() {
            self.name = name.into();
        }
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Filter {
            name: Rc::clone(&self.name),
        }))
    }
}

struct Filter {
    name: Rc<str>,
}

impl Context for Filter {}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        self.set_http_request_header(&self.name, Some("request"));
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        self.set_http_response_header(&self.name, Some("response"));
        Action::Continue
    }
}
