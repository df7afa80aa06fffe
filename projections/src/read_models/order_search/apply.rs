//! What each event does to a row: only those that say or take back what somebody is found by.

use super::{
    NAME,
    index::Index,
    query::{bind, read, sql},
};
use crate::projector::{
    ApplyError, Generation, Open, PgQuery, Projector, ProjectorSql, RowsOf, Table, Touch,
};
use docket_domain::{
    Event, OrderId, Personal,
    order::{DetailsSet, Drafted, OrderEvent},
    text::{Email, Name},
};
use docket_event_store::{MasterKey, RecordedEvent, Vault};
use sqlx::postgres::PgRow;
use std::sync::Arc;
use uuid::Uuid;

/// What an order is found by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entity {
    pub(super) partition: u16,
    pub(super) email: Option<Uuid>,
    /// In ascending order, each once.
    pub(super) words: Vec<Uuid>,
    /// Not stored: the fold met a value that it could not open.
    email_unreadable: bool,
    name_unreadable: bool,
}

impl Entity {
    pub(super) fn stored(partition: u16, email: Option<Uuid>, words: Vec<Uuid>) -> Self {
        Self {
            partition,
            email,
            words,
            ..Self::default()
        }
    }

    fn set(&mut self, index: &Index, email: Option<&Personal<Email>>, name: Option<&Personal<Name>>) {
        if let Some(email) = email {
            self.email = clear(email).map(|email| index.email(email.as_str()));
            self.email_unreadable = self.email.is_none();
        }
        if let Some(name) = name {
            self.words = clear(name)
                .map(|name| index.words(name.as_str()))
                .unwrap_or_default();
            self.name_unreadable = clear(name).is_none();
        }
    }
}

/// A value that was opened for the fold.
fn clear<T>(value: &Personal<T>) -> Option<&T> {
    match value {
        Personal::Open(value) => Some(value),
        Personal::Sealed(_) | Personal::Forgotten => None,
    }
}

/// The fold of `order_search`.
#[derive(Clone)]
pub struct OrderSearchProjector(Index);

impl OrderSearchProjector {
    /// With the vault's master key.
    pub fn new(vault: &Vault) -> Self {
        Self(Index::new(vault))
    }

    /// With a master key.
    pub fn with(master: &MasterKey) -> Self {
        Self(Index::with(master))
    }
}

impl Projector for OrderSearchProjector {
    type Key = OrderId;
    type Entity = Entity;
    type Carried = ();

    // A row changes once or twice, soon after it began.
    const CACHE_SHARE: u32 = 1;
    const READS_PERSONAL: bool = true;

    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static [Table] {
        &[Table {
            name: NAME,
            rows: RowsOf::Order,
        }]
    }

    fn sql(&self, generation: Generation) -> ProjectorSql {
        sql(generation)
    }

    fn open(&self, fact: &Event, open: &Open<'_>) -> Option<Event> {
        let email = |value: &Option<Personal<Email>>| value.as_ref().map(|value| value.opened_with(open));
        let name = |value: &Option<Personal<Name>>| value.as_ref().map(|value| value.opened_with(open));
        match fact {
            Event::Order(OrderEvent::Drafted(drafted)) => Some(Event::Order(OrderEvent::Drafted(Drafted {
                email: email(&drafted.email),
                name: name(&drafted.name),
                ..drafted.clone()
            }))),
            Event::Order(OrderEvent::DetailsSet(set)) if has_contact(set) => {
                let set = DetailsSet {
                    email: email(&set.email),
                    name: name(&set.name),
                    ..DetailsSet::clone(set)
                };
                Some(Event::Order(OrderEvent::DetailsSet(Box::new(set))))
            }
            _ => None,
        }
    }

    fn touches(&self, event: &RecordedEvent, fact: &Event) -> impl IntoIterator<Item = Touch<OrderId>> {
        let is_touched = match fact {
            Event::Order(OrderEvent::Drafted(_) | OrderEvent::PersonalDataForgotten(_)) => true,
            Event::Order(OrderEvent::DetailsSet(set)) => has_contact(set),
            _ => false,
        };
        is_touched.then(|| Touch::order(event))
    }

    fn apply(
        &self,
        _: &OrderId,
        entity: Option<Entity>,
        event: &RecordedEvent,
        fact: &Event,
        (): &mut (),
    ) -> Result<Entity, ApplyError> {
        let mut entity = entity.unwrap_or_else(|| Entity::stored(event.position.partition, None, Vec::new()));
        match fact {
            Event::Order(OrderEvent::Drafted(drafted)) => {
                entity.set(&self.0, drafted.email.as_ref(), drafted.name.as_ref());
            }
            Event::Order(OrderEvent::DetailsSet(set)) => {
                entity.set(&self.0, set.email.as_ref(), set.name.as_ref());
            }
            Event::Order(OrderEvent::PersonalDataForgotten(_)) => {
                entity = Entity::stored(entity.partition, None, Vec::new());
            }
            _ => {}
        }
        Ok(entity)
    }

    fn entity(&self, row: &PgRow) -> Result<(OrderId, Entity), sqlx::Error> {
        read(row)
    }

    fn bind<'q>(
        &self,
        query: PgQuery<'q>,
        entities: &[(OrderId, Arc<Entity>)],
    ) -> Result<PgQuery<'q>, sqlx::Error> {
        Ok(bind(query, entities))
    }

    fn approximate_bytes(&self, entity: &Entity) -> usize {
        size_of::<Entity>() + entity.words.len() * size_of::<Uuid>()
    }

    fn tolerates(&self, expected: &Entity, found: &Entity) -> bool {
        expected.partition == found.partition
            && (expected.email_unreadable || expected.email == found.email)
            && (expected.name_unreadable || expected.words == found.words)
    }

    fn columns(&self, entity: &Entity) -> Vec<(&'static str, String)> {
        let words: Vec<String> = entity.words.iter().map(Uuid::to_string).collect();
        vec![
            ("partition", entity.partition.to_string()),
            (
                "email",
                entity.email.map(|hash| hash.to_string()).unwrap_or_default(),
            ),
            ("words", words.join(" ")),
        ]
    }
}

fn has_contact(set: &DetailsSet) -> bool {
    set.email.is_some() || set.name.is_some()
}
