//! `docket forget`: what was personal is unreadable afterwards, wherever it is asked for and wherever it lies, whether the
//! command is run once, twice, or again after a crash in the middle.

use docket_domain::{Role, Subject};
use docket_event_store::{MasterKey, Store, StoreConfig};
use docket_tests::server::{Client, MASTER_KEY, Server, life, on, token, verb};
use docket_tests::{TestDatabase, database, eventually};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

const WITHIN: Duration = Duration::from_secs(20);
const PERSONAL: &str = "name email phone note shippingAddress { name street city } forgotten";

struct World {
    db: TestDatabase,
    _server: Server,
    staff: Client,
    /// Of ada, of ada, of grace, and of nobody.
    orders: [Uuid; 4],
}

impl World {
    async fn open() -> World {
        let db = database().await;
        let server = Server::start(&db).await;
        let staff = server.client(token(&db, Role::Staff, "s-1").await);
        let orders = [(); 4].map(|()| Uuid::new_v4());
        for (order, customer) in orders.iter().zip(["ada", "ada", "grace", ""]) {
            for (name, mut input) in life(*order, customer, "ring twice") {
                if customer.is_empty() {
                    input.as_object_mut().unwrap().remove("customer");
                }
                staff.mutate(name, input).await.data();
            }
        }
        let world = World {
            db,
            _server: server,
            staff,
            orders,
        };
        let seen = async || (world.order(world.orders[3], "").await["status"] != Value::Null).then_some(());
        eventually(WITHIN, seen).await;
        world
    }

    async fn order(&self, order: Uuid, at: &str) -> Value {
        let query = format!("{{ order(id: \"{order}\"{at}) {{ status {PERSONAL} }} }}");
        self.staff.run(&query, Value::Null).await.data()
    }

    async fn forget(&self, subject: &str) -> Value {
        let done = verb(on(&self.db), &["forget", subject]).await;
        assert!(done.status.success(), "{done:?}");
        serde_json::from_slice(&done.stdout).unwrap()
    }

