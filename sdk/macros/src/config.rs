//! `#[derive(FilterConfig)]`: the schema of a type, and how it is read.

mod variants;

use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::quote;
use quote::quote_spanned;
use syn::Data;
use syn::DeriveInput;
use syn::Error;
use syn::Field;
use syn::Fields;
use syn::FieldsNamed;
use syn::Generics;
use syn::Result;
use syn::Type;
use syn::parse_quote;
use syn::spanned::Spanned;

use crate::attributes::Attributes;
use crate::attributes::DefaultValue;
use crate::attributes::On;
use crate::names::camel_case;
use crate::names::docs;
use variants::of_enum;

/// A part of a type: an expression of its schema, and one that reads it.
struct Part {
    schema: TokenStream,
    read: TokenStream,
}

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let ident = &input.ident;
    let attributes = Attributes::read(&input.attrs, On::Type)?;
    let Part { schema, read } = match &input.data {
        Data::Struct(data) => of_struct(&data.fields, &docs(&input.attrs))?,
        Data::Enum(data) => of_enum(input, data)?,
        Data::Union(data) => {
            let message = "a union cannot be a configuration: make it a struct or an enum";
            return Err(Error::new(data.union_token.span, message));
        }
    };
    let validate = attributes.validate.map(|path| {
        quote_spanned! {path.span()=>
            ::core::result::Result::map_err(#path(&this), ::tidegate_sdk::config::Problem::new)?;
        }
    });
    let generics = bounded(&input.generics);
    let (of, types, bounds) = generics.split_for_impl();
    let mut with_de = generics.clone();
    with_de.params.insert(0, parse_quote!('de));
    let (de_of, _, _) = with_de.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #of ::tidegate_sdk::config::FilterConfig for #ident #types #bounds {
            const SCHEMA: &'static ::tidegate_sdk::config::Schema = &#schema;

            fn read(
                value: &::tidegate_sdk::__private::serde_json::Value,
            ) -> ::core::result::Result<Self, ::tidegate_sdk::config::Problem> {
                let this = #read;
                #validate
                ::core::result::Result::Ok(this)
            }
        }

        #[automatically_derived]
        impl #de_of ::tidegate_sdk::__private::serde::Deserialize<'de> for #ident #types #bounds {
            fn deserialize<D__: ::tidegate_sdk::__private::serde::Deserializer<'de>>(
                from: D__,
            ) -> ::core::result::Result<Self, D__::Error> {
                <Self as ::tidegate_sdk::config::FilterConfig>::deserialize(from)
            }
        }
    })
}

/// Type parameters must be configurations themselves.
fn bounded(generics: &Generics) -> Generics {
    let mut generics = generics.clone();
    for parameter in generics.type_params_mut() {
        parameter
            .bounds
            .push(parse_quote!(::tidegate_sdk::config::FilterConfig));
    }
    generics
}

