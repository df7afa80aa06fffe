//! `docket forget`: destroys a person's key, then says so in each of their orders.
//!
//! The key goes first: from then on nothing of it can be read. The orders' events follow under command ids that depend
//! on the subject and the order alone, so it can be run again after a crash and says the same thing once. One order that
//! does not take its event keeps the others from nothing.

use crate::{
    app::Database,
    catch_up::{CatchUpError, catch_up},
    cli::chain,
    config::Config,
};
use clap::Args;
use docket_domain::{
    Actor, Command, CustomerId, Event, OrderEvent, OrderId, Role, StreamId, Subject, Version,
    order::ForgetPersonalData,
};
use docket_event_store::{
    ExecuteError, FeedError, Origin, PersonalError, Request, RequestHash, Store, command_id,
};
use docket_projections::{
    Serving, dead_letter,
    read_models::{
        list::Part,
        order_summary::{self, Filter, PageError, Sort, SortField},
    },
};
use serde_json::json;
use std::{error::Error, process::ExitCode};

/// What an order says of whom is forgotten.
const FORGOTTEN: &str = "order.personal_data_forgotten";
/// Orders that are asked for at once.
const PAGE: usize = 100;

/// `docket forget`.
#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// `customer:ID` for everything of a customer, `order:UUID` for an order without one.
    subject: Subject,
}

