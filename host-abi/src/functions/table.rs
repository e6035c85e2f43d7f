//! The ABI table as embedders see it: for pages of documentation, names of permissions, and tests.
//!
//! Owns the public view; the rows are those the import check and the linker use, so nothing can be
//! said here that is not so.

use super::{AbiVersion, EXPORTS, IMPORTS, Namespace, Role};

/// A function that guests may import (Proxy-Wasm 0.2.1 "Functions implemented in the host").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostFunction {
    /// Its name, which is also that of the permission to call it.
    pub name: &'static str,
    /// The names of the modules it is found in.
    pub modules: &'static [&'static str],
    /// Its parameters, one letter each: `i` is an i32, `I` an i64.
    pub params: &'static str,
    /// Its result, in the same letters; empty for none.
    pub result: &'static str,
    /// The versions whose modules find it in other hosts, Higress's dialect among them; here every
    /// module does. Empty for what only some toolchain expects.
    pub versions: &'static [AbiVersion],
    /// Whether it is one of WASI and not of Proxy-Wasm.
    pub wasi: bool,
}

/// Every function that guests may import, in the order of the specification's chapters.
pub fn host_functions() -> impl ExactSizeIterator<Item = HostFunction> {
    IMPORTS.iter().map(|row| HostFunction {
        name: row.name,
        modules: row.namespace.modules(),
        params: row.signature.params,
        result: row.signature.result,
        versions: row.versions,
        wasi: row.namespace == Namespace::Wasi,
    })
}

/// A function that guests may export (Proxy-Wasm 0.2.1 "Functions implemented in the Wasm module").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestFunction {
    /// Its name; for callbacks also that of the permission to have them.
    pub name: &'static str,
    /// Its parameters in ABI 0.2.0 and later, in the letters of [`HostFunction::params`].
    pub params: &'static str,
    /// Its parameters in ABI 0.1.0.
    pub params_0_1: &'static str,
    /// Its result, in the same letters; empty for none.
    pub result: &'static str,
    /// What the host does with it.
    pub usage: GuestUsage,
}

/// What this host does with an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestUsage {
    /// Part of the life cycle or an allocator: no permission takes it away.
    Life,
    /// A callback, called where the plugin may have it.
    Callback,
    /// Known and never called.
    Uncalled,
}

/// Every export that the host looks at, markers of versions aside ([`AbiVersion::marker`]).
pub fn guest_functions() -> impl ExactSizeIterator<Item = GuestFunction> {
    EXPORTS.iter().map(|row| {
        let now = row.signature(AbiVersion::V0_2_1);
        GuestFunction {
            name: row.name,
            params: now.params,
            params_0_1: row.signature(AbiVersion::V0_1_0).params,
            result: now.result,
            usage: match row.role {
                Role::Life => GuestUsage::Life,
                Role::Callback(_) => GuestUsage::Callback,
                Role::Uncalled => GuestUsage::Uncalled,
            },
        }
    })
}
