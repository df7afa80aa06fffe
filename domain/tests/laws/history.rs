//! Random histories: a case that has come some way, and random commands that are carried out or refused.

use chrono::TimeDelta;
use docket_domain::testing::{after, seal};
use docket_domain::{Case, Command, Context, Decision, OrderNumber, StreamEvent, decide};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fixtures::*;

/// A command that was carried out.
#[derive(Debug, Clone)]
pub struct Step {
    pub command: Command,
    pub context: Context,
    pub events: Vec<StreamEvent>,
    pub after: Case,
}

/// What happened from the very first command on.
#[derive(Debug, Clone)]
pub struct History {
    pub steps: Vec<Step>,
    pub case: Case,
}

impl History {
    pub fn events(&self) -> impl Iterator<Item = &StreamEvent> {
        self.steps.iter().flat_map(|step| &step.events)
    }

    fn of(commands: Vec<(Command, Context)>) -> Self {
        let (mut steps, mut case) = (Vec::new(), Case::default());
        for (command, context) in commands {
            let command = seal(command);
            if let Ok(Decision::Events(events)) = decide(&case, &command, &context) {
                case = after(case, &events, &context);
                steps.push(Step {
                    command,
                    context,
                    events,
                    after: case.clone(),
                });
            }
        }
        Self { steps, case }
    }
}

/// Whether a step's command asks for a state; others add to what is there each time.
pub fn repeatable(step: &Step) -> bool {
    // Giving back what a live shipment left over is not the end of it: the rest can be given back when it is called off.
    if let Command::ReleaseFulfillment(release) = &step.command {
        let allocation = step.after.order.allocations.get(&release.shipment.number);
        return allocation.is_some_and(|allocation| allocation.released);
    }
    !matches!(
        step.command,
        Command::AddLine(_)
            | Command::CancelLines(_)
            | Command::AllocateFulfillment(_)
            | Command::InitiatePayment(_)
            | Command::CapturePayment(_)
            | Command::RefundPayment(_)
            | Command::RequestReturn(_)
            | Command::RemindAbandoned(_)
    )
}

/// A history that begins with none, some or all of a happy path and goes on at random: about everything, or only about the
/// money, the goods, the order, or what comes back, because what goes wrong late is rarely reached by chance alone.
pub fn history() -> impl Strategy<Value = History> {
    let money = prop_oneof![
        3 => payment_command(Just(1)),
        4 => gateway_command(Just(1)),
        2 => dispute_command(Just(1)),
    ];
    prop_oneof![
        3 => from(happy_path(), any_command(), 60),
        2 => from(paid(), money, 40),
        2 => from(underway(), shipment_command(Just(1)), 40),
        2 => from(sent_back(), after_command(), 40),
        1 => from(underway(), order_command(), 40),
    ]
}

fn from(
    path: Vec<Command>,
    random: impl Strategy<Value = Command>,
    most: usize,
) -> impl Strategy<Value = History> {
    let start = prop_oneof![1 => 0..=path.len(), 1 => Just(path.len())];
    let random = prop::collection::vec((random, any_context()), 0..most);
    (start, random).prop_map(move |(begun, random)| {
        let path = path.iter().take(begun).map(|command| (command.clone(), desk()));
        History::of(path.chain(random).collect())
    })
}

fn underway() -> Vec<Command> {
    vec![
        create(),
        add_line(10, 2_000),
        add_line(2, 1_000),
        set_details(),
        command("placeOrder", json!({})),
        initiate(22_500, "manual_multiple"),
        authorize(22_500),
        command("confirmOrder", json!({ "mode": "automatic" })),
        command(
            "allocateFulfillment",
            json!({ "lines": [{ "line": 1, "quantity": 6 }, { "line": 2, "quantity": 1 }] }),
        ),
        ship("createShipment", json!({ "location": "main" })),
        label(1),
        ship("dispatchShipment", json!({})),
    ]
}

