//! Who may ask for what: one table of types and fields to roles. What is not in the table is denied.
//!
//! The table is checked against a document *before* anything of it runs ([`super::document`]), for queries, mutations
//! and subscriptions alike, so a request that is refused has done nothing, and a field that somebody forgot to enter is
//! closed, not open. The root types name each field. Any other type is entered as a whole, for those who may come to
//! see one; whether a caller may see *this* one is decided where it is fetched: customers see only their own orders.

use std::collections::HashMap;

use async_graphql::registry::{MetaType, MetaTypeName, Registry};
use docket_domain::Role;

/// A set of roles; the empty one is nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles(u8);

const CUSTOMER: Roles = Roles(1);
const STAFF: Roles = Roles(2);
const OPERATOR: Roles = Roles(4);
const SERVICE: Roles = Roles(8);
const GATEWAY: Roles = Roles(16);
const ANONYMOUS: Roles = Roles(32);

/// The order desk.
const DESK: Roles = STAFF.and(OPERATOR);
/// The order desk and the shop's own programs.
const SHOP: Roles = DESK.and(SERVICE);
/// Whoever may look at an order: a customer at their own.
const READERS: Roles = SHOP.and(CUSTOMER);
/// Whoever may report what a gateway did: itself, or the desk for what goes through the shop's own hands.
const REPORTERS: Roles = DESK.and(GATEWAY);
/// Whoever may say that an authorization's time is up: the shop, whose programs watch the clock, or the gateway.
const TIMERS: Roles = SHOP.and(GATEWAY);
/// Whoever may ring a timer of an order: the shop's programs, and an operator who brings history in.
const CLOCKS: Roles = SERVICE.and(OPERATOR);
/// Whoever has a token.
const KNOWN: Roles = READERS.and(GATEWAY);

impl Roles {
    const fn and(self, other: Roles) -> Roles {
        Roles(self.0 | other.0)
    }

    /// Whether a caller with this role, or without any, is among them.
    pub fn admit(self, role: Option<Role>) -> bool {
        let role = match role {
            None => ANONYMOUS,
            Some(Role::Customer) => CUSTOMER,
            Some(Role::Staff) => STAFF,
            Some(Role::Operator) => OPERATOR,
            Some(Role::Service) => SERVICE,
            Some(Role::Gateway) => GATEWAY,
        };
        self.0 & role.0 != 0
    }
}

/// Every field of the root types.
const ROOT_FIELDS: &[(&str, &[(&str, Roles)])] = &[
    (
        "Query",
        &[
            ("order", READERS),
            ("orders", READERS),
            ("node", KNOWN),
            ("nodes", KNOWN),
            ("events", DESK),
            ("notifications", READERS),
            ("shipments", SHOP),
            ("customer", READERS),
            ("paymentLedger", SHOP),
            ("payments", SHOP),
            ("salesByMinute", SHOP),
            ("fraudSignals", DESK),
            ("projections", OPERATOR),
            ("deadLetters", OPERATOR),
            ("deadLetter", OPERATOR),
            ("deadLetterCount", OPERATOR),
            ("discardedEvents", OPERATOR),
            ("discardedEventCount", OPERATOR),
        ],
    ),
    (
        "Mutation",
        &[
            ("createOrder", READERS),
            ("addLine", SHOP),
            ("setLineQuantity", SHOP),
            ("setDetails", READERS),
            ("placeOrder", READERS),
            ("correctAddress", SHOP),
            ("confirmOrder", SHOP),
            ("placeHold", SHOP),
            ("releaseHold", SHOP),
            ("allocateFulfillment", SHOP),
            ("releaseFulfillment", SHOP),
            ("cancelLines", SHOP),
            ("cancelOrder", READERS),
            ("expireOrder", SHOP),
            ("completeOrder", SHOP),
            ("requestReturn", READERS),
            ("receiveReturn", SHOP),
            ("flagOrder", SHOP),
            ("remindAbandoned", CLOCKS),
            ("initiatePayment", SHOP),
            ("requireAction", REPORTERS),
            ("recordAuthorization", REPORTERS),
            ("recordAuthorizationFailure", REPORTERS),
            ("adjustAuthorization", REPORTERS),
            ("expireAuthorization", TIMERS),
            ("capturePayment", SHOP),
            ("recordCapture", REPORTERS),
            ("recordCaptureFailure", REPORTERS),
            ("voidPayment", SHOP),
            ("refundPayment", SHOP),
            ("recordRefund", REPORTERS),
            ("recordRefundFailure", REPORTERS),
            ("recordDispute", REPORTERS),
            ("recordDisputeOutcome", REPORTERS),
            ("createShipment", SHOP),
            ("buyLabel", SHOP),
            ("dispatchShipment", SHOP),
            ("recordTracking", SHOP),
            ("cancelShipment", SHOP),
            ("markShipmentFailed", SHOP),
            ("rebuildReadModel", OPERATOR),
            ("rollbackReadModel", OPERATOR),
            ("pauseRebuild", OPERATOR),
            ("resumeRebuild", OPERATOR),
            ("cancelRebuild", OPERATOR),
            ("dropSideBuild", OPERATOR),
            ("retryDeadLetters", OPERATOR),
            ("discardEvent", OPERATOR),
        ],
    ),
    (
        "Subscription",
        &[
            ("orderUpdated", READERS),
            ("ordersChanged", READERS),
            ("shipmentTracking", READERS),
            ("notifications", READERS),
            ("projectionProgress", OPERATOR),
        ],
    ),
];

