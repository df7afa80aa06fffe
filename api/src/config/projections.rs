//! What a process does for its read models.

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
    /// Whether a server does rebuilds that nobody does: those that were asked for, and those whose process died.
    pub rebuilds: bool,
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
            rebuilds: true,
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
