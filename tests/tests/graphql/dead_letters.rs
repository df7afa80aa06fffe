//! What operators do about dead letters: each verb of the command line and its query or mutation say and do the same.

use crate::{
    desk::{DEADLINE, Desk, code, eur, staff},
    projections::{operator, sentence},
};
use chrono::{DateTime, Utc};
use docket_tests::{
    eventually,
    server::{on, verb},
};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

const NAME: &str = "order_timeline";
const REFUSE: &str = "create function refuse() returns trigger language plpgsql as $$
    begin raise exception 'no such thing' using errcode = '22003'; end $$";
const NODE: &str = "readModel generation order position { partition offset } type isWanted behind
    failure { class reason attempts failedAt }";
const LETTER: &str = "generation position { partition offset } eventId type schemaVersion recordedAt payload
    failure { class reason attempts failedAt }";
const DISCARDED: &str = "readModel position { partition offset } order reason by at failure";
const ERRORS: &str = "userErrors { __typename code message field
    ... on UnknownReadModel { name } ... on NoDeadLetters { name order }
    ... on NotFirstLetter { name position { partition offset } }
    ... on EventApplied { name generation position { partition offset } }
    ... on AlreadyDiscarded { name position { partition offset } reason by at } }";
/// Everything that is left behind, but for when it was and the ids of events.
const LEFT: &str = r#"select jsonb_build_object(
    'letters', (select jsonb_agg(to_jsonb(d) - 'failed_at' order by projection, generation, partition, "offset")
                  from dead_letters d),
    'discarded', (select jsonb_agg(to_jsonb(d) - '{event_id,discarded_at}'::text[] order by projection, partition, "offset")
                    from discarded_events d),
    'parked', (select jsonb_agg(jsonb_build_array(projection, partition, parked) order by projection, partition)
                 from checkpoints where parked > 0),
    'rows', (select jsonb_agg(jsonb_build_array(order_id, kind, partition, "offset") order by partition, "offset")
               from order_timeline_g1))"#;

/// Order 0 is the good one.
fn order(number: u128) -> String {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number).to_string()
}

/// What a verb says, line by line, or why it failed.
struct Said {
    succeeded: bool,
    lines: Vec<Value>,
    why: String,
}

async fn say(desk: &Desk, args: &[&str]) -> Said {
    let args: Vec<&str> = ["dead-letters"].into_iter().chain(args.iter().copied()).collect();
    let output = verb(on(&desk.db), &args).await;
    let lines = String::from_utf8(output.stdout).unwrap();
    Said {
        succeeded: output.status.success(),
        lines: lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
        why: String::from_utf8(output.stderr).unwrap(),
    }
}

async fn draft(desk: &Desk, order: &str) {
    let input = json!({"order": order, "customer": "ada", "email": "ada@example.org", "name": "Ada", "channel": "web",
                       "currency": "EUR", "locale": "de-DE", "idempotencyKey": order});
    desk.done("createOrder", input, "").await;
    let line = json!({"sku": "tea", "name": "Tea", "quantity": 2, "unitPrice": eur(1_000), "weightG": 100});
    desk.done("addLine", json!({"order": order, "line": line}), "")
        .await;
}

async fn refuse(desk: &Desk, table: &str, condition: &str) {
    let refuse = format!(
        "create trigger refuse before insert or update on {table} for each row when ({condition})
         execute function refuse()"
    );
    sqlx::raw_sql(AssertSqlSafe(refuse))
        .execute(desk.db.admin())
        .await
        .unwrap();
}

/// A shop where the lines of all orders but the good one are not applied; two of them are equal.
async fn shop(orders: u128) -> Desk {
    let desk = Desk::open().await;
    sqlx::raw_sql(REFUSE).execute(desk.db.admin()).await.unwrap();
    let good = order(0);
    let condition = format!("new.kind = 'order.line_added' and new.order_id <> '{good}'");
    refuse(&desk, "order_timeline_g1", &condition).await;
    for number in 0..orders {
        draft(&desk, &order(number)).await;
    }
    let behind = json!({"order": order(1), "line": 1, "quantity": 7});
    desk.done("setLineQuantity", behind, "").await;
    desk.caught_up().await;
    desk
}

