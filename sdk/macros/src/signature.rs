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

/// The form, for messages.
const FORM: &str = "async fn name(req: Request, next: Next, cx: &Cx<Config>) -> Result<Response>";

/// The types that the third parameter names.
pub(crate) struct Context {
    pub(crate) config: Type,
    pub(crate) state: Type,
}

/// Checks a filter's function.
pub(crate) fn check(arguments: &Arguments, function: &ItemFn) -> Result<Context> {
    let signature = &function.sig;
    if signature.asyncness.is_none() {
        let message = format!("a filter is an async function: `{FORM}`");
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
            format!("a filter is plain: `{FORM}`"),
        ));
    }
    let mut types = Vec::new();
    for input in &signature.inputs {
        match input {
            FnArg::Typed(typed) => types.push(&*typed.ty),
            FnArg::Receiver(receiver) => {
                let message = format!("a filter is no method: `{FORM}`");
                return Err(Error::new(receiver.span(), message));
            }
        }
    }
    let [_, _, cx] = types.as_slice() else {
        let count = types.len();
        let message = format!("a filter has three parameters, this has {count}: `{FORM}`");
        let span = signature.inputs.span();
        let span = if count == 0 {
            signature.ident.span()
        } else {
            span
        };
        return Err(Error::new(span, message));
    };
    if matches!(signature.output, ReturnType::Default) {
        let message = format!("a filter returns `Result<Response>`: `{FORM}`");
        return Err(Error::new(signature.ident.span(), message));
    }
    let context = context(cx)?;
    agree(arguments, &context)?;
    Ok(context)
}

/// What the type of the third parameter says.
fn context(cx: &Type) -> Result<Context> {
    let wrong = || {
        let message = "the third parameter is the context, by reference: `&Cx<Config>`, or \
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
        let message = "the function's third parameter is a `&Cx<…>` of another type";
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
