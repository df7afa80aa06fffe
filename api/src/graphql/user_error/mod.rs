//! A rule that refused, as data: an interface and a type for each shape of numbers. Nothing was written.
//!
//! What each rule becomes is in `rules.rs`; what refuses an operator, in `rebuilds.rs` and `letters.rs`.

mod letters;
mod rebuilds;
mod rules;

use async_graphql::{Enum, ID, Interface, SimpleObject};
use chrono::{DateTime, Utc};
use docket_domain::{StreamId, Version};
use uuid::Uuid;

use super::{
    error::Refused,
    order::parts::HoldReason,
    position::Position,
    projection::types::RebuildStep,
    scalars::{BigInt, CurrencyScalar},
};

/// The rule that refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum UserErrorCode {
    /// The status does not allow it.
    IllegalTransition,
    /// The stream is not at the version that was named, or other writers were faster each time.
    VersionConflict,
    /// More would be captured than is authorized.
    CaptureExceedsAuthorized,
    /// More would be refunded than is captured.
    RefundExceedsCaptured,
    /// More would be refunded for a return than is due for it.
    RefundExceedsReturn,
    /// More would be disputed than is left of what was captured.
    DisputeExceedsCaptured,
    /// The gateway cannot hold more than was asked for.
    AuthorizationExceedsAmount,
    /// The authorization cannot fall below what is captured.
    AuthorizationBelowCaptured,
    /// The last capture was asked for already.
    FinalCaptureRequested,
    /// What is being captured cannot be voided.
    CapturePending,
    /// Two currencies where one is needed; nothing is exchanged.
    CurrencyMismatch,
    /// The currency is unknown, or has no minor unit.
    CurrencyUnknown,
    /// An amount has to be more than zero.
    AmountNotPositive,
    /// An amount must not be negative.
    AmountNegative,
    /// The amount is more than ten trillion of a currency with cents, or does not fit 64 bits with others.
    AmountTooLarge,
    /// A link leads to no page: it does not begin with `https://` or `http://`.
    NotALink,
    /// An amount cannot be shared out.
    AmountNotShareable,
    /// A discount is more than its line.
    DiscountExceedsLine,
    /// The authorizations do not cover the order.
    NotAuthorized,
    /// The authorizations cover the order after all.
    Covered,
    /// The money of the order is not settled.
    NotSettled,
    /// Only a person confirms an order without sufficient authorization.
    ManualByPersonOnly,
    /// More pieces than are open.
    ExceedsOpen,
    /// More pieces than are allocated.
    ExceedsAllocated,
    /// Not everything has arrived.
    NotDelivered,
    /// More pieces would come back than were delivered.
    ReturnExceedsDelivered,
    /// More pieces came back than were announced.
    ReceivedExceedsRequested,
    /// There is no such return.
    UnknownReturn,
    /// Nothing came back yet.
    ReturnNotReceived,
    /// It came back already, with other content.
    ReturnReceived,
    /// A number above its limit.
    LimitExceeded,
    /// There is no such line.
    UnknownLine,
    /// There is no such parcel.
    UnknownParcel,
    /// Nothing is allocated under this number.
    NotAllocated,
    /// It exists already, with other content.
    AlreadyExists,
    /// The order is on hold.
    OnHold,
    /// It is too early.
    NotDue,
    /// A time lies in the future.
    InFuture,
    /// A shipment has been dispatched.
    AlreadyDispatched,
    /// A shipment still has its goods.
    ShipmentLive,
    /// One line twice in one request.
    DuplicateLine,
    /// No line is named.
    NoLines,
    /// A line that needs no shipping.
    NothingToShip,
    /// An order without lines.
    Empty,
    /// Goods without a destination.
    NoShippingAddress,
    /// An amount and a rate for one thing.
    AmountAndRate,
    /// The amount has to be given anew.
    AmountNeeded,
    /// The person is forgotten; nothing personal can be added.
    Forgotten,
    /// There is no such read model.
    UnknownReadModel,
    /// A rebuild of the read model is under way.
    RebuildUnderWay,
    /// A rebuild stands still that another version of the program began.
    RebuildOfOtherVersion,
    /// A rebuild stands still that was to end otherwise.
    RebuildOfOtherPurpose,
    /// The database has no tables of this version of the fold: `docket migrate`.
    NotMigrated,
    /// Nothing of the read model was built aside.
    NoSideBuild,
    /// The rebuild is being called off and has not ended yet; nothing else can be wanted of it.
    RebuildCalledOff,
    /// Tables that were to be dropped are being read; nothing was dropped.
    TablesInUse,
    /// No rebuild of the read model is under way.
    NoRebuild,
    /// No earlier generation of the read model is kept.
    NoEarlierGeneration,
    /// The server's role in the database may not do it: another server may, or the command line as the owner of the tables.
    NotThisServers,
    /// Somebody else has moved the pointer meanwhile.
    GenerationMoved,
    /// The generation that is to be served did not come to where the served one is.
    GenerationBehind,
    /// Nothing of the order waits.
    NoDeadLetters,
    /// The event is not the first that waits of its order, nor one at which the read model stands.
    NotFirstLetter,
    /// A generation of the read model has the event in its rows.
    EventApplied,
    /// The event is discarded already, for another reason.
    AlreadyDiscarded,
}