/// Everything that was to be tried again was.
async fn settled(desk: &Desk) -> Value {
    eventually(DEADLINE, async || {
        let wanted: i64 = sqlx::query_scalar("select count(*) from dead_letters where is_wanted")
            .fetch_one(desk.db.admin())
            .await
            .unwrap();
        (wanted == 0).then_some(())
    })
    .await;
    left(desk).await
}

async fn left(desk: &Desk) -> Value {
    sqlx::query_scalar(LEFT).fetch_one(desk.db.admin()).await.unwrap()
}

/// In both the same was left; what it is.
async fn same_left(verbs: &Desk, mutations: &Desk) -> Value {
    let (one, other) = (settled(verbs).await, settled(mutations).await);
    assert_eq!(one, other);
    one
}

async fn query(desk: &Desk, query: &str) -> Value {
    let mut data = desk.data(&operator(), query, json!({})).await;
    data.as_object_mut().unwrap().values_mut().next().unwrap().take()
}

/// What a mutation answers; what refused it, where something did.
async fn mutation(desk: &Desk, name: &str, input: &str, field: &str) -> Result<Value, Value> {
    let text = format!("mutation {{ {name}(input: {{{input}}}) {{ {field} {ERRORS} }} }}");
    let payload = query(desk, &text).await;
    match payload["userErrors"][0].is_null() {
        true => Ok(payload[field].clone()),
        false => Err(payload["userErrors"][0].clone()),
    }
}

fn place(position: &Value) -> String {
    format!(
        "{}:{}",
        position["partition"],
        position["offset"].as_str().unwrap()
    )
}

/// Both doors tell instants in their own form.
fn at(instant: &Value) -> Option<DateTime<Utc>> {
    instant.as_str().map(|text| text.parse().unwrap())
}

/// A failure's fields under the names of the command line.
fn with_failure(mut shown: Value, failure: &Value) -> Value {
    let class = failure["class"].as_str().map(str::to_lowercase);
    let facts = json!({"class": class, "reason": failure["reason"], "attempts": failure["attempts"],
                       "failedAt": at(&failure["failedAt"])});
    let fields = facts.as_object().unwrap().clone();
    shown.as_object_mut().unwrap().extend(fields);
    shown
}

fn sequence(node: &Value) -> Value {
    let behind: i64 = node["behind"].as_str().unwrap().parse().unwrap();
    let shown = json!({"projection": node["readModel"], "generation": node["generation"], "order": node["order"],
                       "position": place(&node["position"]), "type": node["type"], "isWanted": node["isWanted"],
                       "behind": behind});
    with_failure(shown, &node["failure"])
}

fn letter(of: &Value) -> Value {
    let payload: Value = serde_json::from_str(of["payload"].as_str().unwrap()).unwrap();
    let shown = json!({"generation": of["generation"], "position": place(&of["position"]), "eventId": of["eventId"],
                       "type": of["type"], "schemaVersion": of["schemaVersion"], "recordedAt": at(&of["recordedAt"]),
                       "payload": payload});
    with_failure(shown, &of["failure"])
}

fn discarded(of: &Value) -> Value {
    json!({"projection": of["readModel"], "position": place(&of["position"]), "order": of["order"], "discarded": true,
           "reason": of["reason"], "by": of["by"], "at": at(&of["at"]), "failure": of["failure"]})
}

/// A list as the command line shows it.
fn shown(list: &Value, one: impl Fn(&Value) -> Value) -> Vec<Value> {
    list.as_array().unwrap().iter().map(one).collect()
}

