//! How many connections there are, and how many of each address.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::json;

use super::ListenLimits;
use crate::http::{code, network_of};

/// The places of one listener. As many entries as there are connections at most.
pub(super) struct Places(Arc<Shared>);

struct Shared {
    limit: usize,
    limit_per_address: usize,
    proxies: HashSet<IpAddr>,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection's place; free again when it is dropped.
pub(super) struct Place {
    shared: Arc<Shared>,
    counted: Option<IpAddr>,
}

/// Why there is no place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full {
    /// What there are too many of.
    pub(super) what: &'static str,
    limit: usize,
}

impl Places {
    pub(super) fn new(limits: &ListenLimits) -> Places {
        Places(Arc::new(Shared {
            limit: limits.connections,
            limit_per_address: limits.connections_per_address,
            proxies: limits.proxies.iter().map(IpAddr::to_canonical).collect(),
            taken: Mutex::default(),
        }))
    }

    /// A place for a connection from `address`. Addresses of one IPv6 network count as one: each customer of a
    /// provider has 2^64 of them.
    pub(super) fn take(&self, address: IpAddr) -> Result<Place, Full> {
        let shared = &self.0;
        let mut taken = shared.lock();
        if taken.all >= shared.limit {
            return Err(Full {
                what: "connections",
                limit: shared.limit,
            });
        }
        let counted = (!shared.proxies.contains(&address.to_canonical())).then(|| network_of(address));
        if let Some(network) = counted {
            let mine = taken.by_address.entry(network).or_default();
            if *mine >= shared.limit_per_address {
                return Err(Full {
                    what: "connections of one address",
                    limit: shared.limit_per_address,
                });
            }
            *mine += 1;
        }
        taken.all += 1;
        metrics::gauge!("docket_connections").set(taken.all as f64);
        Ok(Place {
            shared: Arc::clone(shared),
            counted,
        })
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Taken> {
        // The counts are whole between any two statements that hold the lock.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.shared.lock();
        taken.all -= 1;
        metrics::gauge!("docket_connections").set(taken.all as f64);
        if let Some(network) = self.counted
            && let Entry::Occupied(mut mine) = taken.by_address.entry(network)
        {
            *mine.get_mut() -= 1;
            if *mine.get() == 0 {
                mine.remove();
            }
        }
    }
}

impl Full {
    /// As the body of an answer.
    pub(super) fn json(&self) -> String {
        let Full { what, limit } = self;
        let extensions = json!({"code": code::OVERLOADED, "what": what, "limit": limit, "actual": limit.saturating_add(1)});
        let message = format!("There may be {limit} {what} at once; try again.");
        json!({"errors": [{"message": message, "extensions": extensions}]}).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(connections: usize, connections_per_address: usize) -> Places {
        Places::new(&ListenLimits {
            connections,
            connections_per_address,
            proxies: vec![[127, 0, 0, 1].into()],
            ..ListenLimits::default()
        })
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_is_gone() {
        let (places, here) = (places(3, 2), IpAddr::from([10, 0, 0, 1]));
        let first = places.take(here).unwrap();
        let _second = places.take(here).unwrap();
        assert_eq!(
            places.take(here).err().unwrap().what,
            "connections of one address"
        );
        let _third = places.take([10, 0, 0, 2].into()).unwrap();
        assert_eq!(
            places.take([10, 0, 0, 3].into()).err().unwrap().what,
            "connections"
        );
        drop(first);
        let _again = places.take(here).unwrap();
        drop((_second, _third, _again));
        let taken = places.0.lock();
        assert_eq!((taken.all, taken.by_address.len()), (0, 0));
    }

    #[test]
    fn a_proxy_is_counted_only_among_all() {
        let (places, proxy) = (places(3, 1), IpAddr::from([127, 0, 0, 1]));
        let taken: Vec<_> = (0..3).map(|_| places.take(proxy).unwrap()).collect();
        assert_eq!(places.take(proxy).err().unwrap().what, "connections");
        drop(taken);
    }

    #[test]
    fn an_ipv6_network_is_one_address_and_a_mapped_ipv4_address_is_itself() {
        let places = places(9, 1);
        let take = |text: &str| places.take(text.parse().unwrap());
        let _first = take("2001:db8:1:1::1").unwrap();
        assert!(take("2001:db8:1:1:ffff::2").is_err());
        let _second = take("2001:db8:1:2::1").unwrap();
        let _third = take("10.0.0.1").unwrap();
        assert!(take("::ffff:10.0.0.1").is_err());
    }
}
