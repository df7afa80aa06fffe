//! Read models, their generations and their rebuilds as operators see them.

use async_graphql::{Enum, SimpleObject};
use chrono::{DateTime, Utc};
use docket_projections::{
    overview::{Line, Role, Seen, Standing, Summary, summaries},
    rebuild::{Operation, PartitionProgress, Purpose},
};
use uuid::Uuid;

use super::differences::TableDifference;
use crate::graphql::{
    plain::{PlainList, Shown},
    scalars::BigInt,
};

/// What a generation is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "docket_projections::overview::Role")]
pub enum GenerationRole {
    /// Queries read it.
    Served,
    /// It is fed, to be served again or by programs of another version.
    Kept,
    /// A rebuild fills it.
    Building,
    /// It is no read model: it turns events into effects.
    Reactor,
}

/// Why a partition is where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ProjectionStanding {
    /// Everything is in the rows.
    AtHead,
    /// It comes nearer to the head.
    Moving,
    /// It does not come nearer to the head, and the oldest event that is missing is older than 10 s.
    Slow,
    /// An operator lets its rebuild wait.
    Paused,
    /// Nobody feeds it.
    NoOwner,
    /// An event cannot be applied.
    Stopped,
    /// It goes on, and some orders wait behind events that could not be applied.
    Parked,
    /// It comes by itself.
    Waiting,
    /// Its owner cannot write.
    DatabaseError,
}

impl From<&Standing> for ProjectionStanding {
    fn from(standing: &Standing) -> Self {
        match standing {
            Standing::AtHead => Self::AtHead,
            Standing::Moving => Self::Moving,
            Standing::Slow => Self::Slow,
            Standing::Paused => Self::Paused,
            Standing::NoOwner => Self::NoOwner,
            Standing::Stopped(_) => Self::Stopped,
            Standing::Parked(_) => Self::Parked,
            Standing::Waiting(_) => Self::Waiting,
            Standing::DatabaseError(_) => Self::DatabaseError,
        }
    }
}

/// One partition of one generation.
#[derive(Clone, Debug, SimpleObject)]
pub struct ProjectionPartition {
    /// Which.
    pub partition: i32,
    /// The offset of the newest event in the rows.
    pub position: BigInt,
    /// The offset of the log's newest event.
    pub head: BigInt,
    /// Events that are not in the rows.
    pub lag_events: BigInt,
    /// The age of the oldest of them, in seconds.
    pub lag_seconds: f64,
    /// How fast it moves, while it was looked at.
    pub events_per_second: f64,
    /// The process that feeds it.
    pub owner: Option<Uuid>,
    /// Why it is where it is.
    pub standing: ProjectionStanding,
    /// The same in words: which event cannot be applied, what it waits for, what the database says.
    pub reason: String,
}

impl From<&Line> for ProjectionPartition {
    fn from(line: &Line) -> Self {
        Self {
            partition: i32::from(line.partition),
            position: BigInt(line.offset),
            head: BigInt(line.head),
            lag_events: BigInt(line.lag_events),
            lag_seconds: line.lag_seconds,
            events_per_second: line.per_second,
            owner: line.owner,
            standing: (&line.standing).into(),
            reason: line.standing.to_string(),
        }
    }
}

/// One build of a read model's tables, or the one that a reactor has.
#[derive(Clone, Debug, SimpleObject)]
pub struct ProjectionGeneration {
    /// Its number.
    pub generation: i32,
    /// The version of its fold.
    pub version: i32,
    /// What it is there for.
    pub role: GenerationRole,
    /// Queries read it.
    pub is_served: bool,
    /// What somebody should look at first of its partitions.
    pub standing: ProjectionStanding,
    /// What its partitions do, in words, those first that somebody should look at.
    pub detail: String,
    /// Events in the rows.
    pub events: BigInt,
    /// Events that are not in the rows.
    pub lag_events: BigInt,
    /// The age of the oldest of them, in seconds.
    pub lag_seconds: f64,
    /// How fast it moves, while it was looked at.
    pub events_per_second: f64,
    /// Every partition of the log.
    pub partitions: PlainList<ProjectionPartition>,
}

impl From<Summary<'_>> for ProjectionGeneration {
    fn from(of: Summary<'_>) -> Self {
        let first = of.first();
        Self {
            generation: first.generation.0,
            version: first.version,
            role: first.role.into(),
            is_served: first.role == Role::Served,
            standing: of.standing().into(),
            detail: of.detail(),
            events: BigInt(of.events()),
            lag_events: BigInt(of.lag_events()),
            lag_seconds: of.lag_seconds(),
            events_per_second: of.per_second(),
            partitions: of.lines.iter().map(Into::into).collect(),
        }
    }
}

/// How far a rebuild has come. Each step may be done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "docket_projections::rebuild::Step")]
pub enum RebuildStep {
    /// Its tables are made.
    Create,
    /// Events are folded into rows.
    Load,
    /// Indexes are built.
    Index,
    /// Both generations are compared.
    Verify,
    /// The pointer moves.
    Swap,
}

