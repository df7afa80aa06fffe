//! From the confirmation to the customer's door: waiting for goods, shipments, parcels.

use super::{DAY, HOUR, MINUTE, Next, Part, Teller, Told, text};
use crate::verbs::seed::{people::Place, rates};
use chrono::TimeDelta;
use docket_domain::{
    ParcelNumber, Personal, Quantity,
    order::{
        AddressKind, AllocateFulfillment, CancelLines, CorrectAddress, HoldReason, PlaceHold,
        ReleaseFulfillment, ReleaseHold,
    },
    payment::{AdjustAuthorization, CaptureMethod, ExpireAuthorization},
    quantity::LineQuantity,
    shipment::{
        BuyLabel, CancelShipment, CarrierStatus, CreateShipment, DispatchShipment, MarkShipmentFailed,
        ParcelInput, RecordTracking, Tracking,
    },
};

/// Where goods lie.
const LOCATIONS: &[&str] = &["main", "main", "main", "north"];
/// Why a parcel was not handed over.
const MISSED: &[&str] = &[
    "nobody was in",
    "the address was closed",
    "the entrance was not found",
];
/// Grams of a box.
const BOX_G: u32 = 180;

impl Teller {
    /// What comes between the confirmation and the first shipment.
    pub(super) fn prepare(&mut self) -> Told<Next> {
        if self.dice.happens(rates::ADDRESS_CORRECTED) {
            self.wait(5 * MINUTE, 3 * HOUR);
            let place = Place::new(self.opening.person.market, &mut self.dice);
            let correct = CorrectAddress {
                order: self.order(),
                which: AddressKind::Shipping,
                address: self.address(&place)?,
            };
            self.act(Part::Desk, correct)?;
        }
        if self.dice.happens(rates::CANCELLED_LATE) {
            self.wait(30 * MINUTE, 8 * HOUR);
            return self.cancel_late();
        }
        if self.dice.happens(rates::STOCK_HOLD) {
            self.wait_for_goods()?;
        }
        if self.open_pieces() >= 2 && self.dice.happens(rates::LINES_CANCELLED) {
            self.wait(HOUR, 10 * HOUR);
            self.wait_for_work();
            self.cancel_some()?;
        }
        Ok(Next::GoesOn)
    }

    fn cancel_late(&mut self) -> Told<Next> {
        let begun = self.open_pieces() > 0 && self.dice.below(2) == 0;
        if begun {
            self.begin_shipment(None)?;
            self.wait(10 * MINUTE, 2 * HOUR);
        }
        self.cancel(Part::Desk, "the customer called")?;
        if begun {
            self.call_off("the order was cancelled")?;
        }
        Ok(Next::Ends)
    }

    /// Goods are missing for days; the money does not wait for ever.
    fn wait_for_goods(&mut self) -> Told {
        let (order, stock) = (self.order(), HoldReason::Stock);
        self.wait(HOUR, 5 * HOUR);
        self.act(Part::Desk, PlaceHold { order, reason: stock })?;
        let number = self.case.order.payments;
        let is_held = self
            .case
            .payment(number)
            .is_some_and(|payment| payment.capturable() > 0);
        if is_held && self.dice.happens(rates::AUTHORIZATION_EXPIRED) {
            self.wait(7 * DAY, 8 * DAY);
            let payment = self.payment();
            self.act(Part::Gateway, ExpireAuthorization { payment })?;
            let reason = HoldReason::Payment;
            self.act(Part::Shop, PlaceHold { order, reason })?;
            self.wait(HOUR, DAY);
            while !self.attempt()? {
                self.wait(10 * MINUTE, 6 * HOUR);
            }
            self.act(Part::Shop, ReleaseHold { order, reason })?;
        } else if is_held && self.dice.happens(rates::AUTHORIZATION_EXTENDED) {
            self.wait(4 * DAY, 5 * DAY);
            let held = self.case.payment(number).map_or(0, |payment| payment.authorized);
            self.adjust(held)?;
            self.wait(DAY, 5 * DAY);
        } else {
            self.wait(DAY, 5 * DAY);
        }
        self.wait_for_work();
        self.act(Part::Desk, ReleaseHold { order, reason: stock })
    }

