//! A draft: lines and details until it is placed (Q3: afterwards lines are only cancelled).

use chrono::{DateTime, TimeDelta, Utc};

use super::{currency, require, require_remembered};
use crate::context::Context;
use crate::decide::Decision;
use crate::ids::{LineId, OrderId};
use crate::limits;
use crate::money::{Currency, Money, MoneyError, proportion};
use crate::order::command::{AddLine, CreateOrder, LineInput, SetDetails, SetLineQuantity};
use crate::order::error::OrderError;
use crate::order::event::{
    Abandoned, DetailsSet, Drafted, LineAdded, LineQuantityChanged, OrderEvent, Placed, ShippingMethod,
};
use crate::order::evolve;
use crate::order::line::{Line, Totals, gross};
use crate::order::state::{Order, OrderLine, OrderStatus};
use crate::refusal::{InvalidError, Refusal};
use crate::subject::Subject;

type Decided = Result<Decision<OrderEvent>, OrderError>;

pub(crate) fn create(order: &Order, id: OrderId, command: &CreateOrder) -> Decided {
    if order.exists() {
        let same = order.customer == command.customer
            && order.channel.as_ref() == Some(&command.channel)
            && order.currency == Some(command.currency)
            && order.locale.as_ref() == Some(&command.locale);
        return if same {
            Ok(Decision::NothingToDo)
        } else {
            Err(OrderError::AlreadyExists { order: id })
        };
    }
    Ok(Decision::one(OrderEvent::Drafted(Drafted {
        subject: Subject::of(id, command.customer.as_ref()),
        customer: command.customer.clone(),
        name: command.name.clone(),
        email: command.email.clone(),
        phone: command.phone.clone(),
        channel: command.channel.clone(),
        currency: command.currency,
        locale: command.locale.clone(),
    })))
}

pub(crate) fn add_line(order: &Order, command: &AddLine) -> Decided {
    require(order, "take lines", &[OrderStatus::Draft])?;
    if usize::from(order.last_line) >= limits::ORDER_LINES {
        return Err(OrderError::TooManyLines {
            limit: limits::ORDER_LINES,
        });
    }
    let currency = currency(order);
    let line = price(&command.line, LineId(order.last_line + 1), currency)?;
    let shipping = order.shipping_method.as_ref().map_or(0, |method| method.price);
    Totals::of(order.lines.iter().map(|line| &line.line).chain([&line]), shipping)?;
    Ok(Decision::one(OrderEvent::LineAdded(LineAdded { currency, line })))
}

/// Turns a line as it is asked for into a line as it is sold.
fn price(input: &LineInput, id: LineId, currency: Currency) -> Result<Line, OrderError> {
    if let Some(weight_g) = input.weight_g.filter(|&weight| weight > limits::WEIGHT_G) {
        return Err(OrderError::TooHeavy {
            weight_g,
            limit_g: limits::WEIGHT_G,
        });
    }
    if input.discount.is_some() && input.discount_bp.is_some() {
        return Err(OrderError::AmountAndRate { what: "discount" });
    }
    within("discount", input.discount_bp, limits::DISCOUNT_BP)?;
    within("tax rate", input.tax_rate_bp, limits::TAX_RATE_BP)?;
    let unit_price = input.unit_price.positive_in(currency)?;
    let gross = gross(unit_price, input.quantity.get())?;
    let discount = discount_of(gross, input.discount, input.discount_bp, currency)?;
    let tax = match input.tax {
        Some(tax) => tax.not_negative_in(currency)?,
        None => share(gross - discount, input.tax_rate_bp)?,
    };
    let line = Line {
        id,
        sku: input.sku.clone(),
        name: input.name.clone(),
        quantity: input.quantity,
        unit_price,
        discount,
        discount_bp: input.discount_bp,
        tax,
        tax_rate_bp: input.tax_rate_bp,
        requires_shipping: input.requires_shipping.unwrap_or(true),
        weight_g: input.weight_g,
    };
    line.total()?;
    Ok(line)
}