    /// Every row of every table that holds one of these texts, in clear or in base64.
    async fn holding(&self, texts: &[&str]) -> Vec<String> {
        let tables =
            "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
                       where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema')";
        let tables: Vec<String> = sqlx::query_scalar(tables)
            .fetch_all(self.db.admin())
            .await
            .unwrap();
        assert!(tables.len() > 16, "{tables:?}");
        let mut found = Vec::new();
        for table in tables {
            for text in texts {
                use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
                // The first bytes of a text keep their letters in base64 wherever the rest ends.
                let letters = STANDARD_NO_PAD.encode(text);
                let cut = &letters[..letters.len() / 4 * 4];
                for wanted in [*text, cut] {
                    let rows = format!(
                        "select {} || ': ' || t::text from {table} t where strpos(t::text, $1) > 0 or strpos(t::text, encode(convert_to($1, 'UTF8'), 'hex')) > 0",
                        format_args!("'{table}'")
                    );
                    let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(rows))
                        .bind(wanted)
                        .fetch_all(self.db.admin())
                        .await
                        .unwrap();
                    found.extend(rows);
                }
            }
        }
        found
    }

    async fn marks(&self, order: Uuid) -> i64 {
        let marks = "select count(*) from events where order_id = $1 and event_type = 'order.personal_data_forgotten'";
        sqlx::query_scalar(marks)
            .bind(order)
            .fetch_one(self.db.admin())
            .await
            .unwrap()
    }

    async fn verified(&self) {
        let verified = verb(on(&self.db), &["verify"]).await;
        assert!(verified.status.success(), "{verified:?}");
    }

    /// The orders that are found by a text, as soon as the server's read models have all that was written.
    async fn found(&self, text: &str) -> Vec<Uuid> {
        let heads = "select partition, head from heads where head > 0";
        let heads: Vec<(i16, i64)> = sqlx::query_as(heads).fetch_all(self.db.admin()).await.unwrap();
        let at: Vec<Value> = heads
            .into_iter()
            .map(|(partition, offset)| json!({"partition": partition, "offset": offset.to_string()}))
            .collect();
        let query = "query($text: String, $at: [PositionInput!]) {
            orders(search: $text, minPosition: $at, sort: {descending: false}) { nodes { id } } }";
        let page = self
            .staff
            .run(query, json!({"text": text, "at": at}))
            .await
            .data();
        let nodes = page["nodes"].as_array().unwrap();
        nodes
            .iter()
            .map(|node| node["id"].as_str().unwrap().parse().unwrap())
            .collect()
    }

    /// How many orders the table that searches read holds anything of.
    async fn searchable(&self) -> i64 {
        let rows = "select count(*) from order_search_g1 where email is not null or words <> '{}'";
        sqlx::query_scalar(rows).fetch_one(self.db.admin()).await.unwrap()
    }

    /// Returns when the running server shows nothing personal of the order, now and at each of its versions.
    async fn gone(&self, order: Uuid) {
        let nothing = json!({"name": null, "email": null, "phone": null, "note": null, "forgotten": true});
        let is_gone = |shown: &Value| {
            nothing
                .as_object()
                .unwrap()
                .iter()
                .all(|(field, value)| shown[field] == *value)
                && !shown.to_string().contains("James")
        };
        eventually(WITHIN, async || {
            is_gone(&self.order(order, "").await).then_some(())
        })
        .await;
        for at in [
            ", atVersion: 3",
            ", atVersion: 4",
            ", asOf: \"2999-01-01T00:00:00Z\"",
        ] {
            let shown = self.order(order, at).await;
            assert!(is_gone(&shown), "{at}: {shown}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_forgotten_everywhere_and_nobody_else_is() {
    let world = World::open().await;
    let [first, second, grace, nobodys] = world.orders;
    let shown = world.order(first, "").await;
    assert_eq!(
        (&shown["name"], &shown["note"], &shown["forgotten"]),
        (&json!("Ada Lovelace"), &json!("ring twice"), &json!(false))
    );
    let clear = [
        "Ada Lovelace",
        "ada@example.org",
        "ring twice",
        "St James",
        "SW1Y 4JH",
    ];
    assert_eq!(
        world.holding(&clear).await,
        [""; 0],
        "personal data lies in clear even before"
    );
    let by = ["lovelace", "ADA", "ada@example.org"];
    for text in by {
        assert_eq!(world.found(text).await, world.orders, "{text}");
    }
    assert_eq!(world.searchable().await, 4);
    // What is looked for can be found: the customer's id is not personal.
    assert!(!world.holding(&["grace"]).await.is_empty());

    assert_eq!(
        world.forget("customer:ada").await,
        json!({"subject": "customer:ada", "keyDestroyed": true, "orders": 2, "failed": [], "searched": []})
    );
    for order in [first, second] {
        world.gone(order).await;
        assert_eq!(world.marks(order).await, 1);
    }
    for text in by {
        assert_eq!(world.found(text).await, [grace, nobodys], "{text}");
    }
    assert_eq!(world.searchable().await, 2);
    for order in [grace, nobodys] {
        assert_eq!(world.order(order, "").await["name"], "Ada Lovelace");
        assert_eq!(world.marks(order).await, 0);
    }
    let raw = format!("{{ events(stream: \"{first}\", first: 50) {{ events {{ type payload }} }} }}");
    let raw = world.staff.run(&raw, Value::Null).await;
    assert_eq!(raw.code(), "none");
    assert!(clear.iter().all(|text| !raw.body.contains(text)), "{raw:?}");
    let living =
        "select count(*) from personal_keys where subject = 'customer:ada' and wrapped_key is not null";
    let living: i64 = sqlx::query_scalar(living)
        .fetch_one(world.db.admin())
        .await
        .unwrap();
    assert_eq!(living, 0);
    assert_eq!(world.holding(&clear).await, [""; 0]);
    world.verified().await;

    // Again: nothing is left to do. A person who comes back is somebody new.
    assert_eq!(world.forget("customer:ada").await["keyDestroyed"], false);
    assert_eq!((world.marks(first).await, world.marks(second).await), (1, 1));
    let back = Uuid::new_v4();
    for (name, input) in life(back, "ada", "ring once") {
        world.staff.mutate(name, input).await.data();
    }
    let readable = async || (world.order(back, "").await["note"] == "ring once").then_some(());
    eventually(WITHIN, readable).await;
    world.gone(first).await;
    // A process that never knew the old key reads the same.
    let other = Server::start(&world.db).await;
    let shown = world
        .staff
        .at(other.address())
        .run(&format!("{{ order(id: \"{back}\") {{ note }} }}"), Value::Null)
        .await;
    assert_eq!(
        shown.data()["note"],
        "ring once",
        "it was sealed with a key that is destroyed"
    );
    assert_eq!(world.forget(&format!("order:{nobodys}")).await["orders"], 1);
    world.gone(nobodys).await;
    world.verified().await;
}

/// The key is gone and the process with it, before any order says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_the_key_and_the_events_is_made_good() {
    let world = World::open().await;
    let [first, second, ..] = world.orders;
    let key = MasterKey::from_hex(MASTER_KEY).unwrap();
    let store = Store::open(StoreConfig::new(world.db.connect_options(), key))
        .await
        .unwrap();
    let subject: Subject = "customer:ada".parse().unwrap();
    assert!(store.vault().destroy(&subject).await.unwrap());
    store.close().await;
    assert_eq!((world.marks(first).await, world.marks(second).await), (0, 0));
    // Nothing says yet that they are forgotten: what was folded before may stay until something does.
    assert_eq!(world.searchable().await, 4);
    world.verified().await;
    assert_eq!(
        world.forget("customer:ada").await,
        json!({"subject": "customer:ada", "keyDestroyed": false, "orders": 2, "failed": [], "searched": []})
    );
    assert_eq!((world.marks(first).await, world.marks(second).await), (1, 1));
    for order in [first, second] {
        world.gone(order).await;
    }
    assert_eq!(world.found("lovelace").await, world.orders[2..]);
    assert_eq!(world.searchable().await, 2);
    world.verified().await;
}

/// Whatever of a row is not what the log says, except what a destroyed key took, is a difference.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_finds_forgotten_people_does_not_pass_for_whole() {
    let world = World::open().await;
    world.forget("customer:ada").await;
    assert_eq!(world.found("lovelace").await, world.orders[2..]);
    let of_grace = "update order_search_g1 g set words = o.words from order_search_g1 o
                     where g.order_id = $1 and o.order_id = $2";
    sqlx::query(of_grace)
        .bind(world.orders[0])
        .bind(world.orders[2])
        .execute(world.db.admin())
        .await
        .unwrap();
    let verified = verb(on(&world.db), &["verify"]).await;
    let told = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(
        !verified.status.success() && told.contains("order_search"),
        "{verified:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_forgotten_is_told_apart() {
    let world = World::open().await;
    assert_eq!(world.forget("customer:nobody").await["orders"], 0);
    let absent = verb(on(&world.db), &["forget", &format!("order:{}", Uuid::new_v4())]).await;
    assert!(
        !absent.status.success(),
        "an order that does not exist: {absent:?}"
    );
    let of_ada = verb(on(&world.db), &["forget", &format!("order:{}", world.orders[0])]).await;
    assert!(
        !of_ada.status.success(),
        "an order of a customer has no key of its own: {of_ada:?}"
    );
    for wrong in ["ada", "customer:", "order:x", ""] {
        let refused = verb(on(&world.db), &["forget", wrong]).await;
        assert!(!refused.status.success(), "{wrong}: {refused:?}");
    }
    assert_eq!(world.order(world.orders[0], "").await["name"], "Ada Lovelace");
    for order in world.orders {
        assert_eq!(world.marks(order).await, 0);
    }
    world.verified().await;
}

/// An order that the list lacks because its events wait among dead letters is forgotten as well, and one that the search may
/// still find is named.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_waits_among_dead_letters_is_forgotten_too() {
    let world = World::open().await;
    let order = Uuid::new_v4();
    for table in ["order_summary_g1", "order_search_g1"] {
        let refuse = format!(
            "create or replace function refuse() returns trigger language plpgsql as $$
             begin raise exception 'no such thing' using errcode = '22003'; end $$;
             create trigger refuse before insert or update on {table} for each row
             when (new.order_id = '{order}') execute function refuse()"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(refuse))
            .execute(world.db.admin())
            .await
            .unwrap();
    }
    for (name, input) in life(order, "ada", "ring once") {
        world.staff.mutate(name, input).await.data();
    }
    eventually(WITHIN, async || {
        let waiting = "select count(*) from dead_letters where order_id = $1 and class is not null";
        let waiting: i64 = sqlx::query_scalar(waiting)
            .bind(order)
            .fetch_one(world.db.admin())
            .await
            .unwrap();
        (waiting == 2).then_some(())
    })
    .await;
    let done = verb(on(&world.db), &["forget", "customer:ada"]).await;
    assert!(!done.status.success(), "{done:?}");
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(
        (&said["orders"], &said["searched"]),
        (&json!(3), &json!([order])),
        "{said}"
    );
    assert_eq!(world.marks(order).await, 1);
    world.gone(order).await;
}
