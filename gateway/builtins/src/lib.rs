//! The policy filters of `plugins/`, as the modules that a Plugin names with `source: { builtin: NAME }`.
//!
//! `build.rs` compiles them; nothing here knows what they do.

include!(concat!(env!("OUT_DIR"), "/modules.rs"));

/// A filter that comes with the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Builtin {
    /// Its name, as a Plugin's source has it.
    pub name: &'static str,
    /// The module.
    pub module: &'static [u8],
}

/// All of them, by name. None in a binary that was built with `TIDEGATE_BUILTINS=none`.
#[must_use]
pub const fn all() -> &'static [Builtin] {
    MODULES
}

/// The one of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Builtin> {
    MODULES.iter().find(|it| it.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_a_module_and_found_by_its_name() {
        for builtin in all() {
            assert!(builtin.module.starts_with(b"\0asm"), "{}", builtin.name);
            assert_eq!(find(builtin.name), Some(builtin));
        }
        assert!(all().is_sorted_by_key(|it| it.name));
        assert_eq!(find("no-such-filter"), None);
    }
}