/// Every other type, as a whole. A type ends with where it can be reached from.
const TYPES: &[(Roles, &[&str])] = &[
    (
        READERS,
        &[
            "Order",
            "OrderConnection",
            "OrderEdge",
            "Count",
            "OrderLine",
            "OrderTotals",
            "Address",
            "ShippingMethod",
            "Allocation",
            "LineQuantity",
            "Shipment",
            "Parcel",
            "Scan",
            "Tracking",
            "OrderMessage",
            "ShipmentMessage",
            "EventSummary",
            "Notification",
            "NotificationConnection",
            "NotificationEdge",
            "NotificationMessage",
            "OrderPaid",
            "OrderShipped",
            "PageInfo",
            "CreateOrderPayload",
            "AddLinePayload",
            "SetLineQuantityPayload",
            "SetDetailsPayload",
            "PlaceOrderPayload",
            "ConfirmOrderPayload",
            "AllocateFulfillmentPayload",
            "CorrectAddressPayload",
            "PlaceHoldPayload",
            "ReleaseHoldPayload",
            "ReleaseFulfillmentPayload",
            "CancelLinesPayload",
            "CancelOrderPayload",
            "ExpireOrderPayload",
            "CompleteOrderPayload",
            "OrderReturn",
            "ReturnLine",
            "ReceivedLine",
            "RequestReturnPayload",
            "ReceiveReturnPayload",
            "FlagOrderPayload",
            "RemindAbandonedPayload",
            "CreateShipmentPayload",
            "BuyLabelPayload",
            "DispatchShipmentPayload",
            "RecordTrackingPayload",
            "CancelShipmentPayload",
            "MarkShipmentFailedPayload",
        ],
    ),
    // A customer learns nothing of what detectors think of them.
    (SHOP, &["OrderFlag"]),
    (
        DESK,
        &[
            "RecordedEvent",
            "EventPage",
            "FraudSignal",
            "FraudSignalEdge",
            "FraudSignalConnection",
            "FailedPayment",
        ],
    ),
    // Whoever runs the system, and nobody who works with it.
    (
        OPERATOR,
        &[
            "Projection",
            "ProjectionGeneration",
            "ProjectionPartition",
            "ProjectionMessage",
            "Rebuild",
            "RebuildPartition",
            "RebuildReadModelPayload",
            "RollbackReadModelPayload",
            "PauseRebuildPayload",
            "ResumeRebuildPayload",
            "CancelRebuildPayload",
            "DropSideBuildPayload",
            "TableDifference",
            "ColumnDifference",
            "RowDifference",
            "UnknownReadModel",
            "RebuildUnderWay",
            "RebuildOfOtherVersion",
            "RebuildRefused",
            "GenerationMoved",
            "GenerationBehind",
            "DeadLetterConnection",
            "DeadLetterEdge",
            "DeadLetterSequence",
            "DeadLetterFailure",
            "DeadLetter",
            "DiscardedEvent",
            "RetryDeadLettersPayload",
            "DiscardEventPayload",
            "NoDeadLetters",
            "NotFirstLetter",
            "EventApplied",
            "AlreadyDiscarded",
        ],
    ),
    (
        READERS,
        &[
            "TimelineConnection",
            "TimelineEdge",
            "TimelineEntry",
            "Customer",
            "CustomerTotals",
        ],
    ),
    (
        SHOP,
        &[
            "BoardShipment",
            "BoardShipmentEdge",
            "BoardShipmentConnection",
            "PaymentLedger",
            "LedgerDay",
            "LedgerMovement",
            "LedgerDrift",
            "LedgerPayment",
            "LedgerPaymentEdge",
            "LedgerPaymentConnection",
            "SalesByMinute",
            "SalesWindow",
            "Sales",
        ],
    ),
    (
        KNOWN,
        &[
            "Node",
            "Money",
            "Position",
            "Payment",
            "PaymentMethod",
            "PaymentAction",
            "PaymentFailure",
            "Capture",
            "Refund",
            "Dispute",
            "InitiatePaymentPayload",
            "RequireActionPayload",
            "RecordAuthorizationPayload",
            "AdjustAuthorizationPayload",
            "ExpireAuthorizationPayload",
            "RecordAuthorizationFailurePayload",
            "CapturePaymentPayload",
            "RecordCapturePayload",
            "RecordCaptureFailurePayload",
            "VoidPaymentPayload",
            "RefundPaymentPayload",
            "RecordRefundPayload",
            "RecordRefundFailurePayload",
            "RecordDisputePayload",
            "RecordDisputeOutcomePayload",
            "UserError",
            "IllegalTransition",
            "VersionConflict",
            "CaptureExceedsAuthorized",
            "RefundExceedsCaptured",
            "RefundExceedsReturn",
            "DisputeExceedsCaptured",
            "ReturnExceedsDelivered",
            "ReceivedExceedsRequested",
            "AuthorizationOutOfBounds",
            "AmountPending",
            "InvalidAmount",
            "NotCovered",
            "AlreadyCovered",
            "NotSettled",
            "QuantityExceedsOpen",
            "QuantityExceedsAllocated",
            "NotDelivered",
            "LimitExceeded",
            "UnknownReference",
            "AlreadyExists",
            "OnHold",
            "NotDue",
            "AlreadyDispatched",
            "RuleViolated",
        ],
    ),
];

