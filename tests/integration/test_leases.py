"""Cancel on disconnect at the door: armed, kept armed, swept when the stream ends for good."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from tests.helpers.door import buy, client, run
from tests.helpers.stub_replica import ALICE, Door, open_door

from steelyard.client import Malformed, Rejected
from steelyard.core.commands import ActivateVersion
from steelyard.core.units import AccountId, InstrumentId

EVERYTHING = InstrumentId(0)


def spot_complete(door: Door) -> None:
    """Switch the exchange behind the door to version 2."""
    door.stub.do(ActivateVersion(version=2))
    door.stub.tell()


def armed(door: Door) -> int:
    """Return when Alice's countdown fires; zero: never."""
    return door.stub.exchange.state.countdowns.get((AccountId(ALICE), EVERYTHING), 0)


def living(door: Door) -> int:
    """Return how many of Alice's orders live."""
    return len(door.stub.exchange.state.accounts[AccountId(ALICE)].orders)


async def until_no_order_lives(door: Door) -> None:
    """Wait for the sweep."""
    while living(door) or armed(door):
        await asyncio.sleep(0.01)


def test_orders_go_when_the_session_is_closed_and_nothing_stays_armed(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as alice:
            spot_complete(door)
            session = await alice.session("main", cancel_on_disconnect=timedelta(seconds=10))
            assert armed(door) > 0
            await session.submit_many([buy(1), buy(2)])
            assert living(door) == 2
            await session.close()
            await until_no_order_lives(door)

    run(check())


def test_a_living_stream_is_armed_again_before_its_time(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as alice:
            spot_complete(door)
            await alice.session("main", cancel_on_disconnect=timedelta(seconds=1))
            first_ns = armed(door)
            while armed(door) == first_ns:
                await asyncio.sleep(0.01)
            assert armed(door) > first_ns

    run(check())


def test_orders_stay_when_the_stream_goes_on_at_another_node(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as alice:
            spot_complete(door)
            session = await alice.session("main", cancel_on_disconnect=timedelta(seconds=10))
            await session.submit_many([buy(1)])
            door.stub.lose_leadership(2, "127.0.0.1:1")
            while session.leader is not None:
                await asyncio.sleep(0.01)
            assert living(door) == 1
            assert armed(door) > 0
            door.stub.lead(9, door.target)
            await session.submit_many([buy(2)])
            assert living(door) == 2

    run(check())


def test_the_shortest_of_an_accounts_streams_counts(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as alice:
            spot_complete(door)
            await alice.session("short", cancel_on_disconnect=timedelta(seconds=5))
            await alice.session("long", cancel_on_disconnect=timedelta(hours=1))
            state = door.stub.exchange.state
            assert 0 < armed(door) - state.time_ns <= 5 * 10**9

    run(check())


@pytest.mark.parametrize("time", [timedelta(milliseconds=999), timedelta(days=1, milliseconds=1)])
def test_a_time_out_of_range_is_malformed(tmp_path: Path, time: timedelta) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as alice:
            spot_complete(door)
            with pytest.raises(Malformed):
                await alice.session("main", cancel_on_disconnect=time)

    run(check())


def test_below_version_2_it_is_refused(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as alice:
            with pytest.raises(Rejected):
                await alice.session("main", cancel_on_disconnect=timedelta(seconds=10))

    run(check())
