// One order: what it is now, and how it came to that, event by event.
//
// The subscription begins before anything is queried, so no event falls between the two; everything is kept by its place
// in the log, so what comes by both ways is there once.

import { byId, h, keyed } from "./dom.js";
import { query } from "./graphql.js";
import { buyer, label, time } from "./orders.js";
import { eventText, money, orderName, words } from "./text.js";

/** Events of an order that are shown at most, and how many are asked for at once. */
export const MAX_EVENTS = 500;
const PAGE = 100;

const ORDER = `id number status paymentStatus fulfillmentStatus onHold holds name customer channel createdAt placedAt
  position { offset } cancelReason totals { subtotal { amount currency } discount { amount currency } shipping { amount currency }
  tax { amount currency } grand { amount currency } }
  lines { line sku name quantity total { amount currency } cancelled shipped delivered }
  payments { id number status gateway method { type brand last4 } amount { amount currency } }
  shipments { id number status parcels { number tracking { carrier trackingNumber } } }`;
const ONE = `query($id: ID!) { order(id: $id) { ${ORDER} } }`;
const CHANGES = `subscription($id: ID!, $after: String) { orderUpdated(id: $id, after: $after) { cursor position { partition offset }
  event { id type stream kind version occurredAt recordedAt imported } orderId order { ${ORDER} } } }`;
const EVENTS = `query($stream: String!, $after: String, $first: Int) { events(stream: $stream, after: $after, first: $first) {
  events { id position { partition offset } type stream kind version schemaVersion payload occurredAt recordedAt commandId
    causationId actorKind actorId imported } endCursor hasNextPage } }`;

/** The events of a stream after a cursor, a page. */
export async function readEvents(token, stream, after) {
  const { events } = await query(token, EVENTS, { stream, after, first: PAGE });
  return events;
}

const offset = (event) => BigInt(event.position.offset);

export class OneOrder {
  #context;
  #stop = null;
  #id = null;
  #order = null;
  #events = new Map();
  #ends = new Map();
  #failure = null;
  #secret = false;
  #frame = 0;
  #onEvents;

  constructor({ onEvents }) {
    this.#onEvents = onEvents;
  }

  /** Who asks and how; before the first `show`. */
  use(context) {
    this.#context = context;
  }

  get id() {
    return this.#id;
  }