/// `list` and `show` beside their queries, on one shop; the orders that wait.
async fn shows_the_same(desk: &Desk) -> Vec<Value> {
    let waits = query(desk, &format!("{{ deadLetters {{ nodes {{ {NODE} }} }} }}")).await;
    let passed = query(desk, &format!("{{ discardedEvents {{ {DISCARDED} }} }}")).await;
    let waits = shown(&waits["nodes"], sequence);
    let both: Vec<Value> = waits.iter().cloned().chain(shown(&passed, discarded)).collect();
    assert_eq!(say(desk, &["list"]).await.lines, both);

    let count = query(desk, "{ discardedEventCount }").await;
    assert_eq!(count, json!(passed.as_array().unwrap().len().to_string()));

    let text = format!("{{ deadLetters(name: \"order_detail\") {{ nodes {{ {NODE} }} }} }}");
    assert_eq!(query(desk, &text).await["nodes"], json!([]));
    let text = format!("{{ discardedEvents(name: \"order_detail\") {{ {DISCARDED} }} }}");
    assert_eq!(query(desk, &text).await, json!([]));
    assert!(say(desk, &["list", "order_detail"]).await.lines.is_empty());

    for one in &waits {
        let order = one["order"].as_str().unwrap();
        let text = format!("{{ deadLetter(name: \"{NAME}\", order: \"{order}\") {{ {LETTER} }} }}");
        let letters = shown(&query(desk, &text).await, letter);
        assert_eq!(letters.len() as i64, 1 + one["behind"].as_i64().unwrap());
        let text = format!("{{ deadLetterCount(name: \"{NAME}\", order: \"{order}\") }}");
        assert_eq!(query(desk, &text).await, json!(letters.len().to_string()));
        assert_eq!(say(desk, &["show", NAME, order]).await.lines, letters);
    }
    waits
}

/// The two shops say of themselves what they can say alike.
async fn both_show(verbs: &Desk, mutations: &Desk, orders: usize) -> Vec<Value> {
    let (one, other) = (shows_the_same(verbs).await, shows_the_same(mutations).await);
    assert_eq!((one.len(), other.len()), (orders, orders));
    other
}

#[tokio::test(flavor = "multi_thread")]
async fn each_verb_and_its_mutation_do_and_say_the_same() {
    let (verbs, mutations) = tokio::join!(shop(4), shop(4));
    let first = same_left(&verbs, &mutations).await;
    assert_eq!(first["letters"].as_array().unwrap().len(), 4, "{first}");
    let waits = both_show(&verbs, &mutations, 3).await;
    let of_one = |waits: &[Value]| {
        let found = waits.iter().find(|one| one["order"] == order(1)).cloned();
        found.unwrap_or_default()
    };
    assert_eq!(of_one(&waits)["behind"], 1);

    // Not mended, it fails again.
    let said = say(&verbs, &["retry", NAME, &order(1)]).await;
    let input = format!("name: \"{NAME}\" order: \"{}\"", order(1));
    let tried = mutation(&mutations, "retryDeadLetters", &input, "sequences").await;
    assert!(!said.succeeded, "something waits still");
    assert_eq!((&said.lines[0]["sequences"], tried), (&json!(1), Ok(json!("1"))));
    same_left(&verbs, &mutations).await;
    let waits = both_show(&verbs, &mutations, 3).await;
    let (mut theirs, mut ours) = (said.lines[0]["left"][0].clone(), of_one(&waits));
    assert_eq!(ours["attempts"], 4);
    // They were tried each at a time of its own.
    assert!(theirs["failedAt"].take().is_string() && ours["failedAt"].take().is_string());
    assert_eq!(theirs, ours);

    let position = ours["position"].as_str().unwrap();
    let reason = " The line was a joke. ";
    let discard = [
        "discard",
        NAME,
        position,
        "--reason",
        reason,
        "--by",
        "operator:o-1",
    ];
    let said = say(&verbs, &discard).await;
    let done = mutation(
        &mutations,
        "discardEvent",
        &discarding(NAME, position, reason),
        "discarded",
    )
    .await;
    let expected = json!({"projection": NAME, "position": position, "discarded": true});
    assert_eq!((said.lines, done), (vec![expected], Ok(json!(true))));
    let after = same_left(&verbs, &mutations).await;
    let kept = &after["discarded"][0];
    assert_eq!(
        (&kept["reason"], &kept["discarded_by"]),
        (&json!("The line was a joke."), &json!("operator:o-1"))
    );
    both_show(&verbs, &mutations, 2).await;

    for desk in [&verbs, &mutations] {
        let repair = "drop trigger refuse on order_timeline_g1";
        sqlx::raw_sql(repair).execute(desk.db.admin()).await.unwrap();
    }
    let said = say(&verbs, &["retry", NAME, "--all"]).await;
    let input = format!("name: \"{NAME}\" all: true");
    let tried = mutation(&mutations, "retryDeadLetters", &input, "sequences").await;
    assert!(said.succeeded, "{}", said.why);
    let expected = json!({"projection": NAME, "sequences": 2, "untried": 0, "left": []});
    assert_eq!((said.lines, tried), (vec![expected], Ok(json!("2"))));
    let last = same_left(&verbs, &mutations).await;
    assert_eq!((&last["letters"], &last["parked"]), (&Value::Null, &Value::Null));
    // Four created, the lines of three, and what had waited behind the line that was discarded.
    assert_eq!(last["rows"].as_array().unwrap().len(), 8, "{last}");
    both_show(&verbs, &mutations, 0).await;

    let nothing = mutation(&mutations, "retryDeadLetters", &input, "sequences").await;
    let said = say(&verbs, &["retry", NAME, "--all"]).await;
    assert_eq!(
        (nothing, &said.lines[0]["sequences"]),
        (Ok(json!("0")), &json!(0))
    );
}

