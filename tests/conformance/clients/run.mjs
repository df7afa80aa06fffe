// The clients that front ends are built with, each used once against a running server: node clients/run.mjs URL TOKEN
import { apolloClient } from './apollo.mjs';
import { codegenClient } from './codegen/built/client.js';
import { relayClient } from './relay/run.mjs';
import { urqlClient } from './urql.mjs';

const [url, token] = process.argv.slice(2);
const DEADLINE_MS = 60_000;

function check(condition, what, detail) {
  if (!condition) throw new Error(`${what}: ${JSON.stringify(detail)}`);
  console.log(`ok  ${what}`);
}

const deadline = setTimeout(() => {
  console.error(`not finished after ${DEADLINE_MS / 1000} s`);
  process.exit(1);
}, DEADLINE_MS);
const options = { url, headers: { authorization: `Bearer ${token}` }, check, key: `clients-${process.pid}-${Date.now()}` };
try {
  for (const client of [relayClient, apolloClient, urqlClient, codegenClient]) await client(options);
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  clearTimeout(deadline);
}