fn happy_path() -> Vec<Command> {
    let rest = shipment(2).to_string();
    let label =
        json!({ "shipment": rest, "parcels": [{ "tracking": { "carrier": "x", "trackingNumber": "y" } }] });
    let scan =
        json!({ "shipment": rest, "parcel": 1, "status": "delivered", "carrierEventId": "z", "at": at(9) });
    let mut path = underway();
    path.extend([
        command("allocateFulfillment", json!({})),
        command("createShipment", json!({ "shipment": rest, "location": "main" })),
        command("buyLabel", label),
        command("dispatchShipment", json!({ "shipment": rest })),
        scan_of_the_first(),
        command("recordTracking", scan),
        pay("capturePayment", json!({ "final": true })),
        result("recordCapture", "capture", 1, 9),
    ]);
    path
}

/// The happy path, and two pieces of its first line back.
fn sent_back() -> Vec<Command> {
    let pieces = |said: &str, word: &str| {
        let mut line = json!({ "line": 1, "quantity": 2 });
        line[said] = word.into();
        json!([line])
    };
    let mut path = happy_path();
    path.extend([
        command("requestReturn", json!({ "lines": pieces("reason", "unwanted") })),
        command(
            "receiveReturn",
            json!({ "return": 1, "lines": pieces("condition", "sellable") }),
        ),
    ]);
    path
}

fn scan_of_the_first() -> Command {
    scan(1, "delivered", 8)
}

/// What happens to goods and money once both have arrived.
fn after_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        4 => return_command(),
        4 => (1i64..3_000, prop::option::of(1u16..4)).prop_map(|(cents, back)| {
            pay("refundPayment", json!({ "amount": eur(cents), "reason": "x", "return": back }))
        }),
        2 => gateway_command(Just(1)),
        3 => dispute_command(Just(1)),
        1 => Just(command("completeOrder", json!({}))),
    ]
}

fn return_command() -> impl Strategy<Value = Command> {
    let said = |words: Vec<&'static str>, name: &'static str| {
        let line = (1u16..4, 1u32..5, prop::sample::select(words)).prop_map(move |(line, quantity, word)| {
            let mut pieces = json!({ "line": line, "quantity": quantity });
            pieces[name] = word.into();
            pieces
        });
        prop::collection::vec(line, 0..3).prop_map(Value::from)
    };
    prop_oneof![
        said(vec!["damaged", "unwanted"], "reason")
            .prop_map(|lines| command("requestReturn", json!({ "lines": lines }))),
        (1u16..5, said(vec!["sellable", "used"], "condition"))
            .prop_map(|(back, lines)| command("receiveReturn", json!({ "return": back, "lines": lines }))),
    ]
}

fn dispute_command(number: impl Strategy<Value = u16> + Clone) -> impl Strategy<Value = Command> {
    let name = || prop::sample::select(vec!["d-1", "d-2", "d-3"]);
    let outcome = prop::sample::select(vec!["won", "lost", "withdrawn"]);
    prop_oneof![
        (number.clone(), name(), amount(), 0u32..60).prop_map(|(n, dispute, amount, m)| {
            numbered(
                "recordDispute",
                n,
                json!({ "dispute": dispute, "amount": amount, "at": at(m) }),
            )
        }),
        (number, name(), outcome, 0u32..60).prop_map(|(n, dispute, outcome, m)| {
            let fields = json!({ "dispute": dispute, "outcome": outcome, "at": at(m) });
            numbered("recordDisputeOutcome", n, fields)
        }),
    ]
}

/// Two captures, one of them settled, and two refunds.
fn paid() -> Vec<Command> {
    let amount = |name: &str, cents| pay(name, json!({ "amount": eur(cents) }));
    let refund = |cents| pay("refundPayment", json!({ "amount": eur(cents), "reason": "x" }));
    let mut path: Vec<_> = underway().into_iter().take(7).collect();
    path.extend([
        amount("capturePayment", 9_000),
        result("recordCapture", "capture", 1, 9),
        amount("capturePayment", 9_000),
        refund(4_000),
        refund(4_000),
        result("recordRefund", "refund", 1, 9),
    ]);
    path
}

fn any_context() -> impl Strategy<Value = Context> {
    let context = prop_oneof![8 => Just(desk()), 2 => Just(operator()), 2 => Just(service())];
    (context, prop_oneof![6 => 0i64..90, 1 => 0i64..6_000], 1i64..1_000).prop_map(
        |(mut context, minutes, number)| {
            context.now += TimeDelta::minutes(minutes);
            context.order_number = Some(OrderNumber(number));
            context
        },
    )
}

