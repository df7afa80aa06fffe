//! How a build aside differs from what is served.

use async_graphql::SimpleObject;
use docket_projections::rebuild::{Difference, TableDifferences};

use crate::graphql::scalars::BigInt;

/// A row that differs, in one of its columns.
#[derive(Clone, Debug, SimpleObject)]
pub struct RowDifference {
    /// The row's key.
    pub key: String,
    /// The column; `*` where the row is there in one alone.
    pub column: String,
    /// What is served.
    pub served: String,
    /// What is aside.
    pub aside: String,
}

impl From<&Difference> for RowDifference {
    fn from(found: &Difference) -> Self {
        Self {
            key: found.key.clone(),
            column: found.column.clone(),
            served: found.old.clone(),
            aside: found.new.clone(),
        }
    }
}

/// A column in which rows differ.
#[derive(Clone, Debug, SimpleObject)]
pub struct ColumnDifference {
    /// Its name.
    pub column: String,
    /// In how many rows.
    pub rows: BigInt,
}

/// How one table of a build aside differs from the one that is served.
#[derive(Clone, Debug, SimpleObject)]
pub struct TableDifference {
    /// The table, without the generation.
    pub table: String,
    /// Both have the same key. Where they have not, or one is missing, rows are counted and not compared.
    pub has_same_key: bool,
    /// Rows that are the same in every column that both have.
    pub equal: BigInt,
    /// Rows that are there in both and not the same.
    pub changed: BigInt,
    /// Rows that are served alone.
    pub only_served: BigInt,
    /// Rows that are aside alone.
    pub only_aside: BigInt,
    /// The columns in which rows differ.
    pub columns: Vec<ColumnDifference>,
    /// Columns that only the served one has.
    pub columns_only_served: Vec<String>,
    /// Columns that only the one aside has.
    pub columns_only_aside: Vec<String>,
    /// The first rows that differ, by their key. Values are cut, and not shown where the fold reads personal ones.
    pub first: Vec<RowDifference>,
}

impl From<&TableDifferences> for TableDifference {
    fn from(found: &TableDifferences) -> Self {
        let count = |rows: u64| BigInt(i64::try_from(rows).unwrap_or(i64::MAX));
        let column = |(column, rows): &(String, u64)| ColumnDifference {
            column: column.clone(),
            rows: count(*rows),
        };
        Self {
            table: found.table.clone(),
            has_same_key: found.has_same_key,
            equal: count(found.equal),
            changed: count(found.changed),
            only_served: count(found.only_served),
            only_aside: count(found.only_aside),
            columns: found.columns.iter().map(column).collect(),
            columns_only_served: found.columns_only_served.clone(),
            columns_only_aside: found.columns_only_aside.clone(),
            first: found.first.iter().map(Into::into).collect(),
        }
    }
}
