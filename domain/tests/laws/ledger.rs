//! Sums over events, kept apart from the states that decisions use.

use std::collections::BTreeMap;

use docket_domain::order::OrderEvent;
use docket_domain::payment::{DisputeOutcome, PaymentEvent};
use docket_domain::quantity::LineQuantity;
use docket_domain::shipment::ShipmentEvent;
use docket_domain::{Event, LineId, StreamEvent};

/// What a capture or refund came to, last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Result {
    Pending,
    Done,
    Failed,
}

/// A payment's sums.
#[derive(Debug, Clone, Default)]
pub struct Payment {
    pub authorized: i64,
    /// Let go or run out, together.
    pub released: i64,
    /// Voided or expired.
    pub closed: bool,
    captures: BTreeMap<u16, (i64, bool, Result)>,
    refunds: BTreeMap<u16, (i64, Result)>,
    /// The return that a refund is for.
    returns: BTreeMap<u16, u16>,
    disputes: BTreeMap<String, (i64, Option<DisputeOutcome>)>,
}

impl Payment {
    fn captures(&self, wanted: Result) -> i64 {
        self.captures
            .values()
            .filter(|(_, _, result)| *result == wanted)
            .map(|(amount, ..)| amount)
            .sum()
    }

    fn refunds(&self, wanted: Result) -> i64 {
        self.refunds
            .values()
            .filter(|(_, result)| *result == wanted)
            .map(|(amount, _)| amount)
            .sum()
    }

    pub fn captured(&self) -> i64 {
        self.captures(Result::Done)
    }

    pub fn capture_pending(&self) -> i64 {
        self.captures(Result::Pending)
    }

    pub fn refunded(&self) -> i64 {
        self.refunds(Result::Done)
    }

    pub fn refund_pending(&self) -> i64 {
        self.refunds(Result::Pending)
    }

    /// Refunded or being refunded for a return.
    pub fn refunds_of(&self, number: u16) -> i64 {
        let refunds = self.returns.iter().filter(|(_, back)| **back == number);
        refunds
            .map(|(refund, _)| self.refunds[refund])
            .filter(|(_, result)| *result != Result::Failed)
            .map(|(amount, _)| amount)
            .sum()
    }

    fn disputes(&self, wanted: Option<DisputeOutcome>) -> i64 {
        self.disputes
            .values()
            .filter(|(_, outcome)| *outcome == wanted)
            .map(|(amount, _)| amount)
            .sum()
    }

    pub fn disputed(&self) -> i64 {
        self.disputes(None)
    }

    pub fn lost(&self) -> i64 {
        self.disputes(Some(DisputeOutcome::Lost))
    }

    /// Held, and neither taken nor let go.
    pub fn rest(&self) -> i64 {
        self.authorized - self.captured() - self.released
    }

    pub fn final_asked(&self) -> bool {
        self.captures
            .values()
            .any(|(_, last, result)| *last && *result != Result::Failed)
    }

    pub fn final_done(&self) -> bool {
        self.captures
            .values()
            .any(|(_, last, result)| *last && *result == Result::Done)
    }

    fn add(&mut self, event: &PaymentEvent) {
        match event {
            PaymentEvent::Authorized(e) => self.authorized = e.amount,
            PaymentEvent::AuthorizationFailed(_) => self.authorized = 0,
            PaymentEvent::AuthorizationAdjusted(e) => self.authorized = e.new,
            PaymentEvent::AuthorizationExpired(e) => {
                self.closed = true;
                self.released += e.released;
            }
            PaymentEvent::Voided(e) => {
                self.closed = true;
                self.released += e.amount;
            }
            PaymentEvent::CaptureRequested(e) => {
                self.captures
                    .insert(e.capture.0, (e.amount, e.is_final, Result::Pending));
            }
            PaymentEvent::Captured(e) => {
                self.captures
                    .entry(e.capture.0)
                    .and_modify(|capture| capture.2 = Result::Done);
                self.released += e.released;
            }
            PaymentEvent::CaptureFailed(e) => {
                self.captures
                    .entry(e.capture.0)
                    .and_modify(|capture| capture.2 = Result::Failed);
                self.released += e.released;
            }
            PaymentEvent::RefundRequested(e) => {
                self.refunds.insert(e.refund.0, (e.amount, Result::Pending));
                self.returns
                    .extend(e.return_id.map(|number| (e.refund.0, number.0)));
            }
            PaymentEvent::Refunded(e) => {
                self.refunds
                    .entry(e.refund.0)
                    .and_modify(|refund| refund.1 = Result::Done);
            }
            PaymentEvent::RefundFailed(e) => {
                self.refunds
                    .entry(e.refund.0)
                    .and_modify(|refund| refund.1 = Result::Failed);
            }
            PaymentEvent::DisputeOpened(e) => {
                self.disputes.insert(e.dispute.to_string(), (e.amount, None));
            }
            PaymentEvent::DisputeClosed(e) => {
                self.disputes
                    .entry(e.dispute.to_string())
                    .and_modify(|dispute| dispute.1 = Some(e.outcome));
            }
            PaymentEvent::Initiated(_) | PaymentEvent::ActionRequired(_) => {}
        }
    }
}

