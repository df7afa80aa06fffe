//! An order's story: the commands of its life, from the draft to its end, as a pure function of a seed and its number.
//!
//! The teller keeps the order's case and decides every command by the domain as it goes, with the time and the actor that
//! the command will have. So amounts are what the rules make of them, a story never holds a command that a rule refuses,
//! and where the domain changes so that one would be, [`tell`] says so instead of a log half full.
//!
//! Times are the story's own. Whoever wants a shop as it stands at an instant leaves out what comes later: what is open
//! then is what a shop has open.

mod aftermath;
mod draft;
mod fulfillment;
mod sale;
#[cfg(test)]
mod tests;

use super::{
    dice::Dice,
    people::{Person, Place},
};
use chrono::{DateTime, Datelike as _, TimeDelta, Timelike as _, Utc, Weekday};
use docket_domain::{
    Actor, ActorKind, Address, AddressInput, Case, Command, Context, CountryCode, Currency, Decision, Money,
    MoneyError, OrderId, OrderNumber, PaymentId, Personal, Refusal, Role, ShipmentId, Text, TextError,
    address::{CountryError, StreetLinesError},
    decide,
    quantity::QuantityError,
    text::Name,
};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How the times of a story become times of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As they are.
    Real,
    /// An hour is a second; what happens at once takes a moment, and nothing takes longer than [`LONGEST_WAIT_MS`].
    Compressed,
}

/// The longest a compressed story waits, so that each ends within minutes: a lost parcel is missed for as long.
const LONGEST_WAIT_MS: i64 = 120_000;
/// The moment between two steps of a compressed story, so that an eye can follow.
const MOMENT_MS: (i64, i64) = (300, 1_500);
/// The shop's own hands work from this hour to the next, in UTC, and not on Sundays.
const WORKING_HOURS: (u32, u32) = (7, 17);

/// Whose the commands are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cast {
    /// One operator who brings in what happened; payments are of the gateway `manual`, the only one he may speak for.
    Import,
    /// Customers, the shop's programs, its desk, a gateway and carriers, each within their rights.
    Live,
}

/// A part in the cast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Who buys; a guest's commands are the shop's.
    Customer,
    /// The shop's programs.
    Shop,
    /// A person at the desk.
    Desk,
    /// The payment gateway.
    Gateway,
    /// Who carries the parcel.
    Carrier,
}

/// The gateway of a live cast.
const GATEWAY: &str = "example-pay";

/// One command of a story.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// By whom.
    pub(crate) actor: Actor,
    /// What.
    pub(crate) command: Command,
}

