//! The money: what moved on each day, the payments, and the proof that they agree.

use async_graphql::{
    ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject, connection::PageInfo,
};
use chrono::{DateTime, Datelike, Utc};
use docket_domain::{Currency, OrderId};
use docket_projections::read_models::{
    list::Page,
    payment_ledger::{self, Filter, LedgerPayment as Row, Movement, Sort},
};
use std::collections::BTreeMap;

use super::parts::PaymentStatus;
use crate::graphql::{
    count::Count,
    cursor::{self, List},
    error::Refused,
    order::{
        parts::count,
        queries::{OrdersOf, known_to_the_database, orders_of},
        source::Order,
    },
    paging::Window,
    position::{self, Position, PositionInput},
    scalars::{self, BigInt, CurrencyScalar, Day, MoneyValue},
    services,
};

/// What moved, in one currency.
#[derive(Clone, Copy, Debug, SimpleObject)]
pub struct LedgerMovement {
    /// Of every amount.
    pub currency: CurrencyScalar,
    /// What gateways came to hold, captured or not; less than nothing where they took more back.
    pub authorized: MoneyValue,
    /// What they took.
    pub captured: MoneyValue,
    /// What they gave back.
    pub refunded: MoneyValue,
    /// What was let go.
    pub voided: MoneyValue,
    /// What ran out.
    pub expired: MoneyValue,
    /// What was lost to payers who disputed it.
    pub lost: MoneyValue,
    /// How often a gateway did not do what it was asked.
    pub failed: BigInt,
    /// Disputes that were opened.
    pub disputes: BigInt,
}

impl LedgerMovement {
    fn of(movement: &Movement, currency: Currency) -> Self {
        let money = |amount| MoneyValue::new(amount, currency);
        Self {
            currency: CurrencyScalar(currency),
            authorized: money(movement.authorized),
            captured: money(movement.captured),
            refunded: money(movement.refunded),
            voided: money(movement.voided),
            expired: money(movement.expired),
            lost: money(movement.lost),
            failed: BigInt(movement.failed),
            disputes: BigInt(movement.disputes),
        }
    }
}

/// A day in one currency.
#[derive(Clone, Copy, Debug, SimpleObject)]
pub struct LedgerDay {
    /// Of the events' business time, in UTC.
    pub day: Day,
    /// What moved.
    pub movement: LedgerMovement,
}

/// By how much payments and days differ in one currency: what all payments add up to, less what all days do. Anything but 0
/// is a fault of ours.
#[derive(Clone, Copy, Debug, SimpleObject)]
pub struct LedgerDrift {
    /// Nothing differs.
    pub is_zero: bool,
    /// The differences.
    pub difference: LedgerMovement,
    /// Payments whose authorized amount is not what can be captured, was captured, let go and ran out.
    pub unbalanced_payments: BigInt,
}

/// The ledger of some days.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct PaymentLedger {
    /// By day and currency, ascending. A day on which nothing moved is absent.
    pub days: Vec<LedgerDay>,
    /// The sums over these days, by currency.
    pub totals: Vec<LedgerMovement>,
    #[graphql(skip)]
    currency: Option<Currency>,
}

#[ComplexObject]
impl PaymentLedger {
    /// By how much all payments and all days differ, by currency, whatever days are asked for. It reads every payment.
    async fn drift(&self, ctx: &Context<'_>) -> Result<Option<Vec<LedgerDrift>>> {
        let services = services(ctx)?;
        let mut connection = services.store.query_connection().await.map_err(Refused::from)?;
        let drift = payment_ledger::drift(&mut *connection, &services.serving(), self.currency).await;
        let drift = connection.finish(drift).map_err(Refused::from)?;
        let shown = |drift: &payment_ledger::Drift| LedgerDrift {
            is_zero: drift.is_zero(),
            difference: LedgerMovement::of(&drift.difference, drift.currency),
            unbalanced_payments: BigInt(drift.unbalanced),
        };
        Ok(Some(drift.iter().map(shown).collect()))
    }
}

/// What a list of payments is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "docket_projections::read_models::payment_ledger::SortField")]
pub enum PaymentSortField {
    /// When it was started.
    CreatedAt,
    /// When something happened to it last.
    UpdatedAt,
    /// How long the gateway holds what it holds: only those of which it holds something for a limited time.
    CaptureBefore,
    /// What is to be paid, in minor units whatever the currency.
    Amount,
}

/// The order of a list of payments.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct PaymentSort {
    /// By what.
    #[graphql(default_with = "PaymentSortField::CreatedAt")]
    pub field: PaymentSortField,
    /// Newest or largest first.
    #[graphql(default = true)]
    pub descending: bool,
}

/// What a list of payments shows: everything that is given must hold.
#[derive(Debug, Default, InputObject)]
pub struct PaymentFilter {
    /// In one of these statuses.
    pub status: Option<Vec<PaymentStatus>>,
    /// Through this gateway.
    pub gateway: Option<String>,
    /// In this currency.
    pub currency: Option<CurrencyScalar>,
    /// Of which the gateway holds something, or nothing.
    pub capturable: Option<bool>,
    /// Disputed and undecided, or not.
    pub disputed: Option<bool>,
    /// Started at or after.
    pub created_from: Option<DateTime<Utc>>,
    /// Started before.
    pub created_before: Option<DateTime<Utc>>,
    /// Of at least this, in minor units.
    pub amount_from: Option<BigInt>,
    /// Of at most this, in minor units.
    pub amount_to: Option<BigInt>,
}

