//! What each caller may spend: a bucket of points that fills up again, and a number of subscriptions.
//!
//! An operation pays its estimated cost ([`super::document`]) before it runs; a subscription pays when it starts. A caller
//! is a role and an id, or, without a token, the network of its address. Buckets take a bounded amount of memory: those
//! that are full again are forgotten, which loses nothing, and where there are too many others, callers who come newly
//! share one bucket of their role. So a flood of new callers makes itself small, and takes nobody's points away.
//!
//! A bucket is one instant: when it will be full again. Points and time are the same thing at a constant rate, and an
//! instant needs no upkeep.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_graphql::{Name, Value};
use docket_domain::{Actor, Role};
use serde::{Deserialize, Serialize};

use super::{error::Refused, limits};
use crate::{
    auth::Caller,
    http::{code, network_of},
};

/// Parts that buckets are kept in, so that callers seldom wait for each other: four times the processors of a common
/// server.
const SHARDS: usize = 16;
/// How often a part that is full looks for buckets to forget: 1 s. Looking costs a walk over all of them.
const SWEEP: Duration = Duration::from_secs(1);

/// What one caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Points that a full bucket has: what may be spent at once. At least [`limits::MAX_COST`].
    pub points: u64,
    /// Points that come back in a second.
    pub points_per_second: u64,
    /// Subscriptions at once.
    pub subscriptions: u32,
}

/// The rates by role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Who has no token; all of one address together.
    pub anonymous: Rate,
    /// Each customer.
    pub customer: Rate,
    /// Each member of staff.
    pub staff: Rate,
    /// Each operator.
    pub operator: Rate,
    /// Each of the shop's own programs.
    pub service: Rate,
    /// Each payment gateway.
    pub gateway: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |points, points_per_second, subscriptions| Rate {
            points,
            points_per_second,
            subscriptions,
        };
        Rates {
            // The schema, again and again; nothing else is open to them.
            anonymous: rate(100_000, 2_000, 10),
            // Two of the costliest operations at once, then two whole orders a second for ever.
            customer: rate(100_000, 5_000, 50),
            // Busy screens and a script beside them, forty of the costliest operations at once.
            staff: rate(2_000_000, 200_000, 1_000),
            operator: rate(2_000_000, 200_000, 1_000),
            // The shop's own front end speaks for all its customers: counted, and not held back before the machine is.
            service: rate(1_000_000_000, 1_000_000_000, 10_000),
            gateway: rate(1_000_000, 50_000, 10),
        }
    }
}

impl Rates {
    fn of(&self, role: Option<Role>) -> Rate {
        match role {
            None => self.anonymous,
            Some(Role::Customer) => self.customer,
            Some(Role::Staff) => self.staff,
            Some(Role::Operator) => self.operator,
            Some(Role::Service) => self.service,
            Some(Role::Gateway) => self.gateway,
        }
    }

    /// Each rate with its name in the settings.
    pub fn by_name(&self) -> [(&'static str, Rate); 6] {
        [
            ("anonymous", self.anonymous),
            ("customer", self.customer),
            ("staff", self.staff),
            ("operator", self.operator),
            ("service", self.service),
            ("gateway", self.gateway),
        ]
    }
}

/// Whose bucket it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// Of a network; `None` where no address is known.
    Anonymous(Option<IpAddr>),
    Known(Arc<Actor>),
    /// Everybody of a role for whom there was no room.
    Crowd(Option<Role>),
}

/// One caller's.
#[derive(Debug)]
struct Account {
    full_at: Instant,
    subscriptions: u32,
}

#[derive(Debug)]
struct Shard {
    accounts: HashMap<Key, Account>,
    swept: Instant,
}

/// The buckets of a process.
#[derive(Debug)]
pub(super) struct Budgets {
    rates: Rates,
    shards: Vec<Mutex<Shard>>,
    most_in_shard: usize,
    hasher: RandomState,
}

/// How a bucket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    rate: Rate,
    available: u64,
    /// Until it is full.
    fills_in: Duration,
}

/// A subscription that is counted until this is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    budgets: Arc<Budgets>,
    key: Key,
}

impl Budgets {
    pub(super) fn new(rates: Rates) -> Budgets {
        Budgets::with_room(rates, limits::MAX_BUDGETS)
    }

    fn with_room(rates: Rates, most: usize) -> Budgets {
        let now = Instant::now();
        let shard = |_| {
            Mutex::new(Shard {
                accounts: HashMap::new(),
                swept: now,
            })
        };
        Budgets {
            rates,
            shards: (0..SHARDS).map(shard).collect(),
            most_in_shard: most.div_ceil(SHARDS),
            hasher: RandomState::new(),
        }
    }