/// What the check of a document needs to know of a field.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) roles: Roles,
    /// The type that it leads to, without brackets and exclamation marks.
    pub(super) leads_to: String,
    /// It has any number of items.
    pub(super) is_list: bool,
    /// Its arguments say how many items: `first` or `last`.
    pub(super) is_paged: bool,
    /// It has an item for each of its argument `ids`.
    pub(super) is_by_ids: bool,
}

/// The schema's fields with who may ask for them.
#[derive(Debug, Clone, Default)]
pub struct Guards {
    types: HashMap<String, HashMap<String, Field>>,
    pub(super) query: String,
    pub(super) mutation: String,
    pub(super) subscription: String,
}

impl Guards {
    /// Joins the table with the schema's types.
    pub(super) fn new(registry: &Registry, query: &str, mutation: &str, subscription: &str) -> Guards {
        let roots = [query, mutation, subscription];
        let root = |name: &str| roots.contains(&name);
        let mut types = HashMap::new();
        // Only what can be reached: the parts that the root types are merged from are not in the schema.
        let mut found: Vec<&str> = roots.to_vec();
        while let Some(name) = found.pop() {
            if types.contains_key(name) {
                continue;
            }
            let Some(meta) = registry.types.get(name) else {
                continue;
            };
            if let MetaType::Interface { possible_types, .. } | MetaType::Union { possible_types, .. } = meta
            {
                found.extend(possible_types.iter().map(String::as_str));
            }
            let Some(fields) = composite_fields(meta) else {
                continue;
            };
            found.extend(
                fields
                    .values()
                    .map(|field| MetaTypeName::concrete_typename(&field.ty)),
            );
            let guarded = fields.iter().map(|(field, meta)| {
                let roles = if root(name) {
                    of_root_field(name, field)
                } else {
                    of_type(name)
                };
                let is_list = MetaTypeName::create(&meta.ty).is_list();
                let guarded = Field {
                    roles,
                    leads_to: MetaTypeName::concrete_typename(&meta.ty).to_owned(),
                    is_list,
                    is_paged: meta.args.contains_key("first"),
                    is_by_ids: meta.args.contains_key("ids"),
                };
                (field.clone(), guarded)
            });
            types.insert(name.to_owned(), guarded.collect());
        }
        Guards {
            types,
            query: query.to_owned(),
            mutation: mutation.to_owned(),
            subscription: subscription.to_owned(),
        }
    }

