//! `#[filter]`: the type that stands for a filter, its manifest and its exports.

use proc_macro2::TokenStream;
use quote::quote;
use quote::quote_spanned;
use syn::ItemFn;
use syn::Result;
use syn::Visibility;
use syn::spanned::Spanned;

use crate::arguments::Arguments;
use crate::names::docs;
use crate::signature;
use crate::signature::Context;

/// What is filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Requests and responses.
    Http,
    /// Connections.
    Network,
}

pub(crate) fn expand(kind: Kind, arguments: &Arguments, function: &ItemFn) -> Result<TokenStream> {
    let Context { config, state } = signature::check(kind, arguments, function)?;
    let ident = &function.sig.ident;
    let visibility = &function.vis;
    let (documentation, other): (Vec<_>, Vec<_>) = function
        .attrs
        .iter()
        .partition(|attribute| attribute.path().is_ident("doc"));
    let undocumented = documentation
        .is_empty()
        .then(|| quote!(#[doc = "A filter."]));
    let manifest = manifest(kind, arguments, function, &config);
    let jobs = jobs(arguments);
    let setup = arguments.setup.as_ref().map_or_else(
        || quote!(::core::result::Result::Ok(())),
        |path| quote_spanned!(path.span()=> #path(&the_cx).await),
    );
    let mut inner = function.clone();
    inner.attrs = other.into_iter().cloned().collect();
    inner.vis = Visibility::Inherited;
    let run = run(kind, &inner, &config, &state);
    let word = quote::format_ident!("{}", kind.word());
    Ok(quote! {
        #(#documentation)*
        #undocumented
        #[allow(non_camel_case_types, reason = "named as its function is")]
        #[derive(Debug, Clone, Copy)]
        #visibility struct #ident;

        impl ::tidegate_sdk::Definition for #ident {
            type Config = #config;
            type State = #state;

            const NAME: &'static str = ::core::env!("CARGO_PKG_NAME");

            const MANIFEST: &'static str = #manifest;

            const JOBS: &'static [::tidegate_sdk::filter::Job<Self>] = &[#(#jobs),*];

            async fn setup(
                the_cx: ::tidegate_sdk::cx::Cx<#config>,
            ) -> ::tidegate_sdk::error::Result<#state> {
                let _ = &the_cx;
                #setup
            }
        }

        #run

        #[cfg(target_family = "wasm")]
        const _: () = {
            const MANIFEST: &str = <#ident as ::tidegate_sdk::Definition>::MANIFEST;

            #[used]
            #[allow(unsafe_code, reason = "the name of a custom section")]
            #[unsafe(link_section = "tidegate.manifest")]
            static SECTION: [u8; MANIFEST.len()] = ::tidegate_sdk::manifest::bytes(MANIFEST);
        };

        ::tidegate_sdk::export!(#word #ident);
    })
}

impl Kind {
    /// Its name in manifests.
    const fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Network => "network",
        }
    }
}

/// The trait whose method is the user's function.
fn run(kind: Kind, inner: &ItemFn, config: &syn::Type, state: &syn::Type) -> TokenStream {
    let ident = &inner.sig.ident;
    // A function of its own in the user's crate: backtraces name it, whatever is inlined around it.
    let polled = quote! {
        #[inline(never)]
        fn poll<T>(
            the_future: ::core::pin::Pin<&mut impl ::core::future::Future<Output = T>>,
            the_task: &mut ::core::task::Context<'_>,
        ) -> ::core::task::Poll<T> {
            ::core::future::Future::poll(the_future, the_task)
        }
        let mut the_future = the_future;
        ::core::future::poll_fn(|the_task| poll(the_future.as_mut(), the_task)).await
    };
    match kind {
        Kind::Http => quote! {
            impl ::tidegate_sdk::Filter for #ident {
                async fn run(
                    the_request: ::tidegate_sdk::request::Request,
                    the_next: ::tidegate_sdk::next::Next,
                    the_cx: ::tidegate_sdk::cx::Cx<#config, #state>,
                ) -> ::tidegate_sdk::error::Result<::tidegate_sdk::response::Response> {
                    #inner
                    let the_future = ::core::pin::pin!(#ident(the_request, the_next, &the_cx));
                    #polled
                }
            }
        },
        Kind::Network => quote! {
            impl ::tidegate_sdk::NetworkFilter for #ident {
                async fn run(
                    the_connection: ::tidegate_sdk::connection::Connection,
                    the_cx: ::tidegate_sdk::cx::Cx<#config, #state>,
                ) -> ::tidegate_sdk::error::Result<()> {
                    #inner
                    let the_future = ::core::pin::pin!(#ident(the_connection, &the_cx));
                    #polled
                }
            }
        },
    }
}

fn manifest(
    kind: Kind,
    arguments: &Arguments,
    function: &ItemFn,
    config: &syn::Type,
) -> TokenStream {
    let kind = kind.word();
    let description = docs(&function.attrs);
    let Arguments {
        needs,
        capabilities,
        ..
    } = arguments;
    let schema = quote_spanned! {config.span()=>
        <#config as ::tidegate_sdk::config::FilterConfig>::SCHEMA
    };
    quote! {{
        const MANIFEST: ::tidegate_sdk::manifest::Manifest = ::tidegate_sdk::manifest::Manifest {
            name: ::core::env!("CARGO_PKG_NAME"),
            version: ::core::env!("CARGO_PKG_VERSION"),
            description: #description,
            kind: #kind,
            needs: &[#(#needs),*],
            capabilities: &[#(#capabilities),*],
            config: #schema,
        };
        const BYTES: [u8; MANIFEST.len()] = MANIFEST.render();
        ::tidegate_sdk::manifest::as_text(&BYTES)
    }}
}

fn jobs(arguments: &Arguments) -> Vec<TokenStream> {
    let jobs = arguments.jobs.iter();
    jobs.map(|(period, function)| {
        let name = quote!(#function).to_string().replace(' ', "");
        let span = period.span();
        let period = quote_spanned!(span=> ::tidegate_sdk::config::period(#period));
        quote! {
            ::tidegate_sdk::filter::Job {
                name: #name,
                period: #period,
                run: |the_cx| ::std::boxed::Box::pin(async move { #function(&the_cx).await }),
            }
        }
    })
    .collect()
}
