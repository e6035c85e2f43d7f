//! What `#[filter(…)]` says.

use syn::Ident;
use syn::LitStr;
use syn::Path;
use syn::Result;
use syn::Token;
use syn::Type;
use syn::ext::IdentExt;
use syn::parenthesized;
use syn::parse::Parse;
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;

use crate::names::camel_case;

/// The arguments of the attribute.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) config: Option<Type>,
    pub(crate) setup: Option<Path>,
    pub(crate) jobs: Vec<(LitStr, Path)>,
    pub(crate) needs: Vec<String>,
    pub(crate) capabilities: Vec<String>,
}

const KNOWN: &str = "`config = Type`, `setup = function`, `every(\"30s\", function)`, \
                     `needs(stop_iteration)` and `capabilities(…)`";

/// What a host can be asked to do for a filter.
const NEEDS: &[&str] = &["stop_iteration"];

/// What an operator can grant.
const CAPABILITIES: &[&str] = &[
    "backends",
    "dns",
    "env",
    "metrics",
    "redis",
    "shared_data",
    "shared_queues",
];

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self::default();
        let mut seen: Vec<Ident> = Vec::new();
        while !input.is_empty() {
            let name = input.call(Ident::parse_any)?;
            if name != "every" && seen.contains(&name) {
                let message = format!("`{name}` is given twice");
                return Err(syn::Error::new(name.span(), message));
            }
            arguments.one(&name, input)?;
            seen.push(name);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

impl Arguments {
    fn one(&mut self, name: &Ident, input: ParseStream<'_>) -> Result<()> {
        match name.to_string().as_str() {
            "config" => {
                input.parse::<Token![=]>()?;
                self.config = Some(input.parse()?);
            }
            "setup" => {
                input.parse::<Token![=]>()?;
                self.setup = Some(input.parse()?);
            }
            "every" => {
                let inner;
                parenthesized!(inner in input);
                let period = inner.parse()?;
                inner.parse::<Token![,]>()?;
                let function = inner.parse()?;
                inner.parse::<Option<Token![,]>>()?;
                if !inner.is_empty() {
                    return Err(inner.error("expected `every(\"30s\", function)`"));
                }
                self.jobs.push((period, function));
            }
            "needs" => self.needs = list(input, "need", NEEDS)?,
            "capabilities" => self.capabilities = list(input, "capability", CAPABILITIES)?,
            other => {
                let message = format!("unknown argument `{other}`; known are {KNOWN}");
                return Err(syn::Error::new(name.span(), message));
            }
        }
        Ok(())
    }
}

/// Names in parentheses, as the manifest has them.
fn list(input: ParseStream<'_>, what: &str, known: &[&str]) -> Result<Vec<String>> {
    let inner;
    parenthesized!(inner in input);
    let names = Punctuated::<Ident, Token![,]>::parse_terminated(&inner)?;
    let mut list: Vec<String> = Vec::new();
    for name in &names {
        if !known.iter().any(|known| name == known) {
            let message = format!("unknown {what} `{name}`; known are {}", known.join(", "));
            return Err(syn::Error::new(name.span(), message));
        }
        let name = camel_case(name);
        if !list.contains(&name) {
            list.push(name);
        }
    }
    Ok(list)
}