fn of_struct(fields: &Fields, description: &str) -> Result<Part> {
    match fields {
        Fields::Named(fields) => {
            let Part { schema, read } = of_fields(fields, &quote!(Self), description)?;
            let read = quote! {{
                let entries = ::tidegate_sdk::config::Entries::of(value);
                #read
            }};
            Ok(Part { schema, read })
        }
        Fields::Unit => {
            let shape = quote!(::tidegate_sdk::config::Shape::Fields { fields: &[] });
            Ok(Part {
                schema: schema_of(&shape, description),
                read: quote!({
                    let _ = value;
                    Self
                }),
            })
        }
        Fields::Unnamed(tuple) => {
            let field = only(fields, tuple.span())?;
            let Part { schema, read } = of_inner(field)?;
            let schema = quote!(#schema.describe(#description));
            let read = quote!(Self(#read?));
            Ok(Part { schema, read })
        }
    }
}

/// A schema as a literal: what it borrows lives as long as it does.
fn schema_of(shape: &TokenStream, description: &str) -> TokenStream {
    quote! {
        ::tidegate_sdk::config::Schema {
            shape: #shape,
            nullable: false,
            secret: false,
            description: #description,
            mark: ::tidegate_sdk::config::Mark::None,
        }
    }
}

/// Named fields; `read` expects `entries`.
fn of_fields(fields: &FieldsNamed, path: &TokenStream, description: &str) -> Result<Part> {
    let mut schemas = Vec::new();
    let mut reads = Vec::new();
    let mut names = HashSet::new();
    for field in &fields.named {
        let Some(ident) = &field.ident else {
            continue;
        };
        let attributes = Attributes::read(&field.attrs, On::Field)?;
        let rename = attributes.rename.as_ref();
        let name = rename.map_or_else(|| camel_case(ident), syn::LitStr::value);
        if !names.insert(name.clone()) {
            let message = format!("two fields are called `{name}` in the configuration");
            return Err(Error::new(ident.span(), message));
        }
        schemas.push(field_schema(field, &name, &attributes));
        let read = field_read(field, &name, &attributes);
        reads.push(quote!(#ident: #read));
    }
    let shape = quote!(::tidegate_sdk::config::Shape::Fields { fields: &[#(#schemas),*] });
    Ok(Part {
        schema: schema_of(&shape, description),
        read: quote!(#path { #(#reads),* }),
    })
}

fn field_schema(field: &Field, name: &str, attributes: &Attributes) -> TokenStream {
    let ty = &field.ty;
    let limits = &attributes.limits;
    let schema = if attributes.serde {
        quote!(::tidegate_sdk::config::Schema::any())
    } else {
        let own = quote_spanned!(ty.span()=> <#ty as ::tidegate_sdk::config::FilterConfig>::SCHEMA);
        quote!((*#own)#(#limits)*)
    };
    let required = match (&attributes.default, attributes.serde) {
        (Some(_), _) => quote!(false),
        (None, true) => {
            let is_required = !is_option(ty);
            quote!(#is_required)
        }
        (None, false) => {
            quote!(!<#ty as ::tidegate_sdk::config::FilterConfig>::SCHEMA.nullable)
        }
    };
    let default = match &attributes.default {
        Some(DefaultValue::Literal(literal)) => {
            let span = literal.span();
            quote_spanned!(span=> ::core::option::Option::Some((#schema).default(#literal)))
        }
        Some(DefaultValue::OfType | DefaultValue::Computed(_)) | None => {
            quote!(::core::option::Option::None)
        }
    };
    let description = docs(&field.attrs);
    quote! {
        ::tidegate_sdk::config::Field {
            name: #name,
            description: #description,
            schema: &#schema,
            required: #required,
            default: #default,
        }
    }
}

fn field_read(field: &Field, name: &str, attributes: &Attributes) -> TokenStream {
    let ty = &field.ty;
    let read = match (&attributes.default, attributes.serde) {
        (None, false) => quote!(entries.field::<#ty>(#name)?),
        (Some(DefaultValue::Literal(literal)), false) => {
            quote!(entries.field_or::<#ty>(#name, #literal)?)
        }
        (Some(DefaultValue::Computed(value)), false) => {
            quote!(entries.field_or_else::<#ty>(#name, || #value)?)
        }
        (Some(DefaultValue::OfType), false) => quote_spanned! {ty.span()=>
            entries.field_or_else::<#ty>(#name, <#ty as ::core::default::Default>::default)?
        },
        (None, true) => quote!(entries.by_serde::<#ty>(#name, ::core::option::Option::None)?),
        (Some(DefaultValue::Literal(literal)), true) => quote! {
            entries.by_serde::<#ty>(#name, ::core::option::Option::Some(#literal))?
        },
        (Some(DefaultValue::Computed(value)), true) => {
            quote!(entries.by_serde_or_else::<#ty>(#name, || #value)?)
        }
        (Some(DefaultValue::OfType), true) => quote_spanned! {ty.span()=>
            entries.by_serde_or_else::<#ty>(#name, <#ty as ::core::default::Default>::default)?
        },
    };
    match &attributes.validate {
        None => read,
        Some(path) => quote_spanned! {path.span()=> {
            let field: #ty = #read;
            ::core::result::Result::map_err(#path(&field), |message| {
                ::tidegate_sdk::config::Problem::new(message).under(#name)
            })?;
            field
        }},
    }
}

/// The one field of a tuple; `read` is a result made of `value`.
fn of_inner(field: &Field) -> Result<Part> {
    let ty = &field.ty;
    let Attributes {
        limits, validate, ..
    } = Attributes::read(&field.attrs, On::Inner)?;
    let validate = validate.map(|path| {
        quote_spanned! {path.span()=> .and_then(|field| {
            ::core::result::Result::map_err(#path(&field), ::tidegate_sdk::config::Problem::new)?;
            ::core::result::Result::Ok(field)
        })}
    });
    Ok(Part {
        schema: quote!((*<#ty as ::tidegate_sdk::config::FilterConfig>::SCHEMA)#(#limits)*),
        read: quote!(<#ty as ::tidegate_sdk::config::FilterConfig>::read(value)#validate),
    })
}

/// The field of a tuple that has one.
fn only(fields: &Fields, span: proc_macro2::Span) -> Result<&Field> {
    let mut all = fields.iter();
    match (all.next(), all.next()) {
        (Some(field), None) => Ok(field),
        _ => Err(Error::new(
            span,
            "values need names in a configuration: write `{ name: Type, … }`",
        )),
    }
}

/// Whether a type is written as `Option<…>`.
fn is_option(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Option"))
}
