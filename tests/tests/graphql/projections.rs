//! Operators' hands: each verb of the command line and its mutation do the same and say the same; how things stand is followed.

use crate::desk::{Desk, Messages, code, staff};
use docket::auth::Caller;
use docket_domain::Role;
use docket_projections::rebuild::{Progress, Purpose, RebuildOptions, Sizes, rebuild};
use docket_tests::{
    TestDatabase, database, eventually,
    server::{Client, Server, life, on, token, verb},
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use std::{process::Stdio, time::Duration};
use tokio::process::Child;
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(30);
/// What a rebuild of `order_summary` needs to compare the generations.
const NEEDED: &str =
    "begin; select from checkpoints where projection = 'order_summary' and generation = 1 for update";
/// Whatever a rebuild says, with the names of the command line.
const REBUILD: &str = "rebuild { projection from generation step purpose wish owner outcome rows endedAt
    partitions { partition folded written target } }";
const ERRORS: &str = "userErrors { __typename code message field }";

pub(crate) fn operator() -> Caller {
    Caller::known(Role::Operator, "o-1")
}

/// A shop of its own, with a server: a verb is run beside it, a mutation by it.
struct Shop {
    db: TestDatabase,
    server: Server,
    client: Client,
}

impl Shop {
    /// Two of them are equal.
    async fn open() -> Shop {
        let db = database().await;
        let server = Server::start(&db).await;
        let staff = server.client(token(&db, Role::Staff, "s-1").await);
        for number in 0..6 {
            let order = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number);
            for (name, input) in life(order, "ada", "by the door") {
                staff.mutate(name, input).await.data();
            }
        }
        let client = server.client(token(&db, Role::Operator, "o-1").await);
        let shop = Shop { db, server, client };
        eventually(DEADLINE, async || shop.is_at_head().await.then_some(())).await;
        shop
    }

    async fn is_at_head(&self) -> bool {
        let seen = self.query("{ projections { generations { standing } } }").await;
        seen.to_string().matches("\"standing\"").count() == seen.to_string().matches("AT_HEAD").count()
    }

    async fn query(&self, query: &str) -> Value {
        self.client.run(query, json!({})).await.data()
    }

    /// What a verb says: its last line, or why it failed.
    async fn verb(&self, args: &[&str]) -> Result<Value, String> {
        let output = verb(on(&self.db), args).await;
        match output.status.success() {
            true => {
                let said = String::from_utf8(output.stdout).unwrap();
                Ok(serde_json::from_str(said.lines().last().unwrap()).unwrap())
            }
            false => Err(String::from_utf8(output.stderr).unwrap()),
        }
    }

    /// What a mutation answers; what refused it, where something did.
    async fn mutation(&self, name: &str, input: &str, fields: &str) -> Result<Value, Value> {
        let query = format!("mutation {{ {name}(input: {{{input}}}) {{ {fields} {ERRORS} }} }}");
        let answer = self.client.run(&query, json!({})).await.json();
        assert!(answer.get("errors").is_none(), "{answer}");
        let payload = answer["data"][name].clone();
        match payload["userErrors"][0].is_null() {
            true => Ok(payload),
            false => Err(payload["userErrors"][0].clone()),
        }
    }

    async fn rebuild_of(&self, name: &str) -> Value {
        let query = format!("{{ projections(name: \"{name}\") {{ {REBUILD} }} }}");
        self.query(&query).await[0]["rebuild"].clone()
    }

    /// The rebuild of a read model, once it has ended.
    async fn ended(&self, name: &str) -> Value {
        eventually(DEADLINE, async || {
            let rebuild = self.rebuild_of(name).await;
            (!rebuild["endedAt"].is_null()).then_some(rebuild)
        })
        .await
    }

    /// Everything that operators' hands leave behind, but for when it was and who did it.
    async fn left(&self) -> Value {
        let sql = "select jsonb_build_object(
            'rebuilds', (select jsonb_agg(to_jsonb(r) - '{epoch,owner,lease_until,started_at,ended_at,retry_at,parallel}'::text[]
                                || jsonb_build_object('ended', ended_at is not null, 'owned', owner is not null)
                                order by projection) from rebuilds r),
            'generations', (select jsonb_agg(jsonb_build_array(projection, generation, version, state, served_at is not null,
                                left_at is not null) order by projection, generation) from generations),
            'pointers', (select jsonb_agg(jsonb_build_array(name, generation, version) order by name) from projections),
            'checkpoints', (select jsonb_agg(jsonb_build_array(projection, generation, partition, \"offset\")
                                order by projection, generation, partition) from checkpoints where projection <> 'notifications'),
            'tables', (select jsonb_agg(relname order by relname) from pg_class
                        where relkind = 'r' and relnamespace = 'public'::regnamespace))";
        sqlx::query_scalar(sql).fetch_one(self.db.admin()).await.unwrap()
    }

    /// Whoever compares waits until this is dropped.
    async fn held(&self) -> PgConnection {
        let mut connection = PgConnection::connect_with(&self.db.admin().connect_options())
            .await
            .unwrap();
        sqlx::raw_sql(NEEDED).execute(&mut connection).await.unwrap();
        connection
    }

    /// A rebuild as a process of its own.
    fn child(&self) -> Child {
        let mut command = on(&self.db);
        command.args(["rebuild", "order_summary", "--parallel", "2"]);
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// When a rebuild that somebody does has come to where it waits.
    async fn compares(&self) {
        eventually(DEADLINE, async || {
            let rebuild = self.rebuild_of("order_summary").await;
            (rebuild["step"] == "VERIFY" && !rebuild["owner"].is_null()).then_some(())
        })
        .await;
    }

    async fn close(self) {
        assert!(self.server.stop().await.success());
    }
}

