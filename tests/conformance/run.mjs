// Runs other people's clients against a running server and exits 1 at the first thing that is wrong:
// the audits of graphql-http (61 of them), then graphql-ws and graphql-sse.
//
//   node run.mjs URL [TOKEN] [--query TEXT] [--subscription TEXT] [--variables JSON] [--results N] [--trigger TEXT]
//
// --query         answered with data by all three transports          (default: { __typename })
// --subscription  gives at least --results results                    (default: the toy server's count)
// --variables     of the subscription
// --results       after so many the client leaves; 0 waits for the end (default: 0)
// --trigger       a mutation sent after the first result, for streams that are silent until something happens
import { parseArgs } from 'node:util';
import { auditServer } from 'graphql-http';
import { createClient as createSse } from 'graphql-sse';
import { createClient as createWs } from 'graphql-ws';
import WebSocket from 'ws';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    query: { type: 'string', default: '{ __typename }' },
    subscription: { type: 'string', default: 'subscription { count(to: 3) }' },
    variables: { type: 'string', default: '{}' },
    results: { type: 'string', default: '0' },
    trigger: { type: 'string' },
  },
});
const [url, token] = positionals;
if (!url) {
  console.error('usage: node run.mjs URL [TOKEN] [--query TEXT] [--subscription TEXT] [--variables JSON] [--results N] [--trigger TEXT]');
  process.exit(2);
}
const DEADLINE_MS = 30_000;
const authorization = token ? { authorization: `Bearer ${token}` } : {};
const wanted = Number(options.results);
const subscription = { query: options.subscription, variables: JSON.parse(options.variables) };
const invalid = { query: 'subscription { thisFieldDoesNotExist }' };

function check(condition, what, detail) {
  if (!condition) throw new Error(`${what}: ${JSON.stringify(detail)}`);
  console.log(`ok  ${what}`);
}

async function audits() {
  const fetchFn = (input, init = {}) => fetch(input, { ...init, headers: { ...authorization, ...init.headers } });
  const results = await auditServer({ url, fetchFn });
  const failed = results.filter((result) => result.status !== 'ok');
  for (const result of failed) console.error(`${result.status} ${result.id} ${result.name}: ${result.reason}`);
  console.log(`${results.length - failed.length} of ${results.length}`);
  check(failed.length === 0, 'graphql-http audits', failed.map((result) => result.id));
}

async function trigger() {
  if (!options.trigger) return;
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ query: options.trigger }),
  });
  const answer = await response.json();
  if (answer.errors) throw new Error(`the trigger failed: ${JSON.stringify(answer.errors)}`);
}

// Collects results until the stream ends or enough have come.
async function collect(results, { enough = 0, onFirst = async () => {} } = {}) {
  const collected = [];
  for await (const result of results) {
    collected.push(result);
    if (collected.length === 1) await onFirst();
    if (enough && collected.length >= enough) break;
  }
  return collected;
}

function good(results) {
  const enough = wanted ? results.length >= wanted : results.length > 0;
  return enough && results.every((result) => result.data && !result.errors);
}

async function streams(name, client) {
  const answers = await collect(client.iterate({ query: options.query }));
  check(answers.length === 1 && answers[0].data, `${name} query`, answers);
  const results = await collect(client.iterate(subscription), { enough: wanted, onFirst: trigger });
  check(good(results), `${name} subscription, ${results.length} results`, results);
}

async function webSocket() {
  const client = createWs({
    url: url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: authorization,
    retryAttempts: 0,
  });
  await streams('graphql-ws', client);
  const errors = await collect(client.iterate(invalid)).then(() => null, (reason) => reason);
  check(Array.isArray(errors) && errors[0].message, 'graphql-ws error for an invalid operation', errors);
  await client.dispose();
}

async function eventStream() {
  const client = createSse({ url, headers: authorization, retryAttempts: 0 });
  await streams('graphql-sse', client);
  const results = await collect(client.iterate(invalid));
  check(results.length === 1 && results[0].errors, 'graphql-sse errors for an invalid operation', results);
  client.dispose();
}

const deadline = setTimeout(() => {
  console.error(`not finished after ${DEADLINE_MS / 1000} s`);
  process.exit(1);
}, DEADLINE_MS);
try {
  await audits();
  await webSocket();
  await eventStream();
} catch (error) {
  console.error(error.message ?? error);
  process.exitCode = 1;
} finally {
  clearTimeout(deadline);
}
