// graphql-codegen: what it generates from the schema is what the server answers, as far as the types say.
import { print } from 'graphql';
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { graphql } from './generated/index.js';

const Orders = graphql(`
  query Orders($first: Int!) {
    orders(first: $first) {
      nodes {
        id
        number
        status
        paymentStatus
        totals {
          grand {
            amountMinor
            currency
          }
        }
        payments {
          status
          captured {
            amount
          }
        }
      }
    }
  }
`);

const Hold = graphql(`
  mutation Hold($input: PlaceHoldInput!) {
    placeHold(input: $input) {
      order {
        id
        onHold
      }
      userErrors {
        __typename
        message
        ... on IllegalTransition {
          from
          allowed
        }
      }
    }
  }
`);

type Options = {
  url: string;
  headers: Record<string, string>;
  check: (condition: unknown, what: string, detail?: unknown) => void;
};

export async function codegenClient({ url, headers, check }: Options): Promise<void> {
  const ask = async <Result, Variables>(document: TypedDocumentNode<Result, Variables>, variables: Variables) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ query: print(document), variables }),
    });
    const { data, errors } = (await response.json()) as { data: Result; errors?: unknown };
    check(!errors, 'a generated operation is answered', errors);
    return data;
  };
  const { orders } = await ask(Orders, { first: 3 });
  const amounts: (string | undefined)[] = orders?.nodes.map((order) => order.totals?.grand.amountMinor) ?? [];
  check(amounts.length > 0 && amounts.every((amount) => typeof amount === 'string'), 'generated types fit the answer', amounts);
  const draft = orders?.nodes.find((order) => order.status === 'DRAFT') ?? orders?.nodes[0];
  const { placeHold } = await ask(Hold, { input: { order: draft?.id ?? '', reason: 'MANUAL' } });
  const told = placeHold?.order?.onHold === true || (placeHold?.userErrors.length ?? 0) > 0;
  check(told, 'a generated mutation is answered', placeHold);
}
