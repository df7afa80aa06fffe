//! Generations: the builds of a read model's tables, and which of them is served.
//!
//! A pointer in `projections` names the generation that is served; what was served before is kept and fed. A program feeds
//! and serves generations of its own version of a fold only: in a rolling upgrade old processes go on with the old one
//! while new ones use the new one once it is in.

use crate::{
    board::{Board, Cell},
    read_models::{self, ReadModel},
};
use docket_event_store::Store;
use sqlx::{PgExecutor, Row, postgres::PgRow};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

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

/// Which generation of each read model this program serves. A statement reads one generation of each to its end. A process
/// goes over only to a generation that has what it has told of the one before, so what was waited for in one is in the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Serving(Arc<[(String, Generation)]>);

impl Serving {
    /// Reads the pointers, for who feeds no read models.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn read(store: &Store) -> Result<Self, sqlx::Error> {
        let known = all(store.pool()).await?;
        let models = read_models::all(store);
        let pointer = |model: &Arc<dyn ReadModel>| {
            let generation = served(&known, model.name(), model.version())?;
            Some((model.name().to_owned(), generation))
        };
        Ok(models.iter().filter_map(pointer).collect())
    }

    /// The generation of a read model.
    ///
    /// # Errors
    /// When none was built by this program's version of its fold.
    pub fn of(&self, read_model: &str) -> Result<Generation, NotServed> {
        let found = self.0.iter().find(|(name, _)| name == read_model);
        let (_, generation) = found.ok_or_else(|| NotServed(read_model.to_owned()))?;
        Ok(*generation)
    }
}

/// Which generations a process serves, and those that it will serve next. Who was told that a position is in the rows of one
/// must find it in the other, however late the process learns of a swap: so whoever waits from now on waits for both, and the
/// others are served once they have what was in the rows before.
#[derive(Debug, Default)]
pub(crate) struct Adoption {
    pub(crate) now: Serving,
    next: Option<Next>,
}

#[derive(Debug)]
struct Next {
    serving: Serving,
    /// Its partitions, and how far each has to be.
    owed: Vec<(Arc<Cell>, i64)>,
}

impl Adoption {
    /// Those that a position has to be in.
    pub(crate) fn all(&self) -> impl Iterator<Item = Serving> {
        let next = self.next.as_ref().map(|next| next.serving.clone());
        std::iter::once(self.now.clone()).chain(next)
    }

    /// Takes what the pointers say; `true` where other generations are served by it.
    pub(crate) fn take(&mut self, pointers: &Serving, board: &Board) -> bool {
        if *pointers == self.now {
            self.next = None;
            return false;
        }
        let owed = match self.next.take() {
            Some(next) if next.serving == *pointers => next.owed,
            _ => self.owed(pointers, board),
        };
        let is_there = |(cell, offset): &(Arc<Cell>, i64)| cell.progress.borrow().offset >= *offset;
        let is_adopted = owed.iter().all(is_there);
        if is_adopted {
            self.now = pointers.clone();
        } else {
            self.next = Some(Next {
                serving: pointers.clone(),
                owed,
            });
        }
        is_adopted
    }

    /// How far each partition of the next generations has to be: where those are that are served.
    fn owed(&self, pointers: &Serving, board: &Board) -> Vec<(Arc<Cell>, i64)> {
        let mut owed = Vec::new();
        for (name, next) in pointers.0.iter() {
            let Ok(now) = self.now.of(name) else { continue };
            let (Some(now), Some(next)) = (board.line(name, now), board.line(name, *next)) else {
                continue;
            };
            let offsets = now.cells.iter().map(|cell| cell.progress.borrow().offset);
            owed.extend(next.cells.iter().cloned().zip(offsets));
        }
        owed
    }
}

impl FromIterator<(String, Generation)> for Serving {
    fn from_iter<I: IntoIterator<Item = (String, Generation)>>(served: I) -> Self {
        Self(served.into_iter().collect())
    }
}

/// A read model has no rows of this program's version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} has no rows of this program's version: rebuild it with this program")]
pub struct NotServed(pub String);

impl From<NotServed> for sqlx::Error {
    fn from(error: NotServed) -> Self {
        Self::Configuration(Box::new(error))
    }
}

