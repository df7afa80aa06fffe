// relay-compiler and relay-runtime: a paged list, two mutations, a subscription, and the store in which they meet.
import { createRequire } from 'node:module';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const require = createRequire(import.meta.url);
const relay = require('relay-runtime');
const { createOperationDescriptor, commitMutation, fetchQuery, getSingularSelector, requestSubscription } = relay;

/** Artifacts of relay-compiler, by operation. */
function artifact(name) {
  return require(`./__generated__/${name}.graphql.js`);
}

function environment(url, headers) {
  const socket = createClient({
    url: url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: headers,
    retryAttempts: 0,
  });
  const post = async ({ text: query }, variables) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables }),
    });
    return response.json();
  };
  const subscribe = ({ text: query }, variables) =>
    relay.Observable.create((sink) => socket.subscribe({ query, variables }, sink));
  const network = relay.Network.create(post, subscribe);
  return { environment: new relay.Environment({ network, store: new relay.Store(new relay.RecordSource()) }), socket };
}

function commit(environment, mutation, variables) {
  return new Promise((onCompleted, onError) =>
    commitMutation(environment, {
      mutation,
      variables,
      onCompleted: (response, errors) => (errors ? onError(errors) : onCompleted(response)),
      onError,
    }),
  );
}

export async function relayClient({ url, headers, check, key }) {
  const { environment: relayEnvironment, socket } = environment(url, headers);
  const page = artifact('operationsPageQuery');
  await fetchQuery(relayEnvironment, page, { count: 2, cursor: null }).toPromise();
  const operation = createOperationDescriptor(page, { count: 2, cursor: null });
  const root = relayEnvironment.lookup(operation.fragment).data;
  const fragment = getSingularSelector(artifact('operations_orders'), root);
  const { orders } = relayEnvironment.lookup(fragment).data;
  check(orders.edges.length === 2 && orders.edges[0].node.id, 'relay reads a page of a connection', orders);
  check(typeof orders.pageInfo.endCursor === 'string', 'relay finds the page info that it asked for by itself', orders);

  const created = await commit(relayEnvironment, artifact('operationsCreateMutation'), {
    input: { channel: 'web', currency: 'KWD', locale: 'ar-KW', idempotencyKey: `${key}-relay` },
  });
  const { id } = created.createOrder.order;
  check(created.createOrder.userErrors.length === 0 && id, 'relay creates an order', created);

  const seen = new Promise((resolve, reject) => {
    const subscription = requestSubscription(relayEnvironment, {
      subscription: artifact('operationsChangesSubscription'),
      variables: { id },
      onNext: async ({ orderUpdated }) => {
        if (orderUpdated.event?.type === 'order.line_added') {
          subscription.dispose();
          resolve(orderUpdated);
        } else if (!orderUpdated.event) {
          await commit(relayEnvironment, artifact('operationsAddLineMutation'), {
            input: {
              order: id,
              line: { sku: 'DATES', name: 'Dates', quantity: 3, unitPrice: { amountMinor: '1250', currency: 'KWD' } },
            },
          }).catch(reject);
        }
      },
      onError: reject,
    });
  });
  const update = await seen;
  check(update.order.totals.grand.amount === '3.750', 'relay is told of a change', update);
  const record = relayEnvironment.getStore().getSource().get(id);
  check(record && record.status === 'DRAFT', 'relay keeps one record of the order, by its id', record);
  await socket.dispose();
}
