//! A stream of messages over the log: replaying from a cursor, then live, without a seam.
//!
//! The feed is read by offset, never listened to: what wakes a stream only says that there may be more. So nothing is
//! lost while a slow client makes it wait, nothing is buffered for it but the page at hand, and a message's cursor is
//! always the offsets that were passed over up to it. Partitions have no order between them; they are read in turn.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use async_graphql::{Context, Object};
use docket_domain::{Currency, CustomerId, OrderId, StreamId, StreamKind, text::Code};
use docket_event_store::{Feed, RecordedEvent};
use docket_projections::read_models::{order_detail, order_timeline::Kind};
use futures::{Stream, stream};
use tokio::sync::watch;

use super::view::{OrderView, only_customer};
use crate::graphql::{
    Services, actor,
    cursor::{LogCursor, Mark},
    error::Refused,
    event::types::EventSummary,
    limits,
    position::{self, Position},
    services, shared,
};

/// Which events a stream shows.
pub(in crate::graphql) enum Scope {
    /// All of one order.
    Order(OrderId),
    /// All of one payment or shipment.
    Stream(StreamId),
    /// Those of orders for which all that is given holds.
    Orders {
        customer: Option<CustomerId>,
        channel: Option<Code>,
        currency: Option<Currency>,
        types: Vec<&'static str>,
    },
}

impl Scope {
    /// Whether an order's own facts decide.
    fn needs_facts(&self) -> bool {
        match self {
            Scope::Order(_) | Scope::Stream(_) => false,
            Scope::Orders {
                customer,
                channel,
                currency,
                ..
            } => customer.is_some() || channel.is_some() || currency.is_some(),
        }
    }

    async fn shows(&self, services: &Services, event: &RecordedEvent) -> Result<bool, Refused> {
        match self {
            Scope::Order(order) => Ok(event.stream.order == *order),
            Scope::Stream(stream) => Ok(event.stream == *stream),
            Scope::Orders {
                customer,
                channel,
                currency,
                types,
            } => {
                if !types.is_empty() && !types.contains(&event.event_type.as_ref()) {
                    return Ok(false);
                }
                if !self.needs_facts() {
                    return Ok(true);
                }
                let Some(facts) = services.facts.of_event(event).await? else {
                    return Ok(false);
                };
                Ok(customer
                    .as_ref()
                    .is_none_or(|customer| facts.customer.as_ref() == Some(customer))
                    && channel.as_ref().is_none_or(|channel| facts.channel == *channel)
                    && currency.is_none_or(|currency| facts.currency == currency))
            }
        }
    }
}

/// A message of a stream: where it stands now, and what happened, unless it only says where it stands.
pub struct Message {
    cursor: String,
    pub(in crate::graphql) event: Option<Arc<RecordedEvent>>,
}

/// What every message of such a stream says.
#[Object]
impl Message {
    /// Give it as `after` to go on after this message.
    async fn cursor(&self) -> &str {
        &self.cursor
    }

    /// Where it happened in the log.
    async fn position(&self) -> Option<Position> {
        self.event.as_ref().map(|event| event.position.into())
    }

    /// What happened.
    async fn event(&self) -> Option<EventSummary> {
        self.event.as_ref().map(|event| EventSummary::of(event))
    }
}

enum Wake {
    /// When the one partition grows.
    Partition(watch::Receiver<i64>),
    /// When any does.
    Any(watch::Receiver<u64>),
}

struct Follow {
    services: Arc<Services>,
    scope: Scope,
    /// What is the shop's own business is passed over.
    is_customers: bool,
    cursor: LogCursor,
    /// Which mark is read next.
    turn: usize,
    page: VecDeque<Arc<RecordedEvent>>,
    wake: Wake,
    /// When the last message was given; none before the first.
    spoke: Option<Instant>,
}

/// The messages after a cursor, or from now on. It begins with the cursor alone, and ends after an error: whoever was
/// following resumes from the last cursor that was given.
pub(in crate::graphql) async fn follow(
    ctx: &Context<'_>,
    scope: Scope,
    partitions: &[u16],
    after: Option<&str>,
) -> Result<impl Stream<Item = async_graphql::Result<Message>> + use<>, Refused> {
    let services = Arc::clone(shared(ctx)?);
    let is_customers = only_customer(actor(ctx)?).is_some();
    let feed = services.store.feed();
    let cursor = match after {
        Some(after) => LogCursor::resume(feed, after, partitions).await?,
        None => LogCursor::now(feed, partitions).await?,
    };
    let wake = match cursor.0.as_slice() {
        [Mark { partition, .. }] => feed.watch(*partition).map(Wake::Partition),
        _ => None,
    };
    let wake = wake.unwrap_or_else(|| Wake::Any(feed.moved()));
    let follow = Follow {
        scope,
        is_customers,
        cursor,
        turn: 0,
        page: VecDeque::new(),
        wake,
        spoke: None,
        services,
    };
    Ok(stream::unfold(Some(follow), |follow| async move {
        let mut follow = follow?;
        match follow.next().await {
            Ok(message) => Some((Ok(message), Some(follow))),
            Err(refused) => Some((Err(refused.into()), None)),
        }
    }))
}

