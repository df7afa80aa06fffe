//! Fields that become JSON where they stand.
//!
//! A list of lines has a dozen fields a line, each a number, a word or an amount. Through the engine each costs a context, a
//! future and a value that is written and dropped, several times as much as the bytes of the answer. What an object *shows* is
//! written from the value itself; how is found once for a list, and everything else stays the engine's.

use async_graphql::{ContainerType, ContextSelectionSet, ID, resolver_utils::EnumType};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Plain, PlainList, Selected};

/// The selection within a field, made where somebody wants it.
pub(in crate::graphql) type Below<'f, 'a> = &'f dyn Fn() -> ContextSelectionSet<'a>;

/// An object of which some fields are written without the engine: those that [`shown!`] names.
pub trait Shown: ContainerType {
    /// Resolving one may wait for the database: a list is then resolved by the engine, all at once, where not all is
    /// shown.
    const MAY_WAIT: bool = false;

    /// What it shows is there; where it is not, all is the engine's.
    fn is_whole(&self) -> bool {
        true
    }

    /// The fields that it shows.
    const SHOWN: &'static [&'static str] = &[];

    /// About how many bytes one is in an answer.
    const USUAL_BYTES: usize = 128;

    /// How a field is written; `None` where the engine does it.
    fn form<'a>(_name: &str, _below: Below<'_, 'a>) -> Option<Form<'a>> {
        None
    }

    /// Adds a field's text.
    fn show(&self, _form: &Form<'_>, _text: &mut Vec<u8>) {}
}

/// How a field is written.
pub struct Form<'a> {
    /// Which, among those that its object shows.
    pub(in crate::graphql) place: usize,
    /// What is asked for of the objects in it, where it has any.
    pub(in crate::graphql) within: Option<Selected<'a>>,
}

/// The place of `__typename`, which every object shows.
const TYPENAME: usize = usize::MAX;

impl<'a> Form<'a> {
    /// How a field of `T` is written; `None` where the engine does it.
    pub(super) fn of<T: Shown>(name: &str, below: Below<'_, 'a>) -> Option<Form<'a>> {
        if name == "__typename" {
            return Some(Form {
                place: TYPENAME,
                within: None,
            });
        }
        T::form(name, below)
    }

    /// Adds the field's text.
    pub(super) fn write<T: Shown>(&self, object: &T, text: &mut Vec<u8>) {
        if self.place == TYPENAME {
            write_leaf(&object.introspection_type_name(), text);
        } else {
            object.show(self, text);
        }
    }
}

/// The value of a field that is written without the engine.
pub(in crate::graphql) trait Written {
    /// What is asked for of the objects in it, `Some(None)` where it has none; `None` where they do not show all of that.
    fn within<'a>(_below: Below<'_, 'a>) -> Option<Option<Selected<'a>>> {
        Some(None)
    }

    /// Adds its text.
    fn write(&self, within: Option<&Selected<'_>>, text: &mut Vec<u8>);
}

/// What a field of `T` is asked for. The function that gives its value is never called: it says which type that is.
pub(in crate::graphql) fn within<'t, 'a, T: 't, W: Written>(
    _: impl Fn(&'t T) -> W,
    below: Below<'_, 'a>,
) -> Option<Option<Selected<'a>>> {
    W::within(below)
}

/// Lets an object show fields, each by its name in GraphQL and what it is of the object; behind them what else
/// [`Shown`] asks.
macro_rules! shown {
    ($type:ty, |$object:ident| { $($name:ident: $value:expr),+ $(,)? } $(, $($more:item)+)?) => {
        impl $crate::graphql::plain::Shown for $type {
            const SHOWN: &'static [&'static str] = &[$(stringify!($name)),+];

            $($($more)+)?

            fn form<'a>(
                name: &str,
                below: $crate::graphql::plain::Below<'_, 'a>,
            ) -> Option<$crate::graphql::plain::Form<'a>> {
                let place = Self::SHOWN.iter().position(|shown| *shown == name)?;
                // One after the other, as they are numbered: constants, of which the compiler makes a table.
                let mut next = 0..;
                $(if next.next() == Some(place) {
                    let within = $crate::graphql::plain::within(|$object: &$type| $value, below)?;
                    return Some($crate::graphql::plain::Form { place, within });
                })+
                None
            }

            fn show(&self, form: &$crate::graphql::plain::Form<'_>, text: &mut Vec<u8>) {
                let ($object, mut next) = (self, 0..);
                $(if next.next() == Some(form.place) {
                    return $crate::graphql::plain::Written::write(&$value, form.within.as_ref(), text);
                })+
            }
        }
    };
}
pub(in crate::graphql) use shown;

impl<W: Written> Written for &W {
    fn within<'a>(below: Below<'_, 'a>) -> Option<Option<Selected<'a>>> {
        W::within(below)
    }

