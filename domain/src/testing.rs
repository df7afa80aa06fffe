//! Given events, when a command comes, then events, nothing, or a refusal.
//!
//! The order of the steps is in the types: only a [`Given`] has `when`, only a [`Then`] has expectations, so a test that
//! forgets to ask does not compile. Personal values are sealed as the executor does it, with a sealing that is only
//! deterministic, not secret: [`seal`].

use chrono::{DateTime, Utc};
use serde::de::{self, Deserialize, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};

use crate::actor::{Actor, Role};
use crate::case::Case;
use crate::command::Command;
use crate::context::Context;
use crate::decide::{Decision, StreamEvent, decide};
use crate::event::Event;
use crate::ids::OrderNumber;
use crate::personal::{Sealable, SealedValue};
use crate::refusal::Refusal;

/// The time at which tests happen: 2026-01-01, 12:00 UTC.
pub const NOW: DateTime<Utc> = DateTime::from_timestamp(1_767_268_800, 0).unwrap();

/// A member of staff acting [`NOW`], with an order number at hand.
pub fn staff() -> Context {
    by(Role::Staff, "s-1")
}

/// Somebody acting [`NOW`], with an order number at hand.
pub fn by(role: Role, id: &str) -> Context {
    Context {
        now: NOW,
        actor: Actor::new(role, id),
        order_number: Some(OrderNumber(1001)),
        imported: false,
    }
}

/// Seals every personal field of a command by turning its bytes around.
#[must_use]
pub fn seal(command: impl Into<Command>) -> Command {
    let mut command = command.into();
    command.visit_personal(&mut |field: &mut dyn Sealable| {
        field.seal_with(&mut |clear| SealedValue::new(clear.iter().rev().copied().collect::<Vec<u8>>()));
    });
    command
}

/// What has happened before.
#[derive(Debug, Clone, Default)]
pub struct Given {
    case: Case,
}

/// Nothing has happened.
pub fn nothing() -> Given {
    Given::default()
}

/// These events have happened, [`NOW`].
pub fn given(events: impl IntoIterator<Item = StreamEvent>) -> Given {
    Given {
        case: events
            .into_iter()
            .fold(Case::default(), |case, event| case.evolve(&event, NOW)),
    }
}

impl Given {
    /// This command was carried out too, by a member of staff.
    ///
    /// # Panics
    /// Where a rule refuses it or it changes nothing: the test's own premise is wrong.
    pub fn and(self, command: impl Into<Command>) -> Self {
        self.and_by(&staff(), command)
    }

    /// This command was carried out too.
    ///
    /// # Panics
    /// Where a rule refuses it or it changes nothing: the test's own premise is wrong.
    pub fn and_by(self, context: &Context, command: impl Into<Command>) -> Self {
        let command = seal(command);
        match decide(&self.case, &command, context) {
            Ok(Decision::Events(events)) => Self {
                case: after(self.case, &events, context),
            },
            other => panic!("the premise {} came to {other:?}", command.name()),
        }
    }

    /// A member of staff asks for this.
    pub fn when(self, command: impl Into<Command>) -> Then {
        self.when_by(&staff(), command)
    }

    /// Somebody asks for this.
    pub fn when_by(self, context: &Context, command: impl Into<Command>) -> Then {
        let outcome = decide(&self.case, &seal(command), context);
        Then {
            case: self.case,
            context: context.clone(),
            outcome,
        }
    }

    /// What it has come to.
    pub fn case(&self) -> &Case {
        &self.case
    }
}

/// The case after events that were decided in a context.
pub fn after(case: Case, events: &[StreamEvent], context: &Context) -> Case {
    events
        .iter()
        .fold(case, |case, event| case.evolve(event, context.now))
}

/// What a command came to.
#[derive(Debug)]
#[must_use = "a test expects something"]
pub struct Then {
    case: Case,
    context: Context,
    outcome: Result<Decision, Refusal>,
}

impl Then {
    /// Expects these events, in this order.
    ///
    /// # Panics
    /// Where it came to anything else.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = Event>) -> Given {
        let (given, events) = self.events();
        assert_eq!(events, expected.into_iter().collect::<Vec<_>>());
        given
    }

    /// Expects events of these types, in this order.
    ///
    /// # Panics
    /// Where it came to anything else.
    #[track_caller]
    pub fn then_types(self, expected: &[&str]) -> Given {
        let (given, events) = self.events();
        assert_eq!(events.iter().map(Event::event_type).collect::<Vec<_>>(), expected);
        given
    }

    /// Expects that it is so already.
    ///
    /// # Panics
    /// Where it came to anything else.
    #[track_caller]
    pub fn then_nothing(self) -> Given {
        assert_eq!(self.outcome, Ok(Decision::NothingToDo));
        Given { case: self.case }
    }

    /// Expects that this rule refuses.
    ///
    /// # Panics
    /// Where it came to anything else.
    #[track_caller]
    pub fn then_refused(self, expected: impl Into<Refusal>) -> Given {
        assert_eq!(self.outcome, Err(expected.into()));
        Given { case: self.case }
    }

    #[track_caller]
    fn events(self) -> (Given, Vec<Event>) {
        match self.outcome {
            Ok(Decision::Events(events)) => {
                let case = after(self.case, &events, &self.context);
                (
                    Given { case },
                    events.into_iter().map(|event| event.event).collect(),
                )
            }
            other => panic!("expected events, not {other:?}"),
        }
    }
}

/// A type as a packed form knows it, which writes places instead of names: `Name: first, second` for a struct's fields or an
/// enum's variants. Whoever keeps such a form asserts that it stays as it is, or is known to have changed.
///
/// # Panics
/// Where the type is read as neither.
pub fn layout<'de, T: Deserialize<'de>>() -> String {
    struct Layout<'a>(&'a mut Option<String>);

    impl<'de> Deserializer<'de> for Layout<'_> {
        type Error = de::value::Error;

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            name: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Self::Error> {
            *self.0 = Some(format!("{name}: {}", fields.join(", ")));
            Err(de::Error::custom("only its layout is wanted"))
        }

        fn deserialize_enum<V: Visitor<'de>>(
            self,
            name: &'static str,
            variants: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            self.deserialize_struct(name, variants, visitor)
        }

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(de::Error::custom("neither a struct nor an enum"))
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map identifier ignored_any
        }
    }

    let mut layout = None;
    let read = T::deserialize(Layout(&mut layout)).err();
    match layout {
        Some(layout) => layout,
        None => panic!("no layout: {read:?}"),
    }
}
