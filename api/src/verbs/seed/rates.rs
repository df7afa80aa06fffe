//! How often what happens, in parts of ten thousand. `docs/seeding.md` has the same table, and a test compares.

/// Parts of ten thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate(pub(super) u32);

impl Rate {
    /// What a rate is parts of.
    pub(super) const OF: u64 = 10_000;
}

macro_rules! rates {
    ($($name:ident = $parts:literal, $what:literal;)+) => {
        $(#[doc = $what] pub(super) const $name: Rate = Rate($parts);)+

        /// Every rate with its name and its sentence.
        #[cfg(test)]
        pub(super) const ALL: &[(&str, Rate, &str)] = &[$((stringify!($name), $name, $what),)+];
    };
}

rates! {
    GUEST = 1_200, "Orders of somebody without an account.";
    PHONE_KNOWN = 6_000, "Orders with a phone number.";
    BILLED_ELSEWHERE = 800, "Orders whose bill goes to another address than the goods.";
    NOTED = 700, "Orders with a note of the customer.";
    DISCOUNTED = 1_000, "Lines with 5, 10 or 20 % off.";
    EDITED = 1_000, "Drafts of which a line's quantity is changed, or a line taken out.";
    ABANDONED = 800, "Drafts that nobody comes back to.";
    REMINDED = 9_000, "Abandoned drafts whose customer is reminded, after an hour and a day later.";
    DRAFT_CANCELLED = 100, "Drafts that are called off.";
    NEVER_PAID = 150, "Placed orders for which no payment is even tried with success: they expire.";
    ACTION_REQUIRED = 1_400, "Payments by card or wallet for which the payer has to do something first.";
    DECLINED = 700, "Attempts to pay that the gateway refuses; after the third the order expires.";
    FRAUD_HOLD = 150, "Paid orders that are stopped because of a suspicion.";
    FRAUD = 2_500, "Suspicions that are true: the order is cancelled. All others are let go on.";
    CANCELLED_EARLY = 200, "Orders that the customer cancels before the shop confirms.";
    CONFIRMED_BY_HAND = 300, "Orders that a person confirms.";
    ADDRESS_CORRECTED = 150, "Confirmed orders whose address is put right.";
    CANCELLED_LATE = 200, "Confirmed orders that are cancelled before anything is dispatched, half of them with a shipment begun.";
    STOCK_HOLD = 250, "Confirmed orders that wait for goods.";
    AUTHORIZATION_EXPIRED = 2_500, "Orders waiting for goods whose authorization runs out meanwhile: they are paid anew.";
    AUTHORIZATION_EXTENDED = 4_000, "Orders waiting for goods whose authorization is held for longer.";
    LINES_CANCELLED = 300, "Confirmed orders of two pieces or more of which some cannot be had.";
    AUTHORIZATION_LOWERED = 5_000, "Orders with cancelled pieces whose authorization is lowered; otherwise the rest is let go with the capture.";
    SPLIT = 1_200, "Orders of two pieces or more that leave in two shipments, with a capture for each where the payment allows.";
    LABEL_VOIDED = 100, "Shipments that are called off with their label bought, and made anew.";
    TWO_PARCELS = 500, "Shipments in two parcels.";
    CAPTURE_FAILED = 120, "Captures that fail the first time.";
    LATE = 700, "Shipments that are under way for three to eight days longer.";
    ATTEMPT_FAILED = 800, "Shipments that cannot be handed over the first time.";
    TWICE_FAILED = 1_500, "Of those, that cannot be handed over the second time either.";
    LOST = 80, "Shipments that never arrive.";
    SENT_AGAIN = 5_000, "Lost shipments that are sent again; otherwise the goods are cancelled and the money given back.";
    SENT_BACK = 80, "Shipments that come back because nobody takes them; the money is given back.";
    RETURNED = 600, "Delivered orders of which the customer asks to send something back.";
    NEVER_SENT = 1_500, "Returns that are asked for and do not come.";
    DISPUTED = 80, "Paid orders whose payer disputes the money afterwards.";
    DISPUTE_LOST = 4_500, "Disputes that the shop loses.";
    DISPUTE_WITHDRAWN = 1_000, "Of the other disputes, those that the payer takes back; the rest is won.";
    GOODWILL = 250, "Delivered orders for which a part of the money is given back.";
    REFUND_FAILED = 300, "Refunds that fail the first time.";
}

#[cfg(test)]
mod tests {
    use super::{ALL, Rate};

    #[test]
    fn the_documented_rates_are_the_rates() {
        let documented = include_str!("../../../../docs/seeding.md");
        for (name, rate, what) in ALL {
            assert!(u64::from(rate.0) <= Rate::OF, "{name}");
            let percent = format!("{}.{:02}", rate.0 / 100, rate.0 % 100);
            let percent = percent.trim_end_matches('0').trim_end_matches('.');
            let row = format!("| `{name}` | {percent} % | {what} |");
            assert!(documented.contains(&row), "missing in docs/seeding.md: {row}");
        }
    }
}
