//! What a process does with events that a read model cannot apply.

use docket_projections::{OnFailure, ProjectionsConfig, limits};
use serde::{Deserialize, Serialize};

/// The most attempts: the pauses between them double, and the partition waits meanwhile.
pub(super) const MAX_ATTEMPTS: u64 = 10;

/// The read models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectionSettings {
    /// What is done with an event that cannot be applied.
    pub on_failure: Failing,
    /// How often it is tried before.
    pub attempts: u32,
}

/// What is done with an event that cannot be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Failing {
    /// It waits with its order as a dead letter; everything else goes on.
    Park,
    /// Its partition stands still.
    Stop,
}

impl Default for ProjectionSettings {
    fn default() -> Self {
        Self {
            on_failure: Failing::Park,
            attempts: limits::ATTEMPTS,
        }
    }
}

impl ProjectionSettings {
    /// How read models are fed.
    pub fn config(&self) -> ProjectionsConfig {
        ProjectionsConfig {
            attempts: self.attempts,
            on_failure: match self.on_failure {
                Failing::Park => OnFailure::Park,
                Failing::Stop => OnFailure::Stop,
            },
            ..ProjectionsConfig::default()
        }
    }
}
