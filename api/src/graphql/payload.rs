//! What mutations answer: the order, payment or shipment after them, read only where it is asked for.
//!
//! It is what the command left, or folded from the streams, which hold the command for certain, rather than read from a
//! read model, which would have to be waited for.

use std::{borrow::Cow, marker::PhantomData, sync::Arc};

use async_graphql::{Context, ID, Object, Result, TypeName};
use docket_domain::{Event, OrderEvent, PaymentEvent, ShipmentId, StreamKind};
use docket_event_store::{After, Executed};
use docket_projections::read_models::order_detail::OrderDetail;
use tokio::sync::OnceCell;

use super::{
    command::{CommandInput, Outcome},
    error::Refused,
    order::{
        load::{Until, load},
        returns::OrderReturn,
        source::Order,
        view::OrderView,
    },
    payment::types::Payment,
    plain::Plain,
    position::Position,
    services,
    shipment::types::Shipment,
    user_error::UserError,
};

/// What every payload holds.
struct Answer {
    outcome: Outcome,
    order: OnceCell<Option<Order>>,
}

impl Answer {
    fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            order: OnceCell::new(),
        }
    }

    fn executed(&self) -> Option<&Executed> {
        self.outcome.as_ref().ok()
    }

    /// The order after it: as the command left it where its states are all known, else folded from its streams.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        let Some(executed) = self.executed() else {
            return Ok(None);
        };
        let read = || async {
            let services = services(ctx)?;
            let (id, position) = (executed.target.order, executed.position);
            if let Some(After { version, case }) =
                executed.after.as_ref().filter(|after| after.case.is_whole())
            {
                let detail = OrderDetail::of_states(id, position, *version, case);
                let view = OrderView::unsealed(&services.store, detail).await?;
                return Ok(Some(Order::of_states(view)));
            }
            match load(&services.store, id, Until::AtLeast(position.offset)).await? {
                Some(detail) => Ok(Some(Order::of(
                    OrderView::unsealed(&services.store, detail).await?,
                ))),
                None => Ok::<_, Refused>(None),
            }
        };
        let order = self.order.get_or_try_init(read).await;
        // Whatever stands in the way of reading, the command is in the log: a caller who were told that nothing was done
        // would do it once more under another key.
        Ok(order
            .map_err(|refused| refused.although_done(executed.position))?
            .clone())
    }

    async fn view(&self, ctx: &Context<'_>) -> Result<Option<Arc<OrderView>>> {
        match self.order(ctx).await? {
            Some(order) => Ok(Some(order.view(ctx).await?)),
            None => Ok(None),
        }
    }

    /// The number of the payment or shipment that the command was about: its target's, or that of the stream it began.
    fn number(&self, kind: StreamKind) -> Option<u16> {
        let executed = self.executed()?;
        if executed.target.kind == kind {
            return Some(executed.target.number);
        }
        executed
            .events
            .iter()
            .find(|event| event.stream.kind == kind)
            .map(|event| event.stream.number)
    }

    fn facts(&self) -> impl Iterator<Item = &Event> {
        self.executed()
            .into_iter()
            .flat_map(|executed| &executed.events)
            .filter_map(|event| event.event.as_ref().ok())
    }

    fn version(&self) -> Option<i32> {
        self.executed().map(|executed| executed.version.0)
    }

    fn position(&self) -> Option<Position> {
        self.executed().map(|executed| executed.position.into())
    }

    fn user_errors(&self) -> Vec<UserError> {
        self.outcome.as_ref().err().cloned().into_iter().collect()
    }
}

