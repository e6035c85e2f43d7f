//! The exports of a filter's module. The attribute `filter` uses it; nobody else needs to.

use std::panic;

use tidegate_sdk_sys::LogLevel;

use crate::log::log_line;

/// Makes the crate a module with this filter.
#[macro_export]
macro_rules! export {
    ($filter:ty) => {
        $crate::__private::sys::export_guest!(http, $crate::export::start, {
            ::std::thread_local! {
                static MODULE: &'static $crate::Module<$filter> =
                    ::std::boxed::Box::leak(::std::boxed::Box::default());
            }
            MODULE.with(|module| *module)
        });
    };
}

/// Runs once in each instance: a panic's message goes to the host's log before the trap.
pub fn start() {
    panic::set_hook(Box::new(|info| {
        log_line(LogLevel::Critical, &[&info.to_string()]);
    }));
}
