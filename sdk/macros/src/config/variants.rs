//! The enums among configurations.

use std::collections::HashSet;

use quote::quote;
use syn::DataEnum;
use syn::DeriveInput;
use syn::Error;
use syn::Fields;
use syn::Result;
use syn::Variant;
use syn::spanned::Spanned;

use super::Part;
use super::of_fields;
use super::of_inner;
use super::only;
use super::schema_of;
use crate::attributes::Attributes;
use crate::attributes::On;
use crate::names::camel_case;
use crate::names::docs;

pub(super) fn of_enum(input: &DeriveInput, data: &DataEnum) -> Result<Part> {
    if data.variants.is_empty() {
        let message = "an enum without variants accepts nothing: give it one";
        return Err(Error::new(input.ident.span(), message));
    }
    let mut schemas = Vec::new();
    let mut arms = Vec::new();
    let mut names = HashSet::new();
    for variant in &data.variants {
        let attributes = Attributes::read(&variant.attrs, On::Variant)?;
        let rename = attributes.rename.as_ref();
        let name = rename.map_or_else(|| camel_case(&variant.ident), syn::LitStr::value);
        if !names.insert(name.clone()) {
            let message = format!("two variants are called `{name}` in the configuration");
            return Err(Error::new(variant.ident.span(), message));
        }
        let Part { schema, read } = of_variant(variant, &name)?;
        let description = docs(&variant.attrs);
        schemas.push(quote! {
            ::tidegate_sdk::config::Variant {
                name: #name,
                description: #description,
                schema: #schema,
            }
        });
        arms.push(quote!(#name => #read));
    }
    let shape = quote!(::tidegate_sdk::config::Shape::OneOf { variants: &[#(#schemas),*] });
    let read = quote! {{
        let (name, value) = ::tidegate_sdk::config::variant(value);
        let _ = value;
        match name {
            #(#arms,)*
            _ => return ::core::result::Result::Err(
                ::tidegate_sdk::config::Problem::new("expected the name of a variant")
            ),
        }
    }};
    Ok(Part {
        schema: schema_of(&shape, &docs(&input.attrs)),
        read,
    })
}

/// A variant: its schema is an option, `read` is made of `value`.
fn of_variant(variant: &Variant, name: &str) -> Result<Part> {
    let ident = &variant.ident;
    let under = quote! {
        |problem: ::tidegate_sdk::config::Problem| problem.under(#name)
    };
    match &variant.fields {
        Fields::Unit => Ok(Part {
            schema: quote!(::core::option::Option::None),
            read: quote!(Self::#ident),
        }),
        Fields::Unnamed(tuple) => {
            let field = only(&variant.fields, tuple.span())?;
            let Part { schema, read } = of_inner(field)?;
            Ok(Part {
                schema: quote!(::core::option::Option::Some(&#schema)),
                read: quote!(Self::#ident(::core::result::Result::map_err(#read, #under)?)),
            })
        }
        Fields::Named(fields) => {
            let Part { schema, read } = of_fields(fields, &quote!(Self::#ident), "")?;
            let read = quote! {{
                let read = || {
                    let entries = ::tidegate_sdk::config::Entries::of(value);
                    ::core::result::Result::<Self, ::tidegate_sdk::config::Problem>::Ok(#read)
                };
                ::core::result::Result::map_err(read(), #under)?
            }};
            Ok(Part {
                schema: quote!(::core::option::Option::Some(&#schema)),
                read,
            })
        }
    }
}
