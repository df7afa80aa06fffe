//! Orders are found by number, e-mail address and words of a name, together with every other filter, and nobody finds
//! what they may not see.

use crate::desk::{Desk, code, customer, staff};
use docket::auth::Caller;
use serde_json::{Value, json};

const SEARCH: &str =
    "query($search: String, $filter: OrderFilter, $first: Int, $after: String, $sort: OrderSort,
        $at: [PositionInput!]) {
    orders(search: $search, filter: $filter, first: $first, after: $after, sort: $sort, minPosition: $at) {
        edges { cursor node { id number } } totalCount { count precision } } }";

/// A draft with a name and an e-mail address; its id.
async fn draft(desk: &Desk, customer: &str, name: Option<&str>, email: Option<&str>) -> String {
    let input = json!({"customer": customer, "name": name, "email": email, "channel": "web", "currency": "EUR",
                       "locale": "de-DE", "idempotencyKey": uuid::Uuid::new_v4().to_string()});
    let created = desk.done("createOrder", input, "").await;
    created["order"]["id"].as_str().unwrap().to_owned()
}

fn ids(page: &Value) -> Vec<String> {
    let edges = page["orders"]["edges"].as_array().expect("a page");
    let id = |edge: &Value| edge["node"]["id"].as_str().unwrap().to_owned();
    edges.iter().map(id).collect()
}

/// What is found of everything that was written so far, and counted with it.
async fn found(desk: &Desk, caller: &Caller, search: &str) -> Vec<String> {
    let page = desk
        .data(caller, SEARCH, json!({"search": search, "at": desk.now()}))
        .await;
    let found = ids(&page);
    assert_eq!(
        page["orders"]["totalCount"],
        json!({"count": found.len(), "precision": "EXACT"})
    );
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_found_by_its_number_its_address_and_the_words_of_its_name() {
    let desk = Desk::open().await;
    let muller = draft(
        &desk,
        "c-1",
        Some("Zoë Müller-Lüdenscheidt"),
        Some("Zoe@Example.org"),
    )
    .await;
    let lee = draft(&desk, "c-2", Some("Zoe Lee"), Some("lee@example.org")).await;
    let nameless = draft(&desk, "c-3", None, None).await;
    let placed = desk.placed("c-4", "k").await;
    let page = desk
        .data(
            &staff(),
            SEARCH,
            json!({"filter": {"customer": "c-4"}, "at": desk.now()}),
        )
        .await;
    let number = page["orders"]["edges"][0]["node"]["number"]
        .as_str()
        .unwrap()
        .to_owned();
    let none: [&String; 0] = [];
    for (search, expected) in [
        ("zoe", vec![&lee, &muller]),
        ("ZOË muller", vec![&muller]),
        ("Müller", vec![&muller]),
        ("ludenscheidt zoe@example.ORG", vec![&muller]),
        ("lee@EXAMPLE.org", vec![&lee]),
        (&number, vec![&placed]),
        (&format!(" #{number}"), vec![&placed]),
        ("", vec![&placed, &nameless, &lee, &muller]),
        // All of it must be found, words are whole, and an address is one word.
        ("zoe lee muller", none.to_vec()),
        ("zoe@example.org lee@example.org", none.to_vec()),
        ("lee zoe@example.org", none.to_vec()),
        ("mull", none.to_vec()),
        ("example", none.to_vec()),
        ("c-1", none.to_vec()),
        ("0", none.to_vec()),
        ("99999999999999999999", none.to_vec()),
        ("!", none.to_vec()),
    ] {
        assert_eq!(
            found(&desk, &staff(), search).await.iter().collect::<Vec<_>>(),
            expected,
            "{search:?}"
        );
    }
    for search in ["x".repeat(401), "a ".repeat(17)] {
        assert_eq!(
            code(&desk.ask(&staff(), SEARCH, json!({"search": search})).await),
            "BAD_USER_INPUT"
        );
    }
    // Every process makes the same hashes.
    let other = desk.another().await;
    assert_eq!(found(&other, &staff(), "muller").await, [muller]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_goes_with_filters_sorts_and_pages() {
    let desk = Desk::open().await;
    let mut ada = Vec::new();
    for n in 0..5 {
        ada.push(
            draft(
                &desk,
                if n == 2 { "other" } else { "ada" },
                Some("Ada Lovelace"),
                None,
            )
            .await,
        );
        draft(&desk, "ada", Some("Ada Byron"), None).await;
    }
    let mut variables = json!({"search": "lovelace", "filter": {"customer": "ada"}, "first": 3,
                               "sort": {"field": "CREATED_AT", "descending": false}, "at": desk.now()});
    ada.remove(2);
    let page = desk.data(&staff(), SEARCH, variables.clone()).await;
    assert_eq!(ids(&page), ada[..3]);
    assert_eq!(page["orders"]["totalCount"]["count"], 4);
    variables["after"] = page["orders"]["edges"][2]["cursor"].clone();
    assert_eq!(
        ids(&desk.data(&staff(), SEARCH, variables.clone()).await),
        ada[3..]
    );
    variables["filter"] = json!({"status": ["PLACED"]});
    assert_eq!(ids(&desk.data(&staff(), SEARCH, variables).await), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_finds_their_own_orders_only() {
    let desk = Desk::open().await;
    let own = draft(&desk, "ada", Some("Ada Lovelace"), Some("family@example.org")).await;
    let theirs = draft(&desk, "grace", Some("Grace Lovelace"), Some("family@example.org")).await;
    for search in ["lovelace", "family@example.org"] {
        assert_eq!(
            found(&desk, &customer("ada"), search).await,
            std::slice::from_ref(&own)
        );
        assert_eq!(
            found(&desk, &customer("grace"), search).await,
            std::slice::from_ref(&theirs)
        );
        assert_eq!(found(&desk, &customer("bob"), search).await, [""; 0]);
    }
    assert_eq!(found(&desk, &customer("ada"), "grace").await, [""; 0]);
    let gateway = Caller::known(docket_domain::Role::Gateway, "acme");
    assert_eq!(
        code(&desk.ask(&gateway, SEARCH, json!({"search": "lovelace"})).await),
        "FORBIDDEN"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_renamed_is_found_by_the_new_name_and_not_by_the_old() {
    let desk = Desk::open().await;
    let order = draft(&desk, "ada", Some("Ada Byron"), Some("ada@example.org")).await;
    assert_eq!(
        found(&desk, &staff(), "byron").await,
        std::slice::from_ref(&order)
    );
    desk.done("setDetails", json!({"order": order, "name": "Ada Lovelace"}), "")
        .await;
    assert_eq!(found(&desk, &staff(), "byron").await, [""; 0]);
    for search in ["lovelace", "ada@example.org", "ADA lovelace ada@example.org"] {
        assert_eq!(
            found(&desk, &staff(), search).await,
            std::slice::from_ref(&order),
            "{search}"
        );
    }
}
