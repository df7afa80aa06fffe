//! `docket forget`: destroys a person's key, then says so in each of their orders.
//!
//! The key goes first: from then on nothing of it can be read. The orders' events follow under command ids that depend
//! on the subject and the order alone, so it can be run again after a crash and says the same thing once.

use crate::{app::Database, catch_up::catch_up, config::Config};
use clap::Args;
use docket_domain::{
    Actor, Command, CustomerId, OrderId, Role, State, StreamId, Subject, order::ForgetPersonalData,
};
use docket_event_store::{ExecuteError, Origin, Request, RequestHash, Store, command_id};
use docket_projections::read_models::order_summary::{self, Filter, Sort, SortField};
use serde_json::json;
use std::error::Error;

/// Orders that are asked for at once.
const PAGE: usize = 100;

/// `docket forget`.
#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// `customer:ID` for everything of a customer, `order:UUID` for an order without one.
    subject: Subject,
}

pub(crate) async fn run(config: &Config, args: &ForgetArgs, json: bool) -> Result<(), Box<dyn Error>> {
    let database = Database::open(config).await?;
    let store = database.store(config).await?;
    let forgotten = forget(&store, &args.subject).await;
    store.close().await;
    database.close().await?;
    let (destroyed, orders) = forgotten?;
    if json {
        println!(
            "{}",
            json!({"subject": args.subject, "keyDestroyed": destroyed, "orders": orders})
        );
    } else {
        let key = if destroyed {
            "The key is destroyed"
        } else {
            "There was no living key"
        };
        println!("{key}; {orders} orders say so.");
    }
    Ok(())
}

/// Whether a key was destroyed, and how many orders hold the event now.
async fn forget(store: &Store, subject: &Subject) -> Result<(bool, usize), Box<dyn Error>> {
    if let Subject::Order(order) = subject {
        is_its_own(store, *order).await?;
    }
    let destroyed = store.vault().destroy(subject).await?;
    let orders = match subject {
        Subject::Order(order) => vec![*order],
        Subject::Customer(customer) => orders_of(store, customer).await?,
    };
    for order in &orders {
        append(store, subject, *order).await?;
    }
    Ok((destroyed, orders.len()))
}

/// Checks that an order is the subject of what is personal in it. That of a customer's order is sealed with the customer's
/// key: the order would say that it was forgotten, and still be read.
async fn is_its_own(store: &Store, order: OrderId) -> Result<(), Box<dyn Error>> {
    let folded = store.fold_stream(StreamId::order(order), None).await?;
    let State::Order(folded) = &folded.state else {
        return Ok(());
    };
    match &folded.subject {
        None => Err(format!("there is no order {order}").into()),
        Some(Subject::Order(_)) => Ok(()),
        Some(customer) => {
            Err(format!("the order {order} is sealed with the key of {customer}: forget that").into())
        }
    }
}

/// A customer's orders, once the list has reached the log's heads.
async fn orders_of(store: &Store, customer: &CustomerId) -> Result<Vec<OrderId>, Box<dyn Error>> {
    catch_up(store).await?;
    let filter = Filter {
        customer: Some(customer.clone()),
        ..Filter::default()
    };
    let sort = Sort {
        field: SortField::CreatedAt,
        descending: false,
    };
    let (mut orders, mut after) = (Vec::new(), None);
    loop {
        let page = order_summary::page(store.pool(), &filter, sort, after.as_ref(), PAGE, false).await?;
        orders.extend(page.rows.iter().map(|row| row.id));
        match page.rows.last() {
            Some(last) if page.has_more => after = Some(last.keyset(sort.field)),
            _ => return Ok(orders),
        }
    }
}

async fn append(store: &Store, subject: &Subject, order: OrderId) -> Result<(), ExecuteError> {
    let actor = Actor::new(Role::Operator, "forget");
    let request = Request {
        command: Command::from(ForgetPersonalData { order }),
        command_id: command_id::derive(&actor, &format!("{order}")),
        request_hash: RequestHash::of("forget", subject.to_string().as_bytes()),
        actor,
        expected_version: None,
        occurred_at: None,
        origin: Origin::Live,
        causation_id: None,
        traceparent: None,
    };
    store.execute(request).await.map(|_| ())
}
