//! What the door allows, where an operator may want another number than ours.

use crate::graphql::Rates;
use crate::server::listen::{ListenLimits, MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What the door allows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    /// Connections at once.
    pub connections: u32,
    /// Connections of one address at once; proxies are not counted.
    pub connections_per_address: u32,
    /// What each caller may spend.
    pub rates: Rates,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            connections: MAX_CONNECTIONS as u32,
            connections_per_address: MAX_CONNECTIONS_PER_ADDRESS as u32,
            rates: Rates::default(),
        }
    }
}

impl LimitSettings {
    /// What the serving loop is told.
    pub(crate) fn listen(&self, proxies: &[IpAddr]) -> ListenLimits {
        ListenLimits {
            connections: self.connections as usize,
            connections_per_address: self.connections_per_address as usize,
            proxies: proxies.to_vec(),
            ..ListenLimits::default()
        }
    }
}
