//! Whose data something is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{OrderId, ParseIdError, serde_as_text};
use crate::limits;
use crate::text::{Text, TextError};

/// A customer's id, as the shop's own accounts know it. Not personal by itself: it is what personal data hangs on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CustomerId(Text<{ limits::CUSTOMER_BYTES }>);

impl CustomerId {
    /// Checks a customer's id.
    pub fn try_new(id: impl AsRef<str>) -> Result<Self, TextError> {
        Text::try_new(id).map(Self)
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for CustomerId {
    type Err = TextError;

    fn from_str(id: &str) -> Result<Self, TextError> {
        Self::try_new(id)
    }
}

/// The person whose key seals an order's personal data: its customer, or, where it has none, whoever this one order is
/// for. Fixed when the order is drafted. Shown with its kind (`customer:c-100`, `order:<uuid>`), so that a customer
/// whose id looks like an order's is nobody else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A customer, in all their orders.
    Customer(CustomerId),
    /// Whoever one order without a customer is for.
    Order(OrderId),
}

impl Subject {
    /// The subject of an order.
    pub fn of(order: OrderId, customer: Option<&CustomerId>) -> Self {
        customer.cloned().map_or(Subject::Order(order), Subject::Customer)
    }

    /// The customer, where it is one.
    pub fn customer(&self) -> Option<&CustomerId> {
        match self {
            Subject::Customer(customer) => Some(customer),
            Subject::Order(_) => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Customer(customer) => write!(f, "customer:{customer}"),
            Subject::Order(order) => write!(f, "order:{order}"),
        }
    }
}

impl FromStr for Subject {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let wrong = || ParseIdError::new(text, "a subject (customer:<id> or order:<uuid>)");
        match text.split_once(':') {
            Some(("customer", id)) => CustomerId::try_new(id)
                .map(Subject::Customer)
                .map_err(|_| wrong()),
            Some(("order", id)) => id.parse().map(Subject::Order).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}
serde_as_text!(Subject, "a subject (customer:<id> or order:<uuid>)");
