//! How every partition of every generation fares, as the database has it, and why one does not move.
//!
//! It is looked at twice, a moment apart: what moved in between is the rate, and what did not move has a reason. Who looks
//! again and again does so with a [`Watch`].

mod summary;
mod watch;

pub use summary::{Summary, summaries};
pub use watch::{Follower, Seen, Watch};

use crate::{
    checkpoint::{Stopped, decode_stopped},
    generation::Generation,
    limits,
    rebuild::Step,
};
use sqlx::{PgPool, Row, postgres::PgRow};
use std::{fmt, time::Duration};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// What a generation is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Queries read it.
    Served,
    /// It is fed, to be served again or by programs of another version.
    Kept,
    /// A rebuild fills it.
    Building,
    /// It is no read model: it turns events into effects.
    Reactor,
}

impl Role {
    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Kept => "kept",
            Self::Building => "building",
            Self::Reactor => "reactor",
        }
    }
}

/// Why a partition is where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Everything is in the rows.
    AtHead,
    /// It comes nearer to the head.
    Moving,
    /// It moves, and falls behind all the same.
    Slow,
    /// An operator lets its rebuild wait.
    Paused,
    /// Nobody feeds it. Whoever feeds read models takes it over when a dead owner's lease has run out.
    NoOwner,
    /// An event cannot be applied.
    Stopped(Stopped),
    /// It goes on, and so many orders wait behind events that could not be applied.
    Parked(i32),
    /// It comes by itself; for what it waits.
    Waiting(&'static str),
    /// Its owner cannot write; what the database says.
    DatabaseError(String),
}

impl Standing {
    /// The kind, in one word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::AtHead => "at head",
            Self::Moving => "moving",
            Self::Slow => "slow",
            Self::Paused => "paused",
            Self::NoOwner => "no owner",
            Self::Stopped(_) => "stopped",
            Self::Parked(_) => "parked",
            Self::Waiting(_) => "waiting",
            Self::DatabaseError(_) => "database error",
        }
    }
}

impl Standing {
    /// What somebody should look at first has the least.
    fn rank(&self) -> u8 {
        match self {
            Self::Stopped(_) => 0,
            Self::DatabaseError(_) => 1,
            Self::NoOwner => 2,
            Self::Slow => 3,
            Self::Parked(_) => 4,
            Self::Paused => 5,
            Self::Moving => 6,
            Self::Waiting(_) => 7,
            Self::AtHead => 8,
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(stopped) => write!(f, "stopped at {stopped}"),
            Self::Parked(1) => f.write_str("parked: 1 order waits among dead letters"),
            Self::Parked(orders) => write!(f, "parked: {orders} orders wait among dead letters"),
            Self::Waiting(what) => write!(f, "waiting: {what}"),
            Self::DatabaseError(what) => write!(f, "database error: {what}"),
            _ => f.write_str(self.as_str()),
        }
    }
}

/// One partition of one generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The read model or reactor.
    pub projection: String,
    /// Which of its generations.
    pub generation: Generation,
    /// What that is there for.
    pub role: Role,
    /// The version of its fold.
    pub version: i32,
    /// The partition.
    pub partition: u16,
    /// The newest event in the rows; where a rebuild fills them, in front of the stretch that it folds.
    pub offset: i64,
    /// The log's newest event.
    pub head: i64,
    /// Events that are not in the rows.
    pub lag_events: i64,
    /// The age of the oldest of them, in seconds.
    pub lag_seconds: f64,
    /// Events a second, while it was looked at.
    pub per_second: f64,
    /// Who feeds it.
    pub owner: Option<Uuid>,
    /// Why it is where it is.
    pub standing: Standing,
}

impl Line {
    fn place(&self) -> (&str, Generation, u16) {
        (&self.projection, self.generation, self.partition)
    }
}

const SAMPLE: &str = r#"
select c.projection, c.generation, c.partition, c."offset", h.head, coalesce(g.version, p.version),
       case when p.kind = 'reactor' then 'reactor' when g.state = 'building' then 'building'
            when p.generation = c.generation then 'served' else 'kept' end,
       case when c.lease_until > clock_timestamp() then c.owner end,
       coalesce(c.held_until > clock_timestamp(), false),
       c.stopped_offset, c.stopped_class, c.stopped_reason, c.trouble,
       coalesce(extract(epoch from clock_timestamp() - (
           select e.recorded_at from events e where e.partition = c.partition and e."offset" = c."offset" + 1)), 0)::float8,
       r.step, r.wish, r.lease_until > clock_timestamp(), r.folded[c.partition + 1], c.parked
  from checkpoints c
  join projections p on p.name = c.projection
  join heads h on h.partition = c.partition
  left join generations g on g.projection = c.projection and g.generation = c.generation
  left join rebuilds r on r.projection = c.projection and r.generation = c.generation and r.ended_at is null
 order by c.projection collate "C", c.generation, c.partition"#;

