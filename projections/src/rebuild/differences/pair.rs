//! A table that is served and the same one aside: their columns, and the statements that compare them.

use super::Difference;
use crate::{
    excerpt,
    generation::Generation,
    projector::{RowsOf, Table},
    read_models::ReadModel,
    rebuild::{
        compare::{Range, in_snapshot},
        tables::Schema,
    },
};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row, postgres::PgRow};

const COLUMNS: &str = "
select quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
       (select k.place from pg_index i, unnest(i.indkey) with ordinality k (number, place)
         where i.indrelid = a.attrelid and i.indisprimary and k.number = a.attnum)
  from pg_attribute a
 where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped
 order by a.attnum";

/// A column as the database has it; its name is quoted where it must be.
struct Column {
    name: String,
    kind: String,
    /// Its place in the primary key.
    place: Option<i64>,
}

async fn columns(connection: &mut PgConnection, table: &str) -> Result<Vec<Column>, sqlx::Error> {
    let column = |row: &PgRow| {
        Ok(Column {
            name: row.try_get(0)?,
            kind: row.try_get(1)?,
            place: row.try_get(2)?,
        })
    };
    let rows = sqlx::query(COLUMNS).bind(table).fetch_all(connection).await?;
    rows.iter().map(column).collect()
}

/// The columns of the primary key with their types, in its order.
fn key(columns: &[Column]) -> Vec<(&str, &str)> {
    let mut key: Vec<_> = columns
        .iter()
        .filter_map(|column| Some((column.place?, column.name.as_str(), column.kind.as_str())))
        .collect();
    key.sort_unstable();
    key.into_iter().map(|(_, name, kind)| (name, kind)).collect()
}

/// The names of columns that other ones lack. One that is bytes here and text there is another column.
fn without(columns: &[Column], others: &[Column]) -> Vec<String> {
    let is_bytes = |column: &Column| column.kind == "bytea";
    let is_same = |one: &Column, other: &Column| one.name == other.name && is_bytes(one) == is_bytes(other);
    let is_lacking = |column: &&Column| !others.iter().any(|other| is_same(column, other));
    columns
        .iter()
        .filter(is_lacking)
        .map(|column| column.name.clone())
        .collect()
}

/// A table that is served and the same one aside.
pub(super) struct Pair {
    pub(super) served: String,
    aside: String,
    pub(super) rows: RowsOf,
    /// What rows are found by in both; empty where the keys are not the same.
    key: Vec<String>,
    /// The other columns that both have.
    pub(super) columns: Vec<String>,
    pub(super) only_served: Vec<String>,
    pub(super) only_aside: Vec<String>,
}

/// What one range of keys comes to.
pub(super) struct Counts {
    pub(super) equal: u64,
    pub(super) changed: u64,
    pub(super) only_served: u64,
    pub(super) only_aside: u64,
    /// Rows that differ in each of [`Pair::columns`].
    pub(super) columns: Vec<u64>,
}

impl Counts {
    pub(super) fn differing(&self) -> u64 {
        self.changed + self.only_served + self.only_aside
    }
}

impl Pair {
    pub(super) async fn read(
        pool: &PgPool,
        snapshot: &str,
        table: &Table,
        (served, aside): (Generation, Generation),
    ) -> Result<Self, sqlx::Error> {
        let mut connection = in_snapshot(pool, snapshot).await?;
        let served = Schema::Public.table(served, table.name);
        let aside = Schema::Side.table(aside, table.name);
        let ours = columns(&mut connection, &served).await?;
        let theirs = columns(&mut connection, &aside).await?;
        let key = if key(&ours) == key(&theirs) {
            key(&ours)
        } else {
            Vec::new()
        };
        let key: Vec<String> = key.into_iter().map(|(name, _)| name.to_owned()).collect();
        let (only_served, only_aside) = (without(&ours, &theirs), without(&theirs, &ours));
        let is_common = |name: &String| !key.contains(name) && !only_served.contains(name);
        let names = ours.into_iter().map(|column| column.name);
        Ok(Self {
            columns: names.filter(is_common).collect(),
            served,
            aside,
            rows: table.rows,
            key,
            only_served,
            only_aside,
        })
    }

    pub(super) fn has_same_key(&self) -> bool {
        !self.key.is_empty()
    }

    /// How many rows both have.
    pub(super) async fn rows(&self, pool: &PgPool, snapshot: &str) -> Result<(u64, u64), sqlx::Error> {
        let mut connection = in_snapshot(pool, snapshot).await?;
        let mut rows = Vec::new();
        for table in [&self.served, &self.aside] {
            // One that is new in the fold's version is not served yet.
            let is_there = !columns(&mut connection, table).await?.is_empty();
            let count = format!("select count(*) from {table}");
            rows.push(match is_there {
                true => {
                    sqlx::query_scalar::<_, i64>(AssertSqlSafe(count))
                        .fetch_one(&mut *connection)
                        .await?
                }
                false => 0,
            });
        }
        let row = |place: usize| rows.get(place).map_or(0, |count| count.unsigned_abs());
        Ok((row(0), row(1)))
    }

