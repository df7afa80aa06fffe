//! How a build aside differs from what is served: in one snapshot, table by table, key range by key range.
//!
//! The fold that built it may have other columns, so rows are found by their key and compared by the columns that both
//! tables have, as text, by the database; here come only counts and the first rows. Unlike a verification nothing is
//! tolerated: a row of a person who is being forgotten this moment may differ.

mod pair;

use super::compare::{Difference, ranges};
use crate::{generation::Generation, limits, read_models::ReadModel};
use futures::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use pair::{Counts, Pair};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

/// How one table of a build aside differs from the one that is served.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDifferences {
    /// The table, without the generation.
    pub table: String,
    /// Both have the same key. Where they have not, or one of them is missing, rows are counted and not compared.
    pub has_same_key: bool,
    /// Rows that are the same in every column that both have.
    pub equal: u64,
    /// Rows that are there in both and not the same.
    pub changed: u64,
    /// Rows that are served alone.
    pub only_served: u64,
    /// Rows that are aside alone.
    pub only_aside: u64,
    /// The columns in which rows differ, each with how many.
    pub columns: Vec<(String, u64)>,
    /// Columns that only the served one has: they are not compared.
    pub columns_only_served: Vec<String>,
    /// Columns that only the one aside has.
    pub columns_only_aside: Vec<String>,
    /// The first rows that differ by their key, up to [`limits::DIFFERENCES_NAMED`], with each column in which they do: as it
    /// is served (`old`), and aside (`new`). Values are cut, and not shown where the fold reads personal ones.
    pub first: Vec<Difference>,
}

impl TableDifferences {
    /// Rows that were looked at, each once.
    pub fn rows(&self) -> u64 {
        self.equal + self.differing()
    }

    /// Rows that differ, those among them that are there in one alone.
    pub fn differing(&self) -> u64 {
        self.changed + self.only_served + self.only_aside
    }

    /// Nothing differs, the columns neither.
    pub fn is_none(&self) -> bool {
        self.has_same_key
            && self.differing() == 0
            && self.columns_only_served.is_empty()
            && self.columns_only_aside.is_empty()
    }
}

/// Compares all tables of a generation that was built aside with those of the one that is served, as the exported snapshot
/// has them.
pub(super) async fn find(
    pool: &PgPool,
    model: &dyn ReadModel,
    snapshot: &str,
    generations: (Generation, Generation),
    parallel: u16,
) -> Result<Vec<TableDifferences>, sqlx::Error> {
    let mut found = Vec::new();
    for table in model.tables() {
        let pair = Pair::read(pool, snapshot, table, generations).await?;
        let mut differences = TableDifferences {
            table: table.name.to_owned(),
            has_same_key: pair.has_same_key(),
            columns_only_served: pair.only_served.clone(),
            columns_only_aside: pair.only_aside.clone(),
            ..TableDifferences::default()
        };
        if pair.has_same_key() {
            compare(pool, snapshot, model, &pair, parallel, &mut differences).await?;
        } else {
            (differences.only_served, differences.only_aside) = pair.rows(pool, snapshot).await?;
        }
        found.push(differences);
    }
    Ok(found)
}

/// Counts, some ranges at a time; then names the first rows, of as many ranges as it takes.
async fn compare(
    pool: &PgPool,
    snapshot: &str,
    model: &dyn ReadModel,
    pair: &Pair,
    parallel: u16,
    differences: &mut TableDifferences,
) -> Result<(), sqlx::Error> {
    let ranges = ranges(pool, snapshot, pair.rows, &pair.served).await?;
    let count =
        |range| -> BoxFuture<'_, Result<Counts, sqlx::Error>> { Box::pin(pair.count(pool, snapshot, range)) };
    let counting = stream::iter(ranges.iter().copied().map(count).collect::<Vec<_>>());
    let counts: Vec<Counts> = counting
        .buffered(usize::from(parallel.max(1)))
        .try_collect()
        .await?;
    let mut left = limits::DIFFERENCES_NAMED;
    for (range, counts) in ranges.into_iter().zip(&counts) {
        if counts.differing() > 0 && left > 0 {
            let named = pair.first(pool, snapshot, model, range, left).await?;
            left -= named.len().min(left);
            differences.first.extend(named.into_iter().flatten());
        }
    }
    let sum = |value: fn(&Counts) -> u64| counts.iter().map(value).sum();
    differences.equal = sum(|counts| counts.equal);
    differences.changed = sum(|counts| counts.changed);
    differences.only_served = sum(|counts| counts.only_served);
    differences.only_aside = sum(|counts| counts.only_aside);
    let by_column = pair.columns.iter().enumerate().map(|(place, column)| {
        let of_range = |counts: &Counts| counts.columns.get(place).copied().unwrap_or(0);
        (column.clone(), counts.iter().map(of_range).sum())
    });
    differences.columns = by_column.filter(|(_, rows)| *rows > 0).collect();
    Ok(())
}
