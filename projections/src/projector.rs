//! What a read model is to the machinery: a fold over events, by key, and the SQL of its tables.
//!
//! A projector is pure where it matters: [`Projector::touches`] says which keys an event touches, and
//! [`Projector::apply`] sees one key's entity and one event and gives the entity after it. No clock, no sequence, no order
//! of arrival, so a read model is the same whenever and however often it is folded.
//!
//! Rows of one order (its key contains the order) follow from that order's events, which share a partition and so come in
//! one order. Rows of several orders (a day, a customer) have the partition in their key: two partitions never write one
//! row, and a query adds up what they hold. So the interleaving of partitions cannot matter, by construction.
//!
//! Every SQL text names its generation's tables and is built once for each generation.

use crate::excerpt;
use docket_domain::{Event, OrderId, SealedValue, ShipmentId, StreamKind, Version};
use docket_event_store::{Position, RecordedEvent};
use sqlx::{
    AssertSqlSafe, Postgres, SqlSafeStr, SqlStr,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use std::{fmt, hash::Hash, sync::Arc};

pub use crate::generation::Generation;

/// A statement with its arguments bound.
pub type PgQuery<'q> = Query<'q, Postgres, PgArguments>;

/// Why an event has no effect that could be written.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It cannot be decoded; why.
    #[error("it cannot be decoded: {0}")]
    Decode(String),
    /// What it says does not fit what came before.
    #[error("{0}")]
    Impossible(&'static str),
}

/// The decoded fact of an event, or why there is none.
///
/// # Errors
/// When the event cannot be decoded.
pub fn fact(event: &RecordedEvent) -> Result<&Event, ApplyError> {
    event
        .event
        .as_ref()
        .map_err(|error| ApplyError::Decode(crate::fold::chain(error)))
}

/// A column of a table: its name, and its type as an argument. JSON is sent as text.
pub type Column = (&'static str, &'static str);

/// What a row is found by.
pub trait Key: Clone + Ord + Hash + fmt::Debug + fmt::Display + Send + Sync + 'static {
    /// Binds keys as arrays, one a column, from `$1` on: the arguments of [`ProjectorSql::load`].
    fn bind(query: PgQuery<'_>, keys: Vec<Self>) -> PgQuery<'_>;
}

impl Key for OrderId {
    fn bind(query: PgQuery<'_>, keys: Vec<Self>) -> PgQuery<'_> {
        query.bind(keys.into_iter().map(|order| order.0).collect::<Vec<_>>())
    }
}

impl Key for Position {
    fn bind(query: PgQuery<'_>, keys: Vec<Self>) -> PgQuery<'_> {
        let (partitions, offsets): (Vec<i16>, Vec<i64>) = keys
            .into_iter()
            .map(|key| (key.partition as i16, key.offset))
            .unzip();
        query.bind(partitions).bind(offsets)
    }
}

/// One of an order's payments or shipments, in columns `order_id` and `number`.
pub(crate) fn bind_parts(query: PgQuery<'_>, parts: impl Iterator<Item = (OrderId, u16)>) -> PgQuery<'_> {
    let (orders, numbers): (Vec<_>, Vec<_>) = parts.map(|(order, number)| (order.0, number as i16)).unzip();
    query.bind(orders).bind(numbers)
}

impl Key for ShipmentId {
    fn bind(query: PgQuery<'_>, keys: Vec<Self>) -> PgQuery<'_> {
        bind_parts(query, keys.into_iter().map(|key| (key.order, key.number)))
    }
}

/// A key that an event touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touch<K> {
    /// Which.
    pub key: K,
    /// It has no entity before this event, so none is read. Rows that are only ever inserted always begin.
    pub begins: bool,
}

impl<K> Touch<K> {
    /// The entity begins with this event.
    pub fn begins(key: K) -> Self {
        Self { key, begins: true }
    }

    /// There may be an entity already.
    pub fn changes(key: K) -> Self {
        Self { key, begins: false }
    }

    /// The entity of something that has one stream begins with the stream.
    pub fn of_stream(key: K, event: &RecordedEvent) -> Self {
        Self {
            key,
            begins: event.version == Version(1),
        }
    }
}

impl Touch<OrderId> {
    /// The event's order, which begins with its own stream.
    pub fn order(event: &RecordedEvent) -> Self {
        Self {
            key: event.stream.order,
            begins: event.stream.kind == StreamKind::Order && event.version == Version(1),
        }
    }
}

/// What a row of a table follows from. Every table has a column `partition`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsOf {
    /// The events of one order, whose id is in the column `order_id`, which has an index.
    Order,
    /// Events of many orders of one partition, which is part of the key.
    Partition,
}

/// A table of a read model.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name, without the generation.
    pub name: &'static str,
    /// What its rows follow from.
    pub rows: RowsOf,
}

/// Quotes and joins names.
pub(crate) fn names(columns: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let quoted: Vec<String> = columns
        .into_iter()
        .map(|name| format!("\"{}\"", name.as_ref()))
        .collect();
    quoted.join(", ")
}

/// What an insert does to a row that is there.
pub(crate) fn changes(columns: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let changes: Vec<String> = columns
        .into_iter()
        .map(|name| format!("\"{0}\" = excluded.\"{0}\"", name.as_ref()))
        .collect();
    changes.join(", ")
}

/// A read model that is one table with a row for each order; the first column is the order's id.
pub fn one_table(generation: Generation, table: &str, columns: &[Column]) -> ProjectorSql {
    let table = generation.table(table);
    let names = names(columns.iter().map(|(name, _)| name));
    let arguments: Vec<String> = (FIRST_ARGUMENT..)
        .zip(columns)
        .map(|(number, (_, kind))| format!("${number}::{}[]", if *kind == "json" { "text" } else { kind }))
        .collect();
    let values: Vec<String> = columns
        .iter()
        .map(|(name, kind)| format!("r.\"{name}\"{}", if *kind == "json" { "::json" } else { "" }))
        .collect();
    let insert = format!(
        "insert into {table} ({names}) select {} from moved, unnest({}) r ({names}) order by r.order_id \
         on conflict (order_id) do update set {}",
        values.join(", "),
        arguments.join(", "),
        changes(columns.iter().map(|(name, _)| name))
    );
    let load = AssertSqlSafe(format!("select {names} from {table} where order_id = any ($1)")).into_sql_str();
    ProjectorSql {
        rows: vec![load.clone()],
        load,
        inserts: vec![insert],
    }
}

/// A projector's statements for one generation.
pub struct ProjectorSql {
    /// Reads the entities of the keys that [`Key::bind`] has bound from `$1` on.
    pub load: SqlStr,
    /// One `insert ... select ... from moved, unnest(...) ... on conflict do update` a table. `moved` has one row when the
    /// checkpoint moved and none otherwise; the arguments start at `$`[`FIRST_ARGUMENT`].
    pub inserts: Vec<String>,
    /// For each table, in the order of [`Projector::tables`], what reads its rows as `load` does: those of the orders in
    /// `$1` (a `uuid[]`), or, of a table of [`RowsOf::Partition`], those of the partition `$1`.
    pub rows: Vec<SqlStr>,
}

/// The number of the first argument that belongs to a projector in its inserts.
pub const FIRST_ARGUMENT: usize = 9;

/// The first column in which two entities differ, with what is shown of each: values are cut, and not shown where the fold
/// reads personal ones.
pub(crate) fn first_difference<P: Projector>(
    projector: &P,
    one: &P::Entity,
    other: &P::Entity,
) -> Option<(&'static str, String, String)> {
    let columns = projector.columns(one).into_iter().zip(projector.columns(other));
    columns
        .map(|((column, one), (_, other))| (column, one, other))
        .find(|(_, one, other)| one != other)
        .map(|(column, one, other)| {
            let (one, other) = excerpt::of((Some(one), Some(other)), P::READS_PERSONAL);
            (column, one, other)
        })
}

/// Opens a sealed value; `None` where its key is gone.
pub type Open<'a> = dyn Fn(&SealedValue) -> Option<Vec<u8>> + 'a;

/// A read model.
pub trait Projector: Send + Sync + 'static {
    /// What its rows are found by.
    type Key: Key;
    /// Everything that is kept of one key, in all tables.
    type Entity: Clone + Send + Sync + 'static;

    /// What an event's first keys tell its later ones: `()`, but where a sum of many orders moves by what changed in one.
    type Carried: Default;

    /// Its share of the memory for entities between batches, compared with the others'; 0 where nothing that was written
    /// is changed again.
    const CACHE_SHARE: u32;

    /// It reads personal values, so that those of a batch are opened before it is folded; see [`Projector::open`]. Only where
    /// all its tables have [`RowsOf::Order`].
    const READS_PERSONAL: bool = false;

    /// Its name: of its checkpoints and in every message.
    fn name(&self) -> &'static str;

    /// The version of the fold. A change of what the rows hold raises it, and needs a rebuild.
    fn version(&self) -> i32;

    /// Its tables.
    fn tables(&self) -> &'static [Table];

    /// The place of a key's table among [`Projector::tables`].
    fn table_of(&self, _: &Self::Key) -> usize {
        0
    }

    /// Its statements for a generation.
    fn sql(&self, generation: Generation) -> ProjectorSql;

    /// The keys that an event touches, each once, in the order in which they are applied: those of its order first. An
    /// event that touches none only moves the checkpoint. What cannot be decoded
    /// is never asked about.
    fn touches(&self, event: &RecordedEvent, fact: &Event) -> impl IntoIterator<Item = Touch<Self::Key>>;

    /// The event with the personal values open that the fold reads, each by `open`; one whose key is gone is forgotten.
    /// `None` where the fold reads none of them in this event. It is asked twice: first to learn what will be opened, and
    /// that is done for a whole batch at once, so that the fold itself stays a plain function.
    fn open(&self, _: &Event, _: &Open<'_>) -> Option<Event> {
        None
    }

    /// A key's entity after an event, but for what [`Projector::settle`] does; `None` before its first. What rows of many orders hold must not depend on the order of
    /// events of different orders: sums, counts, the first and the last.
    ///
    /// # Errors
    /// When the event says what cannot be.
    fn apply(
        &self,
        key: &Self::Key,
        entity: Option<Self::Entity>,
        event: &RecordedEvent,
        fact: &Event,
        carried: &mut Self::Carried,
    ) -> Result<Self::Entity, ApplyError>;

    /// Derives what follows from an entity's state. Live owners do it after each event, so that one whose row cannot be made is
    /// found; a rebuild before the row is written.
    ///
    /// # Errors
    /// When the row cannot be made.
    fn settle(&self, _: &mut Self::Entity) -> Result<(), ApplyError> {
        Ok(())
    }

    /// Reads an entity from a row of `load`.
    ///
    /// # Errors
    /// When the row is not what this projector writes.
    fn entity(&self, row: &PgRow) -> Result<(Self::Key, Self::Entity), sqlx::Error>;

    /// Binds the arguments of the inserts, in the entities' order, which is that of their keys.
    ///
    /// # Errors
    /// When an entity cannot be written.
    fn bind<'q>(
        &self,
        query: PgQuery<'q>,
        entities: &[(Self::Key, Arc<Self::Entity>)],
    ) -> Result<PgQuery<'q>, sqlx::Error>;

    /// An estimate of an entity's memory, in bytes.
    fn approximate_bytes(&self, entity: &Self::Entity) -> usize;

    /// Whether a row may be there although the fold gives another: where a key was destroyed and the event that empties the
    /// row has not been written yet.
    fn tolerates(&self, _expected: &Self::Entity, _found: &Self::Entity) -> bool {
        false
    }

    /// A column's value for people to read, from the database's text of it: another one where that is bytes.
    fn readable(&self, _column: &str, text: String) -> String {
        text
    }

    /// Every column with its value as text, for comparing two entities.
    fn columns(&self, entity: &Self::Entity) -> Vec<(&'static str, String)>;
}
