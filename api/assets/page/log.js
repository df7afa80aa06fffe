// The raw events: what the log holds, with place, version and payload. For staff.

import { byId, h, keyed } from "./dom.js";
import { readEvents } from "./order.js";
import { at, timeOfDay } from "./text.js";

/** Rows at most; the oldest go. */
const MAX_ROWS = 200;
/** Pages of a stream that are read to find one event's payload. */
const MAX_PAGES = 5;

const place = (event) => `${event.position.partition}:${event.position.offset}`;

export class Log {
  #context;
  #all = true;
  #live = [];
  #one = { id: null, events: [], secret: false, loading: false };
  #frame = 0;

  constructor() {
    for (const [id, all] of [["log-one", false], ["log-all", true]]) {
      byId(id).addEventListener("click", () => this.choose(all));
    }
    this.choose(false);
  }

  use(context) {
    this.#context = context;
  }

  choose(all) {
    this.#all = all;
    byId("log-one").setAttribute("aria-pressed", String(!all));
    byId("log-all").setAttribute("aria-pressed", String(all));
    this.#draw();
  }

  clear() {
    this.#live = [];
    this.#draw();
  }

  /** A message of the stream of all orders. */
  happened({ event, position }) {
    const row = { ...event, position, fresh: true };
    if (this.#live.some((known) => place(known) === place(row))) return;
    this.#live.unshift(row);
    this.#live.length = Math.min(this.#live.length, MAX_ROWS);
    if (this.#all) this.#draw();
  }

  /** The events of the order that is shown. */
  ofOrder(one) {
    this.#one = one;
    if (!this.#all) this.#draw();
  }

  #draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => {
      const rows = (this.#all ? this.#live : this.#one.events).slice(0, MAX_ROWS);
      keyed(byId("log-list"), this.#one.secret ? [] : rows, place, (event, before) => this.#row(event, before));
      byId("log-empty").replaceChildren(...this.#emptiness(rows.length));
    });
  }

  #emptiness(count) {
    if (this.#one.secret) return [h("p", null, h("strong", null, "Raw events are for staff.")), h("p", null, "This token may not read them.")];
    if (count > 0) return [];
    if (this.#all) return [h("p", null, h("strong", null, "Nothing has happened since you came.")), h("p", null, "What any order does from now on appears here.")];
    if (this.#one.loading) return Array.from({ length: 6 }, () => h("div", { class: "bone thin" }));
    return [h("p", null, this.#one.id ? "No events yet." : "Choose an order to see its events.")];
  }

  #row(event) {
    const body = h("div", { class: "payload" });
    const details = h("details", null,
      h("summary", null,
        h("span", { class: "place" }, place(event)),
        h("span", { class: "type" }, event.type),
        h("time", { datetime: event.recordedAt, title: at(event.recordedAt) }, timeOfDay(event.recordedAt))),
      body);
    details.addEventListener("toggle", () => details.open && body.childElementCount === 0 && this.#fill(body, event));
    const open = byId("log-list").querySelector(`[data-key="${CSS.escape(place(event))}"] details`)?.open;
    if (open) details.open = true;
    return h("li", { class: event.fresh ? "fresh" : null }, details);
  }

  async #fill(body, event) {
    const show = (full) => {
      const row = (name, value) => value !== null && value !== undefined && [h("dt", null, name), h("dd", null, String(value))];
      body.replaceChildren(
        h("pre", { tabindex: "0" }, pretty(full.payload)),
        h("dl", null, row("stream", full.stream), row("version", full.version), row("by", `${full.actorKind} ${full.actorId}`),
          row("occurred", full.occurredAt), row("command", full.commandId), row("caused by", full.causationId), row("form", full.schemaVersion),
          full.imported && row("origin", "imported")));
    };
    if (event.payload !== undefined) return show(event);
    body.replaceChildren(h("div", { class: "bone thin" }));
    try {
      show(await find(this.#context.token, event));
    } catch (error) {
      body.replaceChildren(h("p", { class: "note", role: "alert" }, error.message));
    }
  }
}

/** A whole event, of which a message gave the summary. */
async function find(token, event) {
  let after;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { events, endCursor, hasNextPage } = await readEvents(token, event.stream, after);
    const found = events.find((other) => other.version === event.version);
    if (found) return found;
    if (!hasNextPage) break;
    after = endCursor;
  }
  throw new Error("It lies too far back in its stream to be shown here.");
}

/** JSON with line breaks, and numbers as they were written. Not by parsing: a number may be larger than a double holds. */
function pretty(json) {
  let [out, depth, quoted] = ["", 0, false];
  const line = () => `\n${"  ".repeat(depth)}`;
  for (let at = 0; at < json.length; at += 1) {
    const letter = json[at];
    if (quoted) {
      out += letter === "\\" ? letter + json[++at] : letter;
      quoted = letter !== '"';
    } else if (letter === '"') {
      out += letter;
      quoted = true;
    } else if ("{[".includes(letter)) {
      depth += 1;
      out += "}]".includes(json[at + 1]) ? letter : letter + line();
    } else if ("}]".includes(letter)) {
      depth -= 1;
      out += "{[".includes(json[at - 1]) ? letter : line() + letter;
    } else if (letter === ",") out += letter + line();
    else if (letter === ":") out += ": ";
    else if (letter.trim()) out += letter;
  }
  return out;
}
