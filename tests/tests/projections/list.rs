//! Lists: every page in order, nothing twice, nothing left out.

use crate::shop::{draft, empty_database, open, order_in, place, start};
use docket_domain::{CustomerId, order::OrderStatus};
use docket_projections::read_models::order_summary::{
    Filter, Keyset, PageError, Sort, SortField, page, page_of_documents,
};
use docket_projections::{Serving, read_models::list::Part};
use sqlx::PgPool;
use std::collections::BTreeSet;
use uuid::Uuid;

fn two(from: Option<&Keyset>, backward: bool) -> Part<'_, Keyset> {
    Part {
        from,
        limit: 2,
        backward,
    }
}

/// All ids by pages of two, forward or backward; pages with documents are the same.
async fn walk(
    (pool, serving): (&PgPool, &Serving),
    filter: &Filter,
    sort: Sort,
    backward: bool,
) -> Vec<Uuid> {
    let mut all: Vec<Uuid> = Vec::new();
    let mut from = None;
    loop {
        let two = two(from.as_ref(), backward);
        let part = page(pool, serving, filter, sort, two).await.unwrap();
        let listed = page_of_documents(pool, serving, filter, sort, two).await.unwrap();
        assert_eq!(listed.has_more, part.has_more);
        assert_eq!(listed.rows.len(), part.rows.len());
        for (listed, row) in listed.rows.iter().zip(&part.rows) {
            assert_eq!(listed.keyset, row.keyset(sort.field));
            assert_eq!(listed.newest, row.position);
            assert!(listed.is_whole());
            let detail = listed.detail.as_ref().unwrap();
            assert_eq!((detail.id, detail.position), (row.id, row.position));
            assert_eq!((detail.version, detail.totals()), (row.version, row.totals));
        }
        let ids = part.rows.iter().map(|row| row.id.0);
        if backward {
            all.splice(0..0, ids);
        } else {
            all.extend(ids);
        }
        let edge = if backward {
            part.rows.first()
        } else {
            part.rows.last()
        };
        from = edge.map(|row| row.keyset(sort.field));
        if !part.has_more {
            return all;
        }
    }
}

#[tokio::test]
async fn pages_cover_every_sort_once_in_both_directions() {
    let db = empty_database().await;
    let store = open(&db).await;
    let projections = start(&store).await;
    let mut ids = BTreeSet::new();
    for n in 0..7 {
        let order = order_in(&store, n);
        ids.insert(order.0);
        if n % 2 == 0 {
            place(&store, order).await
        } else {
            draft(&store, order).await
        };
    }
    projections.caught_up().await.unwrap();
    let (pool, serving) = (store.pool(), &projections.serving());
    let everything = Filter::default();
    for field in [
        SortField::CreatedAt,
        SortField::PlacedAt,
        SortField::Number,
        SortField::Total,
    ] {
        let up = walk(
            (pool, serving),
            &everything,
            Sort {
                field,
                descending: false,
            },
            false,
        )
        .await;
        let mut down = walk(
            (pool, serving),
            &everything,
            Sort {
                field,
                descending: true,
            },
            false,
        )
        .await;
        let back = walk(
            (pool, serving),
            &everything,
            Sort {
                field,
                descending: false,
            },
            true,
        )
        .await;
        assert_eq!(up.iter().copied().collect::<BTreeSet<_>>(), ids, "{field:?}");
        assert_eq!((up.len(), &back), (7, &up), "{field:?}");
        down.reverse();
        assert_eq!(down, up, "{field:?}");
    }

    let placed = Filter {
        statuses: vec![OrderStatus::Placed],
        ..Filter::default()
    };
    assert_eq!(
        walk((pool, serving), &placed, Sort::default(), false).await.len(),
        4
    );
    let either = Filter {
        statuses: vec![OrderStatus::Placed, OrderStatus::Draft],
        ..Filter::default()
    };
    assert_eq!(
        walk((pool, serving), &either, Sort::default(), false).await.len(),
        7
    );
    let dear = Filter {
        total: (Some(2_500), Some(2_500)),
        on_hold: Some(false),
        ..Filter::default()
    };
    assert_eq!(
        walk((pool, serving), &dear, Sort::default(), false).await.len(),
        4
    );
    let later = Filter {
        placed: (None, Some(chrono::Utc::now())),
        ..Filter::default()
    };
    assert_eq!(
        walk((pool, serving), &later, Sort::default(), false).await.len(),
        4
    );
    let nobody = Filter {
        customer: Some(CustomerId::try_new("c-2").unwrap()),
        ..Filter::default()
    };
    assert!(
        walk((pool, serving), &nobody, Sort::default(), false)
            .await
            .is_empty()
    );

    let forged = Keyset {
        field: SortField::CreatedAt,
        value: Some(i64::MAX),
        id: Uuid::nil(),
    };
    let refused = page(
        pool,
        serving,
        &everything,
        Sort::default(),
        two(Some(&forged), false),
    )
    .await;
    assert!(matches!(refused, Err(PageError::BadKeyset)), "{refused:?}");
    let by_number = Sort {
        field: SortField::Number,
        descending: true,
    };
    let refused = page(pool, serving, &everything, by_number, two(Some(&forged), false)).await;
    assert!(matches!(refused, Err(PageError::OtherSort)), "{refused:?}");
    projections.stop().await;
}