/// A generation as the table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) projection: String,
    pub(crate) generation: Generation,
    pub(crate) version: i32,
    /// It is fed by whoever feeds read models; else a rebuild fills it.
    pub(crate) is_live: bool,
    /// The pointer is on it.
    pub(crate) is_current: bool,
    /// The pointer was on it once.
    pub(crate) was_served: bool,
}

const ALL: &str = "
select g.projection, g.generation, g.version, g.state = 'live', p.generation = g.generation, g.served_at is not null,
       g.served_at
  from generations g join projections p on p.name = g.projection
union all
select name, generation, version, true, true, true, null from projections where kind = 'reactor'
 order by 1, 7 desc nulls last, 2 desc";

/// All generations, of each read model those first that the pointer was on last; and each reactor, as the one that it has.
pub(crate) async fn all(executor: impl PgExecutor<'_>) -> Result<Vec<Known>, sqlx::Error> {
    let known = |row: &PgRow| {
        Ok(Known {
            projection: row.try_get(0)?,
            generation: Generation(row.try_get(1)?),
            version: row.try_get(2)?,
            is_live: row.try_get(3)?,
            is_current: row.try_get(4)?,
            was_served: row.try_get(5)?,
        })
    };
    sqlx::query(ALL)
        .fetch_all(executor)
        .await?
        .iter()
        .map(known)
        .collect()
}

/// The generation that a program with this version of the fold serves: the current one if it is of that version, or else
/// the one of that version that was served last.
pub(crate) fn served(known: &[Known], projection: &str, version: i32) -> Option<Generation> {
    let fits = |one: &&Known| {
        one.projection == projection && one.version == version && one.is_live && one.was_served
    };
    let current = known.iter().filter(fits).find(|one| one.is_current);
    current
        .or_else(|| known.iter().find(fits))
        .map(|one| one.generation)
}

/// Texts of statements that name tables, made once for each generation.
pub(crate) struct Texts<K, T> {
    make: fn(K) -> T,
    known: Mutex<Vec<(K, Arc<T>)>>,
}

/// Generations whose texts are kept: the one that is served, the one before, and those of a swap back and forth.
const KNOWN_TEXTS: usize = 4;

impl<K: Copy + PartialEq, T> Texts<K, T> {
    pub(crate) const fn new(make: fn(K) -> T) -> Self {
        Self {
            make,
            known: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn of(&self, key: K) -> Arc<T> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, text)) = known.iter().find(|(one, _)| *one == key) {
            return Arc::clone(text);
        }
        let text = Arc::new((self.make)(key));
        known.insert(0, (key, Arc::clone(&text)));
        known.truncate(KNOWN_TEXTS);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Generation, Known, Texts, served};
    use std::sync::Arc;

    fn known(generation: i32, version: i32, is_current: bool) -> Known {
        Known {
            projection: "orders".into(),
            generation: Generation(generation),
            version,
            is_live: true,
            is_current,
            was_served: true,
        }
    }

    #[test]
    fn a_program_serves_the_current_generation_of_its_version_or_the_last_one() {
        // As the table gives them: those first that were served last.
        let all = [known(3, 2, true), known(2, 1, false), known(1, 1, false)];
        assert_eq!(served(&all, "orders", 2), Some(Generation(3)));
        assert_eq!(served(&all, "orders", 1), Some(Generation(2)));
        assert_eq!(served(&all, "orders", 3), None);
        assert_eq!(served(&all, "payments", 1), None);
        // Back again: the pointer goes before the time.
        let back = [known(2, 1, false), known(1, 1, true)];
        assert_eq!(served(&back, "orders", 1), Some(Generation(1)));
    }

    #[test]
    fn what_is_being_built_is_not_served() {
        let building = Known {
            is_live: false,
            was_served: false,
            ..known(2, 1, false)
        };
        assert_eq!(served(&[building], "orders", 1), None);
    }

    #[test]
    fn a_text_is_made_once_for_each_generation() {
        let texts = Texts::new(|generation: Generation| generation.table("orders"));
        let (one, again) = (texts.of(Generation(1)), texts.of(Generation(1)));
        assert!(Arc::ptr_eq(&one, &again));
        assert_eq!(*texts.of(Generation(2)), "orders_g2");
    }
}