/// Two shops, one for verbs and one for mutations.
async fn twins() -> (Shop, Shop) {
    let (verbs, mutations) = tokio::join!(Shop::open(), Shop::open());
    assert_eq!(verbs.left().await, mutations.left().await);
    (verbs, mutations)
}

/// In both the same was left. What is told of the progress comes a moment later.
async fn same_left(verbs: &Shop, mutations: &Shop) {
    let mut seen = (Value::Null, Value::Null);
    for _ in 0..100 {
        seen = (verbs.left().await, mutations.left().await);
        if seen.0 == seen.1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(seen.0, seen.1);
}

/// What the command line says at the end of a rebuild is what is told of the rebuild that a server did.
fn same_said(verb: &Value, rebuild: &Value) {
    for field in ["projection", "from", "generation", "outcome"] {
        assert_eq!(verb[field], rebuild[field], "{verb}\n{rebuild}");
    }
    assert_eq!(verb["rows"].to_string(), rebuild["rows"].as_str().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_verb_and_its_mutation_do_and_say_the_same() {
    let (verbs, mutations) = twins().await;
    let fields = "rebuild { projection generation step wish }";
    for (name, args, input) in [
        ("order_summary", vec![], ""),
        ("payment_ledger", vec!["--verify-only"], "verifyOnly: true"),
        ("order_detail", vec!["--against-log"], "againstLog: true"),
    ] {
        let args: Vec<&str> = ["rebuild", name].into_iter().chain(args).collect();
        let said = verbs.verb(&args).await.unwrap();
        let input = format!("name: \"{name}\" {input}");
        let asked = mutations
            .mutation("rebuildReadModel", &input, fields)
            .await
            .unwrap();
        assert_eq!(
            (&asked["rebuild"]["projection"], &asked["rebuild"]["generation"]),
            (&json!(name), &json!(2))
        );
        same_said(&said, &mutations.ended(name).await);
        same_left(&verbs, &mutations).await;
    }
    let said = verbs.verb(&["rollback", "order_summary"]).await.unwrap();
    let answer = mutations
        .mutation("rollbackReadModel", "name: \"order_summary\"", "generation")
        .await
        .unwrap();
    assert_eq!(
        (&said["generation"], &answer["generation"]),
        (&json!(1), &json!(1))
    );
    same_left(&verbs, &mutations).await;

    let held = (verbs.held().await, mutations.held().await);
    let mut process = verbs.child();
    let input = "name: \"order_summary\" parallel: 2";
    mutations
        .mutation("rebuildReadModel", input, fields)
        .await
        .unwrap();
    tokio::join!(verbs.compares(), mutations.compares());
    for (verb, mutation, wish) in [
        ("pause", "pauseRebuild", "PAUSE"),
        ("resume", "resumeRebuild", "RUN"),
    ] {
        let said = verbs.verb(&[verb, "order_summary"]).await.unwrap();
        let answer = mutations
            .mutation(mutation, "name: \"order_summary\"", REBUILD)
            .await
            .unwrap();
        let rebuild = &answer["rebuild"];
        assert_eq!(said["step"], rebuild["step"].as_str().unwrap().to_lowercase());
        assert!(said["owner"].is_string() && rebuild["owner"].is_string());
        assert_eq!(rebuild["wish"], wish);
        let (left, other) = (verbs.left().await, mutations.left().await);
        assert_eq!(left["rebuilds"][1]["wish"], other["rebuilds"][1]["wish"]);
    }
    // Under way by somebody, it is not begun by another; nor is anything served again.
    let other = mutations
        .mutation(
            "rebuildReadModel",
            "name: \"order_summary\" verifyOnly: true",
            fields,
        )
        .await
        .unwrap_err();
    let refused = verbs
        .verb(&["rebuild", "order_summary", "--verify-only"])
        .await
        .unwrap_err();
    assert!(
        refused.contains("order_summary is being rebuilt since"),
        "{refused}"
    );
    assert_eq!(
        (&other["__typename"], &other["code"]),
        (&json!("RebuildUnderWay"), &json!("REBUILD_UNDER_WAY"))
    );
    let other = mutations
        .mutation("rollbackReadModel", "name: \"order_summary\"", "generation")
        .await
        .unwrap_err();
    let refused = verbs.verb(&["rollback", "order_summary"]).await.unwrap_err();
    assert!(
        refused.contains("order_summary is being rebuilt since"),
        "{refused}"
    );
    assert_eq!(other["code"], "REBUILD_UNDER_WAY");
    let message = other["message"].as_str().unwrap();
    assert!(
        message.starts_with("order_summary is being rebuilt since"),
        "{message}"
    );

    let said = verbs.verb(&["cancel", "order_summary"]).await.unwrap();
    let answer = mutations
        .mutation("cancelRebuild", "name: \"order_summary\"", REBUILD)
        .await
        .unwrap();
    assert_eq!(
        said["step"],
        answer["rebuild"]["step"].as_str().unwrap().to_lowercase()
    );
    assert!(!process.wait().await.unwrap().success());
    drop(held);
    assert_eq!(mutations.ended("order_summary").await["outcome"], "cancelled");
    same_left(&verbs, &mutations).await;
    verbs.close().await;
    mutations.close().await;
}

/// The command line's text for a caller of the API: a sentence, whose first word is a read model's name or has a capital.
pub(crate) fn sentence(stderr: &str) -> String {
    let text = stderr.trim().strip_prefix("docket: ").unwrap();
    if text.split(' ').next().unwrap().contains('_') {
        return format!("{text}.");
    }
    format!("{}{}.", text[..1].to_uppercase(), &text[1..])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_refused_alike_and_leaves_nothing() {
    let (verbs, mutations) = twins().await;
    let before = verbs.left().await;
    for (verb, mutation, fields, refusal) in [
        ("rebuild", "rebuildReadModel", "rebuild { step }", None),
        (
            "rollback",
            "rollbackReadModel",
            "generation",
            Some("NO_EARLIER_GENERATION"),
        ),
        ("pause", "pauseRebuild", "rebuild { step }", Some("NO_REBUILD")),
        ("resume", "resumeRebuild", "rebuild { step }", Some("NO_REBUILD")),
        ("cancel", "cancelRebuild", "rebuild { step }", Some("NO_REBUILD")),
    ] {
        let expected = [
            ("orders", Some("UNKNOWN_READ_MODEL")),
            ("notifications", Some("UNKNOWN_READ_MODEL")),
            ("order_summary", refusal),
        ];
        for (name, code) in expected {
            let Some(code) = code else { continue };
            let said = verbs.verb(&[verb, name]).await.unwrap_err();
            let input = format!("name: \"{name}\"");
            let refused = mutations.mutation(mutation, &input, fields).await.unwrap_err();
            assert_eq!(refused["code"], code, "{verb} {name}");
            assert_eq!(refused["message"], sentence(&said), "{verb} {name}");
            assert_eq!(refused["field"], json!(["input", "name"]));
        }
    }
    let known = "... on UnknownReadModel { name known }";
    let query = format!("mutation {{ pauseRebuild(input: {{name: \"x\"}}) {{ userErrors {{ {known} }} }} }}");
    let answer = mutations.client.run(&query, json!({})).await.json();
    let refused = &answer["data"]["pauseRebuild"]["userErrors"][0];
    assert_eq!(
        (&refused["name"], refused["known"].as_array().unwrap().len()),
        (&json!("x"), 9)
    );
    let query =
        "mutation { rebuildReadModel(input: {name: \"order_summary\", parallel: 9}) { rebuild { step } } }";
    assert_eq!(
        mutations.client.run(query, json!({})).await.code(),
        "BAD_USER_INPUT"
    );
    assert_eq!(
        (verbs.left().await, mutations.left().await),
        (before.clone(), before)
    );
    verbs.close().await;
    mutations.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_what_the_command_line_shows() {
    let shop = Shop::open().await;
    let output = verb(on(&shop.db), &["projections"]).await;
    let lines: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let seen = shop
        .query(
            "{ projections { name rebuild { step } generations { generation version role isServed standing detail events lagEvents
                partitions { partition position head lagEvents lagSeconds eventsPerSecond owner standing reason } } } }",
        )
        .await;
    let constant = |word: &Value| json!(word.as_str().unwrap().to_uppercase().replace(' ', "_"));
    let mut listed = Vec::new();
    for projection in seen.as_array().unwrap() {
        assert_eq!(projection["rebuild"], Value::Null);
        for generation in projection["generations"].as_array().unwrap() {
            let partitions = generation["partitions"].as_array().unwrap();
            let sum: i64 = partitions
                .iter()
                .map(|of| of["position"].as_str().unwrap().parse::<i64>().unwrap())
                .sum();
            assert_eq!(generation["events"], json!(sum.to_string()));
            assert_eq!(generation["isServed"], json!(generation["role"] == "SERVED"));
            assert_eq!(
                (&generation["standing"], &generation["detail"]),
                (&json!("AT_HEAD"), &json!("at head"))
            );
            listed.extend(
                partitions
                    .iter()
                    .map(|of| (projection["name"].clone(), generation.clone(), of.clone())),
            );
        }
    }
    assert_eq!(lines.len(), listed.len());
    for (line, (name, generation, partition)) in lines.iter().zip(&listed) {
        assert_eq!(line["projection"], *name);
        assert_eq!(line["generation"], generation["generation"]);
        assert_eq!(line["version"], generation["version"]);
        assert_eq!(constant(&line["role"]), generation["role"]);
        for (one, other) in [
            ("partition", "partition"),
            ("owner", "owner"),
            ("reason", "reason"),
        ] {
            assert_eq!(line[one], partition[other]);
        }
        for (one, other) in [
            ("offset", "position"),
            ("head", "head"),
            ("lagEvents", "lagEvents"),
        ] {
            assert_eq!(line[one].to_string(), partition[other].as_str().unwrap());
        }
        assert_eq!(constant(&line["standing"]), partition["standing"]);
        // Over another time.
        assert!(line["perSecond"].is_number() && partition["eventsPerSecond"].is_number());
    }
    let unknown = shop
        .client
        .run("{ projections(name: \"orders\") { name } }", json!({}))
        .await;
    assert_eq!(unknown.code(), "NOT_FOUND");
    shop.close().await;
}

/// However long a name is that is none, what is told of it is short, and as long wherever it is told.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_long_name_that_is_none_the_beginning_is_told() {
    let shop = Shop::open().await;
    let (long, shown) = ("\u{e4}".repeat(100_000), format!("{}...", "\u{e4}".repeat(80)));
    let variables = || json!({"name": long, "order": Uuid::nil()});
    let errors = "userErrors { message ... on UnknownReadModel { name } }";
    for (name, rest) in [
        ("rebuildReadModel", ""),
        ("rollbackReadModel", ""),
        ("pauseRebuild", ""),
        ("resumeRebuild", ""),
        ("cancelRebuild", ""),
        ("dropSideBuild", ""),
        ("retryDeadLetters", "all: true"),
        (
            "discardEvent",
            "position: {partition: 0, offset: \"1\"} reason: \"why not\"",
        ),
    ] {
        let query =
            format!("mutation($name: String!) {{ {name}(input: {{name: $name {rest}}}) {{ {errors} }} }}");
        let answer = shop.client.run(&query, variables()).await.json();
        let refused = &answer["data"][name]["userErrors"][0];
        assert_eq!(refused["name"], shown, "{name}");
        let message = refused["message"].as_str().unwrap();
        assert!(
            message.contains(&shown) && message.chars().count() < 500,
            "{name}"
        );
    }
    for field in [
        "projections(name: $name) { name }",
        "deadLetters(name: $name) { nodes { order } }",
        "deadLetter(name: $name, order: $order) { eventId }",
        "discardedEvents(name: $name) { order }",
    ] {
        let order = if field.contains("$order") {
            ", $order: UUID!"
        } else {
            ""
        };
        let query = format!("query($name: String!{order}) {{ {field} }}");
        let answer = shop.client.run(&query, variables()).await;
        assert_eq!(answer.code(), "NOT_FOUND", "{field}");
        let message = answer.json()["errors"][0]["message"].to_string();
        assert!(
            message.contains(&shown) && message.chars().count() < 500,
            "{field}"
        );
    }
    shop.close().await;
}

/// kill -9 of the server that does a rebuild: another one goes on with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_outlives_its_server() {
    let shop = Shop::open().await;
    let held = shop.held().await;
    shop.mutation("rebuildReadModel", "name: \"order_summary\"", "rebuild { step }")
        .await
        .unwrap();
    shop.compares().await;
    let first = shop.rebuild_of("order_summary").await["owner"].clone();
    let Shop { db, server, client } = shop;
    let other = Server::start(&db).await;
    server.kill_9().await;
    let shop = Shop {
        client: client.at(other.address()),
        server: other,
        db,
    };
    eventually(DEADLINE, async || {
        let owner = shop.rebuild_of("order_summary").await["owner"].clone();
        (owner.is_string() && owner != first).then_some(())
    })
    .await;
    drop(held);
    let ended = shop.ended("order_summary").await;
    assert_eq!(
        (&ended["outcome"], &ended["generation"]),
        (&json!("swapped"), &json!(2))
    );
    shop.close().await;
}