    /// Takes `cost` points, or says how long to wait for them; then nothing is taken.
    pub(super) fn spend(
        &self,
        caller: Option<&Caller>,
        peer: Option<IpAddr>,
        cost: u64,
        now: Instant,
    ) -> (Standing, Result<(), Refused>) {
        let (role, key) = identity(caller, peer);
        let rate = self.rates.of(role);
        let (mut shard, key) = self.account(key, role, now);
        let account = shard.accounts.entry(key).or_insert_with(|| Account::new(now));
        let outcome = account.spend(rate, cost, now);
        let standing = account.standing(rate, now);
        drop(shard);
        (standing, outcome.map_err(|wait| standing.refused(cost, wait)))
    }

    /// Counts a subscription more, where the caller may have one.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        caller: Option<&Caller>,
        peer: Option<IpAddr>,
        now: Instant,
    ) -> Result<Counted, Refused> {
        let (role, key) = identity(caller, peer);
        let limit = self.rates.of(role).subscriptions;
        let (mut shard, key) = self.account(key, role, now);
        let account = shard
            .accounts
            .entry(key.clone())
            .or_insert_with(|| Account::new(now));
        if account.subscriptions >= limit {
            let message = format!("A caller may have {limit} subscriptions at once; end one first.");
            let actual = u64::from(limit) + 1;
            return Err(Refused::new(code::OVERLOADED, message).over(
                "subscriptions of a caller",
                u64::from(limit),
                actual,
            ));
        }
        account.subscriptions += 1;
        drop(shard);
        Ok(Counted {
            budgets: Arc::clone(self),
            key,
        })
    }

    /// The part where a caller's account is or has room, and the account's key: the caller's own, or the crowd's.
    fn account(&self, key: Key, role: Option<Role>, now: Instant) -> (MutexGuard<'_, Shard>, Key) {
        let mut shard = self.shard(&key);
        if shard.accounts.contains_key(&key) || shard.has_room(self.most_in_shard, now) {
            return (shard, key);
        }
        drop(shard);
        metrics::counter!("docket_budget_crowded_total").increment(1);
        let crowd = Key::Crowd(role);
        (self.shard(&crowd), crowd)
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let at = self.hasher.hash_one(key) as usize % self.shards.len();
        // An account is whole between any two statements that hold the lock.
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn identity(caller: Option<&Caller>, peer: Option<IpAddr>) -> (Option<Role>, Key) {
    match caller.and_then(Caller::actor) {
        Some(actor) => (Some(actor.role), Key::Known(Arc::clone(actor))),
        None => (None, Key::Anonymous(peer.map(network_of))),
    }
}

impl Shard {
    fn has_room(&mut self, most: usize, now: Instant) -> bool {
        if self.accounts.len() >= most && now.saturating_duration_since(self.swept) >= SWEEP {
            self.accounts
                .retain(|_, account| account.full_at > now || account.subscriptions > 0);
            self.swept = now;
        }
        self.accounts.len() < most
    }
}

impl Account {
    fn new(now: Instant) -> Account {
        Account {
            full_at: now,
            subscriptions: 0,
        }
    }

    /// Takes `cost` points, or says how long until they are there.
    fn spend(&mut self, rate: Rate, cost: u64, now: Instant) -> Result<(), Duration> {
        let full_at = self.full_at.max(now) + time_for(cost, rate);
        let missing = full_at
            .saturating_duration_since(now)
            .checked_sub(time_for(rate.points, rate));
        match missing {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.full_at = full_at;
                Ok(())
            }
        }
    }

    fn standing(&self, rate: Rate, now: Instant) -> Standing {
        let fills_in = self.full_at.saturating_duration_since(now);
        let missing = fills_in.as_nanos() * u128::from(rate.points_per_second);
        let missing = u64::try_from(missing.div_ceil(NANOS)).unwrap_or(u64::MAX);
        Standing {
            rate,
            available: rate.points.saturating_sub(missing),
            fills_in,
        }
    }
}

const NANOS: u128 = 1_000_000_000;

/// How long so many points take to come back; not more than thirty years, which no bucket holds.
fn time_for(points: u64, rate: Rate) -> Duration {
    let nanos = u128::from(points) * NANOS / u128::from(rate.points_per_second.max(1));
    Duration::from_nanos(
        u64::try_from(nanos)
            .unwrap_or(u64::MAX)
            .min(1_000_000_000_000_000_000),
    )
}

impl Standing {
    /// As `extensions.cost.throttleStatus`, with the names that Shopify made known.
    pub(super) fn value(self) -> Value {
        let numbers = [
            ("maximumAvailable", Value::from(self.rate.points)),
            ("currentlyAvailable", Value::from(self.available)),
            ("restoreRate", Value::from(self.rate.points_per_second)),
            ("secondsUntilFull", Value::from(seconds(self.fills_in))),
        ];
        Value::Object(
            numbers
                .into_iter()
                .map(|(name, number)| (Name::new(name), number))
                .collect(),
        )
    }

