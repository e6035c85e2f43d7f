//! The exports of a filter's module. The attribute `filter` uses it; nobody else needs to.

use std::panic;

use tidegate_sdk_sys::LogLevel;
use tidegate_sdk_sys::text::decimal;

use crate::log::log_line;

/// Makes the crate a module with this filter, of the kind `http` or `network`.
#[macro_export]
macro_rules! export {
    (http $filter:ty) => {
        $crate::export!(http, $crate::Module<$filter>);
    };
    (network $filter:ty) => {
        $crate::export!(network, $crate::NetworkModule<$filter>);
    };
    ($kind:ident, $module:ty) => {
        const _: () = {
            #[cfg(target_family = "wasm")]
            ::std::thread_local! {
                static MODULE: &'static $module =
                    ::std::boxed::Box::leak(::std::boxed::Box::default());
            }
            #[cfg(target_family = "wasm")]
            fn module() -> &'static $module {
                MODULE.with(|module| *module)
            }
            $crate::__private::sys::export_guest!($kind, $crate::export::start, module());
        };
    };
}

/// Runs once in each instance: a panic's message goes to the host's log before the trap.
pub fn start() {
    panic::set_hook(Box::new(|info| {
        let (file, line, column) = info
            .location()
            .map_or(("?", 0, 0), |it| (it.file(), it.line(), it.column()));
        log_line(
            LogLevel::Critical,
            &[
                "panicked at ",
                file,
                ":",
                &decimal(line.into()),
                ":",
                &decimal(column.into()),
                ":\n",
                info.payload_as_str().unwrap_or_default(),
            ],
        );
    }));
}