macro_rules! payload {
    ($(#[$doc:meta])* $name:ident { $($field:item)* }) => {
        $(#[$doc])*
        pub struct $name<I> {
            answer: Answer,
            input: PhantomData<fn() -> I>,
        }

        impl<I: CommandInput> $name<I> {
            pub(super) fn new(outcome: Outcome) -> Self {
                Self { answer: Answer::new(outcome), input: PhantomData }
            }
        }

        impl<I: CommandInput> TypeName for $name<I> {
            fn type_name() -> Cow<'static, str> {
                Cow::Borrowed(I::PAYLOAD)
            }
        }

        $($field)*
    };
}

payload! {
    /// The answer of a mutation of an order.
    OrderPayload {
        /// What came of a mutation. Nothing was written where `userErrors` is not empty.
        #[Object(name_type)]
        impl<I: CommandInput> OrderPayload<I> {
            /// The order after it; it may hold later changes of others too.
            async fn order(&self, ctx: &Context<'_>) -> Result<Option<Plain<Order>>> {
                Ok(self.answer.order(ctx).await?.map(Plain))
            }

            /// The version of the order's stream after it.
            async fn version(&self) -> Option<i32> {
                self.answer.version()
            }

            /// The position after it: name it in `minPosition` to read what was written.
            async fn position(&self) -> Option<Position> {
                self.answer.position()
            }

            /// The rule that refused, if one did.
            async fn user_errors(&self) -> Vec<UserError> {
                self.answer.user_errors()
            }
        }
    }
}

payload! {
    /// The answer of a mutation of a return.
    ReturnPayload {
        /// What came of a mutation. Nothing was written where `userErrors` is not empty.
        #[Object(name_type)]
        impl<I: CommandInput> ReturnPayload<I> {
            /// The order after it; it may hold later changes of others too.
            async fn order(&self, ctx: &Context<'_>) -> Result<Option<Plain<Order>>> {
                Ok(self.answer.order(ctx).await?.map(Plain))
            }

            /// The return after it; none where it was so already.
            #[graphql(name = "return")]
            async fn order_return(&self, ctx: &Context<'_>) -> Result<Option<OrderReturn>> {
                let number = self.answer.facts().find_map(|event| match event {
                    Event::Order(OrderEvent::ReturnRequested(requested)) => Some(requested.return_id),
                    Event::Order(OrderEvent::ReturnReceived(received)) => Some(received.return_id),
                    _ => None,
                });
                let Some(number) = number else { return Ok(None) };
                Ok(self.answer.view(ctx).await?.and_then(|view| OrderReturn::of(&view.detail, number)))
            }

            /// The version of the order's stream after it.
            async fn version(&self) -> Option<i32> {
                self.answer.version()
            }

            /// The position after it: name it in `minPosition` to read what was written.
            async fn position(&self) -> Option<Position> {
                self.answer.position()
            }

            /// The rule that refused, if one did.
            async fn user_errors(&self) -> Vec<UserError> {
                self.answer.user_errors()
            }
        }
    }
}

payload! {
    /// The answer of a mutation of a payment.
    PaymentPayload {
        /// What came of a mutation. Nothing was written where `userErrors` is not empty.
        #[Object(name_type)]
        impl<I: CommandInput> PaymentPayload<I> {
            /// The order after it; it may hold later changes of others too.
            async fn order(&self, ctx: &Context<'_>) -> Result<Option<Plain<Order>>> {
                Ok(self.answer.order(ctx).await?.map(Plain))
            }

            /// The payment after it; it may hold later changes of others too.
            async fn payment(&self, ctx: &Context<'_>) -> Result<Option<Payment>> {
                let Some(number) = self.answer.number(StreamKind::Payment) else { return Ok(None) };
                Ok(self.answer.view(ctx).await?.and_then(|view| Payment::of(&view, number)))
            }

            /// The number of the capture that it asked for.
            async fn capture(&self) -> Option<i32> {
                self.answer.facts().find_map(|event| match event {
                    Event::Payment(PaymentEvent::CaptureRequested(capture)) => Some(i32::from(capture.capture.0)),
                    _ => None,
                })
            }

            /// The number of the refund that it asked for.
            async fn refund(&self) -> Option<i32> {
                self.answer.facts().find_map(|event| match event {
                    Event::Payment(PaymentEvent::RefundRequested(refund)) => Some(i32::from(refund.refund.0)),
                    _ => None,
                })
            }

            /// The version after it of the payment's stream, or of the order's where a payment was begun.
            async fn version(&self) -> Option<i32> {
                self.answer.version()
            }

            /// The position after it: name it in `minPosition` to read what was written.
            async fn position(&self) -> Option<Position> {
                self.answer.position()
            }

            /// The rule that refused, if one did.
            async fn user_errors(&self) -> Vec<UserError> {
                self.answer.user_errors()
            }
        }
    }
}

payload! {
    /// The answer of a mutation of a shipment.
    ShipmentPayload {
        /// What came of a mutation. Nothing was written where `userErrors` is not empty.
        #[Object(name_type)]
        impl<I: CommandInput> ShipmentPayload<I> {
            /// The order after it; it may hold later changes of others too.
            async fn order(&self, ctx: &Context<'_>) -> Result<Option<Plain<Order>>> {
                Ok(self.answer.order(ctx).await?.map(Plain))
            }

            /// The shipment after it; it may hold later changes of others too. None before it was created.
            async fn shipment(&self, ctx: &Context<'_>) -> Result<Option<Shipment>> {
                let Some(number) = self.answer.number(StreamKind::Shipment) else { return Ok(None) };
                Ok(self.answer.view(ctx).await?.and_then(|view| Shipment::of(&view, number)))
            }

            /// The shipment's id: `createShipment` takes it after an allocation.
            async fn shipment_id(&self) -> Option<ID> {
                let order = self.answer.executed()?.target.order;
                let allocated = self.answer.facts().find_map(|event| match event {
                    Event::Order(OrderEvent::FulfillmentAllocated(allocated)) => Some(allocated.shipment),
                    _ => None,
                });
                let number = allocated.or_else(|| self.answer.number(StreamKind::Shipment))?;
                Some(ID(ShipmentId::new(order, number).to_string()))
            }

            /// The version after it of the shipment's stream, or of the order's where a shipment was allocated or begun.
            async fn version(&self) -> Option<i32> {
                self.answer.version()
            }

            /// The position after it: name it in `minPosition` to read what was written.
            async fn position(&self) -> Option<Position> {
                self.answer.position()
            }

            /// The rule that refused, if one did.
            async fn user_errors(&self) -> Vec<UserError> {
                self.answer.user_errors()
            }
        }
    }
}
