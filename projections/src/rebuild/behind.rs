//! Whether live read models are behind, as a rebuild sees it from one look to the next.
//!
//! Nothing of the log is read for it but its heads: an event is as old as the first look that found it there.

use crate::limits;
use sqlx::PgPool;
use std::collections::VecDeque;
use tokio::time::Instant;

/// Each partition's head, and how far that live read model is which has least of it; of those that move.
const LOOK: &str = r#"
select h.head, coalesce(min(c."offset"), h.head)
  from heads h
  left join (select c.partition, c."offset" from checkpoints c
               join generations g on g.projection = c.projection and g.generation = c.generation
              where g.state = 'live' and c.lease_until > clock_timestamp()
                and c.stopped_offset is null and c.trouble is null) c on c.partition = h.partition
 group by h.partition, h.head order by h.partition"#;

/// What was seen before.
#[derive(Default)]
pub(super) struct Behind {
    /// Heads, the youngest last; the first is what was there [`limits::REBUILD_YIELDS_AFTER`] ago.
    heads: VecDeque<(Instant, Vec<i64>)>,
}

impl Behind {
    /// Looks whether one of them is too far behind.
    pub(super) async fn look(&mut self, pool: &PgPool) -> Result<bool, sqlx::Error> {
        let seen: Vec<(i64, i64)> = sqlx::query_as(LOOK).fetch_all(pool).await?;
        Ok(self.see(Instant::now(), &seen))
    }

    fn see(&mut self, now: Instant, seen: &[(i64, i64)]) -> bool {
        let is_old = |(at, _): &(Instant, Vec<i64>)| now - *at >= limits::REBUILD_YIELDS_AFTER;
        while self.heads.get(1).is_some_and(is_old) {
            self.heads.pop_front();
        }
        let before = self.heads.front().filter(|one| is_old(one));
        let misses_old = before.is_some_and(|(_, heads)| {
            let mut both = heads.iter().zip(seen);
            both.any(|(head, (_, least))| least < head)
        });
        self.heads
            .push_back((now, seen.iter().map(|(head, _)| *head).collect()));
        misses_old
            || seen
                .iter()
                .any(|(head, least)| head - least > limits::REBUILD_YIELDS_AT)
    }
}

#[cfg(test)]
mod tests {
    use super::Behind;
    use crate::limits::{REBUILD_TICK, REBUILD_YIELDS_AT};
    use tokio::time::Instant;

    #[test]
    fn way_is_made_for_who_misses_much_or_something_old() {
        let (start, mut behind) = (Instant::now(), Behind::default());
        let mut see = |tick, seen: &[(i64, i64)]| behind.see(start + REBUILD_TICK * tick, seen);
        assert!(!see(0, &[(5, 5), (7, 7)]));
        // What came with the last look may be missing, and what came with the one before it.
        assert!(!see(1, &[(9, 5), (7, 7)]));
        assert!(!see(2, &[(12, 5), (7, 7)]));
        assert!(see(3, &[(12, 8), (7, 7)]));
        assert!(!see(4, &[(12, 12), (7, 7)]));
        assert!(see(5, &[(12, 12), (8 + REBUILD_YIELDS_AT, 7)]));
    }
}
