//! Which backend of its rule has a request: by a filter's choice, in place of their weights.
//!
//! Tidegate does that; other hosts do not. A filter that must run everywhere sets a header there, which
//! the host's routes match:
//!
//! ```
//! use tidegate_sdk::prelude::*;
//! use tidegate_sdk::select::{Choice, Selection};
//!
//! #[filter]
//! async fn beta(mut req: Request, next: Next, cx: &Cx) -> Result<Response> {
//!     if req.cookie("beta").is_some()
//!         && cx.select_backend(Choice::FromBack(0)) == Selection::Unsupported
//!     {
//!         req.headers_mut().set("x-version", "beta")?;
//!     }
//!     next.run(req).await
//! }
//! ```

use tidegate_sdk_sys::{Host as _, Status, host};

use crate::cx::Cx;

/// The version of the arguments (docs/foreign-functions.md).
const VERSION: u8 = 1;

/// Which of a rule's backends is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice<'a> {
    /// By its place: 0 is the first.
    FromFront(u32),
    /// By its place from the end: 0 is the last.
    FromBack(u32),
    /// By its name, at most 512 bytes: with or without its namespace and port, `namespace/name:port`.
    Named(&'a str),
}

/// What came of a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a request whose backend was not selected goes where the weights send it"]
pub enum Selection {
    /// The request goes there, unless another rule gets it.
    Done,
    /// The rule has no such backend, or no rule has the request, or it has gone on.
    Unknown,
    /// This host lets filters select nothing.
    Unsupported,
}

impl<C, S> Cx<C, S> {
    /// Decides which backend of its rule has the request, whatever its weight. Before `next` only; the
    /// last choice counts, and it holds as long as no other rule gets the request.
    pub fn select_backend(&self, choice: Choice<'_>) -> Selection {
        self.focus();
        let function = b"tidegate.select_backend";
        let selected = match choice {
            Choice::FromFront(place) => host().call_foreign_function(function, &by_place(0, place)),
            Choice::FromBack(place) => host().call_foreign_function(function, &by_place(1, place)),
            Choice::Named(name) => host().call_foreign_function(function, &by_name(name)),
        };
        match selected {
            Ok(_) => Selection::Done,
            Err(Status::NOT_FOUND) => Selection::Unsupported,
            Err(_) => Selection::Unknown,
        }
    }
}

const fn by_place(kind: u8, place: u32) -> [u8; 6] {
    let [a, b, c, d] = place.to_le_bytes();
    [VERSION, kind, a, b, c, d]
}

fn by_name(name: &str) -> Vec<u8> {
    [&[VERSION, 2], name.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::{by_name, by_place};

    #[test]
    fn the_argument_is_as_the_page_of_foreign_functions_has_it() {
        assert_eq!(by_place(0, 2), *b"\x01\0\x02\0\0\0");
        assert_eq!(by_place(1, 258), *b"\x01\x01\x02\x01\0\0");
        assert_eq!(by_name("shop/web"), b"\x01\x02shop/web");
    }
}
