//! Tables whose rows are serde structs with a field for each column.
//!
//! Rows go in as one JSON document a batch and come out as JSON, so a column is written down twice (in the struct and in the
//! table's list) and not five times. It costs a few microseconds a row more than arrays; what is written for each event of
//! an order that people wait for (`order_summary`) has arrays.

use crate::{
    projector::{Column, FIRST_ARGUMENT, Generation, PgQuery, ProjectorSql, RowsOf, changes, names},
    read_models::stored::{from_json, to_json},
};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{AssertSqlSafe, Row, SqlSafeStr, SqlStr, postgres::PgRow};

/// A table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JsonTable {
    /// Its name, without the generation.
    pub(crate) name: &'static str,
    /// The columns of its primary key.
    pub(crate) key: &'static [Column],
    /// All columns: the fields of the struct.
    pub(crate) columns: &'static [&'static str],
}

impl JsonTable {
    /// The insert whose argument is the `number`th of the projector's own, from 0: an array of rows in JSON.
    pub(crate) fn insert(&self, generation: Generation, number: usize) -> String {
        let table = generation.table(self.name);
        let columns = names(self.columns);
        let key = names(self.key.iter().map(|(name, _)| name));
        format!(
            "insert into {table} ({columns}) select {columns} from moved, \
             json_populate_recordset(null::{table}, ${}::json) order by {key} on conflict ({key}) do update set {}",
            FIRST_ARGUMENT + number,
            changes(self.columns)
        )
    }

    /// Reads the rows whose keys are bound as arrays from `$1` on.
    pub(crate) fn load(&self, generation: Generation) -> SqlStr {
        let arguments: Vec<String> = (1..)
            .zip(self.key)
            .map(|(number, (_, kind))| format!("${number}::{kind}[]"))
            .collect();
        let key = names(self.key.iter().map(|(name, _)| name));
        AssertSqlSafe(format!(
            "select row_to_json(t)::text from {} t join unnest({}) k ({key}) using ({key})",
            generation.table(self.name),
            arguments.join(", ")
        ))
        .into_sql_str()
    }

    /// The statements of a read model that has this table alone, and finds its rows by their orders.
    pub(crate) fn of_orders(&self, generation: Generation) -> ProjectorSql {
        ProjectorSql {
            load: self.load(generation),
            inserts: vec![self.insert(generation, 0)],
            rows: vec![self.rows(generation, RowsOf::Order)],
        }
    }

    /// Reads the rows of the orders, or of the partition, in `$1`.
    pub(crate) fn rows(&self, generation: Generation, of: RowsOf) -> SqlStr {
        let wanted = match of {
            RowsOf::Order => "order_id = any ($1)",
            RowsOf::Partition => "partition = $1",
        };
        let table = generation.table(self.name);
        AssertSqlSafe(format!(
            "select row_to_json(t)::text from {table} t where {wanted}"
        ))
        .into_sql_str()
    }

    /// Every column of a row as text.
    pub(crate) fn columns_of(&self, row: &impl Serialize) -> Vec<(&'static str, String)> {
        let row = serde_json::to_value(row).unwrap_or_default();
        let text = |name: &&'static str| (*name, row.get(name).map(ToString::to_string).unwrap_or_default());
        self.columns.iter().map(text).collect()
    }
}

/// Binds rows as the argument of an insert.
pub(crate) fn bind<'q, T: Serialize>(query: PgQuery<'q>, rows: &[&T]) -> Result<PgQuery<'q>, sqlx::Error> {
    Ok(query.bind(to_json(&rows)?))
}

/// Reads a row of `load` or `rows`.
pub(crate) fn read<T: DeserializeOwned>(row: &PgRow) -> Result<T, sqlx::Error> {
    from_json(row.try_get(0)?)
}