/// The input of `discardEvent`.
fn discarding(name: &str, position: &str, reason: &str) -> String {
    let (partition, offset) = position.split_once(':').unwrap();
    format!("name: \"{name}\" position: {{partition: {partition}, offset: \"{offset}\"}} reason: {reason:?}")
}

/// The offsets at which the log holds an order's events.
async fn positions(desk: &Desk, order: &str) -> Vec<String> {
    let sql = r#"select partition || ':' || "offset" from events where order_id = $1 order by "offset""#;
    sqlx::query_scalar(sql)
        .bind(order.parse::<Uuid>().unwrap())
        .fetch_all(desk.db.admin())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_refused_alike_and_leaves_nothing() {
    let desk = shop(2).await;
    let before = left(&desk).await;
    let (good, bad) = (order(0), order(1));
    let (applied, events) = (positions(&desk, &good).await, positions(&desk, &bad).await);
    let of_order = |name: &str, order: &str| format!("name: \"{name}\" order: \"{order}\"");
    let at = |place: &str| {
        let (partition, offset) = place.split_once(':').unwrap();
        json!({"partition": partition.parse::<u16>().unwrap(), "offset": offset})
    };
    let because = "why not";
    for (args, name, input, field, expected) in [
        (
            vec!["retry", "orders", &bad],
            "retryDeadLetters",
            of_order("orders", &bad),
            "name",
            json!({"__typename": "UnknownReadModel", "code": "UNKNOWN_READ_MODEL", "name": "orders"}),
        ),
        (
            vec!["retry", "notifications", "--all"],
            "retryDeadLetters",
            "name: \"notifications\" all: true".to_owned(),
            "name",
            json!({"__typename": "UnknownReadModel", "code": "UNKNOWN_READ_MODEL", "name": "notifications"}),
        ),
        (
            vec!["retry", NAME, &good],
            "retryDeadLetters",
            of_order(NAME, &good),
            "order",
            json!({"__typename": "NoDeadLetters", "code": "NO_DEAD_LETTERS", "name": NAME, "order": good}),
        ),
        (
            vec!["discard", "orders", &events[1], "--reason", because],
            "discardEvent",
            discarding("orders", &events[1], because),
            "name",
            json!({"__typename": "UnknownReadModel", "code": "UNKNOWN_READ_MODEL", "name": "orders"}),
        ),
        (
            vec!["discard", NAME, &events[2], "--reason", because],
            "discardEvent",
            discarding(NAME, &events[2], because),
            "position",
            json!({"__typename": "NotFirstLetter", "code": "NOT_FIRST_LETTER", "name": NAME, "position": at(&events[2])}),
        ),
        (
            vec!["discard", NAME, &applied[1], "--reason", because],
            "discardEvent",
            discarding(NAME, &applied[1], because),
            "position",
            json!({"__typename": "NotFirstLetter", "code": "NOT_FIRST_LETTER", "name": NAME, "position": at(&applied[1])}),
        ),
    ] {
        let said = say(&desk, &args).await;
        let selected = match name {
            "discardEvent" => "discarded",
            _ => "sequences",
        };
        let mut refused = mutation(&desk, name, &input, selected).await.unwrap_err();
        assert!(!said.succeeded);
        assert_eq!(refused["message"].take(), sentence(&said.why), "{args:?}");
        assert_eq!(refused["field"].take(), json!(["input", field]), "{args:?}");
        let mut expected = expected;
        expected["message"] = Value::Null;
        expected["field"] = Value::Null;
        assert_eq!(refused, expected, "{args:?}");
    }
    refuses_to_show(&desk).await;
    refuses_inputs(&desk, &events[1]).await;
    assert_eq!(left(&desk).await, before);
}

/// Whoever discards what is discarded learns whose reason stands, by both doors; with the same reason it is done.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_discarded_already_is_told_alike() {
    let desk = shop(2).await;
    let events = positions(&desk, &order(1)).await;
    let says = async |reason: &str| {
        let input = discarding(NAME, &events[1], reason);
        mutation(&desk, "discardEvent", &input, "discarded").await
    };
    let args = |reason: &'static str| ["dead-letters", "discard", NAME, &events[1], "--reason", reason];
    assert_eq!(says("a joke").await, Ok(json!(true)));
    // At once, and when it waits no more.
    for _ in 0..2 {
        let before = left(&desk).await["discarded"].clone();
        assert_eq!(says("a joke").await, Ok(json!(true)));
        assert!(verb(on(&desk.db), &args("a joke")).await.status.success());
        let mut told = says("a mistake").await.unwrap_err();
        let output = verb(on(&desk.db), &args("a mistake")).await;
        assert_eq!(output.status.code(), Some(1));
        let why = String::from_utf8(output.stderr).unwrap();
        assert_eq!(told["message"].take(), sentence(&why));
        assert!(
            at(&told["at"].take()).is_some() && why.contains("\"a joke\""),
            "{why}"
        );
        let (partition, offset) = events[1].split_once(':').unwrap();
        let expected = json!({"__typename": "AlreadyDiscarded", "code": "ALREADY_DISCARDED", "message": null, "at": null,
                              "field": ["input", "position"], "name": NAME, "reason": "a joke", "by": "operator:o-1",
                              "position": {"partition": partition.parse::<u16>().unwrap(), "offset": offset}});
        assert_eq!(told, expected);
        assert_eq!(settled(&desk).await["discarded"], before);
    }
}