    /// Rows of both by their key, `l` that are served and `s` aside, with the columns in which they differ: `d.differs`.
    fn joined(&self, what: &str, range: Range) -> String {
        let of_range = range.condition(self.rows);
        let each = |text: &dyn Fn(&String) -> String, names: &[String]| -> Vec<String> {
            names.iter().map(text).collect()
        };
        let on = each(&|name| format!("l.{name} = s.{name}"), &self.key).join(" and ");
        let differs = each(
            &|name| format!("l.{name}::text is distinct from s.{name}::text"),
            &self.columns,
        );
        // Kept in one place, so that each column is compared once.
        format!(
            "with l as not materialized (select * from {} where {of_range}),
                  s as not materialized (select * from {} where {of_range})
             select {what} from l full join s on {on}
              cross join lateral (select array[{}]::boolean[] as differs offset 0) d",
            self.served,
            self.aside,
            differs.join(", "),
        )
    }

    /// That a row is only aside, and that it is only served.
    fn only(&self) -> (String, String) {
        let first = self.key.first().map_or("", String::as_str);
        (format!("l.{first} is null"), format!("s.{first} is null"))
    }

    pub(super) async fn count(
        &self,
        pool: &PgPool,
        snapshot: &str,
        range: Range,
    ) -> Result<Counts, sqlx::Error> {
        let mut connection = in_snapshot(pool, snapshot).await?;
        let (only_aside, only_served) = self.only();
        let in_both = format!("not ({only_aside} or {only_served})");
        let columns: Vec<String> = (1..=self.columns.len())
            .map(|place| format!("count(*) filter (where {in_both} and d.differs[{place}])"))
            .collect();
        let what = format!(
            "count(*) filter (where {in_both}), count(*) filter (where {in_both} and true = any (d.differs)),
             count(*) filter (where {only_served}), count(*) filter (where {only_aside}), array[{}]::bigint[]",
            columns.join(", ")
        );
        let query = sqlx::query(AssertSqlSafe(self.joined(&what, range)));
        let row = range.bind(self.rows, query).fetch_one(&mut *connection).await?;
        let count = |place: usize| row.try_get::<i64, _>(place).map(i64::unsigned_abs);
        let changed = count(1)?;
        Ok(Counts {
            equal: count(0)? - changed,
            changed,
            only_served: count(2)?,
            only_aside: count(3)?,
            columns: row
                .try_get::<Vec<i64>, _>(4)?
                .into_iter()
                .map(i64::unsigned_abs)
                .collect(),
        })
    }

    /// The first rows of a range that differ, each with every column in which it does.
    pub(super) async fn first(
        &self,
        pool: &PgPool,
        snapshot: &str,
        model: &dyn ReadModel,
        range: Range,
        most: usize,
    ) -> Result<Vec<Vec<Difference>>, sqlx::Error> {
        let mut connection = in_snapshot(pool, snapshot).await?;
        let (only_aside, only_served) = self.only();
        let key: Vec<String> = self
            .key
            .iter()
            .map(|name| format!("coalesce(l.{name}, s.{name})"))
            .collect();
        let values = |side: &str| {
            let value = |(place, name): (usize, &String)| {
                format!("case when d.differs[{place}] then {side}.{name}::text end")
            };
            let values: Vec<String> = (1..).zip(&self.columns).map(value).collect();
            values.join(", ")
        };
        let what = format!(
            "concat_ws(' ', {key}), {only_aside}, {only_served}, d.differs, array[{}]::text[], array[{}]::text[]",
            values("l"),
            values("s"),
            key = key.join(", "),
        );
        let text = format!(
            "{} where {only_aside} or {only_served} or true = any (d.differs) order by {} limit {most}",
            self.joined(&what, range),
            key.join(", ")
        );
        let query = range.bind(self.rows, sqlx::query(AssertSqlSafe(text)));
        let rows = query.fetch_all(&mut *connection).await?;
        rows.iter().map(|row| self.named(model, row)).collect()
    }

    fn named(&self, model: &dyn ReadModel, row: &PgRow) -> Result<Vec<Difference>, sqlx::Error> {
        let key: String = row.try_get(0)?;
        let (only_aside, only_served): (bool, bool) = (row.try_get(1)?, row.try_get(2)?);
        if only_aside || only_served {
            return Ok(vec![Difference {
                key,
                column: "*".into(),
                old: if only_served { "a row" } else { "no row" }.into(),
                new: if only_served { "no row" } else { "a row" }.into(),
            }]);
        }
        let differs: Vec<bool> = row.try_get(3)?;
        let old: Vec<Option<String>> = row.try_get(4)?;
        let new: Vec<Option<String>> = row.try_get(5)?;
        let columns = self.columns.iter().zip(differs).zip(old.into_iter().zip(new));
        let named = columns
            .filter(|((_, differs), _)| *differs)
            .map(|((column, _), (old, new))| {
                let readable = |value: Option<String>| value.map(|value| model.readable(column, value));
                let (old, new) = excerpt::of((readable(old), readable(new)), model.reads_personal());
                Difference {
                    key: key.clone(),
                    column: column.clone(),
                    old,
                    new,
                }
            });
        Ok(named.collect())
    }
}
