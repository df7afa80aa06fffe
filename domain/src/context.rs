//! What a decision knows besides state and command.

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};

use crate::access::AccessError;
use crate::actor::{Actor, Role};
use crate::ids::OrderNumber;
use crate::limits;
use crate::refusal::{InvalidError, Refusal};

/// Everything from outside that a decision may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The business time: when it happens, or, in an import, happened.
    pub now: DateTime<Utc>,
    /// Who asks.
    pub actor: Actor,
    /// Drawn from the sequence for a command that needs one.
    pub order_number: Option<OrderNumber>,
    /// It is history brought in, not something that happens now.
    pub imported: bool,
}

impl Context {
    /// Checks the business time that a caller named against the clock: only an operator backdates or imports, and nobody
    /// acts in the future, beyond what clocks of two machines may differ by, or before our calendar begins.
    pub fn try_new(
        clock: DateTime<Utc>,
        occurred_at: Option<DateTime<Utc>>,
        actor: Actor,
        imported: bool,
    ) -> Result<Self, Refusal> {
        if imported && actor.role != Role::Operator {
            return Err(AccessError::ImportByOperatorOnly.into());
        }
        let now = occurred_at.unwrap_or(clock);
        if now.signed_duration_since(clock) > TimeDelta::minutes(limits::FUTURE_MINUTES) {
            let limit_minutes = limits::FUTURE_MINUTES;
            return Err(InvalidError::OccurredInFuture {
                occurred_at: now,
                limit_minutes,
            }
            .into());
        }
        if now.year() < limits::FIRST_YEAR {
            return Err(InvalidError::OccurredTooEarly {
                occurred_at: now,
                first_year: limits::FIRST_YEAR,
            }
            .into());
        }
        if now < clock && actor.role != Role::Operator {
            return Err(AccessError::BackdatingByOperatorOnly.into());
        }
        Ok(Self {
            now,
            actor,
            order_number: None,
            imported,
        })
    }

    /// Whether a time that an outside party names lies too far ahead of the business time.
    pub(crate) fn is_future(&self, at: DateTime<Utc>) -> bool {
        at.signed_duration_since(self.now) > TimeDelta::minutes(limits::FUTURE_MINUTES)
    }
}
