// Talks to /graphql: queries by fetch, and everything that is followed over one WebSocket (graphql-transport-ws).
//
// A stream that breaks goes on after its last cursor, so nothing is missed and nothing comes twice. One socket carries
// all of them: browsers open six plain connections to a host, and a page that held some of those for event streams would
// starve the other tabs.

/** How long to wait before the first try to connect again, in milliseconds; doubled at each failure up to the most. */
const FIRST_WAIT_MS = 500;
const MOST_WAIT_MS = 15_000;
/** How long a single stream waits before it starts again on a socket that is live, in milliseconds. */
const AGAIN_MS = 1_000;
/** The server says where a stream stands at least every 15 s, so a socket this silent is dead. In milliseconds. */
const SILENCE_MS = 40_000;
/** How long a query may take, in milliseconds: a little above the 30 s after which the server gives up itself. */
const QUERY_MS = 35_000;
/** The codes after which the same request may succeed a little later. */
const PASSING = new Set(["UNAVAILABLE", "OVERLOADED", "RATE_LIMITED", "STALE", "INTERNAL"]);
/** Close codes of the server that say: this token does not hold. */
const REFUSED_TOKEN = new Set([4401, 4403]);

/** A refusal with the code that the API gave. */
export class ApiError extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
  }

  static of(errors) {
    const [first] = errors;
    return new ApiError(first?.message ?? "The server gave no reason.", first?.extensions?.code ?? "UNKNOWN");
  }

  get passing() {
    return PASSING.has(this.code);
  }
}

/** Runs a query. A field that may not be read is null in `data`; a query without data throws. */
export async function query(token, document, variables) {
  let response;
  try {
    response = await fetch("/graphql", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json", Authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: document, variables }),
      signal: AbortSignal.timeout(QUERY_MS),
      credentials: "omit",
    });
  } catch {
    throw new ApiError("The server does not answer.", "UNAVAILABLE");
  }
  const answer = await response.json().catch(() => ({ errors: [{ message: `HTTP ${response.status}` }] }));
  const { data, errors = [] } = answer;
  if (response.status === 401) throw new ApiError("The token does not hold.", "UNAUTHENTICATED");
  if (!data || (errors.length > 0 && Object.values(data).every((field) => field === null))) throw ApiError.of(errors);
  return data;
}

/**
 * One socket and the streams over it.
 *
 * `onState` is told `{state, retryAt}`: connecting, live, waiting (until `retryAt`), refused (the token) or closed.
 */
export class Live {
  #token;
  #onState;
  #socket = null;
  #streams = new Map();
  #numbers = 0;
  #wait = FIRST_WAIT_MS;
  #timer = 0;
  #silence = 0;
  #state = "closed";

  constructor(token, onState) {
    this.#token = token;
    this.#onState = onState;
  }

  get state() {
    return this.#state;
  }

  connect() {
    if (this.#socket || this.#state === "refused") return;
    clearTimeout(this.#timer);
    this.#tell("connecting");
    const { protocol, host } = location;
    const socket = new WebSocket(`${protocol === "https:" ? "wss" : "ws"}://${host}/graphql`, "graphql-transport-ws");
    this.#socket = socket;
    const mine = (handler) => (event) => this.#socket === socket && handler(event);
    socket.onopen = mine(() => this.#send({ type: "connection_init", payload: { authorization: `Bearer ${this.#token}` } }));
    socket.onmessage = mine((event) => this.#received(JSON.parse(event.data)));
    socket.onclose = mine((event) => this.#lost(REFUSED_TOKEN.has(event.code)));
    this.#listen();
  }

  /** Tries at once, for whoever is waiting. */
  retry() {
    if (this.#state !== "waiting") return;
    this.#wait = FIRST_WAIT_MS;
    this.connect();
  }

  /** Ends everything; a new token needs a new `Live`. */
  close() {
    for (const stream of this.#streams.values()) clearTimeout(stream.timer);
    this.#streams.clear();
    this.#drop();
    this.#tell("closed");
  }

  /**
   * Follows a subscription whose document takes `$after` and whose one field has a `cursor`; or one whose messages are whole
   * states, which has none: it begins anew each time, and `onMessage` gets every message.
   *
   * `onStart` is called when a stream begins without a cursor: whatever is shown has to be queried anew, because nothing
   * says what happened before. `onMessage` gets each message with an event; `onError` a refusal that is final. Returns
   * what ends it.
   */
  follow(document, variables, { onStart, onMessage, onError }) {
    const stream = { id: null, document, variables, onStart, onMessage, onError, cursor: null, timer: 0 };
    this.#begin(stream);
    return () => {
      clearTimeout(stream.timer);
      if (this.#streams.delete(stream.id)) this.#send({ type: "complete", id: stream.id });
    };
  }

  #begin(stream) {
    stream.id = String(++this.#numbers);
    this.#streams.set(stream.id, stream);
    if (this.#state === "live") this.#subscribe(stream);
  }

  #subscribe(stream) {
    const variables = { ...stream.variables, after: stream.cursor };
    this.#send({ type: "subscribe", id: stream.id, payload: { query: stream.document, variables } });
  }

  #received(message) {
    this.#listen();
    if (message.type === "connection_ack") {
      this.#tell("live");
      for (const stream of this.#streams.values()) this.#subscribe(stream);
      return;
    }
    if (message.type === "ping") return void this.#send({ type: "pong" });
    const stream = this.#streams.get(message.id);
    if (!stream) return;
    if (message.type === "next") this.#next(stream, message.payload);
    if (message.type === "error") this.#failed(stream, ApiError.of(message.payload));
    if (message.type === "complete") this.#again(stream);
  }

  #next(stream, { data, errors }) {
    const body = data && Object.values(data)[0];
    if (body && !("cursor" in body)) return stream.onMessage(body);
    // What came of one message may be refused while its cursor stands; without a cursor the stream itself failed.
    if (!body?.cursor) return this.#failed(stream, ApiError.of(errors ?? []));
    this.#wait = FIRST_WAIT_MS;
    const begins = stream.cursor === null;
    stream.cursor = body.cursor;
    if (begins) stream.onStart();
    if (body.event) stream.onMessage(body);
  }

  #failed(stream, error) {
    if (error.code === "UNAUTHENTICATED") return this.#lost(true);
    if (error.passing) return this.#again(stream);
    if (stream.cursor !== null) {
      // The log no longer knows the cursor, or it is too old: begin anew, and `onStart` asks for all of it again.
      stream.cursor = null;
      return this.#again(stream);
    }
    this.#streams.delete(stream.id);
    stream.onError(error);
  }

  /** Starts one stream again a little later, under a new id: the old one may still be ending. */
  #again(stream) {
    if (this.#streams.delete(stream.id)) stream.timer = setTimeout(() => this.#begin(stream), AGAIN_MS);
  }

  #listen() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#lost(false), SILENCE_MS);
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#silence);
    clearTimeout(this.#timer);
    socket?.close();
  }

  #lost(refused) {
    this.#drop();
    if (refused) return this.#tell("refused");
    // Between half and all of the wait, so that many pages do not come back in the same moment.
    const wait = this.#wait * (0.5 + Math.random() / 2);
    this.#wait = Math.min(this.#wait * 2, MOST_WAIT_MS);
    this.#timer = setTimeout(() => this.connect(), wait);
    this.#tell("waiting", Date.now() + wait);
  }

  #tell(state, retryAt = null) {
    this.#state = state;
    this.#onState({ state, retryAt });
  }
}
