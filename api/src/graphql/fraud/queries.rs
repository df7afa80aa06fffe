//! Queries of what looks like fraud.

use async_graphql::{Context, Object, Result};
use chrono::{DateTime, TimeDelta, Utc};
use docket_domain::{CustomerId, OrderId};
use docket_projections::read_models::{
    fraud_signals::{self, Filter, Signal},
    list::Page,
};

use super::signal::{FraudSignal, FraudSignalConnection, FraudSignalEdge, FraudSignalKind};
use crate::graphql::{
    cursor::{self, List},
    error::Refused,
    limits,
    order::queries::{OrdersOf, known_to_the_database, orders_of},
    paging::Window,
    position::{self, PositionInput},
    services,
};

/// Queries of what looks like fraud.
#[derive(Default)]
pub struct FraudQueries;

#[Object]
impl FraudQueries {
    /// What looked like fraud, for at most a week, the newest first: three failed payments of one customer within ten minutes,
    /// in whatever orders, and orders of a high value. It is derived from all that is known of the time when it is asked for.
    #[expect(clippy::too_many_arguments, reason = "they are the arguments of the field")]
    async fn fraud_signals(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "At this time or after it, in business time. Payments that failed before count with those after."
        )]
        from: DateTime<Utc>,
        #[graphql(desc = "Before this time.")] to: DateTime<Utc>,
        #[graphql(desc = "Of this kind alone.")] kind: Option<FraudSignalKind>,
        #[graphql(desc = "Of this customer alone.")] customer: Option<String>,
        #[graphql(desc = "How many; 20 where nothing is said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "After this place.")] after: Option<String>,
        #[graphql(desc = "Not before what is read is at or past each of these positions.")]
        min_position: Option<Vec<PositionInput>>,
    ) -> Result<Option<FraudSignalConnection>> {
        let place = |text: &str, argument: &str| cursor::to_place(List::FraudSignals, text, argument);
        let window = Window::of(first, after.as_deref(), None, None, place)?;
        check_range(from, to)?;
        // A customer that nobody can be has no signals.
        let customer = customer.map(CustomerId::try_new).transpose();
        let filter = customer.ok().map(|customer| Filter {
            at: (from, to),
            kind: kind.map(Into::into),
            customer,
        });
        let orders = OrdersOf::asked(ctx);
        let mut touched = vec![fraud_signals::NAME];
        touched.extend(orders.read_models());
        position::wait(ctx, &touched, min_position.as_deref()).await?;
        let services = services(ctx)?;
        let page = match &filter {
            Some(filter) => {
                let mut connection = services.query_connection().await?;
                let page =
                    fraud_signals::page(&mut *connection, &services.serving(), filter, window.part()).await;
                connection.finish(page).map_err(Refused::from)?
            }
            None => Page::empty(),
        };
        let ids: Vec<OrderId> = page.rows.iter().map(|row| row.order_id).collect();
        let found = orders_of(services, orders, &ids).await?;
        let edge = |row: Signal| FraudSignalEdge {
            cursor: cursor::of_place(List::FraudSignals, &row.place()),
            node: FraudSignal {
                order: found.get(&row.order_id).cloned(),
                row,
            },
        };
        let edges: Vec<_> = page.rows.into_iter().map(edge).collect();
        let page_info = window.page_info(
            edges.first().map(|edge| &edge.cursor),
            edges.last().map(|edge| &edge.cursor),
            page.has_more,
        );
        Ok(Some(FraudSignalConnection {
            edges,
            page_info,
            counted: window.counted(page.has_more, filter),
        }))
    }
}

fn check_range(from: DateTime<Utc>, to: DateTime<Utc>) -> Result<(), Refused> {
    for instant in [from, to] {
        known_to_the_database(Some(instant))?;
    }
    if to <= from {
        return Err(Refused::bad_input("`to` is not after `from`."));
    }
    if to - from > TimeDelta::days(limits::MAX_FRAUD_DAYS) {
        let most = limits::MAX_FRAUD_DAYS;
        return Err(Refused::bad_input(format!(
            "At most {most} days are asked for at a time."
        )));
    }
    Ok(())
}
