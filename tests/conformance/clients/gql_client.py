"""Python's gql: a query and a mutation over HTTP, checked against the schema that the server tells, and a subscription.

python gql_client.py URL TOKEN
"""

import asyncio
import sys
import uuid

from gql import Client, gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.websockets import WebsocketsTransport

DEADLINE_S = 30
CREATE = gql(
    """
    mutation Create($input: CreateOrderInput!) {
      createOrder(input: $input) { order { id status } userErrors { message } }
    }
    """
)
CHANGED = gql("subscription Changed($id: ID!) { orderUpdated(id: $id) { cursor event { type } } }")


async def main(url: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    variables = {"input": {"channel": "web", "currency": "JPY", "locale": "ja-JP", "idempotencyKey": str(uuid.uuid4())}}
    async with Client(transport=AIOHTTPTransport(url=url, headers=headers), fetch_schema_from_transport=True) as session:
        create = CREATE
        create.variable_values = variables
        created = (await session.execute(create))["createOrder"]
        assert created["order"]["status"] == "DRAFT", created
        print("ok  gql validates against the schema and creates an order")
    socket = WebsocketsTransport(
        url=url.replace("http", "ws", 1),
        init_payload={"authorization": f"Bearer {token}"},
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
    )
    async with Client(transport=socket) as session:
        changed = CHANGED
        changed.variable_values = {"id": created["order"]["id"]}
        async for message in session.subscribe(changed):
            assert message["orderUpdated"]["cursor"], message
            print("ok  gql follows an order")
            break


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), DEADLINE_S))
