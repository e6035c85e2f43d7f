//! Names as the configuration has them, and documentation as text.

use syn::Attribute;
use syn::Expr;
use syn::ExprLit;
use syn::Ident;
use syn::Lit;
use syn::Meta;

/// A field's or a variant's name in camelCase: `per_minute` and `PerMinute` become `perMinute`.
pub(crate) fn camel_case(ident: &Ident) -> String {
    let text = ident.to_string();
    let text = text.strip_prefix("r#").unwrap_or(&text);
    let mut name = String::with_capacity(text.len());
    let mut upper = false;
    for character in text.chars() {
        if character == '_' {
            upper = !name.is_empty();
        } else if name.is_empty() {
            name.extend(character.to_lowercase());
        } else if upper {
            name.extend(character.to_uppercase());
            upper = false;
        } else {
            name.push(character);
        }
    }
    name
}

/// The documentation comments of an item: lines joined, paragraphs kept.
pub(crate) fn docs(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes {
        let Meta::NameValue(meta) = &attribute.meta else {
            continue;
        };
        let Expr::Lit(ExprLit {
            lit: Lit::Str(line),
            ..
        }) = &meta.value
        else {
            continue;
        };
        if !meta.path.is_ident("doc") {
            continue;
        }
        // A block comment is one attribute with many lines.
        for line in line.value().split('\n') {
            push_line(&mut text, line.trim());
        }
    }
    text.trim_end().to_owned()
}

fn push_line(text: &mut String, line: &str) {
    if line.is_empty() {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push_str("\n\n");
        }
        return;
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push(' ');
    }
    text.push_str(line);
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::camel_case;
    use super::docs;

    #[test]
    fn names_become_camel_case() {
        for (rust, name) in [
            ("per_minute", "perMinute"),
            ("RoundRobin", "roundRobin"),
            ("r#type", "type"),
            ("idp", "idp"),
            ("A", "a"),
            ("http2_only", "http2Only"),
            ("_hidden", "hidden"),
        ] {
            let ident = syn::parse_str(rust).expect(rust);
            assert_eq!(camel_case(&ident), name);
        }
    }

    #[test]
    fn documentation_keeps_its_paragraphs() {
        let item: syn::ItemStruct = parse_quote! {
            /// One line
            /// and the next.
            ///
            /// Another paragraph.
            struct S;
        };
        assert_eq!(
            docs(&item.attrs),
            "One line and the next.\n\nAnother paragraph."
        );
    }
}
