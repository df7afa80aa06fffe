// GraphiQL on this server's /graphql, with the token of the page beside it.

import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import { createClient } from "graphql-ws";
import { createRoot } from "react-dom/client";
import "@graphiql/react/style.css";
import "@graphiql/plugin-doc-explorer/style.css";
import "@graphiql/plugin-history/style.css";
import "graphiql/graphiql.css";

globalThis.MonacoEnvironment = { getWorker: (_, name) => new Worker("/graphiql/worker.js", { type: "module", name }) };

/** Where the page keeps its token; the address may bring one here as well. */
const KEY = "docket.token";
const brought = new URLSearchParams(location.hash.slice(1)).get("token");
if (brought) {
  sessionStorage.setItem(KEY, brought.trim());
  history.replaceState(null, "", location.pathname);
}
const authorization = () => {
  const token = sessionStorage.getItem(KEY);
  return token ? { authorization: `Bearer ${token}` } : {};
};

const { protocol, host } = location;
const wsClient = createClient({ url: `${protocol === "https:" ? "wss" : "ws"}://${host}/graphql`, connectionParams: authorization });
const fetcher = createGraphiQLFetcher({
  url: "/graphql",
  wsClient,
  fetch: (url, options) => fetch(url, { ...options, headers: { ...authorization(), ...options.headers }, credentials: "omit" }),
});

const FIRST = `# The newest orders. Ctrl-Enter runs what is at the cursor.
query Orders {
  orders(first: 5) {
    nodes {
      id number status
      paymentStatus fulfillmentStatus
      totals { grand { amount currency } }
    }
  }
}

# What happens from now on.
subscription Changes {
  ordersChanged {
    cursor
    event { type recordedAt }
    order { number status }
  }
}
`;

const token = sessionStorage.getItem(KEY);
createRoot(document.getElementById("graphiql")).render(
  <GraphiQL fetcher={fetcher} defaultQuery={FIRST}>
    <GraphiQL.Logo><a href="/" title="To the orders">{token ? "Docket" : "Docket: no token yet"}</a></GraphiQL.Logo>
  </GraphiQL>,
);