    fn write(&self, within: Option<&Selected<'_>>, text: &mut Vec<u8>) {
        (*self).write(within, text);
    }
}

impl<W: Written> Written for Option<W> {
    fn within<'a>(below: Below<'_, 'a>) -> Option<Option<Selected<'a>>> {
        W::within(below)
    }

    fn write(&self, within: Option<&Selected<'_>>, text: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(within, text),
            None => text.extend_from_slice(b"null"),
        }
    }
}

impl<W: Written> Written for Vec<W> {
    fn within<'a>(below: Below<'_, 'a>) -> Option<Option<Selected<'a>>> {
        W::within(below)
    }

    fn write(&self, within: Option<&Selected<'_>>, text: &mut Vec<u8>) {
        text.push(b'[');
        for (index, item) in self.iter().enumerate() {
            if index > 0 {
                text.push(b',');
            }
            item.write(within, text);
        }
        text.push(b']');
    }
}

impl<T: Shown> Written for PlainList<T> {
    fn within<'a>(below: Below<'_, 'a>) -> Option<Option<Selected<'a>>> {
        Plain::<T>::within(below)
    }

    fn write(&self, within: Option<&Selected<'_>>, text: &mut Vec<u8>) {
        self.0.write(within, text);
    }
}

impl<T: Shown> Written for Plain<T> {
    fn within<'a>(below: Below<'_, 'a>) -> Option<Option<Selected<'a>>> {
        let selected = Selected::of::<T>(&below(), true).filter(Selected::is_shown);
        selected.map(Some)
    }

    fn write(&self, within: Option<&Selected<'_>>, text: &mut Vec<u8>) {
        if let Some(selected) = within {
            selected.show(&self.0, text);
        }
    }
}

/// Scalars that serde writes as the engine does.
macro_rules! leaf {
    ($($type:ty),+ $(,)?) => {
        $(impl $crate::graphql::plain::Written for $type {
            fn write(&self, _: Option<&$crate::graphql::plain::Selected<'_>>, text: &mut Vec<u8>) {
                $crate::graphql::plain::write_leaf(self, text);
            }
        })+
    };
}
pub(in crate::graphql) use leaf;

leaf!(bool, i32, String, ID);

/// Enums, by their names in GraphQL.
macro_rules! leaf_enum {
    ($($type:ty),+ $(,)?) => {
        $(impl $crate::graphql::plain::Written for $type {
            fn write(&self, _: Option<&$crate::graphql::plain::Selected<'_>>, text: &mut Vec<u8>) {
                $crate::graphql::plain::write_enum(*self, text);
            }
        })+
    };
}
pub(in crate::graphql) use leaf_enum;

impl Written for DateTime<Utc> {
    fn write(&self, _: Option<&Selected<'_>>, text: &mut Vec<u8>) {
        write_leaf(&self.to_rfc3339(), text);
    }
}

/// Adds a scalar's text. What is in memory can be written.
pub(in crate::graphql) fn write_leaf<T: Serialize>(value: &T, text: &mut Vec<u8>) {
    let before = text.len();
    if serde_json::to_writer(&mut *text, value).is_err() {
        text.truncate(before);
        text.extend_from_slice(b"null");
    }
}

/// Adds the name of an enum's variant.
pub(in crate::graphql) fn write_enum<T: EnumType>(value: T, text: &mut Vec<u8>) {
    let item = T::items().iter().find(|item| item.value == value);
    text.push(b'"');
    text.extend_from_slice(item.map_or("", |item| item.name).as_bytes());
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::Shown;
    use crate::graphql::{
        order::{
            parts::{Allocation, LineQuantity, OrderLine, OrderTotals},
            source::Order,
        },
        payment::{
            parts::{Capture, Refund},
            types::Payment,
        },
        scalars::Amount,
        shipment::types::{Parcel, Shipment, Tracking},
    };
    use async_graphql::registry::Registry;

    /// One that is none would be the engine's, without a word.
    #[test]
    fn what_is_shown_is_in_the_schema() {
        fn check<T: Shown>(registry: &mut Registry) {
            T::create_type_info(registry);
            let object = &registry.types[&*T::type_name()];
            assert!(!T::SHOWN.is_empty());
            for field in T::SHOWN {
                assert!(
                    object.field_by_name(field).is_some(),
                    "{}.{field}",
                    T::type_name()
                );
            }
        }
        let registry = &mut Registry::default();
        check::<Order>(registry);
        check::<OrderTotals>(registry);
        check::<OrderLine>(registry);
        check::<LineQuantity>(registry);
        check::<Allocation>(registry);
        check::<Amount>(registry);
        check::<Payment>(registry);
        check::<Capture>(registry);
        check::<Refund>(registry);
        check::<Shipment>(registry);
        check::<Parcel>(registry);
        check::<Tracking>(registry);
    }
}