fn within(what: &'static str, basis_points: Option<u32>, limit: u32) -> Result<(), OrderError> {
    match basis_points {
        Some(basis_points) if basis_points > limit => Err(OrderError::RateTooHigh {
            what,
            basis_points,
            limit,
        }),
        _ => Ok(()),
    }
}

/// A rate's share of an amount, half up; none without a rate.
fn share(amount: i64, basis_points: Option<u32>) -> Result<i64, MoneyError> {
    basis_points.map_or(Ok(0), |rate| proportion(amount, u64::from(rate), 10_000))
}

fn discount_of(
    gross: i64,
    amount: Option<Money>,
    basis_points: Option<u32>,
    currency: Currency,
) -> Result<i64, OrderError> {
    let discount = match amount {
        Some(amount) => amount.not_negative_in(currency)?,
        None => share(gross, basis_points)?,
    };
    if discount > gross {
        Err(OrderError::DiscountExceedsLine { discount, gross })
    } else {
        Ok(discount)
    }
}

pub(crate) fn set_line_quantity(order: &Order, command: &SetLineQuantity) -> Decided {
    require(order, "change lines", &[OrderStatus::Draft])?;
    let (line, to) = (command.line, command.quantity);
    if to > limits::QUANTITY {
        return Err(OrderError::QuantityTooLarge {
            quantity: to,
            limit: limits::QUANTITY,
        });
    }
    let Some(current) = order.line(line).map(|line| &line.line) else {
        let was_removed = to == 0 && (1..=order.last_line).contains(&line.0);
        return if was_removed {
            Ok(Decision::NothingToDo)
        } else {
            Err(OrderError::UnknownLine { line })
        };
    };
    let (from, currency) = (current.quantity.get(), currency(order));
    let (discount, tax) = if to == 0 {
        (0, 0)
    } else {
        amounts(current, command, currency)?
    };
    if from == to && current.discount == discount && current.tax == tax {
        return Ok(Decision::NothingToDo);
    }
    let event = LineQuantityChanged {
        line,
        from,
        to,
        currency,
        discount,
        tax,
    };
    let after = evolve::apply(order.clone(), &OrderEvent::LineQuantityChanged(event.clone()));
    after.totals_now()?;
    Ok(Decision::one(OrderEvent::LineQuantityChanged(event)))
}

/// Discount and tax of a line at another quantity: computed anew where they came from a rate, given anew where they came
/// as an amount. To scale an amount would invent cents that nobody agreed to.
fn amounts(line: &Line, command: &SetLineQuantity, currency: Currency) -> Result<(i64, i64), OrderError> {
    let unchanged = command.quantity == line.quantity.get();
    let gross = gross(line.unit_price, command.quantity)?;
    let discount = match command.discount {
        None if unchanged => line.discount,
        None if line.discount > 0 && line.discount_bp.is_none() => {
            return Err(OrderError::AmountNeeded {
                line: line.id,
                what: "discount",
            });
        }
        given => discount_of(gross, given, line.discount_bp, currency)?,
    };
    let tax = match command.tax {
        None if unchanged && discount == line.discount => line.tax,
        None if line.tax > 0 && line.tax_rate_bp.is_none() => {
            return Err(OrderError::AmountNeeded {
                line: line.id,
                what: "tax",
            });
        }
        Some(tax) => tax.not_negative_in(currency)?,
        None => share(gross - discount, line.tax_rate_bp)?,
    };
    Ok((discount, tax))
}

