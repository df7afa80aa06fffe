//! What was sold in each minute, and in all of them together.

use async_graphql::{Context, Object, Result, SimpleObject};
use chrono::{DateTime, TimeDelta, Utc};
use docket_domain::{Currency, text::Code};
use docket_projections::read_models::sales_by_minute::{self, Sales as Sum};
use std::collections::BTreeMap;

use crate::graphql::{
    error::Refused,
    limits,
    order::queries::known_to_the_database,
    position::{self, PositionInput},
    scalars::{BigInt, CurrencyScalar, MoneyValue},
    services,
};

/// What some orders add up to, in one currency and from one channel.
#[derive(Clone, Debug, SimpleObject)]
pub struct Sales {
    /// Of every amount.
    pub currency: CurrencyScalar,
    /// Where the orders came from.
    pub channel: String,
    /// How many were placed.
    pub orders: BigInt,
    /// What they add up to.
    pub total: MoneyValue,
    /// The smallest of them.
    pub smallest: MoneyValue,
    /// The largest of them.
    pub largest: MoneyValue,
    /// What one adds up to on average, in minor units.
    pub mean: f64,
    /// How far they are from that: the standard deviation of all of them, in minor units.
    pub standard_deviation: f64,
}

impl Sales {
    fn of(sum: &Sum, currency: Currency, channel: &Code) -> Self {
        let money = |amount| MoneyValue::new(amount, currency);
        Self {
            currency: CurrencyScalar(currency),
            channel: channel.as_str().to_owned(),
            orders: BigInt(sum.orders),
            total: money(sum.total),
            smallest: money(sum.smallest),
            largest: money(sum.largest),
            mean: sum.mean(),
            standard_deviation: sum.standard_deviation(),
        }
    }
}

/// A minute.
#[derive(Clone, Debug, SimpleObject)]
pub struct SalesWindow {
    /// Its beginning, in the orders' own time.
    pub minute: DateTime<Utc>,
    /// What was placed in it.
    pub sales: Sales,
}

/// What was sold in some minutes.
#[derive(Clone, Debug, Default, SimpleObject)]
pub struct SalesByMinute {
    /// By minute, currency and channel, ascending. A minute in which nothing was placed is absent.
    pub windows: Vec<SalesWindow>,
    /// All of them together, by currency and channel.
    pub totals: Vec<Sales>,
}

/// Queries of what is sold.
#[derive(Default)]
pub struct SalesQueries;

#[Object]
impl SalesQueries {
    /// What was placed in each minute, for at most a day.
    async fn sales_by_minute(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "From this time on: the minute that begins then, or after it.")] from: DateTime<Utc>,
        #[graphql(desc = "Before this time.")] to: DateTime<Utc>,
        #[graphql(desc = "In this currency alone.")] currency: Option<CurrencyScalar>,
        #[graphql(desc = "From this channel alone.")] channel: Option<String>,
        #[graphql(desc = "Not before what is read is at or past each of these positions.")]
        min_position: Option<Vec<PositionInput>>,
    ) -> Result<Option<SalesByMinute>> {
        for instant in [from, to] {
            known_to_the_database(Some(instant))?;
        }
        if to < from {
            return Err(Refused::bad_input("`to` is before `from`.").into());
        }
        if to - from > TimeDelta::minutes(limits::MAX_SALES_MINUTES) {
            let most = limits::MAX_SALES_MINUTES;
            return Err(
                Refused::bad_input(format!("At most {most} minutes are asked for at a time.")).into(),
            );
        }
        // A channel that nobody can have sold nothing.
        if channel
            .as_deref()
            .is_some_and(|channel| Code::try_new(channel).is_err())
        {
            return Ok(Some(SalesByMinute::default()));
        }
        position::wait(ctx, &[sales_by_minute::NAME], min_position.as_deref()).await?;
        let currency = currency.map(|currency| currency.0);
        let services = services(ctx)?;
        let mut connection = services.query_connection().await?;
        let serving = services.serving();
        let windows = sales_by_minute::windows(
            &mut *connection,
            &serving,
            (from, to),
            currency,
            channel.as_deref(),
        );
        let windows = windows.await;
        let windows = connection.finish(windows).map_err(Refused::from)?;
        let mut totals: BTreeMap<(Currency, Code), Sum> = BTreeMap::new();
        for window in &windows {
            let sum = totals.entry((window.currency, window.channel.clone()));
            sum.and_modify(|sum| *sum = sum.and(window.sales))
                .or_insert(window.sales);
        }
        let shown = |window: &sales_by_minute::Window| SalesWindow {
            minute: window.minute,
            sales: Sales::of(&window.sales, window.currency, &window.channel),
        };
        Ok(Some(SalesByMinute {
            windows: windows.iter().map(shown).collect(),
            totals: totals
                .iter()
                .map(|((currency, channel), sum)| Sales::of(sum, *currency, channel))
                .collect(),
        }))
    }
}
