//! The end of the sale, and what comes after it: returns, disputes, goodwill.

use super::{DAY, HOUR, Next, Part, Teller, Told, text};
use crate::verbs::seed::rates;
use chrono::TimeDelta;
use docket_domain::{
    PaymentId, Quantity, ReturnId,
    order::{
        CompleteOrder, ReceiveReturn, ReceivedLine, RequestReturn, ReturnCondition, ReturnLine, ReturnReason,
    },
    payment::{DisputeOutcome, RecordDispute, RecordDisputeOutcome},
};

/// Why goods come back, of a hundred, and how.
const RETURNS: &[(ReturnReason, ReturnCondition, u32)] = &[
    (ReturnReason::Unwanted, ReturnCondition::Sellable, 48),
    (ReturnReason::Unwanted, ReturnCondition::Used, 10),
    (ReturnReason::NotAsDescribed, ReturnCondition::Sellable, 14),
    (ReturnReason::WrongItem, ReturnCondition::Sellable, 8),
    (ReturnReason::Damaged, ReturnCondition::Damaged, 12),
    (ReturnReason::Defective, ReturnCondition::Defective, 6),
    (ReturnReason::Other, ReturnCondition::Used, 2),
];
/// Why payers dispute, in the gateway's words.
const DISPUTES: &[&str] = &[
    "fraudulent",
    "product_not_received",
    "duplicate",
    "credit_not_processed",
];

impl Teller {
    pub(super) fn close(&mut self) -> Told<Next> {
        // What was not taken because pieces were cancelled after the last capture.
        if self
            .case
            .payment(self.case.order.payments)
            .is_some_and(|p| p.capturable() > 0)
        {
            self.void("nothing more is due")?;
        }
        self.wait(HOUR, DAY);
        let order = self.order();
        self.act(Part::Shop, CompleteOrder { order })?;
        if self.dice.happens(rates::RETURNED) {
            self.send_back()?;
        }
        if self.dice.happens(rates::GOODWILL) {
            self.wait(DAY, 6 * DAY);
            self.wait_for_work();
            let left = self.captured() - self.refunded();
            let percent = self.dice.between(10, 40);
            self.refund((left * percent / 100).max(1), "goodwill", None)?;
        }
        if self.dice.happens(rates::DISPUTED) {
            self.dispute()?;
        }
        Ok(Next::Ends)
    }

    /// The customer sends some pieces of a line back.
    fn send_back(&mut self) -> Told {
        let lines = self.case.order.lines.iter().map(|line| line.line.id);
        let delivered: Vec<_> = lines.map(|line| (line, self.case.delivered(line))).collect();
        let there: Vec<_> = delivered.into_iter().filter(|(_, pieces)| *pieces > 0).collect();
        if there.is_empty() {
            return Ok(());
        }
        self.wait(DAY, 12 * DAY);
        let (line, most) = *self.dice.pick(&there);
        let (reason, condition, _) = *self.dice.weighted(RETURNS, |(_, _, share)| *share);
        let quantity = Quantity::try_new(self.dice.pieces(1, most))?;
        let (order, lines) = (
            self.order(),
            vec![ReturnLine {
                line,
                quantity,
                reason,
            }],
        );
        self.act(Part::Customer, RequestReturn { order, lines })?;
        if self.dice.happens(rates::NEVER_SENT) {
            return Ok(());
        }
        self.wait(2 * DAY, 9 * DAY);
        self.wait_for_work();
        let return_id = self
            .case
            .order
            .returns
            .keys()
            .next_back()
            .copied()
            .unwrap_or(ReturnId(1));
        let lines = vec![ReceivedLine {
            line,
            quantity,
            condition,
        }];
        self.act(
            Part::Desk,
            ReceiveReturn {
                order,
                return_id,
                lines,
            },
        )?;
        self.wait(HOUR, 2 * DAY);
        let due = self
            .case
            .order
            .returns
            .get(&return_id)
            .map_or(0, |back| back.refund_due);
        self.refund(due, "sent back", Some(return_id))
    }

    /// The payer asks their bank for the money, and it is decided who keeps it.
    fn dispute(&mut self) -> Told {
        let payments = self.case.order.payment_numbers();
        let refundable = |number: &u16| {
            self.case
                .payment(*number)
                .map_or(0, |payment| payment.refundable())
        };
        let Some(number) = payments.filter(|number| refundable(number) > 0).last() else {
            return Ok(());
        };
        let (payment, amount) = (PaymentId::new(self.order(), number), refundable(&number));
        self.wait(3 * DAY, 30 * DAY);
        let dispute = text(format!("{payment}-disputed"))?;
        let record = RecordDispute {
            payment,
            dispute,
            amount: self.money(amount)?,
            reason: Some(text(self.dice.pick(DISPUTES))?),
            respond_by: Some(self.now + TimeDelta::days(10)),
            at: self.now,
        };
        let dispute = record.dispute.clone();
        self.act(Part::Gateway, record)?;
        let outcome = if self.dice.happens(rates::DISPUTE_LOST) {
            DisputeOutcome::Lost
        } else if self.dice.happens(rates::DISPUTE_WITHDRAWN) {
            DisputeOutcome::Withdrawn
        } else {
            DisputeOutcome::Won
        };
        self.wait(8 * DAY, 30 * DAY);
        let at = self.now;
        self.act(
            Part::Gateway,
            RecordDisputeOutcome {
                payment,
                dispute,
                outcome,
                at,
            },
        )
    }
}
