// urql: over HTTP, and its subscriptions over graphql-ws.
import { Client, cacheExchange, fetchExchange, gql, subscriptionExchange } from '@urql/core';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const PAGE = gql`
  query Page($first: Int!, $filter: OrderFilter) {
    orders(first: $first, filter: $filter) {
      nodes {
        id
        status
        paymentStatus
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`;
const CREATE = gql`
  mutation Create($input: CreateOrderInput!) {
    createOrder(input: $input) {
      order {
        id
        status
      }
      userErrors {
        message
      }
    }
  }
`;
const CHANGES = gql`
  subscription Changes {
    ordersChanged {
      cursor
      orderId
      event {
        type
      }
    }
  }
`;

export async function urqlClient({ url, headers, check, key }) {
  const socket = createClient({ url: url.replace(/^http/, 'ws'), webSocketImpl: WebSocket, connectionParams: headers });
  const forwardSubscription = ({ query, variables }) => ({
    subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
  });
  const client = new Client({
    url,
    preferGetMethod: false,
    fetchOptions: { headers },
    exchanges: [cacheExchange, fetchExchange, subscriptionExchange({ forwardSubscription })],
  });
  const page = await client.query(PAGE, { first: 2, filter: { status: ['CONFIRMED', 'COMPLETED', 'PLACED'] } }).toPromise();
  check(!page.error && page.data.orders.nodes.length > 0, 'urql reads a filtered page', page.error ?? page.data);

  const input = { channel: 'web', currency: 'USD', locale: 'en-US', idempotencyKey: `${key}-urql` };
  const drafted = new Promise((resolve, reject) => {
    const { unsubscribe } = client.subscription(CHANGES, {}).subscribe(async ({ data, error }) => {
      if (error) reject(error);
      else if (!data.ordersChanged.event) {
        const created = await client.mutation(CREATE, { input }).toPromise();
        if (created.error) reject(created.error);
      } else if (data.ordersChanged.event.type === 'order.drafted') {
        unsubscribe();
        resolve(data.ordersChanged);
      }
    });
  });
  const change = await drafted;
  const again = await client.mutation(CREATE, { input }).toPromise();
  check(again.data.createOrder.order.id === change.orderId, 'urql repeats a request and gets the same order', again.data);
  await socket.dispose();
}