const FOLLOW: &str = "subscription($name: String) { projectionProgress(name: $name) { at projections { name
    generations { generation role standing }
    rebuild { step outcome endedAt partitions { partition folded target } } } } }";

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_is_followed_to_its_end_and_then_it_is_silent() {
    let desk = Desk::open().await;
    desk.placed("ada", "k").await;
    desk.caught_up().await;
    let refused = desk.follow(&staff(), FOLLOW, json!({})).answer().await;
    assert_eq!(code(&refused), "FORBIDDEN");
    let mut unknown = desk.follow(&operator(), FOLLOW, json!({"name": "orders"}));
    assert_eq!(code(&unknown.answer().await), "NOT_FOUND");
    assert!(unknown.is_over().await);

    let mut all = desk.follow(&operator(), FOLLOW, json!({}));
    assert_eq!(all.next().await["projections"].as_array().unwrap().len(), 10);
    drop(all);
    let mut stream = desk.follow(&operator(), FOLLOW, json!({"name": "order_summary"}));
    let first = stream.next().await;
    assert_eq!(first["projections"][0]["rebuild"], Value::Null);
    assert_eq!(first["projections"].as_array().unwrap().len(), 1);
    // What others do is none of its business.
    let options = RebuildOptions {
        parallel: 1,
        purpose: Purpose::Swap,
        against_log: false,
        sizes: Sizes::USUAL,
    };
    rebuild(&desk.store, "order_summary", options, &Progress::new(16))
        .await
        .unwrap();
    let ended = loop {
        let mut message = stream.next().await;
        let projection = message["projections"][0].take();
        if projection["rebuild"]["outcome"] == "swapped" && projection["generations"][1]["role"] == "SERVED" {
            break projection;
        }
    };
    assert!(!ended["rebuild"]["endedAt"].is_null());
    let partitions = ended["rebuild"]["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), 16);
    // Rates settle, and then there is nothing to say.
    eventually(DEADLINE, async || is_silent(&mut stream).await.then_some(())).await;
    rebuild(&desk.store, "order_detail", options, &Progress::new(16))
        .await
        .unwrap();
    assert!(is_silent(&mut stream).await);
}

/// Nothing is said in the time of some looks.
async fn is_silent(stream: &mut Messages) -> bool {
    tokio::time::timeout(Duration::from_millis(1_500), stream.next())
        .await
        .is_err()
}