    /// The gateway holds another amount from now on, and longer.
    fn adjust(&mut self, amount: i64) -> Told {
        let payment = self.payment();
        let adjust = AdjustAuthorization {
            payment,
            amount: self.money(amount)?,
            capture_before: Some(self.now + TimeDelta::days(7)),
            reference: Some(text(format!("{payment}-adjusted"))?),
            at: Some(self.now),
        };
        self.act(Part::Gateway, adjust)
    }

    /// Some pieces of one line cannot be had; at least one piece of the order is left.
    fn cancel_some(&mut self) -> Told {
        let goods = self.open_goods();
        let all = self.open_pieces();
        let line = *self.dice.pick(&goods);
        let most = line.quantity.get().min(all - 1);
        let quantity = Quantity::try_new(self.dice.pieces(1, most))?;
        let cancel = CancelLines {
            order: self.order(),
            lines: vec![LineQuantity { quantity, ..line }],
            reason: text("sold out")?,
        };
        self.act(Part::Desk, cancel)?;
        let number = self.case.order.payments;
        let is_held = self
            .case
            .payment(number)
            .is_some_and(|payment| payment.capturable() > 0);
        if is_held && self.dice.happens(rates::AUTHORIZATION_LOWERED) {
            self.wait(1, MINUTE);
            self.adjust(self.case.order.due())?;
        }
        self.give_back("sold out")
    }

    /// Gives back what was taken and is no longer due.
    pub(super) fn give_back(&mut self, reason: &str) -> Told {
        let over = self.captured() - self.refunded() - self.case.order.due();
        self.refund(over, reason, None)
    }

    /// Goods that are neither cancelled nor set aside.
    fn open_goods(&self) -> Vec<LineQuantity> {
        let lines = self
            .case
            .order
            .lines
            .iter()
            .filter(|line| line.line.requires_shipping);
        let open = |line: &docket_domain::order::OrderLine| {
            let quantity = Quantity::try_new(line.open()).ok()?;
            Some(LineQuantity {
                line: line.line.id,
                quantity,
            })
        };
        lines.filter_map(open).collect()
    }

    fn open_pieces(&self) -> u32 {
        self.open_goods().iter().map(|pieces| pieces.quantity.get()).sum()
    }

    /// Ships what there is to ship, and takes the money for it.
    pub(super) fn fulfill(&mut self) -> Told<Next> {
        if self.open_pieces() == 0 {
            // Nothing goes by parcel: it is delivered by mail, and paid.
            self.wait(1, MINUTE);
            self.capture(None, true)?;
            return Ok(Next::GoesOn);
        }
        self.wait(2 * HOUR, 26 * HOUR);
        if self.open_pieces() >= 2 && self.dice.happens(rates::SPLIT) {
            let first = self.first_half()?;
            self.ship(Some(first))?;
            // The rest follows when it is there.
            self.wait(DAY, 4 * DAY);
        }
        while self.open_pieces() > 0 {
            self.ship(None)?;
        }
        Ok(Next::GoesOn)
    }

    /// Some of the open pieces, but not all.
    fn first_half(&mut self) -> Told<Vec<LineQuantity>> {
        let (goods, all) = (self.open_goods(), self.open_pieces());
        let mut wanted = self.dice.pieces(1, all - 1);
        let mut first = Vec::new();
        for line in goods {
            let pieces = wanted.min(line.quantity.get());
            wanted -= pieces;
            if pieces > 0 {
                let quantity = Quantity::try_new(pieces)?;
                first.push(LineQuantity { quantity, ..line });
            }
        }
        Ok(first)
    }