  clear() {
    this.#stop?.();
    this.#stop = null;
    [this.#id, this.#order, this.#failure, this.#secret] = [null, null, null, false];
    this.#events.clear();
    this.#ends.clear();
    this.#draw();
  }

  show(id) {
    if (id === this.#id) return;
    this.clear();
    this.#id = id;
    this.#draw();
    const { live, patiently } = this.#context;
    const mine = (act) => (...values) => id === this.#id && act(...values);
    const failed = mine((error) => {
      this.#failure = error;
      this.#draw();
    });
    this.#stop = live.follow(CHANGES, { id }, {
      onStart: () => patiently(() => this.#load(id), failed),
      onMessage: mine((message) => this.#happened(message)),
      onError: failed,
    });
  }

  async #load(id) {
    const { order } = await query(this.#context.token, ONE, { id });
    if (id !== this.#id) return;
    if (!order) throw Object.assign(new Error("There is no such order."), { code: "NOT_FOUND" });
    this.#failure = null;
    this.#take(order);
    const streams = [id, ...order.payments.map((payment) => payment.id), ...order.shipments.map((shipment) => shipment.id)];
    await Promise.all(streams.map((stream) => this.#read(id, stream)));
  }

  #take(order) {
    if (this.#order && BigInt(this.#order.position.offset) > BigInt(order.position.offset)) return;
    this.#order = order;
    this.#draw();
  }

  #happened(message) {
    this.#put({ ...message.event, position: message.position }, true);
    const id = this.#id;
    // The message says that it happened; what exactly is in the log. Without its order, that is asked for as well.
    const read = () => (message.order ? this.#read(id, message.event.stream) : this.#load(id));
    if (message.order) this.#take(message.order);
    this.#context.patiently(read, () => {});
  }

  /** Reads on where a stream was left, until its end. */
  async #read(id, stream) {
    for (let more = true; more && !this.#secret && this.#events.size < MAX_EVENTS; ) {
      let page;
      try {
        page = await readEvents(this.#context.token, stream, this.#ends.get(stream));
      } catch (error) {
        if (error.code !== "FORBIDDEN") throw error;
        this.#secret = true;
        break;
      }
      if (id !== this.#id) return;
      for (const event of page.events) this.#put(event, false);
      if (page.endCursor) this.#ends.set(stream, page.endCursor);
      more = page.hasNextPage;
    }
    this.#draw();
  }

  #put(event, live) {
    const place = event.position.offset;
    const known = this.#events.get(place);
    if (known?.payload !== undefined) return;
    this.#events.set(place, { ...event, fresh: known?.fresh ?? live });
    this.#draw();
  }

  #draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#paint());
  }

  #paint() {
    const [order, id] = [this.#order, this.#id];
    const events = [...this.#events.values()].sort((a, b) => (offset(a) < offset(b) ? 1 : -1));
    byId("order-title").textContent = order ? `Order ${orderName(order)}` : "Order";
    byId("order-empty").replaceChildren(...this.#emptiness());
    byId("order-head").replaceChildren(...(order ? [head(order)] : []));
    byId("order-parts").replaceChildren(...(order ? parts(order) : []));
    byId("timeline-title").hidden = !order || events.length === 0;
    keyed(byId("timeline"), order ? events : [], (event) => event.position.offset, entry);
    this.#onEvents({ id, events, secret: this.#secret, loading: Boolean(id) && !order && !this.#failure });
  }

  #emptiness() {
    if (this.#failure) return [h("p", { role: "alert" }, h("strong", null, "This order cannot be shown."), " ", this.#failure.message)];
    if (!this.#id) return [h("p", null, h("strong", null, "No order chosen.")), h("p", null, "Choose one from the list to see it move.")];
    return this.#order ? [] : Array.from({ length: 4 }, () => h("div", { class: "bone" }));
  }
}

function head(order) {
  const fact = (name, value) => h("div", null, h("dt", null, name), h("dd", null, value));
  const holds = (order.holds ?? []).map((reason) => h("span", { class: "tag bad" }, `On hold: ${words(reason).toLowerCase()}`));
  return h("div", { class: "head" },
    h("div", { class: "head-top" },
      h("p", { class: "head-name" }, h("b", null, orderName(order)), h("span", null, buyer(order))),
      h("p", { class: "head-sum" }, money(order.totals?.grand))),
    h("p", { class: "note" }, order.channel, " · ", order.placedAt ? "placed " : "begun ", time(order.placedAt ?? order.createdAt)),
    h("dl", { class: "facts" },
      fact("Order", label(order.status ?? "DRAFT")),
      fact("Payment", label(order.paymentStatus)),
      fact("Fulfilment", label(order.fulfillmentStatus))),
    holds.length > 0 && h("p", { class: "tags" }, holds),
    order.cancelReason && h("p", { class: "note" }, order.cancelReason));
}

function parts(order) {
  const line = (item) => h("tr", null,
    h("td", { class: "count" }, `${item.quantity} ×`),
    h("td", null, h("span", { class: "what" }, item.name), h("span", { class: "note" }, item.sku, item.cancelled > 0 && ` · ${item.cancelled} cancelled`)),
    h("td", { class: "sum" }, money(item.total)));
  const extra = (name, value) => Number(value?.amount ?? 0) !== 0 && h("tr", { class: "extra" }, h("td"), h("td", null, name), h("td", { class: "sum" }, money(value)));
  const part = (name, text, status, sum) => h("li", null, h("span", { class: "what" }, name, text && h("span", { class: "note" }, text)), status && label(status), sum && h("span", { class: "sum" }, sum));
  const paid = (payment) => part(`Payment ${payment.number}`, [words(payment.method?.type ?? ""), payment.method?.last4 && `…${payment.method.last4}`, payment.gateway].filter(Boolean).join(" · "), payment.status, money(payment.amount));
  const sent = (shipment) => part(`Shipment ${shipment.number}`, shipment.parcels.map(({ tracking }) => `${tracking.carrier} ${tracking.trackingNumber}`).join(", "), shipment.status);
  const { lines, payments, shipments, totals } = order;
  return [
    lines?.length > 0 && h("table", { class: "lines" }, h("caption", { class: "unseen" }, "Lines"), h("tbody", null, lines.map(line),
      extra("Discount", totals?.discount), extra("Shipping", totals?.shipping), extra("Tax", totals?.tax))),
    payments?.length + shipments?.length > 0 && h("ul", { class: "parts", "aria-label": "Payments and shipments" }, payments.map(paid), shipments.map(sent)),
  ].filter(Boolean);
}

function entry(event) {
  const kind = event.kind.toLowerCase();
  return h("li", { class: `entry ${kind}${event.fresh ? " fresh" : ""}` },
    h("span", { class: "mark", "aria-hidden": "true" }),
    h("span", { class: "what" }, eventText(event.type), event.actorId && h("span", { class: "note" }, `${event.actorKind} ${event.actorId}`)),
    time(event.occurredAt));
}
