//! What a read model is to the machinery: a fold over the events of one order, and the SQL of its tables.
//!
//! A projector is pure where it matters: [`Projector::apply`] sees an order's entity and one event and gives the entity
//! after it. No clock, no sequence, no order of arrival, so a read model is the same whenever and however often it is
//! folded. An order's events share a partition and so come in one order; entities of different orders never meet, so
//! the interleaving of partitions cannot matter.
//!
//! Every SQL text names its generation's tables and is built once for each generation.

use docket_domain::OrderId;
use docket_event_store::RecordedEvent;
use sqlx::{
    AssertSqlSafe, Postgres, SqlSafeStr, SqlStr,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use std::{fmt, sync::Arc};

/// A statement with its arguments bound.
pub type PgQuery<'q> = Query<'q, Postgres, PgArguments>;

/// One build of a read model's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub i32);

impl Generation {
    /// What the migrations create.
    pub const FIRST: Self = Self(1);

    /// The name of a table of this generation.
    pub fn table(self, name: &str) -> String {
        format!("{name}_g{self}")
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why an event has no effect that could be written. It stops its partition.
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
pub fn fact(event: &RecordedEvent) -> Result<&docket_domain::Event, ApplyError> {
    event
        .event
        .as_ref()
        .map_err(|error| ApplyError::Decode(crate::fold::chain(error)))
}

/// A column of a table: its name, and its type as an argument. JSON is sent as text.
pub type Column = (&'static str, &'static str);

/// A read model that is one table with a row for each order; the first column is the order's id.
pub fn one_table(generation: Generation, table: &str, columns: &[Column]) -> ProjectorSql {
    let table = generation.table(table);
    let list = |form: &dyn Fn(&str, &str) -> String| {
        columns
            .iter()
            .map(|(name, kind)| form(name, kind))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let names = list(&|name, _| format!("\"{name}\""));
    let read = list(&|name, kind| {
        if kind == "json" {
            format!("\"{name}\"::text")
        } else {
            format!("\"{name}\"")
        }
    });
    let arguments: Vec<String> = (FIRST_ARGUMENT..)
        .zip(columns)
        .map(|(number, (_, kind))| format!("${number}::{}[]", if *kind == "json" { "text" } else { kind }))
        .collect();
    let values = list(&|name, kind| format!("r.\"{name}\"{}", if kind == "json" { "::json" } else { "" }));
    let changes = list(&|name, _| format!("\"{name}\" = excluded.\"{name}\""));
    let insert = format!(
        "insert into {table} ({names}) select {values} from moved, unnest({}) r ({names}) order by r.order_id \
         on conflict (order_id) do update set {changes}",
        arguments.join(", ")
    );
    let load = format!("select {read} from {table} where order_id = any ($1)");
    ProjectorSql {
        load: AssertSqlSafe(load).into_sql_str(),
        inserts: vec![insert],
    }
}

/// A projector's statements for one generation.
pub struct ProjectorSql {
    /// Reads the entities of the orders in `$1` (a `uuid[]`).
    pub load: SqlStr,
    /// One `insert ... select ... from moved, unnest(...) ... on conflict do update` a table. `moved` has one row when the
    /// checkpoint moved and none otherwise; the arguments start at `$`[`FIRST_ARGUMENT`].
    pub inserts: Vec<String>,
}

/// The number of the first argument that belongs to a projector in its inserts.
pub const FIRST_ARGUMENT: usize = 9;

/// A read model that is kept for each order.
pub trait Projector: Send + Sync + 'static {
    /// Everything that is kept of one order, in all tables.
    type Entity: Clone + Send + Sync + 'static;

    /// Its name: of its tables, its checkpoints and in every message.
    fn name(&self) -> &'static str;

    /// The version of the fold. A change of what the rows hold raises it, and needs a rebuild.
    fn version(&self) -> i32;

    /// Its tables, without the generation.
    fn tables(&self) -> &'static [&'static str];

    /// Its statements for a generation.
    fn sql(&self, generation: Generation) -> ProjectorSql;

    /// The entity after an event; `None` before its first.
    ///
    /// # Errors
    /// When the event cannot be decoded, or says what cannot be.
    fn apply(&self, entity: Option<Self::Entity>, event: &RecordedEvent) -> Result<Self::Entity, ApplyError>;

    /// Reads an entity from a row of `load`.
    ///
    /// # Errors
    /// When the row is not what this projector writes.
    fn entity(&self, row: &PgRow) -> Result<(OrderId, Self::Entity), sqlx::Error>;

    /// Binds the arguments of the inserts, in the entities' order, which is that of their ids.
    ///
    /// # Errors
    /// When an entity cannot be written.
    fn bind<'q>(
        &self,
        query: PgQuery<'q>,
        entities: &[(OrderId, Arc<Self::Entity>)],
    ) -> Result<PgQuery<'q>, sqlx::Error>;

    /// An estimate of an entity's memory, in bytes.
    fn approximate_bytes(&self, entity: &Self::Entity) -> usize;

    /// Every column with its value as text, for comparing two entities.
    fn columns(&self, entity: &Self::Entity) -> Vec<(&'static str, String)>;
}