    fn begin_shipment(&mut self, lines: Option<Vec<LineQuantity>>) -> Told {
        self.wait_for_work();
        let order = self.order();
        self.act(Part::Shop, AllocateFulfillment { order, lines })?;
        self.wait(1, 10);
        let create = CreateShipment {
            shipment: self.shipment(),
            location: text(self.dice.pick(LOCATIONS))?,
            ship_to: None,
            lines: None,
        };
        self.act(Part::Shop, create)
    }

    /// Cancels a shipment that was not dispatched, and gives its goods back.
    fn call_off(&mut self, reason: &str) -> Told {
        let shipment = self.shipment();
        let reason = text(reason)?;
        self.act(Part::Desk, CancelShipment { shipment, reason })?;
        self.act(Part::Desk, ReleaseFulfillment { shipment })
    }

    /// One shipment, from the shelf to its end.
    fn ship(&mut self, lines: Option<Vec<LineQuantity>>) -> Told {
        let value = self.value_of(&lines.clone().unwrap_or_else(|| self.open_goods()))?;
        self.begin_shipment(lines.clone())?;
        // Some are only packed on the next day.
        self.wait(20 * MINUTE, 16 * HOUR);
        self.label()?;
        if self.dice.happens(rates::LABEL_VOIDED) {
            self.wait(MINUTE, 20 * MINUTE);
            self.call_off("the label could not be printed")?;
            self.begin_shipment(lines)?;
            self.label()?;
        }
        self.wait(10 * MINUTE, 4 * HOUR);
        self.wait_for_work();
        let shipment = self.shipment();
        self.act(Part::Shop, DispatchShipment { shipment })?;
        self.wait(1, 5 * MINUTE);
        self.capture_for_shipment(value)?;
        self.travel(value)
    }

    /// What the customer pays for these pieces.
    fn value_of(&self, lines: &[LineQuantity]) -> Told<i64> {
        let mut value = 0;
        for pieces in lines {
            if let Some(line) = self.case.order.line(pieces.line) {
                let before = line.line.quantity.get() - line.open();
                let (from, to) = (
                    line.line.value_of(before)?,
                    line.line.value_of(before + pieces.quantity.get())?,
                );
                value += to - from;
            }
        }
        Ok(value)
    }

    /// The value of the shipment, and of shipping with the first; all that is due with the last, or where the payment
    /// takes one capture only.
    fn capture_for_shipment(&mut self, value: i64) -> Told {
        let payment = self.case.payment(self.case.order.payments);
        let in_parts =
            payment.and_then(|payment| payment.capture_method) == Some(CaptureMethod::ManualMultiple);
        if !in_parts || self.open_pieces() == 0 {
            return self.capture(None, true);
        }
        let shipping = if self.captured() == 0 {
            self.case.order.totals.shipping
        } else {
            0
        };
        self.capture(Some(value + shipping), false)
    }

    fn label(&mut self) -> Told {
        let shipment = self.shipment();
        let market = self.opening.person.market;
        let carrier = *self.dice.pick(market.carriers);
        let lines = self
            .case
            .shipment(shipment.number)
            .map(|shipment| shipment.lines.clone());
        let grams: u32 = lines
            .unwrap_or_default()
            .iter()
            .filter_map(|pieces| {
                let line = self.case.order.line(pieces.line)?;
                Some(line.line.weight_g? * pieces.quantity.get())
            })
            .sum();
        let count = 1 + u32::from(self.dice.happens(rates::TWO_PARCELS));
        let mut parcels = Vec::new();
        for _ in 0..count {
            let number = self.dice.below(1_000_000_000_000);
            parcels.push(ParcelInput {
                weight_g: Some(grams / count + BOX_G),
                length_mm: Some(self.dice.pieces(20, 60) * 10),
                width_mm: Some(self.dice.pieces(15, 40) * 10),
                height_mm: Some(self.dice.pieces(5, 30) * 10),
                tracking: Tracking {
                    carrier: text(carrier)?,
                    service: None,
                    tracking_number: text(format!("{number:012}"))?,
                    url: None,
                },
            });
        }
        let cost = self.dice.between(350, 950);
        let cost = Some(self.money(market.price(cost))?);
        self.act(
            Part::Shop,
            BuyLabel {
                shipment,
                parcels,
                cost,
            },
        )
    }

