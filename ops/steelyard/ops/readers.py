"""Readers for drills: questions at every node without end, each answer kept in the history."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final

from steelyard.client import ReadMode
from steelyard.client.admin import read_at
from steelyard.client.client import GET_BALANCES, GET_BOOK
from steelyard.client.errors import OutcomeUnknown
from steelyard.client.nodes import Nodes
from steelyard.ops.history import BalanceRead, BookRead, History
from steelyard.ops.market import OpenedMarket
from steelyard.v1 import account_pb2, market_data_pb2

PAUSE_S: Final = 0.025
#: Longer than any pause of a node: what it answers when it wakes is the most telling of all.
TIMEOUT_S: Final = 12.0
#: What a node that cannot answer now is given.
RETRY_S: Final = 0.1
DEPTH: Final = 5
MODES: Final = (ReadMode.LINEARIZABLE, ReadMode.LINEARIZABLE, ReadMode.AT_LEAST, ReadMode.STALE)


class Readers:
    """One reader at each node, asking in the name of the market's first account."""

    def __init__(self, opened: OpenedMarket, history: History, last_index: Callable[[], int]) -> None:
        self._opened = opened
        self._history = history
        self._last_index = last_index
        self._stopping = asyncio.Event()
        #: Questions that were not answered, by node.
        self.unanswered = [0] * len(opened.targets)
        #: Linearizable answers, by node.
        self.linearizable = [0] * len(opened.targets)

    async def read(self) -> None:
        """Ask until ``stop``; what is refused or lost is only counted."""
        async with asyncio.TaskGroup() as tasks:
            for node in range(len(self._opened.targets)):
                tasks.create_task(self._at(node))

    def stop(self) -> None:
        """Let every reader hear its last answer."""
        self._stopping.set()

    async def _at(self, node: int) -> None:
        key = next(iter(self._opened.keys.values()))
        chance = random.Random(node)
        target = self._opened.targets[node]
        nodes = Nodes([target], key, retry_deadline_s=TIMEOUT_S)
        try:
            while not self._stopping.is_set():
                mode = chance.choice(MODES)
                least = self._last_index() if mode is ReadMode.AT_LEAST else 0
                ask = self._book if chance.random() < 1 / 2 else self._balances
                try:
                    await ask(nodes, node, mode, least, key.account)
                    self.linearizable[node] += mode is ReadMode.LINEARIZABLE
                    wait_s = PAUSE_S
                except OutcomeUnknown:
                    self.unanswered[node] += 1
                    wait_s = RETRY_S
                await asyncio.sleep(wait_s)
        finally:
            await nodes.close()

    async def _book(self, nodes: Nodes, node: int, mode: ReadMode, least: int, _account: int) -> None:
        instrument = self._opened.instrument.instrument
        question = market_data_pb2.GetBookRequest(at=read_at(mode, least), instrument=instrument, depth=DEPTH)
        called_ns = time.monotonic_ns()
        body = await nodes.call_at(
            self._opened.targets[node], GET_BOOK, question.SerializeToString(), TIMEOUT_S
        )
        book = market_data_pb2.GetBookResponse.FromString(body)
        answer = (
            list(zip(book.bid_ticks, book.bid_lots, strict=True)),
            list(zip(book.ask_ticks, book.ask_lots, strict=True)),
        )
        self._history.reads.append(
            BookRead(
                called_ns,
                time.monotonic_ns(),
                mode,
                least,
                node + 1,
                book.log_index,
                instrument,
                DEPTH,
                answer,
            )
        )

    async def _balances(self, nodes: Nodes, node: int, mode: ReadMode, least: int, account: int) -> None:
        question = account_pb2.GetBalancesRequest(at=read_at(mode, least), account=account)
        called_ns = time.monotonic_ns()
        body = await nodes.call_at(
            self._opened.targets[node], GET_BALANCES, question.SerializeToString(), TIMEOUT_S
        )
        found = account_pb2.GetBalancesResponse.FromString(body)
        answer = [(row.asset, row.free_atoms, row.held_atoms) for row in found.balances]
        self._history.reads.append(
            BalanceRead(
                called_ns, time.monotonic_ns(), mode, least, node + 1, found.log_index, account, answer
            )
        )