/// A line's sums, by shipment where they go to one.
#[derive(Debug, Clone, Default)]
pub struct Line {
    pub ordered: u32,
    pub cancelled: u32,
    allocated: BTreeMap<u16, u32>,
    shipped: BTreeMap<u16, u32>,
    delivered: BTreeMap<u16, u32>,
    /// Announced, by return, and what came of it once it did.
    returns: BTreeMap<u16, (u32, Option<u32>)>,
}

impl Line {
    pub fn allocated(&self) -> u32 {
        self.allocated.values().sum()
    }

    pub fn shipped(&self) -> u32 {
        self.shipped.values().sum()
    }

    pub fn delivered(&self) -> u32 {
        self.delivered.values().sum()
    }

    pub fn returned(&self) -> u32 {
        self.returns.values().filter_map(|(_, came)| *came).sum()
    }

    /// Announced, and not received.
    pub fn announced(&self) -> u32 {
        let open = self.returns.values().filter(|(_, came)| came.is_none());
        open.map(|(announced, _)| announced).sum()
    }

    pub fn came_as_announced(&self) -> bool {
        let mut returns = self.returns.values();
        returns.all(|(announced, came)| came.is_none_or(|came| came <= *announced))
    }
}

/// All sums of a case.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub payments: BTreeMap<u16, Payment>,
    pub lines: BTreeMap<LineId, Line>,
    /// What is due for the returns that were received.
    pub received: BTreeMap<u16, i64>,
}

impl Ledger {
    pub fn add(&mut self, event: &StreamEvent) {
        let number = event.stream.number;
        match &event.event {
            Event::Order(event) => self.add_order(event),
            Event::Payment(event) => self.payments.entry(number).or_default().add(event),
            Event::Shipment(ShipmentEvent::Created(e)) => self.each(&e.lines, |line, n| {
                line.shipped.insert(number, n);
            }),
            Event::Shipment(ShipmentEvent::Delivered(e)) => self.each(&e.lines, |line, n| {
                line.delivered.insert(number, n);
            }),
            // What is called off or lost is not shipped: its pieces may be allocated again.
            Event::Shipment(ShipmentEvent::Cancelled(_) | ShipmentEvent::Failed(_)) => {
                for line in self.lines.values_mut() {
                    line.shipped.remove(&number);
                }
            }
            Event::Shipment(_) => {}
        }
    }

    fn add_order(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::LineAdded(e) => {
                let line = Line {
                    ordered: e.line.quantity.get(),
                    ..Line::default()
                };
                self.lines.insert(e.line.id, line);
            }
            OrderEvent::LineQuantityChanged(e) => self.lines.entry(e.line).or_default().ordered = e.to,
            OrderEvent::LinesCancelled(e) => self.each(&e.lines, |line, n| line.cancelled += n),
            OrderEvent::FulfillmentAllocated(e) => self.each(&e.lines, |line, n| {
                line.allocated.insert(e.shipment, n);
            }),
            OrderEvent::FulfillmentReleased(e) => self.each(&e.lines, |line, n| {
                let allocated = line.allocated.entry(e.shipment).or_default();
                *allocated -= n;
            }),
            OrderEvent::ReturnRequested(e) => {
                for pieces in &e.lines {
                    let line = self.lines.entry(pieces.line).or_default();
                    line.returns.entry(e.return_id.0).or_default().0 += pieces.quantity.get();
                }
            }
            OrderEvent::ReturnReceived(e) => {
                self.received.insert(e.return_id.0, e.refund_due);
                // What was announced and is not named did not come.
                let returns = self.lines.values_mut().flat_map(|line| &mut line.returns);
                for (_, (_, came)) in returns.filter(|(number, _)| **number == e.return_id.0) {
                    *came = Some(0);
                }
                for pieces in &e.lines {
                    let line = self.lines.entry(pieces.line).or_default();
                    let (_, came) = line.returns.entry(e.return_id.0).or_default();
                    *came = Some(came.unwrap_or(0) + pieces.quantity.get());
                }
            }
            _ => {}
        }
    }

    fn each(&mut self, lines: &[LineQuantity], add: impl Fn(&mut Line, u32)) {
        for pieces in lines {
            add(self.lines.entry(pieces.line).or_default(), pieces.quantity.get());
        }
    }
}
