//! Every limit of the domain, with its unit.
//!
//! They keep an event under 256 KiB whatever a caller sends: the largest, `order.placed`, holds at most
//! [`ORDER_LINES`] lines of about 400 bytes each and two addresses of at most 3 KiB. A limit may grow; it may not
//! shrink, because events that were stored under it are read back through the same types.

/// Lines of one order, removed ones included.
pub const ORDER_LINES: usize = 500;
/// Payments of one order: three attempts are usual, the rest is room for a patient customer.
pub const ORDER_PAYMENTS: u16 = 100;
/// Shipments of one order, cancelled ones included.
pub const ORDER_SHIPMENTS: u16 = 1_000;
/// Returns of one order: as many as it can have shipments.
pub const ORDER_RETURNS: u16 = 1_000;
/// Flags of one order: two signals, each raised anew when its evidence changes. All are kept to tell repetitions.
pub const ORDER_FLAGS: usize = 50;
/// Pieces of evidence of one flag.
pub const FLAG_EVIDENCE: usize = 10;
/// Captures of one payment, failed ones included.
pub const PAYMENT_CAPTURES: u16 = 1_000;
/// Refunds of one payment, failed ones included.
pub const PAYMENT_REFUNDS: u16 = 1_000;
/// Disputes of one payment. A card network allows one a capture; the rest is room for gateways that split them.
pub const PAYMENT_DISPUTES: usize = 1_000;
/// Parcels of one shipment.
pub const SHIPMENT_PARCELS: usize = 100;
/// Scans of one shipment: a carrier reports some tens a parcel; the ids of all are kept to tell repetitions.
pub const SHIPMENT_SCANS: usize = 2_000;
/// One amount of a command, in minor units: ten trillion euros. What an order's payments can come to fits 64 bits with it,
/// and so do the sums of all who count them.
pub const AMOUNT: i64 = 1_000_000_000_000_000;
/// Pieces of one line.
pub const QUANTITY: u32 = 1_000_000;
/// Weight of one piece or parcel in grams: 100 tonnes.
pub const WEIGHT_G: u32 = 100_000_000;
/// A side of a parcel in millimetres: 100 metres.
pub const SIDE_MM: u32 = 100_000;
/// A tax rate in basis points: 1,000 %, above every duty known.
pub const TAX_RATE_BP: u32 = 100_000;
/// A discount in basis points: 100 %.
pub const DISCOUNT_BP: u32 = 10_000;
/// Lines of a street address.
pub const STREET_LINES: usize = 4;

/// Bytes of a short code: a stock-keeping unit, a channel, a location, a carrier's service.
pub const CODE_BYTES: usize = 64;
/// Bytes of a name, also of a line of an address.
pub const NAME_BYTES: usize = 200;
/// Bytes of a customer's id, or an actor's.
pub const CUSTOMER_BYTES: usize = 255;
/// Bytes of a reference that a gateway or carrier gives.
pub const REFERENCE_BYTES: usize = 255;
/// Bytes of a reason.
pub const REASON_BYTES: usize = 500;
/// Bytes of a note, which may have several lines.
pub const NOTE_BYTES: usize = 4_000;
/// Bytes of a URL.
pub const URL_BYTES: usize = 2_000;
/// Bytes of an e-mail address (RFC 5321, 4.5.3.1.3, without the angle brackets).
pub const EMAIL_BYTES: usize = 254;
/// Bytes of a language tag.
pub const LOCALE_BYTES: usize = 35;

/// Minutes that a placed order waits for its payment.
pub const PAYMENT_DUE_MINUTES: i64 = 30;
/// Minutes that a draft lies idle before its customer is reminded.
pub const ABANDONED_IDLE_MINUTES: i64 = 60;
/// Hours between the first reminder and the second.
pub const ABANDONED_AGAIN_HOURS: i64 = 24;
/// Reminders of one draft: who did not come back after two does not want to.
pub const ABANDONED_REMINDERS: u8 = 2;
/// Minutes that a business time may lie in the future: what clocks of two machines may differ by.
pub const FUTURE_MINUTES: i64 = 5;
/// The first year of a business time. RFC 3339 writes none before it, and PostgreSQL's calendar ends not far below.
pub const FIRST_YEAR: i32 = 1;
/// The last year of any time: the last that RFC 3339 writes with four digits.
pub const LAST_YEAR: i32 = 9999;