/// Why a story cannot be told: a bug of the teller, or a rule of the domain that is newer than it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoryError {
    #[error("{command} is refused in the middle of a story")]
    Refused {
        command: &'static str,
        #[source]
        refusal: Box<Refusal>,
    },
    #[error("{0} changes nothing in the middle of a story")]
    Idle(&'static str),
    #[error(transparent)]
    Text(#[from] TextError),
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    #[error(transparent)]
    Money(#[from] MoneyError),
    #[error(transparent)]
    Country(#[from] CountryError),
    #[error(transparent)]
    Street(#[from] StreetLinesError),
    #[error("a command cannot be written")]
    Write(#[source] serde_json::Error),
}

type Told<T = ()> = Result<T, StoryError>;

/// Whether a story goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    GoesOn,
    Ends,
}

/// What a story is told from.
pub(crate) struct Opening {
    /// The order's id.
    pub(crate) order: OrderId,
    /// Who buys.
    pub(super) person: Person,
    /// When they begin.
    pub(crate) at: DateTime<Utc>,
    /// Whose the commands are.
    pub(crate) cast: Cast,
    /// How fast it goes.
    pub(crate) pace: Pace,
}

/// Tells a story to its end.
///
/// # Errors
/// See [`StoryError`].
pub(super) fn tell(opening: Opening, dice: Dice) -> Told<Vec<Step>> {
    let mut teller = Teller {
        now: opening.at,
        opening,
        dice,
        case: Case::default(),
        steps: Vec::new(),
        scans: 0,
    };
    let parts = [
        Teller::draft,
        Teller::pay,
        Teller::confirm,
        Teller::prepare,
        Teller::fulfill,
        Teller::close,
    ];
    for part in parts {
        if part(&mut teller)? == Next::Ends {
            break;
        }
    }
    Ok(teller.steps)
}

/// A story while it is told.
struct Teller {
    opening: Opening,
    dice: Dice,
    now: DateTime<Utc>,
    case: Case,
    steps: Vec<Step>,
    /// Of carriers, in all parcels.
    scans: u32,
}

impl Teller {
    /// The next command: decided, evolved and written down.
    fn act(&mut self, part: Part, command: impl Into<Command>) -> Told {
        let (command, actor) = (command.into(), self.actor(part));
        let context = Context {
            now: self.now,
            actor,
            order_number: Some(OrderNumber(1)),
            imported: self.opening.cast == Cast::Import,
        };
        let name = command.name();
        match decide(&self.case, &command, &context) {
            Ok(Decision::Events(events)) => {
                let case = std::mem::take(&mut self.case);
                self.case = events
                    .iter()
                    .fold(case, |case, event| case.evolve(event, self.now));
            }
            Ok(Decision::NothingToDo) => return Err(StoryError::Idle(name)),
            Err(refusal) => {
                return Err(StoryError::Refused {
                    command: name,
                    refusal: Box::new(refusal),
                });
            }
        }
        self.steps.push(Step {
            at: self.now,
            actor: context.actor,
            command,
        });
        Ok(())
    }

    fn actor(&self, part: Part) -> Actor {
        if self.opening.cast == Cast::Import {
            return Actor::new(Role::Operator, "seed");
        }
        match (part, &self.opening.person.customer) {
            (Part::Customer, Some(customer)) => Actor::new(Role::Customer, customer),
            (Part::Customer, None) | (Part::Shop, _) => Actor::new(Role::Service, "shop"),
            (Part::Desk, _) => Actor::new(Role::Staff, "desk"),
            (Part::Gateway, _) => Actor::new(Role::Gateway, GATEWAY),
            (Part::Carrier, _) => Actor {
                kind: ActorKind::Carrier,
                ..Actor::new(Role::Service, "carrier")
            },
        }
    }

    fn gateway(&self) -> &'static str {
        match self.opening.cast {
            Cast::Import => "manual",
            Cast::Live => GATEWAY,
        }
    }

    /// Lets time pass, in seconds.
    fn wait(&mut self, low: i64, high: i64) {
        let seconds = self.dice.between(low, high);
        let millis = match self.opening.pace {
            Pace::Real => seconds * 1_000 + self.dice.between(0, 999),
            Pace::Compressed => {
                let moment = self.dice.between(MOMENT_MS.0, MOMENT_MS.1);
                (seconds * 1_000 / HOUR).clamp(moment, LONGEST_WAIT_MS)
            }
        };
        self.now += TimeDelta::milliseconds(millis);
    }

    /// Lets time pass until a time that the domain names.
    fn wait_until(&mut self, at: DateTime<Utc>) {
        self.now = self.now.max(at);
        self.wait(MINUTE, 5 * MINUTE);
    }

    /// Lets time pass until somebody works.
    fn wait_for_work(&mut self) {
        if self.opening.pace == Pace::Compressed {
            return;
        }
        let (from, to) = WORKING_HOURS;
        let minutes = self.dice.between(0, 120);
        let mut at = self.now;
        while at.weekday() == Weekday::Sun || at.hour() >= to {
            at = at
                .date_naive()
                .and_hms_opt(0, 0, 0)
                .map_or(at, |day| day.and_utc())
                + TimeDelta::days(1);
        }
        if at.hour() < from {
            at += TimeDelta::minutes(i64::from(from - at.hour()) * 60 - i64::from(at.minute()) + minutes);
        }
        self.now = at;
    }

    fn order(&self) -> OrderId {
        self.opening.order
    }

    fn money(&self, amount: i64) -> Told<Money> {
        let currency = Currency::try_new(self.opening.person.market.currency)?;
        Ok(Money::new(amount, currency))
    }

    /// The newest payment.
    fn payment(&self) -> PaymentId {
        PaymentId::new(self.order(), self.case.order.payments)
    }

    /// The newest shipment.
    fn shipment(&self) -> ShipmentId {
        let number = self.case.order.allocations.keys().next_back();
        ShipmentId::new(self.order(), number.copied().unwrap_or(0))
    }

    fn address(&self, place: &Place) -> Told<Address> {
        let person = &self.opening.person;
        Ok(Address::try_open(AddressInput {
            name: Some(text(&person.name)?),
            company: None,
            street: vec![text(&place.street)?],
            postal_code: Some(text(&place.postal_code)?),
            city: text(place.town)?,
            region: None,
            country: CountryCode::try_new(person.market.country)?,
        })?)
    }

    fn personal_name(&self, name: &str) -> Told<Option<Personal<Name>>> {
        Ok(Some(Personal::Open(text(name)?)))
    }
}

fn text<const MAX: usize, const MULTILINE: bool>(
    text: impl AsRef<str>,
) -> Result<Text<MAX, MULTILINE>, TextError> {
    Text::try_new(text)
}