/// What one look sees of a partition.
struct Sample {
    line: Line,
    is_held: bool,
    /// The newest event that is in the rows, or on its way to them.
    folded: i64,
    stopped: Option<Stopped>,
    trouble: Option<String>,
    parked: i32,
    /// Of the rebuild that fills it.
    rebuild: Option<(Step, bool, bool)>,
}

fn read(row: &PgRow) -> Result<Sample, sqlx::Error> {
    let partition = row.try_get::<i16, _>(2)? as u16;
    let (offset, head): (i64, i64) = (row.try_get(3)?, row.try_get(4)?);
    let stopped = decode_stopped(row, partition)?;
    let rebuild = match row.try_get::<Option<&str>, _>(14)? {
        None => None,
        Some(step) => {
            let step = step
                .parse()
                .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            let is_paused = row.try_get::<&str, _>(15)? == "pause";
            let is_done = row.try_get::<Option<bool>, _>(16)?.unwrap_or(false);
            Some((step, is_paused, is_done))
        }
    };
    Ok(Sample {
        line: Line {
            projection: row.try_get(0)?,
            generation: Generation(row.try_get(1)?),
            role: match row.try_get(6)? {
                "reactor" => Role::Reactor,
                "building" => Role::Building,
                "served" => Role::Served,
                _ => Role::Kept,
            },
            version: row.try_get(5)?,
            partition,
            offset,
            head,
            lag_events: (head - offset).max(0),
            lag_seconds: row.try_get::<f64, _>(13)?.max(0.0),
            per_second: 0.0,
            owner: row.try_get(7)?,
            standing: Standing::AtHead,
        },
        is_held: row.try_get(8)?,
        folded: row.try_get::<Option<i64>, _>(17)?.unwrap_or(0).max(offset),
        stopped,
        trouble: row.try_get(12)?,
        parked: row.try_get(18)?,
        rebuild,
    })
}

/// One look at every partition of every generation.
struct Look {
    at: Instant,
    samples: Vec<Sample>,
}

impl Look {
    async fn take(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let at = Instant::now();
        let rows = sqlx::query(SAMPLE).fetch_all(pool).await?;
        let samples = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { at, samples })
    }

    /// How every partition fares, seen how it was before.
    fn since(&self, before: &Self) -> Vec<Line> {
        let took = self.at.duration_since(before.at);
        let line = |sample: &Sample| {
            let wanted = sample.line.place();
            let found = before
                .samples
                .binary_search_by(|one| one.line.place().cmp(&wanted));
            let earlier = found.ok().and_then(|found| before.samples.get(found));
            sample.standing(earlier, took)
        };
        self.samples.iter().map(line).collect()
    }
}

impl Sample {
    /// Why it is where it is, seen that it was `before` a moment ago.
    fn standing(&self, before: Option<&Sample>, took: Duration) -> Line {
        let mut line = self.line.clone();
        // What was not there had nothing.
        let moved = (self.folded - before.map_or(0, |before| before.folded)).max(0);
        line.per_second = moved as f64 / took.as_secs_f64().max(f64::EPSILON);
        let falls_behind = before.is_some_and(|before| line.lag_events > before.line.lag_events);
        line.standing = if let Some(stopped) = &self.stopped {
            Standing::Stopped(stopped.clone())
        } else if let Some((step, is_paused, is_done)) = self.rebuild.filter(|_| line.role == Role::Building)
        {
            match step {
                _ if is_paused => Standing::Paused,
                _ if !is_done => Standing::NoOwner,
                _ if moved > 0 => Standing::Moving,
                Step::Create | Step::Load => Standing::Waiting("for its turn to be filled"),
                Step::Index => Standing::Waiting("for its indexes"),
                Step::Verify | Step::Swap => Standing::Waiting("for the comparison with what is served"),
            }
        } else if line.role == Role::Building {
            Standing::NoOwner
        } else if line.lag_events == 0 && self.parked > 0 {
            Standing::Parked(self.parked)
        } else if line.lag_events == 0 {
            Standing::AtHead
        } else if line.owner.is_none() {
            Standing::NoOwner
        } else if let Some(trouble) = &self.trouble {
            Standing::DatabaseError(trouble.clone())
        } else if self.is_held {
            Standing::Waiting("for a swap")
        } else if falls_behind && line.lag_seconds > limits::SLOW.as_secs_f64() {
            Standing::Slow
        } else if self.parked > 0 {
            Standing::Parked(self.parked)
        } else if moved > 0 || line.lag_seconds < limits::SLOW.as_secs_f64() {
            Standing::Moving
        } else {
            Standing::Slow
        };
        line
    }
}

/// How every partition of every generation fares, looked at for so long.
///
/// # Errors
/// When the database does not answer.
pub async fn overview(pool: &PgPool, look: Duration) -> Result<Vec<Line>, sqlx::Error> {
    let before = Look::take(pool).await?;
    sleep(look).await;
    Ok(Look::take(pool).await?.since(&before))
}
