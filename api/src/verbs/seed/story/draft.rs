//! From the first line to the customer's commitment.

use super::{MINUTE, Next, Pace, Part, Teller, Told, text};
use crate::verbs::seed::{
    catalogue::{PRODUCTS, Product},
    market::Method,
    people::Place,
    rates,
};
use chrono::TimeDelta;
use docket_domain::{
    CustomerId, LineId, Personal, Quantity,
    order::{
        AddLine, CancelOrder, CreateOrder, FlagOrder, LineInput, PlaceOrder, RemindAbandoned, SetDetails,
        SetLineQuantity, ShippingMethodInput, Signal,
    },
};

/// Where orders come from, of a hundred.
const CHANNELS: &[(&str, u32)] = &[("web", 68), ("app", 20), ("marketplace", 8), ("phone", 4)];
/// How many lines, of a hundred orders.
const LINES: &[(u32, u32)] = &[(1, 38), (2, 25), (3, 15), (4, 9), (5, 6), (6, 4), (7, 2), (8, 1)];
/// How many pieces, of a hundred lines.
const PIECES: &[(u32, u32)] = &[(1, 76), (2, 15), (3, 5), (4, 2), (6, 2)];
/// Discounts of lines that have one, in basis points.
const DISCOUNTS: &[u32] = &[500, 1_000, 2_000];
/// What a detector takes for a high value, in euro cents.
const HIGH_VALUE: i64 = 50_000;
/// What customers write.
const NOTES: &[&str] = &[
    "Please leave it with the neighbours.",
    "A present: no invoice in the parcel, please.",
    "Bitte klingeln, die Tür steht nicht offen.",
    "Le code de la porte est affiché à l'entrée.",
    "置き配でお願いします。",
];

impl Teller {
    pub(super) fn draft(&mut self) -> Told<Next> {
        self.create()?;
        let lines = self.dice.weighted(LINES, |(_, share)| *share).0;
        let mut chosen: Vec<&Product> = Vec::new();
        while chosen.len() < lines as usize {
            let product = self.dice.weighted(PRODUCTS, |product| product.weight);
            if !chosen.iter().any(|known| known.sku == product.sku) {
                chosen.push(product);
            }
        }
        for product in &chosen {
            self.wait(15, 4 * MINUTE);
            self.add_line(product)?;
        }
        if self.dice.happens(rates::EDITED) {
            self.wait(10, 2 * MINUTE);
            self.edit()?;
        }
        if self.dice.happens(rates::ABANDONED) {
            // Some leave before the address, some after it.
            if self.dice.below(2) == 0 {
                self.wait(MINUTE, 5 * MINUTE);
                self.details()?;
            }
            return self.remind();
        }
        self.wait(MINUTE, 6 * MINUTE);
        self.details()?;
        self.wait(20, 4 * MINUTE);
        let order = self.order();
        if self.dice.happens(rates::DRAFT_CANCELLED) {
            let reason = text("changed their mind")?;
            self.act(Part::Customer, CancelOrder { order, reason })?;
            return Ok(Next::Ends);
        }
        self.act(Part::Customer, PlaceOrder { order })?;
        let high = self.opening.person.market.price(HIGH_VALUE);
        if self.case.order.due() >= high {
            self.wait(1, 5);
            self.flag(Signal::HighValue, &format!("at least {high}"))?;
        }
        Ok(Next::GoesOn)
    }

    /// A timer reminds the customer, in vain. It needs hours, so where time is compressed it does not ring.
    fn remind(&mut self) -> Told<Next> {
        if self.opening.pace == Pace::Real && self.dice.happens(rates::REMINDED) {
            let order = self.order();
            for hours in [1, 24] {
                self.wait_until(self.now + TimeDelta::hours(hours));
                self.act(Part::Shop, RemindAbandoned { order })?;
            }
        }
        Ok(Next::Ends)
    }

    /// A detector noticed something.
    pub(super) fn flag(&mut self, signal: Signal, evidence: &str) -> Told {
        let (order, evidence) = (self.order(), vec![text(evidence)?]);
        self.act(
            Part::Shop,
            FlagOrder {
                order,
                signal,
                evidence,
            },
        )
    }

    fn create(&mut self) -> Told {
        let person = self.opening.person.clone();
        let phone = match self.dice.happens(rates::PHONE_KNOWN) {
            true => Some(Personal::Open(text(&person.phone)?)),
            false => None,
        };
        let create = CreateOrder {
            order: Some(self.order()),
            customer: person.customer.as_ref().map(CustomerId::try_new).transpose()?,
            name: self.personal_name(&person.name)?,
            email: Some(Personal::Open(text(&person.email)?)),
            phone,
            channel: text(self.dice.weighted(CHANNELS, |(_, share)| *share).0)?,
            currency: self.money(0)?.currency,
            locale: text(person.market.locale)?,
        };
        self.act(Part::Customer, create)
    }

    fn add_line(&mut self, product: &Product) -> Told {
        let market = self.opening.person.market;
        let discount_bp = match self.dice.happens(rates::DISCOUNTED) {
            true => Some(*self.dice.pick(DISCOUNTS)),
            false => None,
        };
        let line = LineInput {
            sku: text(product.sku)?,
            name: text(product.name)?,
            quantity: Quantity::try_new(self.dice.weighted(PIECES, |(_, share)| *share).0)?,
            unit_price: self.money(market.price(product.price))?,
            discount: None,
            discount_bp,
            tax: None,
            tax_rate_bp: market.tax_bp,
            requires_shipping: product.grams.is_none().then_some(false),
            weight_g: product.grams,
        };
        let order = self.order();
        self.act(Part::Shop, AddLine { order, line })
    }

    /// Another quantity of a line; 0 where others are left.
    fn edit(&mut self) -> Told {
        let lines = &self.case.order.lines;
        let last = self.dice.below(lines.len() as u64) as usize;
        let (line, before) = (lines[last].line.id, lines[last].line.quantity.get());
        let low = u32::from(lines.len() == 1);
        let quantity = match self.dice.pieces(low, 4) {
            same if same == before => before + 1,
            other => other,
        };
        let order = self.order();
        let set = SetLineQuantity {
            order,
            line: LineId(line.0),
            quantity,
            discount: None,
            tax: None,
        };
        self.act(Part::Shop, set)
    }

    fn details(&mut self) -> Told {
        let person = self.opening.person.clone();
        let method: &Method = self.dice.weighted(person.market.methods, |method| method.share);
        let shipping_method = ShippingMethodInput {
            code: text(method.code)?,
            name: Some(text(method.name)?),
            price: self.money(method.price)?,
        };
        let billing_address = match self.dice.happens(rates::BILLED_ELSEWHERE) {
            true => {
                let place = Place::new(person.market, &mut self.dice);
                Some(self.address(&place)?)
            }
            false => None,
        };
        let note = match self.dice.happens(rates::NOTED) {
            true => Some(Personal::Open(text(self.dice.pick(NOTES))?)),
            false => None,
        };
        let set = SetDetails {
            order: self.order(),
            shipping_address: Some(self.address(&person.place)?),
            billing_address,
            shipping_method: Some(shipping_method),
            name: None,
            email: None,
            phone: None,
            note,
        };
        self.act(Part::Shop, set)
    }
}
