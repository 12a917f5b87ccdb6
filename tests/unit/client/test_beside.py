"""One process may act for many accounts over the same connections."""

import asyncio

from steelyard.client import ApiKey, Client
from steelyard.client.nodes import Nodes

TARGETS = ["127.0.0.1:1", "127.0.0.1:2"]


def test_a_client_beside_another_has_its_own_key_and_the_same_connections() -> None:
    async def look() -> None:
        one, other = ApiKey.generate(1, 1000), ApiKey.generate(2, 1001)
        nodes = Nodes(TARGETS, one, retry_deadline_s=1.0)
        beside = nodes.beside(other)
        assert (nodes.key, beside.key) == (one, other)
        assert beside.targets == nodes.targets
        channel = beside.channel(TARGETS[0])
        assert nodes.channel(TARGETS[0]) is channel

        await beside.close()
        assert nodes.channel(TARGETS[0]) is channel, "whoever opened the connections closes them"
        await nodes.close()
        assert beside.channel(TARGETS[0]) is channel

    asyncio.run(look())


def test_closing_a_client_beside_another_leaves_that_one_at_work() -> None:
    async def look() -> None:
        async with Client(TARGETS, ApiKey.generate(1, 1000)) as client:
            async with client.beside(ApiKey.generate(2, 1001)) as other:
                assert other.key.account == 1001
            statuses = await client.statuses()
            assert [status.reachable for status in statuses] == [False, False]

    asyncio.run(look())
