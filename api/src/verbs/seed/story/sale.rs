//! From the commitment to the confirmation: payments, suspicions, second thoughts.

use super::{DAY, HOUR, MINUTE, Next, Part, Teller, Told, text};
use crate::verbs::seed::rates;
use chrono::TimeDelta;
use docket_domain::{
    CaptureId, PaymentId, ReturnId,
    order::{
        CancelOrder, ConfirmMode, ConfirmOrder, ExpireOrder, HoldReason, PlaceHold, ReleaseHold, Signal,
    },
    payment::{
        CaptureMethod, CapturePayment, Failure, InitiatePayment, OperationStatus, PaymentMethod,
        PaymentStatus, RecordAuthorization, RecordAuthorizationFailure, RecordCapture, RecordCaptureFailure,
        RecordRefund, RecordRefundFailure, RefundPayment, RequireAction, VoidPayment,
    },
};

/// Attempts to pay before an order is left to expire.
const ATTEMPTS: u32 = 3;
/// How long a gateway holds money.
const HELD: i64 = 7 * DAY;
/// What detectors find suspicious.
const SUSPICIONS: &[&str] = &[
    "3 cards in 10 minutes",
    "5 orders in an hour",
    "country of the card differs",
];
/// Why gateways refuse: code, whether it may work again, what they advise.
const DECLINES: &[(&str, bool, &str)] = &[
    ("insufficient_funds", true, "try again later"),
    ("do_not_honor", true, "ask the bank"),
    ("expired_card", false, "use another card"),
    ("suspected_fraud", false, "do not try again"),
];

impl Teller {
    /// Pays the order, or leaves it to expire.
    pub(super) fn pay(&mut self) -> Told<Next> {
        if self.dice.happens(rates::NEVER_PAID) {
            self.wait(30, 3 * MINUTE);
            if self.dice.below(2) == 0 {
                self.initiate()?;
            }
            return self.expire();
        }
        for _ in 0..ATTEMPTS {
            self.wait(20, 3 * MINUTE);
            if self.attempt()? {
                return Ok(Next::GoesOn);
            }
        }
        self.expire()
    }

    /// A timer ends an order that is not paid; what was begun of a payment is let go.
    fn expire(&mut self) -> Told<Next> {
        let due = self.case.order.payment_due_at.unwrap_or(self.now);
        self.wait_until(due);
        let order = self.order();
        self.act(Part::Shop, ExpireOrder { order })?;
        if let Some(payment) = self.case.payment(self.case.order.payments)
            && payment.status() == PaymentStatus::Initiated
        {
            self.void("not paid in time")?;
        }
        Ok(Next::Ends)
    }

    /// One payment over what is due: whether it is held or taken.
    pub(super) fn attempt(&mut self) -> Told<bool> {
        let asks = self.initiate()?;
        if asks {
            self.wait(2, 20);
            let kind = match self.method().as_str() {
                "card" => "three_d_secure",
                "konbini" => "pay_at_store",
                _ => "redirect",
            };
            let action = RequireAction {
                payment: self.payment(),
                kind: text(kind)?,
                expires_at: Some(self.now + TimeDelta::minutes(30)),
                at: self.now,
            };
            self.act(Part::Gateway, action)?;
            self.wait(20, 8 * MINUTE);
        }
        self.wait(1, 8);
        if self.dice.happens(rates::DECLINED) {
            let (code, retryable, advice) = *self.dice.pick(DECLINES);
            let failure = RecordAuthorizationFailure {
                payment: self.payment(),
                failure: Failure {
                    code: text(code)?,
                    retryable,
                    recommended_action: Some(text(advice)?),
                },
                reference: Some(text(format!("{}-declined", self.payment()))?),
                at: self.now,
            };
            self.act(Part::Gateway, failure)?;
            return Ok(false);
        }
        let authorization = RecordAuthorization {
            payment: self.payment(),
            amount: None,
            reference: text(format!("{}-authorized", self.payment()))?,
            at: self.now,
            capture_before: Some(self.now + TimeDelta::seconds(HELD)),
        };
        self.act(Part::Gateway, authorization)?;
        if self
            .case
            .payment(self.case.order.payments)
            .is_some_and(|p| p.capture_pending() > 0)
        {
            self.wait(1, 30);
            self.record_capture()?;
        }
        Ok(true)
    }

