//! What `#[config(…)]` says.

use proc_macro2::TokenStream;
use quote::ToTokens;
use quote::quote_spanned;
use syn::Attribute;
use syn::Expr;
use syn::ExprArray;
use syn::ExprLit;
use syn::ExprUnary;
use syn::Lit;
use syn::LitStr;
use syn::Path;
use syn::Result;
use syn::Token;
use syn::UnOp;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;

use crate::pattern;

/// What stands in `#[config(…)]` of one item.
#[derive(Default)]
pub(crate) struct Attributes {
    pub(crate) default: Option<DefaultValue>,
    /// Calls that narrow the schema: `.min(&…)`.
    pub(crate) limits: Vec<TokenStream>,
    pub(crate) rename: Option<LitStr>,
    pub(crate) validate: Option<Path>,
    pub(crate) serde: bool,
}

/// What a field is if it is left out.
pub(crate) enum DefaultValue {
    /// `default`: what the type says.
    OfType,
    /// A literal, as an expression of type `Literal`.
    Literal(TokenStream),
    /// Any other expression.
    Computed(Box<Expr>),
}

/// Where an attribute stands, and so what it may say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Type,
    Variant,
    Field,
    /// The one field of a tuple: it has no name.
    Inner,
}

impl On {
    const fn known(self) -> &'static str {
        match self {
            Self::Type => "`validate`",
            Self::Variant => "`rename`",
            Self::Field => {
                "`default`, `min`, `max`, `min_len`, `max_len`, `pattern`, `rename`, `validate` and \
                 `serde`"
            }
            Self::Inner => "`min`, `max`, `min_len`, `max_len`, `pattern` and `validate`",
        }
    }

    fn allows(self, name: &str) -> bool {
        self.known().split('`').any(|known| known == name)
    }
}

impl Attributes {
    /// Reads the attributes of an item.
    pub(crate) fn read(attributes: &[Attribute], on: On) -> Result<Self> {
        let mut read = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for attribute in attributes {
            if !attribute.path().is_ident("config") {
                continue;
            }
            attribute.parse_nested_meta(|meta| {
                let name = meta.path.get_ident().map(ToString::to_string);
                let name = name.unwrap_or_default();
                if !on.allows(&name) {
                    let path = meta.path.to_token_stream();
                    let known = on.known();
                    return Err(meta.error(format!("unknown `{path}` here; known are {known}")));
                }
                if seen.contains(&name) {
                    return Err(meta.error(format!("`{name}` is given twice")));
                }
                read.one(&name, &meta)?;
                seen.push(name);
                Ok(())
            })?;
        }
        if let (true, Some(limit)) = (read.serde, read.limits.first()) {
            return Err(syn::Error::new(
                limit.span(),
                "serde knows no limits: remove this, or `serde`",
            ));
        }
        Ok(read)
    }

    fn one(&mut self, name: &str, meta: &ParseNestedMeta<'_>) -> Result<()> {
        match name {
            "default" if !meta.input.peek(Token![=]) => self.default = Some(DefaultValue::OfType),
            "default" => {
                let value: Expr = meta.value()?.parse()?;
                self.default = Some(match literal(&value)? {
                    Some(literal) => DefaultValue::Literal(literal),
                    None => DefaultValue::Computed(Box::new(value)),
                });
            }
            "min" | "max" => {
                let value: Expr = meta.value()?.parse()?;
                let Some(literal) = literal(&value)? else {
                    let message = format!("`{name}` must be a literal, such as 1 or \"2s\"");
                    return Err(syn::Error::new_spanned(value, message));
                };
                let method = syn::Ident::new(name, value.span());
                self.limits
                    .push(quote_spanned!(value.span()=> .#method(&#literal)));
            }
            "min_len" | "max_len" => {
                let value: Expr = meta.value()?.parse()?;
                let method = syn::Ident::new(name, value.span());
                self.limits
                    .push(quote_spanned!(value.span()=> .#method(#value)));
            }
            "pattern" => {
                let text: LitStr = meta.value()?.parse()?;
                let node = pattern::tokens(&text.value());
                let node = node.map_err(|said| syn::Error::new(text.span(), said))?;
                self.limits
                    .push(quote_spanned!(text.span()=> .pattern(#text, &#node)));
            }
            "rename" => {
                let name: LitStr = meta.value()?.parse()?;
                if name.value().is_empty() {
                    return Err(syn::Error::new(name.span(), "a name cannot be empty"));
                }
                self.rename = Some(name);
            }
            "validate" => self.validate = Some(meta.value()?.parse()?),
            _ => self.serde = true,
        }
        Ok(())
    }
}

/// A literal as an expression of type `Literal`; `None` if it is another expression.
fn literal(value: &Expr) -> Result<Option<TokenStream>> {
    let span = value.span();
    let path = quote_spanned!(span=> ::tidegate_sdk::config::Literal);
    Ok(match value {
        Expr::Lit(ExprLit { lit, .. }) => plain(lit, "")?,
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(_),
            expr,
            ..
        }) => match &**expr {
            Expr::Lit(ExprLit {
                lit: lit @ (Lit::Int(_) | Lit::Float(_)),
                ..
            }) => plain(lit, "-")?,
            _ => None,
        },
        Expr::Array(ExprArray { elems, .. }) => {
            let items: Result<Option<Vec<TokenStream>>> = elems.iter().map(literal).collect();
            items?.map(|items| quote_spanned!(span=> #path::List(&[#(#items),*])))
        }
        _ => None,
    })
}

fn plain(lit: &Lit, sign: &str) -> Result<Option<TokenStream>> {
    let span = lit.span();
    let path = quote_spanned!(span=> ::tidegate_sdk::config::Literal);
    Ok(match lit {
        Lit::Bool(value) => Some(quote_spanned!(span=> #path::Bool(#value))),
        Lit::Str(text) => Some(quote_spanned!(span=> #path::Text(#text))),
        Lit::Char(value) => {
            let text = value.value().to_string();
            Some(quote_spanned!(span=> #path::Text(#text)))
        }
        Lit::Int(value) => {
            let text = format!("{sign}{}", value.base10_digits());
            let value: i64 = text
                .parse()
                .map_err(|_| syn::Error::new(span, "a number with more than 63 bits"))?;
            let value = i128::from(value);
            Some(quote_spanned!(span=> #path::Integer(#value, #text)))
        }
        Lit::Float(value) => {
            let text = format!("{sign}{}", value.base10_digits());
            let value: f64 = text
                .parse()
                .map_err(|_| syn::Error::new(span, "not a number"))?;
            if !value.is_finite() {
                return Err(syn::Error::new(span, "too large for a number"));
            }
            // As JSON has it: `1.` is none.
            let text = value.to_string();
            Some(quote_spanned!(span=> #path::Number(#value, #text)))
        }
        _ => None,
    })
}
