//! What is said of macros that are used wrongly.

use quote::ToTokens;
use syn::parse_quote;

use crate::arguments::Arguments;
use crate::config;
use crate::filter::Kind;
use crate::signature;

/// Why a type cannot be a configuration.
fn no_config(input: &syn::DeriveInput) -> String {
    match config::derive(input) {
        Ok(tokens) => panic!("accepted: {tokens}"),
        Err(error) => error.to_string(),
    }
}

/// Why arguments are refused.
fn no_arguments(text: &str) -> String {
    match syn::parse_str::<Arguments>(text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

/// Why a function cannot be a filter.
fn no_filter(arguments: &str, function: &syn::ItemFn) -> String {
    let arguments = syn::parse_str(arguments).expect("arguments");
    match signature::check(Kind::Http, &arguments, function) {
        Ok(_) => panic!("accepted: {}", function.to_token_stream()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn attributes_that_nobody_knows_are_told_with_those_that_there_are() {
    assert_eq!(
        no_config(&parse_quote!(
            struct C {
                #[config(defalt = 1)]
                a: u8,
            }
        )),
        "unknown `defalt` here; known are `default`, `min`, `max`, `min_len`, `max_len`, \
         `pattern`, `rename`, `validate` and `serde`"
    );
    assert_eq!(
        no_config(&parse_quote!(
            #[config(rename = "x")]
            struct C {
                a: u8,
            }
        )),
        "unknown `rename` here; known are `validate`"
    );
    assert_eq!(
        no_config(&parse_quote!(
            enum C {
                #[config(default)]
                A,
            }
        )),
        "unknown `default` here; known are `rename`"
    );
    assert_eq!(
        no_config(&parse_quote!(
            struct C {
                #[config(min = 1, min = 2)]
                a: u8,
            }
        )),
        "`min` is given twice"
    );
}

#[test]
fn attributes_that_make_no_sense_say_why() {
    assert_eq!(
        no_config(&parse_quote!(
            struct C {
                #[config(max = LIMIT)]
                a: u8,
            }
        )),
        "`max` must be a literal, such as 1 or \"2s\""
    );
    assert_eq!(
        no_config(&parse_quote!(
            struct C {
                #[config(serde, max = 1)]
                a: u8,
            }
        )),
        "serde knows no limits: remove this, or `serde`"
    );
    assert_eq!(
        no_config(&parse_quote!(
            struct C {
                #[config(rename = "")]
                a: u8,
            }
        )),
        "a name cannot be empty"
    );
}

#[test]
fn types_that_cannot_be_configurations_say_why() {
    assert_eq!(
        no_config(&parse_quote!(union C { a: u8 })),
        "a union cannot be a configuration: make it a struct or an enum"
    );
    assert_eq!(
        no_config(&parse_quote!(
            enum C {}
        )),
        "an enum without variants accepts nothing: give it one"
    );
    let names = "values need names in a configuration: write `{ name: Type, … }`";
    assert_eq!(
        no_config(&parse_quote!(
            struct C(u8, u8);
        )),
        names
    );
    assert_eq!(
        no_config(&parse_quote!(
            enum C {
                A(u8, u8),
            }
        )),
        names
    );
    assert_eq!(
        no_config(&parse_quote!(
            struct C {
                a_b: u8,
                #[config(rename = "aB")]
                c: u8,
            }
        )),
        "two fields are called `aB` in the configuration"
    );
    assert_eq!(
        no_config(&parse_quote!(
            enum C {
                A,
                #[config(rename = "a")]
                B,
            }
        )),
        "two variants are called `a` in the configuration"
    );
}

#[test]
fn arguments_that_nobody_knows_are_told_with_those_that_there_are() {
    assert_eq!(
        no_arguments("conf = C"),
        "unknown argument `conf`; known are `config = Type`, `setup = function`, \
         `every(\"30s\", function)`, `needs(stop_iteration)` and `capabilities(…)`"
    );
    assert_eq!(
        no_arguments("needs(bodies)"),
        "unknown need `bodies`; known are stop_iteration"
    );
    assert!(no_arguments("capabilities(all)").starts_with("unknown capability `all`; known are"));
    assert_eq!(
        no_arguments("config = A, config = B"),
        "`config` is given twice"
    );
    assert_eq!(
        no_arguments("every(30, refresh)"),
        "expected string literal"
    );
    assert_eq!(
        no_arguments("every(\"30s\", refresh, 1)"),
        "expected `every(\"30s\", function)`"
    );
}

#[test]
fn functions_that_are_no_filters_are_told_what_a_filter_looks_like() {
    let form = "`async fn name(req: Request, next: Next, cx: &Cx<Config>) -> Result<Response>`";
    assert_eq!(
        no_filter(
            "",
            &parse_quote!(
                fn f(r: Request, n: Next, cx: &Cx) -> Result<Response> {}
            )
        ),
        format!("a filter is an async function: {form}")
    );
    let two: syn::ItemFn = parse_quote!(
        async fn f(r: Request, n: Next) -> Result<Response> {}
    );
    assert!(no_filter("", &two).ends_with(form));
    assert!(
        no_filter(
            "",
            &parse_quote!(
                async fn f() {}
            )
        )
        .ends_with(form)
    );
    assert_eq!(
        no_filter(
            "",
            &parse_quote!(
                async fn f<T>(r: T, n: Next, cx: &Cx) -> Result<Response> {}
            )
        ),
        "a filter has no generic parameters: a host could not choose them"
    );
    assert!(
        no_filter(
            "",
            &parse_quote!(
                async fn f(self, n: Next, cx: &Cx) -> Result<Response> {}
            )
        )
        .starts_with("a filter is no method")
    );
    assert!(
        no_filter(
            "",
            &parse_quote!(
                async fn f(r: Request, n: Next, cx: &Cx) {}
            )
        )
        .starts_with("a filter returns")
    );
    let by_value: syn::ItemFn = parse_quote!(
        async fn f(r: Request, n: Next, cx: Cx<C>) -> Result<Response> {}
    );
    assert!(no_filter("", &by_value).contains("by reference: `&Cx<Config>`"));
    let with_c: syn::ItemFn = parse_quote!(
        async fn f(r: Request, n: Next, cx: &Cx<C>) -> Result<Response> {}
    );
    assert!(no_filter("config = D", &with_c).contains("of another type"));
    let with_state: syn::ItemFn = parse_quote!(
        async fn f(r: Request, n: Next, cx: &Cx<C, S>) -> Result<Response> {}
    );
    assert_eq!(
        no_filter("config = C", &with_state),
        "who makes this state? name the function: `#[filter(setup = function)]`"
    );
}