/// Mostly amounts that fit, some that no rule may let through.
fn amount() -> impl Strategy<Value = Value> {
    let cents = prop_oneof![
        20 => 1i64..30_000,
        2 => Just(22_500),
        1 => prop::sample::select(vec![0, -1, i64::MAX, i64::MIN]),
    ];
    let currency = prop_oneof![15 => Just("EUR"), 1 => Just("USD")];
    (cents, currency).prop_map(|(cents, currency)| json!({ "amountMinor": cents, "currency": currency }))
}

fn lines() -> impl Strategy<Value = Value> {
    let line = (1u16..4, 1u32..7).prop_map(|(line, quantity)| json!({ "line": line, "quantity": quantity }));
    prop::collection::vec(line, 0..3).prop_map(Value::from)
}

fn numbered(name: &str, number: u16, fields: Value) -> Command {
    let mut fields = fields;
    fields["payment"] = payment(number).to_string().into();
    command(name, fields)
}

fn shipped(name: &str, number: u16, fields: Value) -> Command {
    let mut fields = fields;
    fields["shipment"] = shipment(number).to_string().into();
    command(name, fields)
}

fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        4 => order_command(),
        3 => payment_command(1u16..3),
        4 => gateway_command(1u16..3),
        4 => shipment_command(1u16..4),
        1 => return_command(),
        1 => dispute_command(1u16..3),
    ]
}

fn order_command() -> impl Strategy<Value = Command> {
    let reason = prop::sample::select(vec!["fraud", "stock"]);
    let mode = prop::sample::select(vec!["automatic", "manual"]);
    let plain = prop::sample::select(vec![
        "placeOrder",
        "expireOrder",
        "completeOrder",
        "forgetPersonalData",
    ]);
    let street = prop::sample::select(vec!["Main 1", "Main 2"]);
    let evidence = prop::collection::vec(prop::sample::select(vec!["e-1", "e-2"]), 0..3);
    let signal = (
        prop::sample::select(vec!["fraud_pattern", "high_value"]),
        evidence,
    );
    prop_oneof![
        Just(create()),
        (1u32..9, amount()).prop_map(|(quantity, price)| {
            let line = json!({ "sku": "B", "name": "Bean", "quantity": quantity, "unitPrice": price, "taxRateBp": 1900 });
            command("addLine", json!({ "line": line }))
        }),
        (1u16..4, 0u32..9)
            .prop_map(|(line, quantity)| command("setLineQuantity", json!({ "line": line, "quantity": quantity }))),
        Just(set_details()),
        plain.prop_map(|name| command(name, json!({}))),
        mode.prop_map(|mode| command("confirmOrder", json!({ "mode": mode }))),
        reason.clone().prop_map(|reason| command("placeHold", json!({ "reason": reason }))),
        reason.prop_map(|reason| command("releaseHold", json!({ "reason": reason }))),
        street.prop_map(|s| command("correctAddress", json!({ "which": "shipping", "address": address(s) }))),
        lines().prop_map(|lines| command("cancelLines", json!({ "lines": lines, "reason": "x" }))),
        Just(command("cancelOrder", json!({ "reason": "x" }))),
        lines().prop_map(|lines| command("allocateFulfillment", json!({ "lines": lines }))),
        Just(command("allocateFulfillment", json!({}))),
        Just(command("remindAbandoned", json!({}))),
        signal.prop_map(|(signal, evidence)| {
            command("flagOrder", json!({ "signal": signal, "evidence": evidence }))
        }),
        (1u16..4).prop_map(|n| shipped("releaseFulfillment", n, json!({}))),
    ]
}

