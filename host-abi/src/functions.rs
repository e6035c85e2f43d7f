//! The Proxy-Wasm ABI as one table: every import and export with its versions and signature.
//!
//! Owns names and types only; `host_calls` gives imports a meaning, `instance` calls exports. The
//! linker takes each signature from Rust closures, and a test compares them with this table, so
//! that neither can drift. The import check of `module` reads it to name what a module lacks.
//!
//! Signatures are written as one letter a value: `i` is an i32, `I` an i64.

mod exports;
mod imports;
mod table;

use std::fmt;

pub use exports::{Callback, Callbacks};
pub(crate) use exports::{EXPORTS, Role};
pub(crate) use imports::IMPORTS;
pub use table::{GuestFunction, GuestUsage, HostFunction, guest_functions, host_functions};

/// The version of the Proxy-Wasm ABI that a module speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AbiVersion {
    /// 0.1.0, spoken by filters of 2020.
    V0_1_0,
    /// 0.2.0, spoken by the Go and AssemblyScript SDKs.
    V0_2_0,
    /// 0.2.1, spoken by the Rust and C++ SDKs.
    V0_2_1,
    /// 0.2.100, Higress's dialect: 0.2.1 in which a paused header callback still gets bodies.
    Higress,
}

impl AbiVersion {
    /// All versions, the newest first.
    pub(crate) const ALL: [Self; 4] = [Self::Higress, Self::V0_2_1, Self::V0_2_0, Self::V0_1_0];

    /// The function a module exports to say that it speaks this version.
    #[must_use]
    pub const fn marker(self) -> &'static str {
        match self {
            Self::V0_1_0 => "proxy_abi_version_0_1_0",
            Self::V0_2_0 => "proxy_abi_version_0_2_0",
            Self::V0_2_1 => "proxy_abi_version_0_2_1",
            Self::Higress => "proxy_abi_version_0_2_100",
        }
    }
}

impl fmt::Display for AbiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
            Self::V0_2_1 => "0.2.1",
            Self::Higress => "0.2.100",
        })
    }
}

/// The types of a function, one letter a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) params: &'static str,
    pub(crate) result: &'static str,
}

impl Signature {
    /// Whether a function with these WebAssembly types, written in letters, has this signature.
    pub(crate) fn is(self, params: &str, result: &str) -> bool {
        self.params == params && self.result == result
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&spell(self.params, self.result))
    }
}

/// `(i32,i32)->i32` for letters; letters that are neither `i` nor `I` are other types.
pub(crate) fn spell(params: &str, result: &str) -> String {
    let names = |letters: &str| {
        let names: Vec<&str> = letters
            .chars()
            .map(|letter| match letter {
                'i' => "i32",
                'I' => "i64",
                'f' => "f32",
                'F' => "f64",
                _ => "other",
            })
            .collect();
        names.join(",")
    };
    match names(result) {
        none if none.is_empty() => format!("({})", names(params)),
        result => format!("({})->{result}", names(params)),
    }
}

/// The module names under which imports are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Namespace {
    /// `env`
    Env,
    /// `wasi_snapshot_preview1`, and `wasi_unstable` with the same functions.
    Wasi,
}

impl Namespace {
    pub(crate) const fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Env => &["env"],
            Self::Wasi => &["wasi_snapshot_preview1", "wasi_unstable"],
        }
    }
}

/// When a guest may call a function, beside its callbacks, where it always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// Only in callbacks: it concerns a stream or another party.
    Callbacks,
    /// Also while the module initialises.
    Start,
    /// Also while its allocator runs for a host call; must not need the allocator itself.
    Allocator,
}

/// One function that a guest may import.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) namespace: Namespace,
    pub(crate) name: &'static str,
    pub(crate) signature: Signature,
    pub(crate) reach: Reach,
    /// The ABI versions whose modules find it in Envoy; none for what Envoy does not have.
    pub(crate) versions: &'static [AbiVersion],
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The place of an import in the table; also its bit in an [`ImportSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ImportId(u8);

impl ImportId {
    /// The row of the named function.
    pub(crate) fn find(module: &str, name: &str) -> Option<Self> {
        let at = IMPORTS
            .iter()
            .position(|row| row.name == name && row.namespace.modules().contains(&module))?;
        u8::try_from(at).ok().map(Self)
    }

    pub(crate) fn name(self) -> &'static str {
        IMPORTS.get(usize::from(self.0)).map_or("?", |row| row.name)
    }
}

/// A set of imports, as bits: one test on the path of every host call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ImportSet(u128);

impl ImportSet {
    pub(crate) const EMPTY: Self = Self(0);

    /// The imports that `wanted` picks.
    pub(crate) fn of(wanted: impl Fn(&Import) -> bool) -> Self {
        let bits = IMPORTS
            .iter()
            .enumerate()
            .filter(|(_, row)| wanted(row))
            .fold(0, |bits, (at, _)| bits | (1_u128 << at));
        Self(bits)
    }

    pub(crate) const fn has(self, id: ImportId) -> bool {
        self.0 & (1 << id.0) != 0
    }

    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_fits_the_bits_of_a_set_and_names_nothing_twice() {
        assert!(IMPORTS.len() <= 128);
        for (at, row) in IMPORTS.iter().enumerate() {
            let module = row.namespace.modules()[0];
            assert_eq!(
                ImportId::find(module, row.name).unwrap().0 as usize,
                at,
                "{}",
                row.name
            );
        }
        for (at, row) in EXPORTS.iter().enumerate() {
            assert_eq!(
                EXPORTS.iter().position(|other| other.name == row.name),
                Some(at)
            );
        }
    }

    #[test]
    fn the_abi_has_43_proxy_functions_and_45_of_wasi() {
        let elsewhere = |row: &Import| row.versions.iter().any(|at| *at != AbiVersion::Higress);
        let proxy = IMPORTS
            .iter()
            .filter(|row| row.name.starts_with("proxy_") && elsewhere(row));
        assert_eq!(proxy.count(), 43);
        let wasi = IMPORTS
            .iter()
            .filter(|row| row.namespace == Namespace::Wasi);
        assert_eq!(wasi.count(), 45);
    }

    #[test]
    fn signatures_are_spelled_as_in_the_text_format() {
        assert_eq!(spell("iI", "i"), "(i32,i64)->i32");
        assert_eq!(spell("", ""), "()");
    }
}