    fn refused(self, cost: u64, wait: Duration) -> Refused {
        let (wait, available) = (seconds(wait), self.available);
        let message =
            format!("The operation costs {cost} points and {available} are left; try again in {wait} s.");
        Refused::new(code::RATE_LIMITED, message)
            .over("points", available, cost)
            .with(code::RETRY_AFTER, wait)
    }
}

/// Whole seconds, rounded up: who waits that long waits long enough.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut shard = self.budgets.shard(&self.key);
        if let Some(account) = shard.accounts.get_mut(&self.key) {
            account.subscriptions = account.subscriptions.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        points: 100,
        points_per_second: 10,
        subscriptions: 2,
    };

    fn budgets(most: usize) -> Arc<Budgets> {
        let rates = Rates {
            anonymous: RATE,
            customer: RATE,
            staff: RATE,
            operator: RATE,
            service: RATE,
            gateway: RATE,
        };
        Arc::new(Budgets::with_room(rates, most))
    }

    fn ada() -> Caller {
        Caller::known(Role::Customer, "ada")
    }

    #[test]
    fn points_are_spent_and_come_back_with_time() {
        let (budgets, ada, now) = (budgets(100), ada(), Instant::now());
        let spend = |cost, at| {
            let (standing, outcome) = budgets.spend(Some(&ada), None, cost, at);
            (standing.available, outcome.is_ok())
        };
        assert_eq!(spend(60, now), (40, true));
        assert_eq!(spend(41, now), (40, false));
        assert_eq!(spend(40, now), (0, true));
        assert_eq!(spend(1, now), (0, false));
        assert_eq!(spend(0, now + Duration::from_millis(1_050)), (10, true));
        assert_eq!(spend(10, now + Duration::from_secs(2)), (10, true));
        assert_eq!(spend(0, now + Duration::from_secs(99)), (100, true));
    }

    #[test]
    fn each_caller_and_each_network_has_a_bucket() {
        let (budgets, now) = (budgets(100), Instant::now());
        let spend = |caller: Option<Caller>, peer: Option<&str>| {
            let peer = peer.map(|text| text.parse().unwrap());
            budgets.spend(caller.as_ref(), peer, 100, now).1.is_ok()
        };
        assert!(spend(Some(ada()), Some("10.0.0.1")));
        assert!(
            !spend(Some(ada()), Some("10.0.0.2")),
            "the address is nothing to a token"
        );
        assert!(
            spend(Some(Caller::known(Role::Staff, "ada")), None),
            "another role is another caller"
        );
        assert!(spend(None, Some("10.0.0.1")));
        assert!(!spend(Some(Caller::Anonymous), Some("10.0.0.1")));
        assert!(spend(None, Some("2001:db8::1")));
        assert!(!spend(None, Some("2001:db8::2")));
    }

    #[test]
    fn a_flood_of_callers_shares_a_bucket_and_takes_nobody_elses() {
        let (budgets, now) = (budgets(160), Instant::now());
        assert!(budgets.spend(Some(&ada()), None, 50, now).1.is_ok());
        let mut served = 0;
        for at in 0..100_000_u32 {
            let peer = IpAddr::from(at.to_be_bytes());
            served += u32::from(budgets.spend(None, Some(peer), 100, now).1.is_ok());
        }
        let held: usize = budgets
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap().accounts.len())
            .sum();
        assert!(
            held <= 160 + 1 && served <= 160 + 1,
            "{held} are held, {served} were served"
        );
        assert_eq!(budgets.spend(Some(&ada()), None, 0, now).0.available, 50);
        // Once their buckets are full again, they are nothing to remember.
        let later = now + Duration::from_secs(60);
        for at in 0..64_u32 {
            assert!(
                budgets
                    .spend(None, Some((!at).to_be_bytes().into()), 100, later)
                    .1
                    .is_ok()
            );
        }
        assert_eq!(budgets.spend(Some(&ada()), None, 0, later).0.available, 100);
    }

    #[test]
    fn subscriptions_are_counted_until_they_end_and_are_remembered_meanwhile() {
        let (budgets, ada, now) = (budgets(16), ada(), Instant::now());
        let subscribe = || budgets.subscribe(Some(&ada), None, now);
        let first = subscribe().unwrap();
        let _second = subscribe().unwrap();
        assert!(subscribe().is_err());
        for at in 0..1_000_u32 {
            budgets
                .spend(
                    None,
                    Some(at.to_be_bytes().into()),
                    1,
                    now + Duration::from_secs(60),
                )
                .1
                .ok();
        }
        assert!(subscribe().is_err());
        drop(first);
        assert!(subscribe().is_ok());
    }

    #[test]
    fn no_rate_overflows() {
        let all = Rate {
            points: u64::MAX,
            points_per_second: 1,
            subscriptions: 0,
        };
        let (now, mut account) = (Instant::now(), Account::new(Instant::now()));
        for _ in 0..3 {
            let _ = account.spend(all, u64::MAX, now);
            account.standing(all, now);
        }
    }
}
