//! The macros of `tidegate-sdk`; use them through it.

mod arguments;
mod attributes;
mod config;
mod filter;
mod names;
mod pattern;
mod signature;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;
use syn::DeriveInput;
use syn::ItemFn;
use syn::parse_macro_input;

/// Makes a struct or an enum readable as a filter's configuration: `FilterConfig`, which says what
/// is accepted, and serde's `Deserialize` by it. The trait's documentation lists the attributes.
#[proc_macro_derive(FilterConfig, attributes(config))]
pub fn filter_config(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    config::derive(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes an async function a filter: a type of the same name that implements `Filter`, and, in a
/// module, the exports that a host calls.
///
/// | argument | meaning |
/// |---|---|
/// | `config = T` | the configuration; the same as in `&Cx<T>` |
/// | `setup = path` | an `async fn(&Cx<T>) -> Result<S>` that runs once before streams; its value is `cx.state` of `&Cx<T, S>` |
/// | `every("30s", path)` | an `async fn(&Cx<T, S>) -> Result<()>` that runs at this interval; may be given several times |
/// | `needs(stop_iteration)` | bodies before `next`: the host must deliver them while headers wait |
/// | `capabilities(…)` | what it uses of what an operator grants, for its manifest |
#[proc_macro_attribute]
pub fn filter(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(filter::Kind::Http, arguments, item)
}

/// Makes an async function a network filter, for connections of TCP and TLS listeners, like
/// [`macro@filter`] and with its arguments:
/// `async fn name(conn: Connection, cx: &Cx<Config>) -> Result<()>`.
#[proc_macro_attribute]
pub fn network_filter(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(filter::Kind::Network, arguments, item)
}

fn expand(kind: filter::Kind, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments = match syn::parse::<arguments::Arguments>(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return error.into_compile_error().into(),
    };
    match syn::parse::<ItemFn>(item) {
        Ok(function) => filter::expand(kind, &arguments, &function),
        Err(error) => Err(error),
    }
    .unwrap_or_else(syn::Error::into_compile_error)
    .into()
}
