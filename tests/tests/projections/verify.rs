//! The verification must find what it is there for.

use crate::shop::{ALL, DAMAGE_DOCUMENTS, draft, empty_database, fulfil, open, order_in, place, start};
use docket_event_store::Store;
use docket_projections::{VerifyError, verify};
use docket_tests::TestDatabase;

async fn full_shop() -> (TestDatabase, Store) {
    let db = empty_database().await;
    let store = open(&db).await;
    let projections = start(&store).await;
    let order = order_in(&store, 3);
    place(&store, order).await;
    let last = fulfil(&store, order).await;
    let other = draft(&store, order_in(&store, 12)).await;
    projections.wait_for(&ALL, &[last, other]).await.unwrap();
    projections.stop().await;
    (db, store)
}

/// What verification says after damage was done.
async fn after(damage: &str) -> VerifyError {
    let (db, store) = full_shop().await;
    sqlx::raw_sql("alter table events_p3 disable trigger all; alter table command_ids disable trigger all")
        .execute(db.admin())
        .await
        .unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(damage.to_owned()))
        .execute(db.admin())
        .await
        .unwrap();
    match verify(&store, |_| {}).await {
        Ok(report) => panic!("nothing was found after {damage}: {report:?}"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_whole_shop_passes() {
    let (_db, store) = full_shop().await;
    let mut partitions = Vec::new();
    let report = verify(&store, |partition| partitions.push(partition))
        .await
        .unwrap();
    assert_eq!(partitions, (0..16).collect::<Vec<_>>());
    assert_eq!(
        (report.commands, &report.rows),
        (
            15,
            &vec![
                ("order_summary", 2),
                ("order_detail", 2),
                ("order_search", 2),
                ("order_timeline", 16),
                ("shipment_board", 1),
                ("customer_orders", 2),
                ("payment_ledger", 2),
                ("sales_by_minute", 1),
                ("fraud_signals", 2)
            ]
        )
    );
    assert!(report.events >= 17, "{report:?}");
}

#[tokio::test]
async fn a_changed_row_is_named() {
    let error = after("update order_summary_g1 set captured = captured + 1 where captured > 0").await;
    assert!(
        matches!(&error, VerifyError::Row { projection: "order_summary", column: "captured", expected, found, .. }
            if expected == "2500" && found == "2501"),
        "{error}"
    );
}

#[tokio::test]
async fn a_changed_document_is_named() {
    let error = after(DAMAGE_DOCUMENTS).await;
    assert!(
        matches!(
            &error,
            VerifyError::Row {
                projection: "order_detail",
                column: "document",
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_row_is_named() {
    let error = after("delete from order_detail_g1 where partition = 12").await;
    assert!(
        matches!(&error, VerifyError::Row { found, .. } if found == "no row"),
        "{error}"
    );
}

#[tokio::test]
async fn a_surplus_row_is_named() {
    let damage =
        "insert into order_detail_g1 select gen_random_uuid(), \"offset\", version, partition, document
                    from order_detail_g1 limit 1";
    let error = after(damage).await;
    assert!(
        matches!(&error, VerifyError::Row { expected, .. } if expected == "no row"),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_event_is_named() {
    let error = after("delete from events where partition = 3 and \"offset\" = 5").await;
    assert!(
        matches!(error, VerifyError::NotDense { partition: 3, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_lost_newest_event_is_named() {
    let damage = "delete from events where partition = 3 and \"offset\" = (select head from heads where partition = 3)";
    let error = after(damage).await;
    assert!(
        matches!(error, VerifyError::NotDense { partition: 3, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn swapped_events_are_named() {
    let damage = "update events set \"offset\" = -1 where partition = 3 and \"offset\" = 2;
                  update events set \"offset\" = 2 where partition = 3 and \"offset\" = 3;
                  update events set \"offset\" = 3 where partition = 3 and \"offset\" = -1";
    let error = after(damage).await;
    assert!(matches!(error, VerifyError::StreamNotDense { .. }), "{error}");
}

#[tokio::test]
async fn a_command_without_its_answer_is_named() {
    let damage = "delete from command_ids where id = (select command_id from events where partition = 3 and \"offset\" = 4)";
    let error = after(damage).await;
    assert!(
        matches!(error, VerifyError::Command { partition: 3, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_that_points_elsewhere_is_named() {
    let damage = "update command_ids set \"offset\" = \"offset\" + 1
                   where id = (select command_id from events where partition = 3 and \"offset\" = 4)";
    let error = after(damage).await;
    assert!(
        matches!(error, VerifyError::Command { partition: 3, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_without_its_events_is_named() {
    let damage = "insert into command_ids (id, \"offset\", version, partition, events, request_hash)
                  values (gen_random_uuid(), 1, 1, 3, 1, '')";
    let error = after(damage).await;
    assert!(
        matches!(error, VerifyError::Command { partition: 3, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn an_undecodable_event_is_named() {
    let error = after("update events set payload = '{}' where partition = 3 and \"offset\" = 1").await;
    assert!(matches!(error, VerifyError::Undecodable { .. }), "{error}");
}

/// No constraint keeps it out; each reader does.
#[tokio::test]
async fn a_code_that_nobody_knows_is_named_with_its_event() {
    let error = after("update events set origin = 'x' where partition = 3 and \"offset\" = 1").await;
    assert!(
        matches!(error, VerifyError::Undecodable { position, .. } if (position.partition, position.offset) == (3, 1)),
        "{error}"
    );
}

#[tokio::test]
async fn time_that_ran_backwards_is_named() {
    let damage = "update events set recorded_at = recorded_at - interval '1 day' where partition = 3 and \"offset\" = 4";
    let error = after(damage).await;
    assert!(matches!(error, VerifyError::TimeWentBack { .. }), "{error}");
}

/// What no event made, and what the fold made otherwise, is found in every table, also in rows that many orders share.
#[tokio::test]
async fn a_wrong_row_is_named_in_every_table() {
    for (damage, projection) in [
        ("update order_timeline_g1 set internal = not internal", "order_timeline"),
        (
            "insert into order_timeline_g1 select \"offset\" + 100, order_id, at, partition, number, internal, kind,
                 actor_kind, actor_id, facts from order_timeline_g1 limit 1",
            "order_timeline",
        ),
        ("update shipment_board_g1 set due_at = due_at + interval '1 us'", "shipment_board"),
        ("update shipment_board_g1 set number = 2", "shipment_board"),
        ("update customer_orders_g1 set captured = captured + 1", "customer_orders"),
        ("update payment_ledger_g1 set voided = 1", "payment_ledger"),
        ("update payment_ledger_days_g1 set captured = captured + 1", "payment_ledger"),
        ("delete from payment_ledger_days_g1", "payment_ledger"),
        (
            "insert into payment_ledger_days_g1 select day + 1, authorized, captured, refunded, voided, expired, lost,
                 failed, disputes, partition, currency from payment_ledger_days_g1",
            "payment_ledger",
        ),
        ("update fraud_signals_g1 set subject = 'customer:c-2' where number = 1", "fraud_signals"),
        ("delete from fraud_signals_g1 where number = 0", "fraud_signals"),
    ] {
        let error = after(damage).await;
        let VerifyError::Row { projection: named, .. } = error else {
            panic!("{damage}: {error}")
        };
        assert_eq!(named, projection, "{damage}");
    }
}
