//! Builds aside: `docket rebuild NAME --what-if`, `--as-of T` and `--drop-side`, and how what they find is printed.
//!
//! They ask a question, so they end with status 0 whatever the answer is.

use super::terminal::plain;
use crate::{app::Database, config::Config};
use chrono::{DateTime, Utc};
use clap::Args;
use docket_projections::{
    known_to_the_database,
    rebuild::{self, Difference, Purpose, Rebuilt, TableDifferences},
};
use serde_json::{Value, json};
use std::{
    error::Error,
    fmt::Write as _,
    io::{self, Write as _},
    process::ExitCode,
};

/// What is built aside.
#[derive(Debug, Args)]
pub struct SideArgs {
    /// Build it aside and print how it differs from what is served, at the same events: what this program's fold makes of the
    /// log. Nothing is swapped, and the status is 0 whether or not it differs. The tables stay in the schema `side` until the
    /// next build aside of this read model.
    #[arg(long, conflicts_with_all = ["verify_only", "against_log", "as_of", "drop_side"])]
    what_if: bool,
    /// Build it aside from the events that were recorded until this instant (RFC 3339, such as 2026-11-01T00:00:00Z), and
    /// print how it differs from what is served now; otherwise as --what-if.
    #[arg(long, value_name = "T", value_parser = instant, conflicts_with_all = ["verify_only", "against_log", "drop_side"])]
    as_of: Option<DateTime<Utc>>,
    /// Drop what was built aside of it, and do nothing else.
    #[arg(long, conflicts_with_all = ["verify_only", "against_log", "parallel"])]
    pub(super) drop_side: bool,
}

impl SideArgs {
    /// What a rebuild is for, where it is one aside.
    pub(super) fn purpose(&self) -> Option<Purpose> {
        match self.as_of {
            Some(instant) => Some(Purpose::AsOf(instant)),
            None => self.what_if.then_some(Purpose::WhatIf),
        }
    }
}

fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let parsed = DateTime::parse_from_rfc3339(text);
    let parsed =
        parsed.map_err(|error| format!("not an instant such as 2026-11-01T00:00:00Z (RFC 3339): {error}"))?;
    let instant = parsed.to_utc();
    known_to_the_database(instant).map_err(|error| error.to_string())?;
    Ok(instant)
}

pub(super) async fn drop(config: &Config, name: &str, json: bool) -> Result<ExitCode, Box<dyn Error>> {
    let database = Database::open(config).await?;
    let store = database.store(config).await?;
    let dropped = rebuild::drop_side(&store, name).await;
    store.close().await;
    database.close().await?;
    dropped?;
    let mut out = io::stdout().lock();
    match json {
        true => writeln!(out, "{}", json!({"projection": name, "outcome": "dropped"}))?,
        false => writeln!(out, "{name}: what was built aside is gone.")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// For a program.
pub(super) fn tables(differences: &[TableDifferences]) -> Vec<Value> {
    differences.iter().map(table).collect()
}

fn table(found: &TableDifferences) -> Value {
    let columns: serde_json::Map<_, _> = found
        .columns
        .iter()
        .map(|(column, rows)| (column.clone(), (*rows).into()))
        .collect();
    let first =
        |row: &Difference| json!({"key": row.key, "column": row.column, "served": row.old, "aside": row.new});
    let first: Vec<Value> = found.first.iter().map(first).collect();
    json!({
        "table": found.table, "hasSameKey": found.has_same_key, "equal": found.equal, "changed": found.changed,
        "onlyServed": found.only_served, "onlyAside": found.only_aside, "columns": columns,
        "columnsOnlyServed": found.columns_only_served, "columnsOnlyAside": found.columns_only_aside, "first": first,
    })
}

/// For a person.
pub(super) fn told(name: &str, rebuilt: &Rebuilt) -> String {
    let mut text = String::new();
    // Nothing can fail that is written to a string.
    let _ = tell(&mut text, name, rebuilt);
    text
}

fn tell(out: &mut String, name: &str, rebuilt: &Rebuilt) -> std::fmt::Result {
    let (found, generation) = (&rebuilt.differences, rebuilt.generation);
    let differing: u64 = found.iter().map(TableDifferences::differing).sum();
    match found.iter().all(TableDifferences::is_none) {
        true => writeln!(
            out,
            "{name}: none of {} rows differs from generation {}, which is served.",
            rebuilt.rows, rebuilt.from
        )?,
        false => writeln!(
            out,
            "{name}: {differing} of {} rows differ from generation {}, which is served as before.",
            rebuilt.rows, rebuilt.from
        )?,
    }
    writeln!(
        out,
        "{:<24} {:>12} {:>12} {:>12} {:>12}",
        "table", "equal", "changed", "only served", "only aside"
    )?;
    for table in found {
        writeln!(
            out,
            "{:<24} {:>12} {:>12} {:>12} {:>12}",
            table.table, table.equal, table.changed, table.only_served, table.only_aside
        )?;
    }
    found.iter().try_for_each(|table| details(out, table))?;
    let tables: Vec<String> = found
        .iter()
        .map(|table| format!("side.{}", generation.table(&table.table)))
        .collect();
    writeln!(
        out,
        "It stays aside as {}; `docket rebuild {name} --drop-side` drops it.",
        tables.join(", ")
    )
}

/// Which columns of a table differ, and the first rows.
fn details(out: &mut String, found: &TableDifferences) -> std::fmt::Result {
    let table = &found.table;
    if !found.has_same_key {
        writeln!(
            out,
            "{table}: the key is another one, or one is missing: rows are counted alone."
        )?;
    }
    for (columns, whose) in [
        (&found.columns_only_served, "served"),
        (&found.columns_only_aside, "aside"),
    ] {
        if !columns.is_empty() {
            writeln!(
                out,
                "{table}: columns that are only {whose}: {}",
                columns.join(", ")
            )?;
        }
    }
    if !found.columns.is_empty() {
        let columns: Vec<String> = found
            .columns
            .iter()
            .map(|(column, rows)| format!("{column} ({rows})"))
            .collect();
        writeln!(
            out,
            "{table}: columns that differ, in how many rows: {}",
            columns.join(", ")
        )?;
    }
    if !found.first.is_empty() {
        writeln!(out, "{table}: the first rows that differ:")?;
    }
    for Difference {
        key,
        column,
        old,
        new,
    } in &found.first
    {
        let row = format!("row {key}, column {column}: {old} served, {new} aside");
        writeln!(out, "  {}", plain(&row))?;
    }
    Ok(())
}