/// The types: each has the interface's fields and its own.
macro_rules! user_errors {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, SimpleObject)]
            pub struct $name {
                /// What was refused and why, for people.
                pub message: String,
                /// The rule that refused, for programs.
                pub code: UserErrorCode,
                /// Where in the arguments, where one place can be named.
                pub field: Option<Vec<String>>,
                $($(#[$field_doc])* pub $field: $type,)*
            }
        )+

        /// A rule that refused a command, with its numbers. Nothing was written.
        #[derive(Clone, Debug, Interface)]
        #[graphql(
            field(name = "message", ty = "&String", desc = "What was refused and why, for people."),
            field(name = "code", ty = "&UserErrorCode", desc = "The rule that refused, for programs."),
            field(name = "field", ty = "&Option<Vec<String>>", desc = "Where in the arguments, where one place can be named.")
        )]
        pub enum UserError { $($name($name),)+ }

        impl UserError {
            /// The rule's name, as programs know it.
            pub(in crate::graphql) fn rule(&self) -> String {
                let code = match self { $(UserError::$name(refused) => refused.code,)+ };
                match async_graphql::resolver_utils::enum_value(code) {
                    async_graphql::Value::Enum(name) => name.to_string(),
                    other => other.to_string(),
                }
            }
        }
    };
}

