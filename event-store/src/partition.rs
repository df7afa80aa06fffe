//! Which partition a stream lives in: Kafka's default partitioner over the order's id.
//!
//! `(murmur2(key) & 0x7fffffff) mod P` over the lower-case hyphenated text of the order's id in UTF-8, so that a Kafka
//! producer with the default partitioner and the same key picks the same partition. The test vectors come from
//! Kafka's own client (`org.apache.kafka.common.utils.Utils.murmur2`).

use docket_domain::OrderId;
use uuid::fmt::Hyphenated;

/// How many partitions a new log gets; fixed for ever at creation.
pub const DEFAULT_PARTITIONS: u16 = 16;
/// The most partitions a log may have: every lane statement names its partitions, and every child table costs locks.
pub const MAX_PARTITIONS: u16 = 1024;

/// The number of partitions of a log, P.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partitions(u16);

impl Partitions {
    /// `None` unless `count` is between 1 and [`MAX_PARTITIONS`].
    pub fn try_new(count: u16) -> Option<Self> {
        (1..=MAX_PARTITIONS).contains(&count).then_some(Self(count))
    }

    /// P.
    pub fn count(self) -> u16 {
        self.0
    }

    /// Every partition of the log.
    pub fn all(self) -> impl Iterator<Item = u16> + Clone {
        0..self.0
    }

    /// The partition of everything about one order.
    pub fn of(self, order: OrderId) -> u16 {
        let mut text = [0; Hyphenated::LENGTH];
        let key = order.0.hyphenated().encode_lower(&mut text);
        self.of_key(key.as_bytes())
    }

    fn of_key(self, key: &[u8]) -> u16 {
        let positive = murmur2(key) & 0x7fff_ffff;
        // A remainder of a u16 fits a u16.
        (positive % u32::from(self.0)) as u16
    }
}

/// Murmur2, 32 bits, with the seed that Kafka's Java client uses.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    // Kafka hashes the length as a 32-bit number; keys are far shorter than 4 GiB.
    let mut h = SEED ^ data.len() as u32;
    let chunks = data.chunks_exact(4);
    let rest = chunks.remainder();
    for chunk in chunks {
        let mut k = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> R;
        k = k.wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
    }
    for (i, byte) in rest.iter().enumerate() {
        h ^= u32::from(*byte) << (8 * i);
    }
    if !rest.is_empty() {
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::{Partitions, murmur2};

    /// From Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn murmur2_agrees_with_kafkas_published_vectors() {
        for (text, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()) as i32, hash, "{text}");
        }
    }

    /// From `BuiltInPartitioner.partitionForKey(key, P)` of kafka-clients 3.9.0, for P = 16, 7 and 1024.
    #[test]
    fn an_order_lands_where_kafkas_default_partitioner_puts_its_key() {
        for (order, of_16, of_7, of_1024) in [
            ("00000000-0000-0000-0000-000000000000", 13, 3, 893),
            ("ffffffff-ffff-ffff-ffff-ffffffffffff", 2, 4, 242),
            ("0191f3c2-7e3a-7b44-9c1d-2f6a5b8e9d01", 0, 3, 224),
            ("7f1d3a52-0c1e-4f7e-8a9b-1c2d3e4f5a6b", 6, 2, 326),
            ("c0ffee00-dead-4bee-8bad-f00dcafe0001", 3, 6, 579),
            ("12345678-1234-5678-1234-567812345678", 12, 0, 764),
            ("018f0000-0000-7000-8000-000000000001", 8, 3, 120),
            ("018f0000-0000-7000-8000-000000000002", 11, 2, 667),
        ] {
            let order = order.parse().unwrap();
            for (count, expected) in [(16, of_16), (7, of_7), (1024, of_1024)] {
                assert_eq!(
                    Partitions::try_new(count).unwrap().of(order),
                    expected,
                    "{order} of {count}"
                );
            }
        }
    }

    #[test]
    fn a_log_has_at_least_one_partition_and_a_bounded_number() {
        assert!(Partitions::try_new(0).is_none());
        assert!(Partitions::try_new(1024).is_some());
        assert!(Partitions::try_new(1025).is_none());
    }
}