impl PaymentFilter {
    /// What the read model is asked; `None` where nothing can match.
    fn into_rows(self) -> Result<Option<Filter>, Refused> {
        // A NUL byte is in no gateway's name, and the database refuses it.
        if self
            .gateway
            .as_ref()
            .is_some_and(|gateway| gateway.contains('\0'))
        {
            return Ok(None);
        }
        let instant = |named: Option<_>| named.map(scalars::instant).transpose();
        for instant in [self.created_from, self.created_before] {
            known_to_the_database(instant)?;
        }
        let statuses = self.status.into_iter().flatten().map(PaymentStatus::to_domain);
        Ok(Some(Filter {
            statuses: statuses.collect(),
            gateway: self.gateway,
            currency: self.currency.map(|currency| currency.0),
            capturable: self.capturable,
            disputed: self.disputed,
            created: (instant(self.created_from)?, instant(self.created_before)?),
            amount: (
                self.amount_from.map(|amount| amount.0),
                self.amount_to.map(|amount| amount.0),
            ),
        }))
    }
}

/// A payment in the ledger.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct LedgerPayment {
    /// Its order.
    pub order: Option<Order>,
    #[graphql(skip)]
    row: Row,
}

impl LedgerPayment {
    fn money(&self, amount: i64) -> MoneyValue {
        MoneyValue::new(amount, self.row.currency)
    }
}

#[ComplexObject]
impl LedgerPayment {
    /// The payment's id: `<order>-p1`. It is not called `id`: a client's cache would take this row for the payment.
    async fn payment_id(&self) -> ID {
        ID(self.row.id().to_string())
    }

    /// Which of the order's, from 1.
    async fn number(&self) -> i32 {
        i32::from(self.row.number)
    }

    /// Its order's id.
    async fn order_id(&self) -> ID {
        ID(self.row.order_id.to_string())
    }

    /// The newest event about it.
    async fn position(&self) -> Position {
        self.row.position().into()
    }

    /// How far it has come.
    async fn status(&self) -> Option<PaymentStatus> {
        PaymentStatus::of(self.row.status)
    }

    /// Through whom.
    async fn gateway(&self) -> String {
        self.row.gateway.to_string()
    }

    /// Of every amount.
    async fn currency(&self) -> CurrencyScalar {
        CurrencyScalar(self.row.currency)
    }

    /// What is to be paid.
    async fn amount(&self) -> MoneyValue {
        self.money(self.row.amount)
    }

    /// What the gateway holds or held, captured or not.
    async fn authorized(&self) -> MoneyValue {
        self.money(self.row.authorized)
    }

    /// What it took.
    async fn captured(&self) -> MoneyValue {
        self.money(self.row.captured)
    }

    /// What it gave back.
    async fn refunded(&self) -> MoneyValue {
        self.money(self.row.refunded)
    }

    /// What was let go.
    async fn voided(&self) -> MoneyValue {
        self.money(self.row.voided)
    }

    /// What ran out.
    async fn expired(&self) -> MoneyValue {
        self.money(self.row.expired)
    }

    /// What it still holds.
    async fn capturable(&self) -> MoneyValue {
        self.money(self.row.capturable)
    }

    /// What its payer disputes, undecided.
    async fn disputed(&self) -> MoneyValue {
        self.money(self.row.disputed)
    }

    /// What was lost to its payer.
    async fn lost(&self) -> MoneyValue {
        self.money(self.row.lost)
    }

    /// How often the gateway did not do what it was asked.
    async fn failures(&self) -> i32 {
        count(self.row.failures)
    }

    /// When it was started.
    async fn created_at(&self) -> DateTime<Utc> {
        self.row.created_at
    }

    /// When something happened to it last.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.row.updated_at
    }

    /// When the gateway said yes to it first.
    async fn authorized_at(&self) -> Option<DateTime<Utc>> {
        self.row.authorized_at
    }

    /// When money was taken last.
    async fn captured_at(&self) -> Option<DateTime<Utc>> {
        self.row.captured_at
    }

    /// When money was given back last.
    async fn refunded_at(&self) -> Option<DateTime<Utc>> {
        self.row.refunded_at
    }

    /// How long the gateway holds what it holds.
    async fn capture_before(&self) -> Option<DateTime<Utc>> {
        self.row.capture_before
    }
}

/// A payment on a page.
#[derive(SimpleObject)]
pub struct LedgerPaymentEdge {
    /// The place of this payment in the list.
    pub cursor: String,
    /// The payment.
    pub node: LedgerPayment,
}

/// A page of payments.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct LedgerPaymentConnection {
    /// The payments with their places.
    pub edges: Vec<LedgerPaymentEdge>,
    /// What lies before and after.
    pub page_info: PageInfo,
    /// What is counted where somebody asks; the page holds the whole list where there is nothing.
    #[graphql(skip)]
    counted: Option<(Filter, payment_ledger::SortField)>,
}