pub(crate) fn set_details(order: &Order, command: &SetDetails) -> Decided {
    /// A value that says something new.
    fn new<T: Clone + PartialEq>(current: &Option<T>, given: &Option<T>) -> Option<T> {
        given
            .as_ref()
            .filter(|&given| current.as_ref() != Some(given))
            .cloned()
    }
    require(order, "change its details", &[OrderStatus::Draft])?;
    let shipping_method = match &command.shipping_method {
        Some(method) => {
            let price = method.price.not_negative_in(currency(order))?;
            Some(ShippingMethod {
                code: method.code.clone(),
                name: method.name.clone(),
                price,
            })
        }
        None => None,
    };
    let set = DetailsSet {
        shipping_address: new(&order.shipping_address, &command.shipping_address),
        billing_address: new(&order.billing_address, &command.billing_address),
        shipping_method: new(&order.shipping_method, &shipping_method),
        name: new(&order.name, &command.name),
        email: new(&order.email, &command.email),
        phone: new(&order.phone, &command.phone),
        note: new(&order.note, &command.note),
    };
    if set == DetailsSet::default() {
        return Ok(Decision::NothingToDo);
    }
    if set
        != (DetailsSet {
            shipping_method: set.shipping_method.clone(),
            ..DetailsSet::default()
        })
    {
        require_remembered(order)?;
    }
    if let Some(method) = &set.shipping_method {
        Totals::of(order.lines.iter().map(|line| &line.line), method.price)?;
    }
    Ok(Decision::one(OrderEvent::DetailsSet(Box::new(set))))
}

/// A timer's command: it may ring early, or after the customer came back.
pub(crate) fn remind(order: &Order, context: &Context) -> Decided {
    require(order, "be abandoned", &[OrderStatus::Draft])?;
    // A draft has it from its first event on.
    let Some(idle) = order.idle else {
        return Ok(Decision::NothingToDo);
    };
    if idle.reminders >= limits::ABANDONED_REMINDERS {
        return Ok(Decision::NothingToDo);
    }
    let rested = later(idle.since, TimeDelta::minutes(limits::ABANDONED_IDLE_MINUTES));
    let again = idle
        .reminded_at
        .map(|at| later(at, TimeDelta::hours(limits::ABANDONED_AGAIN_HOURS)));
    let due_at = again.map_or(rested, |again| again.max(rested));
    if context.now < due_at {
        return Err(OrderError::ReminderNotDue { due_at });
    }
    Ok(Decision::one(OrderEvent::Abandoned(Abandoned {
        last_activity: idle.since,
        reminder: idle.reminders.saturating_add(1),
    })))
}

/// At the end of time, when the calendar ends first.
fn later(time: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    time.checked_add_signed(by).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Places the order. Placed again it stays as it is: it keeps the number that it got first.
pub(crate) fn place(order: &Order, context: &Context) -> Result<Decision<OrderEvent>, Refusal> {
    if order.status == OrderStatus::Placed {
        return Ok(Decision::NothingToDo);
    }
    require(order, "be placed", &[OrderStatus::Draft])?;
    if order.lines.is_empty() {
        return Err(OrderError::Empty.into());
    }
    let has_goods = order
        .lines
        .iter()
        .any(|OrderLine { line, .. }| line.requires_shipping);
    if has_goods && order.shipping_address.is_none() {
        return Err(OrderError::NoShippingAddress.into());
    }
    let number = context.order_number.ok_or(InvalidError::NoOrderNumber)?;
    let totals = order.totals_now().map_err(OrderError::from)?;
    let (Some(channel), Some(locale)) = (order.channel.clone(), order.locale.clone()) else {
        // A draft has both from its first event on.
        return Err(OrderError::Empty.into());
    };
    Ok(Decision::one(OrderEvent::Placed(Box::new(Placed {
        number,
        customer: order.customer.clone(),
        name: order.name.clone(),
        email: order.email.clone(),
        phone: order.phone.clone(),
        channel,
        locale,
        currency: currency(order),
        lines: order.lines.iter().map(|line| line.line.clone()).collect(),
        totals,
        shipping_address: order.shipping_address.clone(),
        billing_address: order.billing_address.clone(),
        shipping_method: order.shipping_method.clone(),
        note: order.note.clone(),
        payment_due_at: context
            .now
            .checked_add_signed(TimeDelta::minutes(limits::PAYMENT_DUE_MINUTES))
            .unwrap_or(context.now),
    }))))
}
