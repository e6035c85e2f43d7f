//! Reads what a module imports and exports, without compiling it.
//!
//! Owns validation, so that a broken module is reported with the offset of its fault, and a filter
//! for another host costs no seconds of compilation.

use wasmparser::types::{CoreTypeId, EntityType, Types};
use wasmparser::{Parser, Payload, ValType, Validator, WasmFeatures};
use wasmtime::ExternType;

use super::error::ModuleError;

/// The surface of a module.
#[derive(Debug, Default)]
pub(super) struct Outline {
    pub(super) imports: Vec<(String, String, Item)>,
    pub(super) exports: Vec<(String, Item)>,
}

/// One import or export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// A function with its types as letters of the ABI table.
    Function {
        params: String,
        result: String,
    },
    Memory,
    /// Anything else, by the name of its kind.
    Other(&'static str),
}

pub(super) fn read(bytes: &[u8]) -> Result<Outline, ModuleError> {
    const MAGIC: &[u8] = b"\0asm";
    if !bytes.starts_with(MAGIC) {
        return Err(ModuleError::NotWasm(
            bytes.iter().take(8).copied().collect(),
        ));
    }
    if Parser::is_component(bytes) {
        return Err(ModuleError::Component);
    }
    let types = Validator::new_with_features(features())
        .validate_all(bytes)
        .map_err(invalid)?;
    surface(bytes, &types).map_err(invalid)
}

/// The surface of a module that was compiled before, and so was valid.
pub(super) fn of(module: &wasmtime::Module) -> Outline {
    Outline {
        imports: module
            .imports()
            .map(|import| {
                let names = (import.module().to_owned(), import.name().to_owned());
                (names.0, names.1, compiled_item(&import.ty()))
            })
            .collect(),
        exports: module
            .exports()
            .map(|export| (export.name().to_owned(), compiled_item(&export.ty())))
            .collect(),
    }
}

fn compiled_item(ty: &ExternType) -> Item {
    let letter = |ty: wasmtime::ValType| match ty {
        wasmtime::ValType::I32 => 'i',
        wasmtime::ValType::I64 => 'I',
        wasmtime::ValType::F32 => 'f',
        wasmtime::ValType::F64 => 'F',
        wasmtime::ValType::V128 | wasmtime::ValType::Ref(_) => '?',
    };
    match ty {
        ExternType::Func(function) => Item::Function {
            params: function.params().map(letter).collect(),
            result: function.results().map(letter).collect(),
        },
        ExternType::Memory(_) => Item::Memory,
        ExternType::Table(_) => Item::Other("a table"),
        ExternType::Global(_) => Item::Other("a global"),
        ExternType::Tag(_) => Item::Other("a tag"),
    }
}

/// The proposals of the engine: what passes here must compile there.
fn features() -> WasmFeatures {
    WasmFeatures::WASM3
        .difference(WasmFeatures::GC)
        .difference(WasmFeatures::EXCEPTIONS)
        .difference(WasmFeatures::MEMORY64)
        .difference(WasmFeatures::MULTI_MEMORY)
        .difference(WasmFeatures::THREADS)
        .union(WasmFeatures::GC_TYPES)
}

fn surface(bytes: &[u8], types: &Types) -> Result<Outline, wasmparser::Error> {
    let mut outline = Outline::default();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    let item = item(types, types.as_ref().entity_type_from_import(&import));
                    let names = (import.module.to_owned(), import.name.to_owned());
                    outline.imports.push((names.0, names.1, item));
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    let item = item(types, types.as_ref().entity_type_from_export(&export));
                    outline.exports.push((export.name.to_owned(), item));
                }
            }
            _ => {}
        }
    }
    Ok(outline)
}

fn item(types: &Types, entity: Option<EntityType>) -> Item {
    match entity {
        Some(EntityType::Func(id) | EntityType::FuncExact(id)) => function(types, id),
        Some(EntityType::Memory(_)) => Item::Memory,
        Some(EntityType::Table(_)) => Item::Other("a table"),
        Some(EntityType::Global(_)) => Item::Other("a global"),
        Some(EntityType::Tag(_)) | None => Item::Other("a tag"),
    }
}

fn function(types: &Types, id: CoreTypeId) -> Item {
    let letters = |types: &[ValType]| types.iter().map(letter).collect();
    match &types[id].composite_type.inner {
        wasmparser::CompositeInnerType::Func(function) => Item::Function {
            params: letters(function.params()),
            result: letters(function.results()),
        },
        _ => Item::Other("no function"),
    }
}

fn letter(ty: &ValType) -> char {
    match ty {
        ValType::I32 => 'i',
        ValType::I64 => 'I',
        ValType::F32 => 'f',
        ValType::F64 => 'F',
        ValType::V128 | ValType::Ref(_) => '?',
    }
}

fn invalid(error: wasmparser::Error) -> ModuleError {
    ModuleError::Invalid {
        offset: error.offset() as u64,
        message: error.message().to_owned(),
    }
}