/// Why nobody was forgotten, or not in every order.
#[derive(Debug, thiserror::Error)]
enum ForgetError {
    /// It is sealed with the customer's key.
    #[error(
        "nothing was destroyed: {order} is an order of a customer; forget {customer} in all their orders"
    )]
    OfCustomer { order: OrderId, customer: Subject },
    #[error("nothing was destroyed: there is no order {0}")]
    NoSuchOrder(OrderId),
    #[error("nothing was destroyed: the first event of order {0} cannot be decoded")]
    Undecodable(OrderId),
    #[error("nothing was destroyed: the order cannot be read")]
    Read(#[from] FeedError),
    #[error("the key may not be destroyed; run it again")]
    Destroy(#[from] PersonalError),
    /// Which orders there are is asked of the read models.
    #[error("the key is destroyed, but the orders do not say so yet; run it again")]
    NotFed(#[from] CatchUpError),
    #[error("the key is destroyed, but the orders do not say so yet; run it again")]
    List(#[from] PageError),
    #[error("the key is destroyed, but the orders do not say so yet; run it again")]
    Letters(#[from] sqlx::Error),
    #[error("the key is destroyed, but the orders do not say so yet; run it again")]
    Lacking(#[source] FeedError),
}

/// What came of it.
struct Forgotten {
    /// A key was destroyed by this run.
    destroyed: bool,
    /// Orders that hold the event now.
    orders: usize,
    /// Those that do not, and why.
    failed: Vec<(OrderId, ExecuteError)>,
    /// Those whose names the search may still find: their events wait as dead letters.
    searched: Vec<OrderId>,
}

pub(crate) async fn run(config: &Config, args: &ForgetArgs, json: bool) -> Result<ExitCode, Box<dyn Error>> {
    let database = Database::open(config).await?;
    let store = database.store(config).await?;
    let forgotten = forget(&store, config, &args.subject).await;
    store.close().await;
    database.close().await?;
    let forgotten = forgotten?;
    forgotten.print(&args.subject, json);
    Ok(if forgotten.failed.is_empty() && forgotten.searched.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Forgotten {
    fn print(&self, subject: &Subject, json: bool) {
        let Self {
            destroyed,
            orders,
            failed,
            searched,
        } = self;
        if json {
            let failed = failed
                .iter()
                .map(|(order, error)| json!({"order": order, "error": chain(error)}))
                .collect::<Vec<_>>();
            println!(
                "{}",
                json!({"subject": subject, "keyDestroyed": destroyed, "orders": orders, "failed": failed,
                       "searched": searched})
            );
            return;
        }
        let key = if *destroyed {
            "The key is destroyed"
        } else {
            "There was no living key"
        };
        println!("{key}; {orders} orders say so.");
        for (order, error) in failed {
            println!("{order} does not: {}", chain(error));
        }
        for order in searched {
            println!(
                "{order} may still be found by a name: see `docket dead-letters show order_search {order}`."
            );
        }
        if !failed.is_empty() {
            println!("Run it again for the other {}.", failed.len());
        }
    }
}

async fn forget(store: &Store, config: &Config, subject: &Subject) -> Result<Forgotten, ForgetError> {
    // Whatever is wrong with the order is found out before anything is gone.
    if let Subject::Order(order) = subject {
        check_subject(store, *order).await?;
    }
    let destroyed = store.vault().destroy(subject).await?;
    let orders = match subject {
        Subject::Order(order) => vec![*order],
        Subject::Customer(customer) => orders_of(store, config, customer).await?,
    };
    let mut forgotten = Forgotten {
        destroyed,
        orders: 0,
        failed: Vec::new(),
        searched: Vec::new(),
    };
    for order in &orders {
        match append(store, subject, *order).await {
            Ok(()) => forgotten.orders += 1,
            Err(error) => forgotten.failed.push((*order, error)),
        }
    }
    let lacking = dead_letter::orders(store.pool(), "order_search", Some(FORGOTTEN)).await?;
    forgotten.searched = orders
        .into_iter()
        .filter(|order| lacking.contains(order))
        .collect();
    Ok(forgotten)
}

/// An order is its own subject only where it has no customer: fixed by its first event.
async fn check_subject(store: &Store, order: OrderId) -> Result<(), ForgetError> {
    match subject_of(store, order).await? {
        Subject::Order(_) => Ok(()),
        customer @ Subject::Customer(_) => Err(ForgetError::OfCustomer { order, customer }),
    }
}

/// Whose order it is.
async fn subject_of(store: &Store, order: OrderId) -> Result<Subject, ForgetError> {
    let first = store
        .read_stream(StreamId::order(order), Version::NONE, 1)
        .await?;
    let first = first.first().ok_or(ForgetError::NoSuchOrder(order))?;
    let Ok(Event::Order(OrderEvent::Drafted(drafted))) = &first.event else {
        return Err(ForgetError::Undecodable(order));
    };
    Ok(Subject::of(order, drafted.customer.as_ref()))
}

/// A customer's orders, once the list has reached the log's heads.
async fn orders_of(
    store: &Store,
    config: &Config,
    customer: &CustomerId,
) -> Result<Vec<OrderId>, ForgetError> {
    catch_up(store, config).await?;
    let filter = Filter {
        customer: Some(customer.clone()),
        ..Filter::default()
    };
    let sort = Sort {
        field: SortField::CreatedAt,
        descending: false,
    };
    let serving = Serving::read(store).await.map_err(PageError::Read)?;
    let (mut orders, mut after) = (Vec::new(), None);
    loop {
        let part = Part {
            from: after.as_ref(),
            limit: PAGE,
            backward: false,
        };
        let page = order_summary::page(store.pool(), &serving, &filter, sort, part).await?;
        orders.extend(page.rows.iter().map(|row| row.id));
        match page.rows.last() {
            Some(last) if page.has_more => after = Some(last.keyset(sort.field)),
            _ => break,
        }
    }
    // What the list lacks is asked of the log.
    for order in dead_letter::orders(store.pool(), "order_summary", None).await? {
        let is_theirs = match subject_of(store, order).await {
            Ok(subject) => subject == Subject::Customer(customer.clone()),
            Err(ForgetError::Read(error)) => return Err(ForgetError::Lacking(error)),
            // Whose it is cannot be read, and so nothing that was sealed for them.
            Err(_) => false,
        };
        if is_theirs && !orders.contains(&order) {
            orders.push(order);
        }
    }
    Ok(orders)
}

async fn append(store: &Store, subject: &Subject, order: OrderId) -> Result<(), ExecuteError> {
    let actor = Actor::new(Role::Operator, "forget");
    let request = Request {
        command: Command::from(ForgetPersonalData { order }),
        command_id: command_id::derive(&actor, &format!("{subject} in {order}")),
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
