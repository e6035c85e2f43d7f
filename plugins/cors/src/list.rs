//! Lists of methods and names of headers, as a browser reads them.

/// What is allowed: some, or all.
#[derive(Debug, Default)]
pub(crate) struct List {
    names: Vec<String>,
    /// `*` is one of them.
    all: bool,
    /// As a header has it, if it can be written once for all requests.
    text: Option<String>,
}

impl List {
    /// A list. With credentials, a browser takes `*` for a name, so that it is never sent.
    pub(crate) fn new(names: impl Iterator<Item = String>, credentials: bool) -> Self {
        let mut list = Self::default();
        for name in names {
            if name == "*" {
                list.all = true;
            } else if !list.names.contains(&name) {
                list.names.push(name);
            }
        }
        let mut text = list.names.join(", ");
        if list.all {
            let separator = if text.is_empty() { "" } else { ", " };
            text = ["*", separator, &text].concat();
        }
        list.text = (!(list.all && credentials)).then_some(text);
        list
    }

    /// What a header says; `asked` in the place of a `*` that would be taken for a name. `None` if
    /// there is nothing to say.
    pub(crate) fn said<'a>(&'a self, asked: Option<&'a str>) -> Option<&'a str> {
        let said = self.text.as_deref().or(asked)?;
        (!said.is_empty()).then_some(said)
    }

    /// Whether what it says depends on what is asked for.
    pub(crate) const fn repeats(&self) -> bool {
        self.text.is_none()
    }

    /// Whether the list has a method. Those that pages may send anyway need no permission (Fetch
    /// standard, "CORS-safelisted method").
    pub(crate) fn has_method(&self, method: &str) -> bool {
        self.all
            || ["GET", "HEAD", "POST"].contains(&method)
            || self.names.iter().any(|it| it == method)
    }

    /// The first of the names in `asked` that the list does not have. `*` does not have
    /// `authorization` (Fetch standard, "CORS non-wildcard request-header name"), unless what is asked
    /// for is repeated.
    pub(crate) fn first_header_without<'a>(&self, asked: &'a str) -> Option<&'a str> {
        asked
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .find(|name| {
                let by_star =
                    self.all && (self.repeats() || !name.eq_ignore_ascii_case("authorization"));
                !by_star && !self.names.iter().any(|it| it.eq_ignore_ascii_case(name))
            })
    }
}
