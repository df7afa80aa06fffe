// Apollo Client: its cache keeps one object for each id, whether a query, a mutation or a subscription brought it.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import { createClient } from 'graphql-ws';
import { filter, firstValueFrom, share } from 'rxjs';
import WebSocket from 'ws';

const ORDER = gql`
  query Order($id: ID!, $minPosition: [PositionInput!]) {
    order(id: $id, minPosition: $minPosition) {
      id
      version
      status
      lines {
        line
        quantity
      }
    }
  }
`;
const CREATE = gql`
  mutation Create($input: CreateOrderInput!) {
    createOrder(input: $input) {
      order {
        id
        version
        status
      }
      position {
        partition
        offset
      }
      userErrors {
        message
      }
    }
  }
`;
const ADD_LINE = gql`
  mutation AddLine($input: AddLineInput!) {
    addLine(input: $input) {
      order {
        id
        version
        lines {
          line
          quantity
        }
      }
      userErrors {
        code
        message
        ... on VersionConflict {
          expected
          actual
        }
      }
    }
  }
`;
const CHANGED = gql`
  subscription Changed($id: ID!) {
    orderUpdated(id: $id) {
      cursor
      order {
        id
        version
        status
      }
    }
  }
`;

export async function apolloClient({ url, headers, check, key }) {
  const socket = createClient({ url: url.replace(/^http/, 'ws'), webSocketImpl: WebSocket, connectionParams: headers });
  const client = new ApolloClient({
    cache: new InMemoryCache({ possibleTypes: { UserError: ['VersionConflict', 'IllegalTransition'] } }),
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      new GraphQLWsLink(socket),
      new HttpLink({ uri: url, headers }),
    ),
  });
  const input = { channel: 'web', currency: 'EUR', locale: 'en-GB', idempotencyKey: `${key}-apollo` };
  const { createOrder } = (await client.mutate({ mutation: CREATE, variables: { input } })).data;
  const { id } = createOrder.order;
  const { __typename, ...position } = createOrder.position;
  const read = await client.query({ query: ORDER, variables: { id, minPosition: [position] } });
  check(read.data.order.status === 'DRAFT', 'Apollo reads what it wrote', read);

  const changes = client.subscribe({ query: CHANGED, variables: { id } }).pipe(share());
  const changed = firstValueFrom(changes.pipe(filter(({ data }) => data.orderUpdated.order?.version > 1)));
  // The first message says from where on changes are told.
  await firstValueFrom(changes);
  const line = { sku: 'TEA', name: 'Tea', quantity: 2, unitPrice: { amountMinor: '499', currency: 'EUR' } };
  const added = await client.mutate({ mutation: ADD_LINE, variables: { input: { order: id, line, expectedVersion: 1 } } });
  check(added.data.addLine.order.version === 2, 'Apollo adds a line', added);
  const cached = client.readQuery({ query: ORDER, variables: { id, minPosition: [position] } });
  check(cached.order.version === 2 && cached.order.lines.length === 1, "Apollo's cache saw it", cached);

  const conflict = await client.mutate({ mutation: ADD_LINE, variables: { input: { order: id, line, expectedVersion: 1 } } });
  const [error] = conflict.data.addLine.userErrors;
  check(error.__typename === 'VersionConflict' && error.actual === 2, 'Apollo gets a typed conflict with its numbers', error);
  await changed;
  check(true, 'Apollo is told of a change');
  client.stop();
  await socket.dispose();
}
