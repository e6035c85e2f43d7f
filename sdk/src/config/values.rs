//! [`FilterConfig`] of the types that Rust has.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::ConfigError;
use super::FilterConfig;
use super::Problem;
use super::check;
use super::schema::Schema;
use super::schema::Shape;
use super::units;

/// A filter without configuration accepts none.
impl FilterConfig for () {
    const SCHEMA: &'static Schema = &Schema::of(Shape::Nothing).or_nothing();

    fn read(_: &Value) -> Result<Self, Problem> {
        Ok(())
    }

    /// Without reading JSON: a filter without configuration does not carry the code for it.
    fn from_json(bytes: &[u8]) -> Result<Self, ConfigError> {
        let is_nothing = match bytes.trim_ascii() {
            b"" | b"null" => true,
            [b'{', inner @ .., b'}'] => inner.trim_ascii().is_empty(),
            _ => false,
        };
        if is_nothing {
            Ok(())
        } else {
            Err(Problem::new("expected nothing: this filter has no configuration").into())
        }
    }
}

impl FilterConfig for bool {
    const SCHEMA: &'static Schema = &Schema::of(Shape::Bool);

    fn read(value: &Value) -> Result<Self, Problem> {
        value
            .as_bool()
            .ok_or_else(|| Problem::new("expected true or false"))
    }
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl FilterConfig for $type {
            const SCHEMA: &'static Schema =
                &Schema::integer(<$type>::MIN as i128, <$type>::MAX as i128);

            fn read(value: &Value) -> Result<Self, Problem> {
                integer(value)
            }
        }
    )*};
}

integers!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);

fn integer<T: TryFrom<i128>>(value: &Value) -> Result<T, Problem> {
    value
        .as_number()
        .and_then(check::whole)
        .and_then(|value| T::try_from(value).ok())
        .ok_or_else(|| Problem::new("expected a whole number"))
}

impl FilterConfig for f64 {
    const SCHEMA: &'static Schema = &Schema::of(Shape::Number {
        min: None,
        max: None,
    });

    fn read(value: &Value) -> Result<Self, Problem> {
        value
            .as_f64()
            .ok_or_else(|| Problem::new("expected a number"))
    }
}

impl FilterConfig for String {
    const SCHEMA: &'static Schema = &Schema::text();

    fn read(value: &Value) -> Result<Self, Problem> {
        value
            .as_str()
            .map(ToOwned::to_owned)
            .ok_or_else(|| Problem::new("expected text"))
    }
}

impl FilterConfig for char {
    const SCHEMA: &'static Schema = &Schema::of(Shape::Char);

    fn read(value: &Value) -> Result<Self, Problem> {
        value
            .as_str()
            .and_then(|text| text.chars().next())
            .ok_or_else(|| Problem::new("expected one character"))
    }
}

/// `2s`, `150ms`, `1h30m`: up to four numbers of up to five digits with units.
impl FilterConfig for Duration {
    const SCHEMA: &'static Schema = &Schema::of(Shape::Duration {
        min: 0,
        max: u64::MAX,
    });

    fn read(value: &Value) -> Result<Self, Problem> {
        value
            .as_str()
            .and_then(units::duration)
            .map(Self::from_millis)
            .ok_or_else(|| Problem::new("expected a duration such as \"2s\""))
    }
}

/// Anything, as it is.
impl FilterConfig for Value {
    const SCHEMA: &'static Schema = &Schema::any();

    fn read(value: &Value) -> Result<Self, Problem> {
        Ok(value.clone())
    }
}

impl<T: FilterConfig> FilterConfig for Option<T> {
    const SCHEMA: &'static Schema = &T::SCHEMA.or_nothing();

    fn read(value: &Value) -> Result<Self, Problem> {
        match value {
            Value::Null => Ok(None),
            value => T::read(value).map(Some),
        }
    }
}

impl<T: FilterConfig> FilterConfig for Box<T> {
    const SCHEMA: &'static Schema = T::SCHEMA;

    fn read(value: &Value) -> Result<Self, Problem> {
        T::read(value).map(Self::new)
    }
}

impl<T: FilterConfig> FilterConfig for Vec<T> {
    const SCHEMA: &'static Schema = &Schema::of(Shape::List {
        item: T::SCHEMA,
        min: 0,
        max: usize::MAX,
    });

    fn read(value: &Value) -> Result<Self, Problem> {
        let items = value.as_array().into_iter().flatten();
        items
            .enumerate()
            .map(|(index, item)| T::read(item).map_err(|problem| problem.at(index)))
            .collect()
    }
}

impl<T: FilterConfig, const N: usize> FilterConfig for [T; N] {
    const SCHEMA: &'static Schema = &Schema::of(Shape::List {
        item: T::SCHEMA,
        min: N,
        max: N,
    });

    fn read(value: &Value) -> Result<Self, Problem> {
        Self::try_from(Vec::read(value)?).map_err(|_| Problem::new("expected another length"))
    }
}

impl<T: FilterConfig> FilterConfig for BTreeMap<String, T> {
    const SCHEMA: &'static Schema = &Schema::of(Shape::Map {
        value: T::SCHEMA,
        min: 0,
        max: usize::MAX,
    });

    fn read(value: &Value) -> Result<Self, Problem> {
        let entries = value.as_object().into_iter().flatten();
        entries
            .map(|(key, value)| {
                let value = T::read(value).map_err(|problem| problem.under(key))?;
                Ok((key.clone(), value))
            })
            .collect()
    }
}