#[ComplexObject]
impl LedgerPaymentConnection {
    /// The payments without their places.
    async fn nodes(&self) -> Vec<&LedgerPayment> {
        self.edges.iter().map(|edge| &edge.node).collect()
    }

    /// How many payments the whole list has, whatever the page: exact up to 10,000. Counted only where it is asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<Option<Count>> {
        let Some((filter, field)) = &self.counted else {
            return Ok(Some(Count::on_page(self.edges.len())));
        };
        let services = services(ctx)?;
        let mut connection = services.query_connection().await?;
        let counted = payment_ledger::count(&mut *connection, &services.serving(), filter, *field).await;
        Ok(Some(connection.finish(counted).map_err(Refused::from)?.into()))
    }
}

/// Queries of money.
#[derive(Default)]
pub struct LedgerQueries;

#[Object]
impl LedgerQueries {
    /// What moved on each day, at most 366 of them.
    async fn payment_ledger(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first day, in UTC.")] from: Day,
        #[graphql(desc = "The last day.")] to: Day,
        #[graphql(desc = "In this currency alone.")] currency: Option<CurrencyScalar>,
        #[graphql(desc = "Not before what is read is at or past each of these positions.")]
        min_position: Option<Vec<PositionInput>>,
    ) -> Result<Option<PaymentLedger>> {
        for Day(day) in [from, to] {
            if !(1..=9_999).contains(&day.year()) {
                return Err(Refused::bad_input("A day has a year from 1 to 9999.").into());
            }
        }
        if to.0 < from.0 {
            return Err(Refused::bad_input("`to` is before `from`.").into());
        }
        position::wait(ctx, &[payment_ledger::NAME], min_position.as_deref()).await?;
        let currency = currency.map(|currency| currency.0);
        let services = services(ctx)?;
        let mut connection = services.query_connection().await?;
        let days =
            payment_ledger::days(&mut *connection, &services.serving(), (from.0, to.0), currency).await;
        let days = connection.finish(days).map_err(Refused::from)?;
        let mut totals: BTreeMap<Currency, Movement> = BTreeMap::new();
        for day in &days {
            let sum = totals.entry(day.currency).or_default();
            *sum = sum.and(day.movement);
        }
        let shown = |day: &payment_ledger::DayTotals| LedgerDay {
            day: Day(day.day),
            movement: LedgerMovement::of(&day.movement, day.currency),
        };
        Ok(Some(PaymentLedger {
            days: days.iter().map(shown).collect(),
            totals: totals
                .iter()
                .map(|(currency, sum)| LedgerMovement::of(sum, *currency))
                .collect(),
            currency,
        }))
    }

    /// Payments of all orders. A cursor belongs to its sort.
    #[expect(clippy::too_many_arguments, reason = "they are the arguments of the field")]
    async fn payments(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, forward; 20 where nothing is said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "After this place.")] after: Option<String>,
        #[graphql(desc = "How many, backward; at most 100.")] last: Option<i32>,
        #[graphql(desc = "Before this place.")] before: Option<String>,
        #[graphql(desc = "Which; all where nothing is said.")] filter: Option<PaymentFilter>,
        #[graphql(desc = "In which order; the newest first where nothing is said.")] sort: Option<
            PaymentSort,
        >,
        #[graphql(desc = "Not before what is read is at or past each of these positions.")]
        min_position: Option<Vec<PositionInput>>,
    ) -> Result<Option<LedgerPaymentConnection>> {
        let place = |text: &str, argument: &str| cursor::to_place(List::Payments, text, argument);
        let window = Window::of(first, after.as_deref(), last, before.as_deref(), place)?;
        let sort = sort.map_or_else(Sort::default, |sort| Sort {
            field: sort.field.into(),
            descending: sort.descending,
        });
        let filter = filter.unwrap_or_default().into_rows()?;
        let orders = OrdersOf::asked(ctx);
        let mut touched = vec![payment_ledger::NAME];
        touched.extend(orders.read_models());
        position::wait(ctx, &touched, min_position.as_deref()).await?;
        let services = services(ctx)?;
        let page = match &filter {
            Some(filter) => {
                let mut connection = services.store.query_connection().await.map_err(Refused::from)?;
                let page =
                    payment_ledger::page(&mut *connection, &services.serving(), filter, sort, window.part())
                        .await;
                connection.finish(page).map_err(Refused::from)?
            }
            None => Page::empty(),
        };
        let ids: Vec<OrderId> = page.rows.iter().map(|row| row.order_id).collect();
        let found = orders_of(services, orders, &ids).await?;
        let edge = |row: Row| LedgerPaymentEdge {
            cursor: cursor::of_place(List::Payments, &row.place(sort.field)),
            node: LedgerPayment {
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
        let counted = window.counted(page.has_more, filter.map(|filter| (filter, sort.field)));
        Ok(Some(LedgerPaymentConnection {
            edges,
            page_info,
            counted,
        }))
    }
}
