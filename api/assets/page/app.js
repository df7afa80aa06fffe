// Docket's page: orders arriving, one order moving, and the raw events beside it. This file puts the parts together.

import { byId } from "./dom.js";
import { Live } from "./graphql.js";
import { Log } from "./log.js";
import { OneOrder } from "./order.js";
import { buyer, Orders } from "./orders.js";
import { Projections } from "./projections.js";
import * as session from "./session.js";
import { ago, money, orderName, timeOfDay } from "./text.js";

/** How often relative times are written anew, in milliseconds. */
const TICK_MS = 5_000;
/** How often arrivals are told to a screen reader at most, in milliseconds. */
const NEWS_MS = 5_000;
/** How long a query that failed for a passing reason waits before it is asked again, in milliseconds: doubled up to the most. */
const FIRST_WAIT_MS = 1_000;
const MOST_WAIT_MS = 15_000;
/** From this width on, an order is shown without being asked for. In CSS pixels. */
const WIDE = "(min-width: 900px)";

let live = null;
let arrivals = [];

const log = new Log();
const one = new OneOrder({ onEvents: (events) => log.ofOrder(events) });
const projections = new Projections();
const orders = new Orders({ onPick: pick, onArrival: (order) => arrivals.push(order) });

function pick(id, look = true) {
  session.select(id);
  orders.select(id);
  one.show(id);
  if (!look) return;
  view("order");
  byId("order-scroll").scrollTop = 0;
  if (!matchMedia(WIDE).matches) byId("order-title").focus();
}

function view(name) {
  document.body.dataset.view = name;
  for (const button of byId("views").children) button.setAttribute("aria-current", String(button.dataset.to === name));
}

function begin(token) {
  const mine = new Live(token, (state) => live === mine && tell(state));
  live = mine;
  // Asks again while the reason may pass; a token that does not hold ends everything.
  const patiently = async (ask, failed) => {
    for (let wait = FIRST_WAIT_MS; live === mine; wait = Math.min(wait * 2, MOST_WAIT_MS)) {
      try {
        return await ask();
      } catch (error) {
        if (live !== mine) return;
        if (error.code === "UNAUTHENTICATED") return gate("expired");
        if (!error.passing) return failed(error);
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  };
  const context = { live, token, patiently };
  one.use(context);
  log.use(context);
  [byId("desk").hidden, byId("views").hidden, byId("leave").hidden, byId("gate").hidden] = [false, false, false, true];
  const chosen = session.selected();
  orders.start({
    ...context,
    onEvent: (message) => log.happened(message),
    onLoaded: (newest) => !one.id && newest && matchMedia(WIDE).matches && pick(newest, false),
  });
  projections.start(context);
  live.connect();
  if (chosen) pick(chosen, false);
}

/** Ends what runs and asks for a token. */
function gate(why) {
  if (why === "expired") session.forget();
  live?.close();
  live = null;
  for (const part of [orders, one, log, projections]) part.clear();
  [byId("desk").hidden, byId("views").hidden, byId("leave").hidden, byId("gate").hidden] = [true, true, true, false];
  byId("gate-title").textContent = why === "expired" ? "This token no longer holds" : "A token, please";
  byId("gate").dataset.why = why;
  tell({ state: why === "expired" ? "refused" : "closed" });
  byId("gate-token").focus();
}

let shown = { state: "closed", retryAt: null };
let lastLive = null;

function tell(state) {
  if (state.state === "refused" && live) return gate("expired");
  shown = state;
  if (state.state === "live") lastLive = null;
  else lastLive ??= new Date().toISOString();
  const seconds = Math.max(1, Math.ceil(((state.retryAt ?? 0) - Date.now()) / 1000));
  const text = { connecting: "Connecting", live: "Live", waiting: "Reconnecting", refused: "Token refused", closed: "Not connected" }[state.state];
  byId("state").dataset.state = state.state;
  if (byId("state-text").textContent !== text) byId("state-text").textContent = text;
  byId("retry").hidden = state.state !== "waiting";
  const away = state.state === "waiting" || (state.state === "connecting" && !byId("notice").hidden);
  byId("notice").hidden = !away;
  if (state.state === "waiting") {
    const notice = `The server does not answer. This is how things stood at ${timeOfDay(lastLive)}; they go on from there.`;
    if (byId("notice").textContent !== notice) byId("notice").textContent = notice;
    byId("retry").textContent = seconds > 1 ? `Try now (${seconds} s)` : "Try now";
  }
}

function tick() {
  const now = Date.now();
  for (const element of document.querySelectorAll("time[data-ago]")) {
    const text = ago(element.dateTime, now);
    if (element.textContent !== text) element.textContent = text;
  }
}

/** Says what arrived: one order by its name, more by their number. */
function news() {
  if (arrivals.length === 0) return;
  const [order] = arrivals;
  byId("news").textContent = arrivals.length > 1 ? `${arrivals.length} new orders`
    : `New order ${order.number ? orderName(order) : ""} of ${buyer(order)}, ${money(order.totals?.grand)}`;
  arrivals = [];
}

byId("gate-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = byId("gate-token");
  session.keep(field.value);
  field.value = "";
  begin(session.token());
});
byId("leave").addEventListener("click", () => {
  session.forget();
  gate("left");
});
byId("retry").addEventListener("click", () => live?.retry());
for (const button of byId("views").children) button.addEventListener("click", () => view(button.dataset.to));
addEventListener("online", () => live?.retry());
addEventListener("hashchange", () => {
  const before = session.stored();
  const token = session.token();
  if (token !== before) {
    gate("left");
    begin(token);
  } else if (live && session.selected()) pick(session.selected());
});
document.addEventListener("visibilitychange", () => document.hidden || (tick(), live?.retry()));
setInterval(tick, TICK_MS);
setInterval(news, NEWS_MS);
setInterval(() => shown.state === "waiting" && tell(shown), 1_000);

view("orders");
const token = session.token();
if (token) begin(token);
else gate("none");