    /// What becomes of a dispatched shipment.
    fn travel(&mut self, value: i64) -> Told {
        self.wait(2 * HOUR, 12 * HOUR);
        self.scan(CarrierStatus::InTransit, None)?;
        if self.dice.happens(rates::LOST) {
            return self.lose();
        }
        let code = self
            .case
            .order
            .shipping_method
            .as_ref()
            .map(|method| method.code.clone());
        let methods = self.opening.person.market.methods;
        let method = methods
            .iter()
            .find(|method| code.as_ref().is_some_and(|code| code.as_str() == method.code));
        let (from, to) = method.map_or((1, 3), |method| method.days);
        self.wait(from * DAY - 12 * HOUR, to * DAY);
        if self.dice.happens(rates::LATE) {
            self.wait(3 * DAY, 8 * DAY);
        }
        self.scan(CarrierStatus::OutForDelivery, None)?;
        if self.dice.happens(rates::ATTEMPT_FAILED) {
            self.miss()?;
            if self.dice.happens(rates::TWICE_FAILED) {
                self.miss()?;
            }
        }
        if self.dice.happens(rates::SENT_BACK) {
            self.wait(DAY, 3 * DAY);
            self.scan(CarrierStatus::ReturnToSender, None)?;
            self.wait(DAY, 4 * DAY);
            self.wait_for_work();
            return self.refund(value, "nobody took the parcel", None);
        }
        self.wait(HOUR, 7 * HOUR);
        self.scan(CarrierStatus::Delivered, None)
    }

    fn miss(&mut self) -> Told {
        self.wait(HOUR, 6 * HOUR);
        let reason = *self.dice.pick(MISSED);
        self.scan(CarrierStatus::Failure, Some(reason))?;
        self.wait(16 * HOUR, 26 * HOUR);
        self.scan(CarrierStatus::OutForDelivery, None)
    }

    /// One scan for each parcel.
    fn scan(&mut self, status: CarrierStatus, reason: Option<&str>) -> Told {
        let shipment = self.shipment();
        let parcels = self
            .case
            .shipment(shipment.number)
            .map_or(0, |shipment| shipment.parcels.len());
        for number in 1..=parcels {
            self.scans += 1;
            let signed_by = match status {
                CarrierStatus::Delivered => self.personal_name(&self.opening.person.name)?,
                _ => None,
            };
            let place = match status {
                CarrierStatus::InTransit => None,
                _ => Some(Personal::Open(text(self.opening.person.place.town)?)),
            };
            let scan = RecordTracking {
                shipment,
                // At most two.
                parcel: ParcelNumber(number as u16),
                status,
                carrier_event_id: text(format!("scan-{}", self.scans))?,
                at: self.now,
                place,
                reason: reason.map(text).transpose()?,
                signed_by,
            };
            self.act(Part::Carrier, scan)?;
            if number < parcels {
                self.wait(1, 30);
            }
        }
        Ok(())
    }

    /// It never arrives: sent again, or cancelled and given back.
    fn lose(&mut self) -> Told {
        let shipment = self.shipment();
        self.wait(12 * DAY, 20 * DAY);
        self.wait_for_work();
        let reason = text("lost by the carrier")?;
        self.act(Part::Desk, MarkShipmentFailed { shipment, reason })?;
        self.wait(5 * MINUTE, 5 * HOUR);
        self.act(Part::Desk, ReleaseFulfillment { shipment })?;
        if self.dice.happens(rates::SENT_AGAIN) {
            return Ok(());
        }
        let lines = match self.case.order.allocations.get(&shipment.number) {
            Some(allocation) => allocation.lines.clone(),
            None => Vec::new(),
        };
        let (order, reason) = (self.order(), text("lost by the carrier")?);
        self.act(Part::Desk, CancelLines { order, lines, reason })?;
        self.give_back("lost by the carrier")
    }
}
