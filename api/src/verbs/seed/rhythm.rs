//! When orders come: more in the evening, more at the weekend.
//!
//! Orders are spread over the hours of the span by the hours' weights: the `n`th of `count` takes the `n`th of as many
//! equal shares of the whole weight. So they come in the order of their numbers, and any number of them has the same
//! rhythm.

use super::dice::Dice;
use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc};

/// By hour of the day, in UTC: the shop's customers are mostly in Europe.
const HOURS: [u32; 24] = [
    10, 6, 4, 3, 3, 5, 10, 18, 28, 36, 42, 46, 48, 46, 44, 44, 48, 56, 70, 86, 96, 88, 60, 28,
];
/// By day of the week, from Monday.
const DAYS: [u32; 7] = [100, 92, 92, 96, 104, 132, 148];

/// A span of time with its hours' weights, added up.
pub(super) struct Rhythm {
    start: DateTime<Utc>,
    /// The weight up to the end of each hour.
    until: Vec<u64>,
}

impl Rhythm {
    /// The `days` before `end`.
    pub(super) fn new(end: DateTime<Utc>, days: u16) -> Self {
        let start = end - TimeDelta::days(days.into());
        let mut total = 0;
        let until = (0..u32::from(days) * 24)
            .map(|hour| {
                let at = start + TimeDelta::hours(hour.into());
                let day = DAYS[at.weekday().num_days_from_monday() as usize];
                total += u64::from(HOURS[at.hour() as usize] * day);
                total
            })
            .collect();
        Self { start, until }
    }

    /// When the order of this number, from 0, of `count` comes.
    pub(super) fn at(&self, number: u64, count: u64, dice: &mut Dice) -> DateTime<Utc> {
        let total = self.until.last().copied().unwrap_or(1);
        // Where in its share is chance, in parts of a million. A span of years times billions of orders fits 128 bits.
        const PARTS: u64 = 1_000_000;
        let share = u128::from(number) * u128::from(PARTS) + u128::from(dice.below(PARTS));
        let sought = share * u128::from(total) / (u128::from(count.max(1)) * u128::from(PARTS));
        // Below the total, because the number is below the count.
        let sought = sought as u64;
        let hour = self.until.partition_point(|until| *until <= sought);
        let before = hour.checked_sub(1).map_or(0, |before| self.until[before]);
        let weight = self.until.get(hour).map_or(1, |until| until - before).max(1);
        let millis = sought.saturating_sub(before) * 3_600_000 / weight;
        let within = i64::try_from(millis).unwrap_or(0);
        self.start + TimeDelta::hours(hour as i64) + TimeDelta::milliseconds(within)
    }
}

#[cfg(test)]
mod tests {
    use super::{Dice, Rhythm};
    use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc, Weekday};

    fn end() -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_225_600, 0).unwrap()
    }

    #[test]
    fn orders_come_in_the_order_of_their_numbers_within_the_span() {
        for count in [1, 2, 30, 5_000] {
            let (rhythm, mut dice) = (Rhythm::new(end(), 90), Dice::new(1, 0));
            let times: Vec<_> = (0..count).map(|n| rhythm.at(n, count, &mut dice)).collect();
            assert!(times.is_sorted());
            assert!(
                times
                    .iter()
                    .all(|at| *at >= end() - TimeDelta::days(90) && *at < end())
            );
        }
    }

    #[test]
    fn evenings_and_weekends_are_busy() {
        let (rhythm, mut dice) = (Rhythm::new(end(), 70), Dice::new(1, 0));
        let times: Vec<_> = (0..20_000).map(|n| rhythm.at(n, 20_000, &mut dice)).collect();
        let count = |is: &dyn Fn(&DateTime<Utc>) -> bool| times.iter().filter(|at| is(at)).count();
        let evening = count(&|at| (18..22).contains(&at.hour()));
        let night = count(&|at| (1..5).contains(&at.hour()));
        assert!(evening > 10 * night, "{evening} in the evening, {night} at night");
        let sundays = count(&|at| at.weekday() == Weekday::Sun);
        let tuesdays = count(&|at| at.weekday() == Weekday::Tue);
        assert!(sundays * 10 > tuesdays * 14, "{sundays} {tuesdays}");
    }
}