    fn method(&self) -> String {
        let payment = self.case.payment(self.case.order.payments);
        let method = payment.and_then(|payment| payment.method.as_ref());
        method.map(|method| method.kind.to_string()).unwrap_or_default()
    }

    /// Starts a payment over what is due; whether its payer has to do something first.
    fn initiate(&mut self) -> Told<bool> {
        let market = self.opening.person.market;
        let roll = self.dice.below(100) as u32;
        let mut below = 0;
        let wallet = market.wallets.iter().find(|(_, share)| {
            below += share;
            roll < below
        });
        let kind = wallet.map_or("card", |wallet| wallet.0);
        let is_card = wallet.is_none();
        let capture_method = match kind {
            // The money is there or it is not.
            "transfer" | "konbini" | "eps" | "knet" => CaptureMethod::Automatic,
            _ if self.dice.below(2) == 0 => CaptureMethod::ManualMultiple,
            _ => CaptureMethod::Manual,
        };
        let method = PaymentMethod {
            kind: text(kind)?,
            brand: if is_card {
                Some(text(self.dice.pick(market.brands))?)
            } else {
                None
            },
            last4: if is_card {
                Some(text(format!("{:04}", self.dice.below(10_000)))?)
            } else {
                None
            },
            token: None,
        };
        let due = self.case.order.due() - self.captured();
        let initiate = InitiatePayment {
            order: self.order(),
            amount: self.money(due)?,
            capture_method,
            method,
            gateway: text(self.gateway())?,
        };
        self.act(Part::Shop, initiate)?;
        Ok(kind == "konbini" || self.dice.happens(rates::ACTION_REQUIRED))
    }

    /// The shop's commitment, unless somebody thinks better of it.
    pub(super) fn confirm(&mut self) -> Told<Next> {
        let order = self.order();
        if self.dice.happens(rates::FRAUD_HOLD) {
            self.wait(1, 30);
            let evidence = *self.dice.pick(SUSPICIONS);
            self.flag(Signal::FraudPattern, evidence)?;
            self.wait(1, 5);
            let reason = HoldReason::Fraud;
            self.act(Part::Shop, PlaceHold { order, reason })?;
            self.wait(HOUR, 20 * HOUR);
            self.wait_for_work();
            if self.dice.happens(rates::FRAUD) {
                self.cancel(Part::Desk, "fraud")?;
                return Ok(Next::Ends);
            }
            self.act(Part::Desk, ReleaseHold { order, reason })?;
        }
        if self.dice.happens(rates::CANCELLED_EARLY) {
            self.wait(MINUTE, 20 * MINUTE);
            self.cancel(Part::Customer, "ordered by mistake")?;
            return Ok(Next::Ends);
        }
        let by_hand = self.dice.happens(rates::CONFIRMED_BY_HAND);
        let (part, mode) = if by_hand {
            self.wait(HOUR, 6 * HOUR);
            self.wait_for_work();
            (Part::Desk, ConfirmMode::Manual)
        } else {
            self.wait(1, 20);
            (Part::Shop, ConfirmMode::Automatic)
        };
        self.act(part, ConfirmOrder { order, mode })?;
        Ok(Next::GoesOn)
    }

    /// Cancels the order, and lets its money go or gives it back.
    pub(super) fn cancel(&mut self, part: Part, reason: &str) -> Told {
        let order = self.order();
        let why = text(reason)?;
        self.act(part, CancelOrder { order, reason: why })?;
        self.wait(1, MINUTE);
        let held = self
            .case
            .payment(self.case.order.payments)
            .map_or(0, |p| p.capturable());
        if held > 0 {
            self.void("the order was cancelled")?;
        }
        self.refund(self.captured() - self.refunded(), "the order was cancelled", None)
    }

    pub(super) fn void(&mut self, reason: &str) -> Told {
        let void = VoidPayment {
            payment: self.payment(),
            reason: text(reason)?,
        };
        self.act(Part::Shop, void)
    }