/// Of more than are shown, what was discarded last is there, and how many there are.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_to_be_discarded_are_shown_and_all_are_counted() {
    let desk = Desk::open().await;
    sqlx::query(
        r#"insert into discarded_events (projection, version, partition, "offset", event_id, order_id, reason,
                                         discarded_by, failure, discarded_at)
           select $1, 1, 1, 1000000 + n, gen_random_uuid(), gen_random_uuid(), 'reason ' || n, 'ada', 'no', now() + n * interval '1 s'
             from generate_series(1, 1003) n"#,
    )
    .bind(NAME)
    .execute(desk.db.admin())
    .await
    .unwrap();
    let text = format!("{{ discardedEvents(name: \"{NAME}\") {{ reason }} }}");
    let shown = query(&desk, &text).await;
    let shown = shown.as_array().unwrap();
    assert_eq!((shown.len(), &shown[0]["reason"]), (1_000, &json!("reason 1003")));
    assert_eq!(shown[999]["reason"], "reason 4");
    for (of, count) in [(NAME, "1003"), ("order_detail", "0")] {
        let text = format!("{{ discardedEventCount(name: \"{of}\") }}");
        assert_eq!(query(&desk, &text).await, count);
    }
}

/// What is not there is `NOT_FOUND` in a query, in the words of the command line.
async fn refuses_to_show(desk: &Desk) {
    let good = order(0);
    let unknown = format!("deadLetter(name: \"orders\", order: \"{good}\") {{ eventId }}");
    let uncounted = format!("deadLetterCount(name: \"orders\", order: \"{good}\")");
    let missing = format!("deadLetter(name: \"{NAME}\", order: \"{good}\") {{ eventId }}");
    for (args, field) in [
        (
            vec!["list", "orders"],
            "deadLetters(name: \"orders\") { nodes { order } }",
        ),
        (
            vec!["list", "orders"],
            "discardedEvents(name: \"orders\") { order }",
        ),
        (vec!["list", "orders"], "discardedEventCount(name: \"orders\")"),
        (vec!["show", "orders", &good], uncounted.as_str()),
        (vec!["show", "orders", &good], unknown.as_str()),
        (vec!["show", NAME, &good], missing.as_str()),
    ] {
        let said = say(desk, &args).await;
        let answer = desk.ask(&operator(), &format!("{{ {field} }}"), json!({})).await;
        assert_eq!(code(&answer), "NOT_FOUND", "{answer}");
        assert_eq!(answer["errors"][0]["message"], sentence(&said.why), "{args:?}");
    }
}

