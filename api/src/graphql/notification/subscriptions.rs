//! Following what somebody is told.
//!
//! A message's cursor is the number of the notification before it, so a stream is resumed by number: what the ledger holds
//! after it, then what comes. The ledger gives numbers in the order in which they become visible, so there is no seam.

use std::time::Instant;

use async_graphql::{Context, Object, Result, Subscription};
use docket_domain::Subject;
use docket_projections::reactors::notifications::{self as ledger, Followed};
use futures::{Stream, stream};

use super::{recipient, types::Notification};
use crate::graphql::{
    Services, actor, cursor::LedgerCursor, error::Refused, limits, position::Position, services,
};

/// A message of a stream of notifications. The first has only a cursor, and so has one each 15 s in which nothing happens.
pub struct NotificationMessage {
    cursor: String,
    notification: Option<Notification>,
}

/// What somebody was told, or only how far the stream has come.
#[Object]
impl NotificationMessage {
    /// Give it as `after` to go on after this message.
    async fn cursor(&self) -> &str {
        &self.cursor
    }

    /// Where what it follows from stands in the log.
    async fn position(&self) -> Option<Position> {
        let notification = self.notification.as_ref()?;
        Some(notification.row().position.into())
    }

    /// What they were told.
    async fn notification(&self) -> Option<Notification> {
        self.notification.clone()
    }
}

struct Stand {
    followed: Followed,
    /// The last that was given, or after which it began.
    cursor: LedgerCursor,
    /// When the last message was given; none before the first.
    spoke: Option<Instant>,
}

impl Stand {
    async fn at(services: &Services, recipient: Subject, after: Option<&str>) -> Result<Stand, Refused> {
        let after = after.map(LedgerCursor::read).transpose()?;
        let pool = services.store.pool();
        if let Some(cursor) = after {
            cursor.check(pool, &recipient).await?;
        }
        let follow = services
            .notifications
            .follow(recipient, after.map(|cursor| cursor.number));
        let followed = follow.await?;
        let cursor = match after {
            Some(cursor) => cursor,
            None => {
                let number = followed.last();
                let event = ledger::at(pool, followed.recipient(), number).await?;
                LedgerCursor::new(number, event.unwrap_or_default())
            }
        };
        Ok(Stand {
            followed,
            cursor,
            spoke: None,
        })
    }

    async fn next(&mut self) -> Result<NotificationMessage, Refused> {
        let Some(spoke) = self.spoke else {
            return Ok(self.say(None));
        };
        let until = spoke + limits::IDLE_CURSOR;
        match tokio::time::timeout_at(until.into(), self.followed.next()).await {
            Ok(next) => {
                let next = next?;
                self.cursor = LedgerCursor::of(&next);
                Ok(self.say(Some(Notification::of(next))))
            }
            Err(_) => Ok(self.say(None)),
        }
    }

    fn say(&mut self, notification: Option<Notification>) -> NotificationMessage {
        self.spoke = Some(Instant::now());
        NotificationMessage {
            cursor: self.cursor.encode(),
            notification,
        }
    }
}

/// Subscriptions to notifications.
#[derive(Default)]
pub struct NotificationSubscriptions;

#[Subscription]
impl NotificationSubscriptions {
    /// What somebody is told, in the order of its numbers.
    async fn notifications(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "Whose: `customer:<id>`, or `order:<uuid>` of an order without a customer. Customers have their own."
        )]
        recipient: Option<String>,
        #[graphql(desc = "Go on after the message, or the notification, with this cursor.")] after: Option<
            String,
        >,
    ) -> Result<impl Stream<Item = Result<NotificationMessage>> + use<>> {
        let recipient = self::recipient(actor(ctx)?, recipient.as_deref())?;
        let stand = Stand::at(services(ctx)?, recipient, after.as_deref()).await?;
        Ok(stream::unfold(Some(stand), |stand| async move {
            let mut stand = stand?;
            match stand.next().await {
                Ok(message) => Some((Ok(message), Some(stand))),
                Err(refused) => Some((Err(refused.into()), None)),
            }
        }))
    }
}