/// All that happens to one order, or to one payment or shipment of it, for who may see the order.
pub(in crate::graphql) async fn follow_one(
    ctx: &Context<'_>,
    id: StreamId,
    after: Option<&str>,
) -> Result<impl Stream<Item = async_graphql::Result<Message>> + use<>, Refused> {
    let services = services(ctx)?;
    let facts = services.facts.of(id.order).await?;
    let facts = facts.ok_or_else(|| Refused::not_found(id))?;
    if let Some(own) = only_customer(actor(ctx)?)
        && facts.customer.as_ref().map(CustomerId::as_str) != Some(own)
    {
        return Err(Refused::not_found(id));
    }
    let scope = match id.kind {
        StreamKind::Order => Scope::Order(id.order),
        StreamKind::Payment | StreamKind::Shipment => Scope::Stream(id),
    };
    // Everything about an order is in one partition; the others do not wake this stream.
    let partition = services.store.partition_of(id.order);
    follow(ctx, scope, &[partition], after).await
}

/// The order that a message is about, no older than the message.
pub(in crate::graphql) async fn order_of(
    ctx: &Context<'_>,
    event: &RecordedEvent,
) -> Result<Option<Arc<OrderView>>, Refused> {
    let (services, order) = (services(ctx)?, event.stream.order);
    position::wait_for(&services.projections, &[order_detail::NAME], &[event.position]).await?;
    let view = services.documents.find(&[order]).await?.remove(&order);
    let actor = actor(ctx)?;
    Ok(view.filter(|view| view.is_for(actor)))
}

impl Follow {
    fn feed(&self) -> &Feed {
        self.services.store.feed()
    }

    async fn next(&mut self) -> Result<Message, Refused> {
        loop {
            let deadline = match self.spoke {
                Some(spoke) => spoke + limits::IDLE_CURSOR,
                None => return Ok(self.say(None)),
            };
            // Passing over what others did is idle too: the cursor moves, and its owner should know.
            if Instant::now() >= deadline {
                return Ok(self.say(None));
            }
            while let Some(event) = self.page.pop_front() {
                self.pass(&event);
                if self.is_customers && Kind::is_type_internal(&event.event_type) {
                    continue;
                }
                if self.scope.shows(&self.services, &event).await? {
                    return Ok(self.say(Some(event)));
                }
            }
            // Seen before reading, so that what comes in while nothing is found wakes at once.
            if let Wake::Any(moved) = &mut self.wake {
                moved.borrow_and_update();
            }
            if self.turn_page().await? {
                // A page may be in memory and all of it somebody else's: let others run as well.
                tokio::task::yield_now().await;
                continue;
            }
            let _ = tokio::time::timeout_at(deadline.into(), self.more()).await;
        }
    }

    fn say(&mut self, event: Option<Arc<RecordedEvent>>) -> Message {
        self.spoke = Some(Instant::now());
        Message {
            cursor: self.cursor.encode(),
            event,
        }
    }

    /// Moves the mark of the event's partition onto it.
    fn pass(&mut self, event: &RecordedEvent) {
        let marks = &mut self.cursor.0;
        if let Some(mark) = marks
            .iter_mut()
            .find(|mark| mark.partition == event.position.partition)
        {
            *mark = Mark {
                offset: event.position.offset,
                event_id: event.event_id,
                ..*mark
            };
        }
    }

    /// The next page of the next partition that has one.
    async fn turn_page(&mut self) -> Result<bool, Refused> {
        let count = self.cursor.0.len();
        for step in 0..count {
            let at = (self.turn + step) % count;
            let Some(&Mark {
                partition, offset, ..
            }) = self.cursor.0.get(at)
            else {
                continue;
            };
            if self.feed().head(partition) <= offset {
                continue;
            }
            let page = self
                .feed()
                .read(partition, offset, limits::SUBSCRIPTION_PAGE)
                .await?;
            if !page.is_empty() {
                if self.scope.needs_facts() {
                    self.services.facts.prepare(&page).await?;
                }
                self.page = page.into();
                self.turn = at + 1;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Resolves when there may be more. A feed that is gone never has more.
    async fn more(&mut self) {
        let gone = match &mut self.wake {
            Wake::Partition(head) => {
                let offset = self.cursor.0.first().map_or(0, |mark| mark.offset);
                head.wait_for(|head| *head > offset).await.is_err()
            }
            Wake::Any(moved) => moved.changed().await.is_err(),
        };
        if gone {
            std::future::pending::<()>().await;
        }
    }
}