user_errors! {
    /// The status does not allow it.
    IllegalTransition {
        /// The status that it has.
        from: String,
        /// What was asked for.
        attempted: String,
        /// The statuses that would allow it.
        allowed: Vec<String>,
    }
    /// The stream is not at the version that was named, or other writers were faster each time.
    VersionConflict {
        /// Which stream: an order's, payment's or shipment's id.
        stream: ID,
        /// The version that was expected.
        expected: i32,
        /// The version that it has.
        actual: i32,
    }
    /// More would be captured than is authorized. Amounts are minor units of the payment's currency.
    CaptureExceedsAuthorized {
        /// What the gateway held.
        authorized: BigInt,
        /// What was captured of it.
        captured: BigInt,
        /// What is being captured.
        pending: BigInt,
        /// What was let go or ran out.
        released: BigInt,
        /// What was asked for.
        requested: BigInt,
    }
    /// More would be refunded than is captured. Amounts are minor units of the payment's currency.
    RefundExceedsCaptured {
        /// What was captured.
        captured: BigInt,
        /// What was refunded of it.
        refunded: BigInt,
        /// What is being refunded.
        pending: BigInt,
        /// What is disputed, or was lost to a dispute.
        disputed: BigInt,
        /// What was asked for.
        requested: BigInt,
    }
    /// More would be disputed than is left of what was captured. Amounts are minor units of the payment's currency.
    DisputeExceedsCaptured {
        /// What was captured.
        captured: BigInt,
        /// What was refunded of it.
        refunded: BigInt,
        /// What is being refunded.
        pending: BigInt,
        /// What other disputes are about, or was lost to them.
        disputed: BigInt,
        /// What this dispute is about.
        requested: BigInt,
    }
    /// More would be refunded for a return than is due for it. Amounts are minor units of the order's currency.
    RefundExceedsReturn {
        /// Which return, by its number.
        #[graphql(name = "return")]
        return_number: i32,
        /// What is due for it.
        refund_due: BigInt,
        /// What was refunded for it, by whichever payment.
        refunded: BigInt,
        /// What is being refunded for it.
        pending: BigInt,
        /// What was asked for.
        requested: BigInt,
    }
    /// More pieces of a line would come back than were delivered.
    ReturnExceedsDelivered {
        /// Which line.
        line: i32,
        /// How many were delivered.
        delivered: i32,
        /// How many of them came back.
        returned: i32,
        /// How many of them are announced and have not come.
        pending: i32,
        /// How many were asked for.
        requested: i32,
    }
    /// More pieces of a line came back than the return is about.
    ReceivedExceedsRequested {
        /// Which return, by its number.
        #[graphql(name = "return")]
        return_number: i32,
        /// Which line.
        line: i32,
        /// How many were announced.
        requested: i32,
        /// How many came.
        received: i32,
    }
    /// An authorization above what was asked for or below what is spoken for. Amounts are minor units.
    AuthorizationOutOfBounds {
        /// The least that it can be.
        minimum: BigInt,
        /// The most that it can be, where there is a bound.
        maximum: Option<BigInt>,
        /// What was asked for.
        requested: BigInt,
    }
    /// An amount is under way and cannot be let go. In minor units.
    AmountPending {
        /// How much.
        pending: BigInt,
    }
    /// An amount that is none, or not one of this order.
    InvalidAmount {
        /// What was given, in minor units, where that is what is wrong.
        amount_minor: Option<BigInt>,
        /// The most that it can be, in minor units, where there is a bound.
        maximum_minor: Option<BigInt>,
        /// The currency that is needed, where that is what is wrong.
        expected_currency: Option<CurrencyScalar>,
        /// The currency that was given, where that is what is wrong.
        found_currency: Option<CurrencyScalar>,
    }
    /// The authorizations do not cover the order. In minor units.
    NotCovered {
        /// What is authorized or captured.
        authorized: BigInt,
        /// What the order adds up to.
        total: BigInt,
        /// Of both.
        currency: CurrencyScalar,
    }
    /// The authorizations cover the order. In minor units.
    AlreadyCovered {
        /// What is authorized or captured.
        authorized: BigInt,
        /// What the order adds up to.
        total: BigInt,
        /// Of both.
        currency: CurrencyScalar,
    }
    /// The money of the order is not settled. In minor units.
    NotSettled {
        /// What the customer owes.
        due: BigInt,
        /// What is captured.
        captured: BigInt,
        /// What is under way.
        pending: BigInt,
        /// Of all three.
        currency: CurrencyScalar,
    }
    /// More pieces of a line than are open.
    QuantityExceedsOpen {
        /// Which line.
        line: i32,
        /// How many were ordered.
        ordered: i32,
        /// How many of them are cancelled.
        cancelled: i32,
        /// How many of them are allocated.
        allocated: i32,
        /// How many were asked for.
        requested: i32,
    }
    /// More pieces of a line than are allocated to the shipment.
    QuantityExceedsAllocated {
        /// Which line.
        line: i32,
        /// How many are allocated.
        allocated: i32,
        /// How many were asked for.
        requested: i32,
    }
    /// Not every piece of a line has arrived.
    NotDelivered {
        /// Which line.
        line: i32,
        /// How many were ordered.
        ordered: i32,
        /// How many of them are cancelled.
        cancelled: i32,
        /// How many of them are delivered.
        delivered: i32,
    }
    /// A number above its limit.
    LimitExceeded {
        /// Of what.
        what: String,
        /// The limit.
        limit: BigInt,
        /// What was asked for, where it is one number.
        requested: Option<BigInt>,
    }
    /// Something was named that is not there.
    UnknownReference {
        /// What was named: a line's or parcel's number, a shipment's id.
        reference: String,
    }
    /// It exists already, with other content.
    AlreadyExists {
        /// Which.
        id: ID,
    }
    /// The order is on hold.
    OnHold {
        /// Why.
        reasons: Vec<HoldReason>,
    }
    /// It is too early, or a time lies in the future.
    NotDue {
        /// Not before this time, where there is one.
        at: Option<DateTime<Utc>>,
    }
    /// A shipment is under way or done.
    AlreadyDispatched {
        /// Which.
        shipment: ID,
    }
    /// A rule without numbers.
    RuleViolated {
        /// The line that it is about, where it is about one.
        line: Option<i32>,
    }
    /// There is no such read model.
    UnknownReadModel {
        /// What was asked for; of a long name its beginning.
        name: String,
        /// What there is.
        known: Vec<String>,
    }
    /// A rebuild of the read model is under way.
    RebuildUnderWay {
        /// The read model.
        name: String,
        /// How far it has come.
        step: RebuildStep,
        /// When it was begun.
        since: DateTime<Utc>,
        /// The process that does it.
        owner: Option<Uuid>,
    }
    /// A rebuild stands still that another version of the program began: go on with the program that fits, or call it off.
    RebuildOfOtherVersion {
        /// The read model.
        name: String,
        /// The version of the rebuild's fold.
        theirs: i32,
        /// The version of this server's.
        ours: i32,
    }
    /// Somebody else has moved the pointer meanwhile.
    GenerationMoved {
        /// The read model.
        name: String,
        /// The generation that was served before.
        #[graphql(name = "from")]
        before: i32,
        /// The generation that is served now.
        served: i32,
    }
    /// The generation that is to be served did not come to where the served one is.
    GenerationBehind {
        /// The read model.
        name: String,
        /// The generation.
        generation: i32,
        /// Events that it is behind.
        behind: BigInt,
    }
    /// Nothing of the order waits.
    NoDeadLetters {
        /// The read model.
        name: String,
        /// The order.
        order: Uuid,
    }
    /// The event is not the first that waits of its order, nor one at which the read model stands: it cannot be discarded.
    NotFirstLetter {
        /// The read model.
        name: String,
        /// The event.
        position: Position,
    }
    /// A generation of the read model has the event in its rows: it can be applied, and so it cannot be discarded.
    EventApplied {
        /// The read model.
        name: String,
        /// Which of its generations.
        generation: i32,
        /// The event.
        position: Position,
    }
    /// The event is discarded already, for another reason, which stands.
    AlreadyDiscarded {
        /// The read model.
        name: String,
        /// The event.
        position: Position,
        /// Why it was discarded.
        reason: String,
        /// Who decided so.
        by: String,
        /// When.
        at: DateTime<Utc>,
    }
    /// A rule for operators without numbers.
    RebuildRefused {
        /// The read model.
        name: String,
    }
}

impl UserError {
    /// The version that was named is not the newest.
    pub(super) fn version_conflict(stream: StreamId, expected: Version, actual: Version) -> UserError {
        UserError::VersionConflict(VersionConflict {
            message: format!("{stream} is at version {actual}, not {expected}."),
            code: UserErrorCode::VersionConflict,
            field: Some(vec!["input".to_owned(), "expectedVersion".to_owned()]),
            stream: ID(stream.to_string()),
            expected: expected.0,
            actual: actual.0,
        })
    }
}

/// What came of what an operator asked for, or the rule that refused it, which is counted.
///
/// # Errors
/// For whatever else stood in the way.
pub(super) fn answered<T, E>(
    came_of_it: Result<T, E>,
    refusal: impl FnOnce(E) -> Result<UserError, Refused>,
) -> Result<(Option<T>, Vec<UserError>), Refused> {
    match came_of_it {
        Ok(done) => Ok((Some(done), Vec::new())),
        Err(error) => {
            let refused = refusal(error)?;
            metrics::counter!("docket_refusals_total", "rule" => refused.rule()).increment(1);
            Ok((None, vec![refused]))
        }
    }
}
