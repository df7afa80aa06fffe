// The list of orders: the newest first, and each row as its order is now.

import { byId, h, keyed } from "./dom.js";
import { query } from "./graphql.js";
import { ago, at, money, orderName, tone, words } from "./text.js";

/** Rows at most; an order that falls off the end is still in its read model. */
export const MAX_ROWS = 50;
/** How long a row that just changed is marked, in milliseconds. */
const FRESH_MS = 2_000;

const ROW = `id number status paymentStatus fulfillmentStatus onHold name customer channel createdAt
  position { offset } totals { grand { amount currency } }`;
const NEWEST = `query($first: Int) { orders(first: $first) { nodes { ${ROW} } pageInfo { hasNextPage } } }`;
const CHANGES = `subscription($after: String) { ordersChanged(after: $after) { cursor position { partition offset }
  event { id type stream kind version occurredAt recordedAt imported } orderId order { ${ROW} } } }`;

/** Who buys, as far as it may be said. */
export const buyer = (order) => order.name ?? order.customer ?? "Guest";

export const time = (instant) => h("time", { datetime: instant, title: at(instant), "data-ago": true }, ago(instant));
export const label = (status, text = words(status)) => h("span", { class: `tag ${tone(status)}` }, text);

export class Orders {
  #rows = new Map();
  #state = "loading";
  #error = null;
  #more = false;
  #selected = null;
  #frame = 0;
  /** Whose list it is; what comes late for who has left is not shown. */
  #following = null;
  #onPick;
  #onArrival;

  constructor({ onPick, onArrival }) {
    this.#onPick = onPick;
    this.#onArrival = onArrival;
    byId("order-list").addEventListener("keydown", moveFocus);
  }

  /** Follows all orders; `onEvent` is told every message. `onLoaded` is told the newest order once the list is there. */
  start({ live, token, patiently, onEvent, onLoaded }) {
    const mine = (this.#following = {});
    const load = async () => {
      const { orders } = await query(token, NEWEST, { first: MAX_ROWS });
      if (this.#following !== mine) return;
      this.#more = orders.pageInfo.hasNextPage;
      for (const order of orders.nodes) this.#put(order, false);
      this.#state = "there";
      this.#draw();
      onLoaded(this.#sorted()[0]?.id);
    };
    const failed = (error) => {
      [this.#state, this.#error] = ["failed", error];
      this.#draw();
    };
    this.#draw();
    return live.follow(CHANGES, {}, {
      onStart: () => patiently(load, failed),
      onMessage: (message) => {
        onEvent(message);
        // A message without its order: it could not be read in time, and is asked for with the others.
        if (message.order) this.#put(message.order, true);
        else patiently(load, failed);
        this.#draw();
      },
      onError: failed,
    });
  }

  select(id) {
    this.#selected = id;
    for (const row of byId("order-list").children) row.firstChild.setAttribute("aria-current", String(row.key === id));
  }

  clear() {
    this.#following = null;
    this.#rows.clear();
    [this.#state, this.#error, this.#more] = ["loading", null, false];
    cancelAnimationFrame(this.#frame);
    this.#paint();
  }

  #put(order, live) {
    const known = this.#rows.get(order.id);
    // An order's events are in one partition, so its offset says which of two answers is the newer one.
    if (known && BigInt(known.order.position.offset) > BigInt(order.position.offset)) return;
    const oldest = this.#rows.size >= MAX_ROWS && this.#sorted().at(-1);
    if (!known && oldest && order.createdAt < oldest.createdAt) return;
    if (!known && oldest) {
      this.#rows.delete(oldest.id);
      this.#more = true;
    }
    this.#rows.set(order.id, { order, changed: live ? Date.now() : 0 });
    if (!known && live) this.#onArrival(order);
  }

  #sorted() {
    const orders = [...this.#rows.values()].map((row) => row.order);
    return orders.sort((a, b) => (a.createdAt < b.createdAt) - (a.createdAt > b.createdAt));
  }

  /** At most once a frame, however fast messages come. */
  #draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#paint());
  }

  #paint() {
    const orders = this.#sorted();
    const row = (order) => this.#row(order, Date.now() - this.#rows.get(order.id).changed < FRESH_MS);
    keyed(byId("order-list"), orders, (order) => order.id, row);
    byId("orders-note").textContent = orders.length === 0 ? "" : this.#more ? `newest ${orders.length}` : String(orders.length);
    byId("orders-empty").replaceChildren(...this.#emptiness(orders.length));
  }

  #emptiness(count) {
    if (this.#state === "failed") return [h("p", { role: "alert" }, h("strong", null, "The orders cannot be shown."), " ", this.#error.message)];
    if (count > 0) return [];
    if (this.#state === "loading") return Array.from({ length: 6 }, () => h("div", { class: "bone" }));
    return [h("p", null, h("strong", null, "No orders yet.")), h("p", null, "Place one, in ", h("a", { href: "/graphiql" }, "GraphiQL"), " or with curl, and it appears here.")];
  }

  #row(order, fresh) {
    const current = String(order.id === this.#selected);
    const pick = () => this.#onPick(order.id);
    return h("li", { class: fresh ? "fresh" : null },
      h("button", { type: "button", class: "row", "aria-current": current, onclick: pick },
        h("span", { class: "row-name" }, h("b", null, orderName(order)), " ", h("span", null, buyer(order))),
        h("span", { class: "row-sum" }, money(order.totals?.grand)),
        h("span", { class: "tags" }, label(order.status ?? "DRAFT"),
          order.onHold && h("span", { class: "tag bad" }, "On hold"),
          order.status !== "DRAFT" && label(order.paymentStatus),
          order.status !== "DRAFT" && label(order.fulfillmentStatus)),
        h("span", { class: "row-time" }, time(order.createdAt))));
  }
}

/** Up and down move between rows, Home and End to the ends. */
function moveFocus(event) {
  const rows = [...byId("order-list").querySelectorAll("button")];
  const here = rows.indexOf(document.activeElement);
  const there = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: rows.length - 1 }[event.key];
  if (there === undefined || here < 0) return;
  event.preventDefault();
  rows[Math.max(0, Math.min(there, rows.length - 1))].focus();
}