fn payment_command(number: impl Strategy<Value = u16> + Clone) -> impl Strategy<Value = Command> {
    let method = prop::sample::select(vec!["automatic", "manual", "manual_multiple"]);
    let maybe = || prop::option::of(amount());
    prop_oneof![
        1 => (amount(), method).prop_map(|(amount, method)| {
            let card = json!({ "type": "card" });
            let fields = json!({ "amount": amount, "captureMethod": method, "method": card, "gateway": "manual" });
            command("initiatePayment", fields)
        }),
        4 => (number.clone(), maybe(), any::<bool>()).prop_map(|(n, amount, last)| {
            numbered("capturePayment", n, json!({ "amount": amount, "final": last }))
        }),
        3 => (number.clone(), maybe())
            .prop_map(|(n, amount)| numbered("refundPayment", n, json!({ "amount": amount, "reason": "x" }))),
        1 => number.clone().prop_map(|n| numbered("voidPayment", n, json!({ "reason": "x" }))),
        1 => (number.clone(), amount(), 0u32..60)
            .prop_map(|(n, amount, m)| numbered("adjustAuthorization", n, json!({ "amount": amount, "at": at(m) }))),
        1 => number.clone().prop_map(|n| numbered("expireAuthorization", n, json!({}))),
    ]
}

fn gateway_command(number: impl Strategy<Value = u16> + Clone) -> impl Strategy<Value = Command> {
    let failure = || json!({ "code": "declined", "retryable": false });
    prop_oneof![
        1 => (number.clone(), 0u32..60).prop_map(|(n, m)| numbered("requireAction", n, json!({ "kind": "3ds", "at": at(m) }))),
        2 => (number.clone(), prop::option::of(amount()), 0u32..60).prop_map(|(n, amount, m)| {
            numbered("recordAuthorization", n, json!({ "amount": amount, "reference": "a", "at": at(m) }))
        }),
        1 => (number.clone(), 0u32..60).prop_map(move |(n, m)| {
            numbered("recordAuthorizationFailure", n, json!({ "failure": failure(), "at": at(m) }))
        }),
        4 => (number.clone(), 1u16..5, 0u32..60).prop_map(|(n, c, m)| {
            numbered("recordCapture", n, json!({ "capture": c, "reference": "c", "at": at(m) }))
        }),
        2 => (number.clone(), 1u16..5, 0u32..60).prop_map(move |(n, c, m)| {
            numbered("recordCaptureFailure", n, json!({ "capture": c, "failure": failure(), "at": at(m) }))
        }),
        2 => (number.clone(), 1u16..4, 0u32..60).prop_map(|(n, r, m)| {
            numbered("recordRefund", n, json!({ "refund": r, "reference": "r", "at": at(m) }))
        }),
        2 => (number.clone(), 1u16..4, 0u32..60).prop_map(move |(n, r, m)| {
            numbered("recordRefundFailure", n, json!({ "refund": r, "failure": failure(), "at": at(m) }))
        }),
    ]
}

fn shipment_command(number: impl Strategy<Value = u16> + Clone) -> impl Strategy<Value = Command> {
    // An end in six: most scans are on the way, so that there is a way.
    let under_way = vec![
        "pre_transit",
        "in_transit",
        "out_for_delivery",
        "available_for_pickup",
        "failure",
        "failure",
    ];
    let end = vec!["unknown", "delivered", "return_to_sender"];
    let status = prop_oneof![5 => prop::sample::select(under_way), 1 => prop::sample::select(end)];
    let parcel = || json!({ "tracking": { "carrier": "dhl", "trackingNumber": "T" } });
    prop_oneof![
        2 => (number.clone(), prop::option::of(lines())).prop_map(|(n, lines)| {
            shipped("createShipment", n, json!({ "location": "main", "lines": lines }))
        }),
        2 => (number.clone(), 1usize..3)
            .prop_map(move |(n, parcels)| shipped("buyLabel", n, json!({ "parcels": vec![parcel(); parcels] }))),
        2 => number.clone().prop_map(|n| shipped("dispatchShipment", n, json!({}))),
        6 => (number.clone(), 1u16..3, status, 0u32..60).prop_map(|(n, parcel, status, m)| {
            let id = format!("{status}-{m}");
            let fields = json!({ "parcel": parcel, "status": status, "carrierEventId": id, "at": at(m) });
            shipped("recordTracking", n, fields)
        }),
        1 => number.clone().prop_map(|n| shipped("markShipmentFailed", n, json!({ "reason": "x" }))),
        1 => number.clone().prop_map(|n| shipped("cancelShipment", n, json!({ "reason": "x" }))),
    ]
}
