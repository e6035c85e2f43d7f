//! The values of a header of a request.

use tidegate_sdk::prelude::*;

/// How often a request has a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// Not at all.
    None,
    /// Once, with this value.
    One(Vec<u8>),
    /// Several times: what one program takes for the value, another does not.
    Several,
}

impl Values {
    /// Those of a header. One call of the host, unless there is a comma in the value: what hosts hand out
    /// as the value of a header by name is the first one.
    #[must_use]
    pub fn of<C, S>(name: &str, req: &Request, cx: &Cx<C, S>) -> Self {
        let Some(joined) = cx.property_bytes(&["request", "headers", name]) else {
            return Self::None;
        };
        if joined.contains(&b',') && req.headers().get_all(name).len() > 1 {
            return Self::Several;
        }
        Self::One(joined)
    }
}

impl FromIterator<Vec<u8>> for Values {
    fn from_iter<I: IntoIterator<Item = Vec<u8>>>(values: I) -> Self {
        let mut values = values.into_iter();
        match (values.next(), values.next()) {
            (None, _) => Self::None,
            (Some(value), None) => Self::One(value),
            (Some(_), Some(_)) => Self::Several,
        }
    }
}
