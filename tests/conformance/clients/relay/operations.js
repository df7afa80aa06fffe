// What relay-compiler reads; run.mjs uses what it makes of it.
import { graphql } from 'relay-runtime';

graphql`
  query operationsPageQuery($count: Int!, $cursor: String) {
    ...operations_orders
  }
`;

graphql`
  fragment operations_orders on Query @refetchable(queryName: "operationsOrdersQuery") {
    orders(first: $count, after: $cursor, sort: { field: CREATED_AT, descending: true })
      @connection(key: "operations_orders") {
      edges {
        node {
          id
          status
          totals {
            grand {
              amount
              currency
            }
          }
        }
      }
    }
  }
`;

graphql`
  mutation operationsCreateMutation($input: CreateOrderInput!) {
    createOrder(input: $input) {
      order {
        id
        status
        version
      }
      userErrors {
        message
        code
      }
    }
  }
`;

graphql`
  mutation operationsAddLineMutation($input: AddLineInput!) {
    addLine(input: $input) {
      order {
        id
        version
        totals {
          grand {
            amount
            currency
          }
        }
      }
      userErrors {
        message
        code
        ... on IllegalTransition {
          from
        }
      }
    }
  }
`;

graphql`
  subscription operationsChangesSubscription($id: ID!) {
    orderUpdated(id: $id) {
      cursor
      event {
        type
      }
      order {
        id
        status
        totals {
          grand {
            amount
            currency
          }
        }
      }
    }
  }
`;