/// What a rebuild ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum RebuildPurpose {
    /// The new generation is served.
    Swap,
    /// It is compared and dropped.
    VerifyOnly,
    /// It is compared and stays aside, neither fed nor served: what another fold makes of the log.
    WhatIf,
    /// The same with the events that were recorded until an instant.
    AsOf,
}

impl From<Purpose> for RebuildPurpose {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Swap => Self::Swap,
            Purpose::VerifyOnly => Self::VerifyOnly,
            Purpose::WhatIf => Self::WhatIf,
            Purpose::AsOf(_) => Self::AsOf,
        }
    }
}

/// What an operator wants of a rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "docket_projections::rebuild::Wish")]
pub enum RebuildWish {
    /// That it goes on.
    Run,
    /// That it waits.
    Pause,
    /// That it ends and leaves nothing behind.
    Cancel,
}

/// How far a partition is filled.
#[derive(Clone, Debug, SimpleObject)]
pub struct RebuildPartition {
    /// Which.
    pub partition: i32,
    /// Events of it that are folded.
    pub folded: BigInt,
    /// Events of it whose effect is in the rows: where it would go on after a crash.
    pub written: BigInt,
    /// The offset of the event that it goes to.
    pub target: BigInt,
}

impl From<&PartitionProgress> for RebuildPartition {
    fn from(at: &PartitionProgress) -> Self {
        Self {
            partition: i32::from(at.partition),
            folded: BigInt(at.folded),
            written: BigInt(at.written),
            target: BigInt(at.target),
        }
    }
}

/// A rebuild of a read model: under way, standing still, or ended.
#[derive(Clone, Debug, SimpleObject)]
pub struct Rebuild {
    /// The read model.
    pub projection: String,
    /// The generation that is served meanwhile, and compared with.
    #[graphql(name = "from")]
    pub from_generation: i32,
    /// The generation that is built.
    pub generation: i32,
    /// The version of the fold that builds it.
    pub version: i32,
    /// How far it has come.
    pub step: RebuildStep,
    /// What it ends with.
    pub purpose: RebuildPurpose,
    /// The instant, where it is built as of one.
    pub as_of: Option<DateTime<Utc>>,
    /// What an operator wants of it.
    pub wish: RebuildWish,
    /// Its rows are proved by the log alone.
    pub against_log: bool,
    /// Partitions that are filled at once.
    pub parallel: i32,
    /// It makes way for live read models that are behind.
    pub yields: bool,
    /// The process that does it; none where it stands still.
    pub owner: Option<Uuid>,
    /// When it was begun.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended, or why it stands still.
    pub outcome: Option<String>,
    /// From when on a server goes on with it by itself; none where somebody does it, has to say so, or it has ended.
    pub goes_on_at: Option<DateTime<Utc>>,
    /// Rows that were compared, once they were.
    pub rows: Option<BigInt>,
    /// How each table of a build aside differs from what is served, once it was compared.
    pub differences: Vec<TableDifference>,
    /// Every partition of the log, as told twice a second; none before it begins.
    pub partitions: PlainList<RebuildPartition>,
}

impl From<&Operation> for Rebuild {
    fn from(operation: &Operation) -> Self {
        Self {
            projection: operation.projection.clone(),
            from_generation: operation.from.0,
            generation: operation.generation.0,
            version: operation.version,
            step: operation.step.into(),
            purpose: operation.purpose.into(),
            as_of: operation.purpose.as_of(),
            wish: operation.wish.into(),
            against_log: operation.against_log,
            parallel: i32::from(operation.parallel),
            yields: operation.yields,
            owner: operation.owner,
            started_at: operation.started_at,
            ended_at: operation.ended_at,
            outcome: operation.outcome.clone(),
            goes_on_at: operation.goes_on_at,
            rows: operation.rows.map(BigInt),
            differences: operation.differences.iter().map(Into::into).collect(),
            partitions: operation.partitions.iter().map(Into::into).collect(),
        }
    }
}

/// A read model or a reactor.
#[derive(Clone, Debug, SimpleObject)]
pub struct Projection {
    /// Its name.
    pub name: String,
    /// Every generation of it that is there.
    pub generations: Vec<ProjectionGeneration>,
    /// Its rebuild that is under way or ended last.
    pub rebuild: Option<Rebuild>,
}

impl Projection {
    /// All that was seen, or what was of this name.
    pub(super) fn all(seen: &Seen, name: Option<&str>) -> Vec<Self> {
        let of = |lines: &[Line]| {
            let first = lines
                .first()
                .filter(|line| name.is_none_or(|name| line.projection == name))?;
            let rebuild = seen
                .rebuilds
                .iter()
                .find(|one| one.projection == first.projection);
            Some(Self {
                name: first.projection.clone(),
                generations: summaries(lines).map(Into::into).collect(),
                rebuild: rebuild.map(Into::into),
            })
        };
        let by_name = seen.lines.chunk_by(|a, b| a.projection == b.projection);
        by_name.filter_map(of).collect()
    }
}

impl Shown for ProjectionPartition {}

impl Shown for RebuildPartition {}