    /// A field of a type, where the schema has it.
    pub(super) fn field(&self, parent: &str, field: &str) -> Option<&Field> {
        self.types.get(parent)?.get(field)
    }

    /// Whether the schema has a type with fields of this name.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.types.contains_key(name)
    }

    /// Every field that nobody may ask for, because the table does not know it: `Type.field`.
    pub fn unguarded(&self) -> Vec<String> {
        let fields = self
            .types
            .iter()
            .flat_map(|(name, fields)| fields.iter().map(move |field| (name, field)));
        let closed = fields.filter(|(_, (_, field))| field.roles == Roles(0));
        let mut closed: Vec<_> = closed
            .map(|(name, (field, _))| format!("{name}.{field}"))
            .collect();
        closed.sort();
        closed
    }

    /// Every entry of the table that the schema does not have.
    pub fn stale(&self) -> Vec<String> {
        let known = |parent: &str, field: &str| self.field(parent, field).is_some();
        let roots = ROOT_FIELDS
            .iter()
            .flat_map(|(parent, fields)| fields.iter().map(move |(field, _)| (*parent, *field)));
        let fields = roots
            .filter(|(parent, field)| !known(parent, field))
            .map(|(parent, field)| format!("{parent}.{field}"));
        let names = TYPES.iter().flat_map(|(_, names)| names.iter());
        let types = names
            .filter(|name| !self.types.contains_key(**name))
            .map(|name| (*name).to_owned());
        fields.chain(types).collect()
    }

    /// The roles that may ask for a field; for the test that prints who may do what.
    pub fn roles(&self, parent: &str, field: &str) -> Option<Roles> {
        self.field(parent, field).map(|field| field.roles)
    }

    /// The names of the types that have fields.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    /// The names of a type's fields.
    pub fn fields_of(&self, parent: &str) -> Vec<&str> {
        let fields = self.types.get(parent).into_iter().flat_map(HashMap::keys);
        fields.map(String::as_str).collect()
    }
}

fn composite_fields(
    meta: &MetaType,
) -> Option<&async_graphql::indexmap::IndexMap<String, async_graphql::registry::MetaField>> {
    match meta {
        MetaType::Object { fields, .. } | MetaType::Interface { fields, .. } => Some(fields),
        MetaType::Scalar { .. }
        | MetaType::Union { .. }
        | MetaType::Enum { .. }
        | MetaType::InputObject { .. } => None,
    }
}

fn of_root_field(parent: &str, field: &str) -> Roles {
    let fields = ROOT_FIELDS
        .iter()
        .filter(|(name, _)| *name == parent)
        .flat_map(|(_, fields)| fields.iter());
    fields
        .clone()
        .find(|(name, _)| *name == field)
        .map_or(Roles(0), |(_, roles)| *roles)
}

fn of_type(name: &str) -> Roles {
    TYPES
        .iter()
        .find(|(_, names)| names.contains(&name))
        .map_or(Roles(0), |(roles, _)| *roles)
}