/// What is no input is `BAD_USER_INPUT`; where the command line can be asked so as well, in its words.
async fn refuses_inputs(desk: &Desk, poison: &str) {
    let ask = async |field: &str, input: &str| {
        let text = format!("mutation {{ {field}(input: {{{input}}}) {{ userErrors {{ code }} }} }}");
        let answer = desk.ask(&operator(), &text, json!({})).await;
        assert_eq!(code(&answer), "BAD_USER_INPUT", "{text}: {answer}");
        answer["errors"][0]["message"].clone()
    };
    for reason in ["", "  ", "two\nlines", &"x".repeat(1_001)] {
        let said = say(desk, &["discard", NAME, poison, "--reason", reason]).await;
        let told = ask("discardEvent", &discarding(NAME, poison, reason)).await;
        assert_eq!(told, sentence(&said.why), "{reason:.10}");
    }
    for by in ["", "o\u{1b}ps", &"x".repeat(100_000)] {
        let said = say(desk, &["discard", NAME, poison, "--reason", "x", "--by", by]).await;
        assert!(
            !said.succeeded && said.why.contains("who discards it must be named"),
            "{}",
            said.why
        );
    }
    ask("discardEvent", &discarding(NAME, "-1:5", "x")).await;
    ask("discardEvent", &discarding(NAME, "1:-5", "x")).await;
    let nul = format!(
        "{}\"a\\u0000b\"",
        discarding(NAME, poison, "").trim_end_matches("\"\"")
    );
    ask("discardEvent", &nul).await;
    let bad = order(1);
    for which in [
        String::new(),
        "all: false".to_owned(),
        format!("order: \"{bad}\" all: true"),
    ] {
        ask("retryDeadLetters", &format!("name: \"{NAME}\" {which}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_operators_may() {
    let desk = Desk::open().await;
    let discard = discarding(NAME, "1:1", "x");
    for text in [
        "{ deadLetters { nodes { order } } }".to_owned(),
        format!(
            "{{ deadLetter(name: \"{NAME}\", order: \"{}\") {{ eventId }} }}",
            order(1)
        ),
        format!("{{ deadLetterCount(name: \"{NAME}\", order: \"{}\") }}", order(1)),
        "{ discardedEvents { order } }".to_owned(),
        "{ discardedEventCount }".to_owned(),
        format!("mutation {{ retryDeadLetters(input: {{name: \"{NAME}\", all: true}}) {{ sequences }} }}"),
        format!("mutation {{ discardEvent(input: {{{discard}}}) {{ discarded }} }}"),
    ] {
        let answer = desk.ask(&staff(), &text, json!({})).await;
        assert_eq!(code(&answer), "FORBIDDEN", "{text}");
    }
}

const PAGE: &str = "query($name: String, $first: Int, $after: String) {
    deadLetters(name: $name, first: $first, after: $after) { edges { cursor node { order } }
        nodes { readModel generation order position { partition offset } type isWanted behind
                failure { class reason attempts failedAt } }
        pageInfo { hasPreviousPage hasNextPage startCursor endCursor } } }";

async fn page(desk: &Desk, variables: Value) -> Value {
    desk.data(&operator(), PAGE, variables).await["deadLetters"].take()
}

/// Page by page, all orders come, each once, as the command line lists them; a cursor of any of them goes on behind it.
#[tokio::test(flavor = "multi_thread")]
async fn orders_that_wait_are_paged_through() {
    let desk = shop(6).await;
    let condition = format!("new.order_id in ('{}', '{}')", order(8), order(9));
    refuse(&desk, "order_summary_g1", &condition).await;
    for number in [8, 9] {
        draft(&desk, &order(number)).await;
    }
    desk.caught_up().await;
    let listed = say(&desk, &["list"]).await.lines;
    assert_eq!(listed.len(), 9, "two of the summary, seven of the timeline");

    let (mut found, mut cursors, mut after) = (Vec::new(), Vec::new(), Value::Null);
    for number in 0.. {
        let page = page(&desk, json!({"first": 2, "after": after})).await;
        let (edges, info) = (page["edges"].as_array().unwrap(), &page["pageInfo"]);
        assert_eq!(info["hasPreviousPage"], json!(number > 0));
        assert_eq!(info["hasNextPage"], json!(number < 4));
        assert_eq!(info["startCursor"], edges[0]["cursor"]);
        found.extend(shown(&page["nodes"], sequence));
        cursors.extend(edges.iter().map(|edge| edge["cursor"].clone()));
        after = info["endCursor"].clone();
        if info["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(found, listed);
    for (number, cursor) in cursors.iter().enumerate() {
        let rest = page(&desk, json!({"after": cursor})).await;
        assert_eq!(shown(&rest["nodes"], sequence), listed[number + 1..]);
    }
    let of_one = page(
        &desk,
        json!({"name": "order_summary", "first": 1, "after": cursors[0]}),
    )
    .await;
    assert_eq!(of_one["edges"][0]["cursor"], cursors[1]);
    assert_eq!(of_one["pageInfo"]["hasNextPage"], false);
    let none = page(&desk, json!({"first": 0})).await;
    assert_eq!(
        (&none["edges"], &none["pageInfo"]["hasNextPage"]),
        (&json!([]), &json!(true))
    );
    refuses_pages(&desk, cursors[0].as_str().unwrap()).await;
}

async fn refuses_pages(desk: &Desk, cursor: &str) {
    let elsewhere = desk
        .data(&staff(), "{ orders { pageInfo { endCursor } } }", json!({}))
        .await;
    for wrong in [
        json!({"first": 101}),
        json!({"first": -1}),
        json!({"after": ""}),
        json!({"after": "order_summary"}),
        json!({"after": elsewhere["orders"]["pageInfo"]["endCursor"]}),
        json!({"after": cursor[..cursor.len() - 4]}),
    ] {
        let answer = desk.ask(&operator(), PAGE, wrong.clone()).await;
        assert_eq!(code(&answer), "BAD_USER_INPUT", "{wrong}: {answer}");
    }
}