    /// What is taken, by all payments.
    pub(super) fn captured(&self) -> i64 {
        self.case
            .payments
            .values()
            .map(|payment| payment.captured())
            .sum()
    }

    /// What is given back, by all payments.
    pub(super) fn refunded(&self) -> i64 {
        self.case
            .payments
            .values()
            .map(|payment| payment.refunded())
            .sum()
    }

    /// Takes money by the newest payment: this much at most, and never more than is due.
    pub(super) fn capture(&mut self, most: Option<i64>, is_final: bool) -> Told {
        let due = self.case.order.due() - self.captured();
        let held = self
            .case
            .payment(self.case.order.payments)
            .map_or(0, |p| p.capturable());
        let amount = most.unwrap_or(due).min(due).min(held);
        if amount <= 0 {
            return Ok(());
        }
        for fails in [self.dice.happens(rates::CAPTURE_FAILED), false] {
            let capture = CapturePayment {
                payment: self.payment(),
                amount: Some(self.money(amount)?),
                is_final,
                shipment: Some(self.shipment().number).filter(|number| *number > 0),
            };
            self.act(Part::Shop, capture)?;
            self.wait(1, 40);
            if !fails {
                return self.record_capture();
            }
            let (payment, capture) = (self.payment(), self.newest_capture());
            let failure = RecordCaptureFailure {
                payment,
                capture,
                failure: Failure {
                    code: text("issuer_unavailable")?,
                    retryable: true,
                    recommended_action: None,
                },
                reference: Some(text(payment.capture_reference(capture))?),
                at: self.now,
            };
            self.act(Part::Gateway, failure)?;
            self.wait(10 * MINUTE, HOUR);
        }
        Ok(())
    }

    fn newest_capture(&self) -> CaptureId {
        let payment = self.case.payment(self.case.order.payments);
        let pending = payment.and_then(|payment| payment.captures.keys().next_back());
        pending.copied().unwrap_or(CaptureId(1))
    }

    fn record_capture(&mut self) -> Told {
        let (payment, capture) = (self.payment(), self.newest_capture());
        let record = RecordCapture {
            payment,
            capture,
            reference: text(payment.capture_reference(capture))?,
            at: self.now,
        };
        self.act(Part::Gateway, record)
    }

    /// Gives money back, from the payments that took it: as much of the amount as they have.
    pub(super) fn refund(&mut self, amount: i64, reason: &str, return_id: Option<ReturnId>) -> Told {
        let mut left = amount;
        for number in self.case.order.payment_numbers() {
            let payment = PaymentId::new(self.order(), number);
            let most = self
                .case
                .payment(number)
                .map_or(0, |payment| payment.refundable());
            let part = left.min(most);
            if part <= 0 {
                continue;
            }
            left -= part;
            for fails in [self.dice.happens(rates::REFUND_FAILED), false] {
                let ask = RefundPayment {
                    payment,
                    amount: Some(self.money(part)?),
                    reason: text(reason)?,
                    lines: Vec::new(),
                    return_id,
                };
                self.act(Part::Desk, ask)?;
                self.wait(5, 20 * MINUTE);
                self.record_refund(payment, fails)?;
                if !fails {
                    break;
                }
                self.wait(HOUR, DAY);
            }
        }
        Ok(())
    }

    fn record_refund(&mut self, payment: PaymentId, fails: bool) -> Told {
        let refunds = self
            .case
            .payment(payment.number)
            .into_iter()
            .flat_map(|payment| &payment.refunds);
        let pending = refunds.filter(|(_, refund)| refund.status == OperationStatus::Pending);
        let Some(refund) = pending.map(|(number, _)| *number).next_back() else {
            return Ok(());
        };
        let (at, name) = (self.now, payment.refund_reference(refund));
        if fails {
            let failure = Failure {
                code: text("account_closed")?,
                retryable: true,
                recommended_action: None,
            };
            let reference = Some(text(name)?);
            return self.act(
                Part::Gateway,
                RecordRefundFailure {
                    payment,
                    refund,
                    failure,
                    reference,
                    at,
                },
            );
        }
        let reference = text(name)?;
        self.act(
            Part::Gateway,
            RecordRefund {
                payment,
                refund,
                reference,
                at,
            },
        )
    }
}
