//! A sign of fraud, and a page of them.

use async_graphql::{ComplexObject, Context, Enum, ID, Result, SimpleObject, connection::PageInfo};
use chrono::{DateTime, Utc};
use docket_projections::read_models::fraud_signals::{self, Fact, Filter};

use crate::graphql::{count::Count, error::Refused, order::source::Order, scalars::MoneyValue, services};

/// What looks like fraud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "docket_projections::read_models::fraud_signals::Kind")]
pub enum FraudSignalKind {
    /// A payment failed, and with it three of one customer within ten minutes. The next one within the same time is a signal
    /// again.
    FailedPayments,
    /// An order adds up to more than the threshold of its currency.
    HighValue,
}

/// A payment that its gateway refused.
#[derive(Clone, Debug, SimpleObject)]
pub struct FailedPayment {
    /// The payment's id: `<order>-p1`.
    pub payment_id: ID,
    /// Its order's id.
    pub order_id: ID,
    /// When it failed first, in business time.
    pub at: DateTime<Utc>,
    /// What was to be paid.
    pub amount: MoneyValue,
    /// Why it failed, in the gateway's words.
    pub code: String,
    /// Whether it may work the next time.
    pub retryable: bool,
}

impl FailedPayment {
    /// None where the fact is another one.
    fn of(fact: &Fact) -> Option<Self> {
        Some(Self {
            payment_id: ID(fact.payment()?.to_string()),
            order_id: ID(fact.order_id.to_string()),
            at: fact.at?,
            amount: MoneyValue::new(fact.amount, fact.currency),
            code: fact.failure_code.as_ref()?.to_string(),
            retryable: fact.retryable?,
        })
    }
}

/// A sign of fraud. It stops nothing; a hold does.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct FraudSignal {
    /// Its order: of the last payment that failed, or the one of a high value.
    pub order: Option<Order>,
    #[graphql(skip)]
    pub(super) row: fraud_signals::Signal,
}

#[ComplexObject]
impl FraudSignal {
    /// What it is.
    async fn kind(&self) -> FraudSignalKind {
        self.row.kind.into()
    }

    /// In business time: when the last of the payments failed, or the order was placed.
    async fn at(&self) -> DateTime<Utc> {
        self.row.at
    }

    /// Its order's id.
    async fn order_id(&self) -> ID {
        ID(self.row.order_id.to_string())
    }

    /// The customer's id in the shop's own accounts. None where the order names no customer: its payments are looked at by
    /// themselves then.
    async fn customer(&self) -> Option<String> {
        self.row.subject.customer().map(ToString::to_string)
    }

    /// What the order added up to when it was placed, or what the last payment was to pay.
    async fn amount(&self) -> MoneyValue {
        MoneyValue::new(self.row.amount, self.row.currency)
    }

    /// The payments that failed, by time: none of a high value.
    async fn failed_payments(&self) -> Vec<FailedPayment> {
        self.row.facts.iter().filter_map(FailedPayment::of).collect()
    }
}

/// A sign of fraud on a page.
#[derive(SimpleObject)]
pub struct FraudSignalEdge {
    /// The place of this signal in the list.
    pub cursor: String,
    /// The signal.
    pub node: FraudSignal,
}

/// A page of signs of fraud.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct FraudSignalConnection {
    /// The signals with their places.
    pub edges: Vec<FraudSignalEdge>,
    /// What lies before and after.
    pub page_info: PageInfo,
    /// What is counted where somebody asks; the page holds the whole list where there is nothing.
    #[graphql(skip)]
    pub(super) counted: Option<Filter>,
}

#[ComplexObject]
impl FraudSignalConnection {
    /// The signals without their places.
    async fn nodes(&self) -> Vec<&FraudSignal> {
        self.edges.iter().map(|edge| &edge.node).collect()
    }

    /// How many signals the whole list has, whatever the page: exact up to 10,000. Counted only where it is asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<Option<Count>> {
        let Some(filter) = &self.counted else {
            return Ok(Some(Count::on_page(self.edges.len())));
        };
        let services = services(ctx)?;
        let mut connection = services.query_connection().await?;
        let counted = fraud_signals::count(&mut *connection, &services.serving(), filter).await;
        Ok(Some(connection.finish(counted).map_err(Refused::from)?.into()))
    }
}
