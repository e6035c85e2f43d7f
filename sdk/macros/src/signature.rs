//! What the function below `#[filter]` must look like.

use quote::ToTokens;
use syn::Error;
use syn::FnArg;
use syn::GenericArgument;
use syn::ItemFn;
use syn::PathArguments;
use syn::Result;
use syn::ReturnType;
use syn::Type;
use syn::parse_quote;
use syn::spanned::Spanned;

use crate::arguments::Arguments;
use crate::filter::Kind;

impl Kind {
    /// The form, for messages.
    const fn form(self) -> &'static str {
        match self {
            Self::Http => {
                "async fn name(req: Request, next: Next, cx: &Cx<Config>) -> Result<Response>"
            }
            Self::Network => "async fn name(conn: Connection, cx: &Cx<Config>) -> Result<()>",
        }
    }
}

/// The types that the third parameter names.
pub(crate) struct Context {
    pub(crate) config: Type,
    pub(crate) state: Type,
}

/// Checks a filter's function.
pub(crate) fn check(kind: Kind, arguments: &Arguments, function: &ItemFn) -> Result<Context> {
    let form = kind.form();
    let signature = &function.sig;
    if signature.asyncness.is_none() {
        let message = format!("a filter is an async function: `{form}`");
        return Err(Error::new(signature.fn_token.span, message));
    }
    if let Some(parameter) = signature.generics.params.first() {
        let message = "a filter has no generic parameters: a host could not choose them";
        return Err(Error::new(parameter.span(), message));
    }
    if let Some(clause) = &signature.generics.where_clause {
        return Err(Error::new(
            clause.span(),
            "a filter has no generic parameters",
        ));
    }
    if let Some(abi) = &signature.abi {
        return Err(Error::new(
            abi.span(),
            format!("a filter is plain: `{form}`"),
        ));
    }
    let mut types = Vec::new();
    for input in &signature.inputs {
        match input {
            FnArg::Typed(typed) => types.push(&*typed.ty),
            FnArg::Receiver(receiver) => {
                let message = format!("a filter is no method: `{form}`");
                return Err(Error::new(receiver.span(), message));
            }
        }
    }
    let parameters = match kind {
        Kind::Http => 3,
        Kind::Network => 2,
    };
    let Some(cx) = types.last().filter(|_| types.len() == parameters) else {
        let count = types.len();
        let message = format!("this filter has {parameters} parameters, not {count}: `{form}`");
        let span = signature.inputs.span();
        let span = if count == 0 {
            signature.ident.span()
        } else {
            span
        };
        return Err(Error::new(span, message));
    };
    if matches!(signature.output, ReturnType::Default) {
        let message = format!("a filter returns a result: `{form}`");
        return Err(Error::new(signature.ident.span(), message));
    }
    let context = context(cx)?;
    agree(arguments, &context)?;
    Ok(context)
}

/// What the type of the third parameter says.
fn context(cx: &Type) -> Result<Context> {
    let wrong = || {
        let message = "the last parameter is the context, by reference: `&Cx<Config>`, or \
                       `&Cx<Config, State>` with `setup = …`";
        Error::new(cx.span(), message)
    };
    let Type::Reference(reference) = cx else {
        return Err(wrong());
    };
    let Type::Path(path) = &*reference.elem else {
        return Err(wrong());
    };
    if reference.mutability.is_some() {
        return Err(wrong());
    }
    let last = path.path.segments.last().ok_or_else(wrong)?;
    let mut types = Vec::new();
    match &last.arguments {
        PathArguments::None => {}
        PathArguments::AngleBracketed(arguments) => {
            for argument in &arguments.args {
                match argument {
                    GenericArgument::Type(ty) => types.push(ty.clone()),
                    _ => return Err(wrong()),
                }
            }
        }
        PathArguments::Parenthesized(_) => return Err(wrong()),
    }
    let mut types = types.into_iter();
    let config = types.next().unwrap_or_else(|| parse_quote!(()));
    let state = types.next().unwrap_or_else(|| parse_quote!(()));
    match types.next() {
        None => Ok(Context { config, state }),
        Some(_) => Err(wrong()),
    }
}

/// The attribute and the function must say the same.
fn agree(arguments: &Arguments, context: &Context) -> Result<()> {
    if let Some(config) = &arguments.config
        && text(config) != text(&context.config)
    {
        let message = "the function's last parameter is a `&Cx<…>` of another type";
        return Err(Error::new(config.span(), message));
    }
    if arguments.setup.is_none() && !is_unit(&context.state) {
        let message = "who makes this state? name the function: `#[filter(setup = function)]`";
        return Err(Error::new(context.state.span(), message));
    }
    Ok(())
}

fn text(ty: &Type) -> String {
    ty.to_token_stream().to_string()
}

fn is_unit(ty: &Type) -> bool {
    matches!(ty, Type::Tuple(tuple) if tuple.elems.is_empty())
}
