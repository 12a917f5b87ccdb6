"""A made-up market in the format of a capture, the same for the same seed, for demonstrations and tests."""

import json
import random
from collections.abc import Iterator
from typing import Final

from steelyard.ops.capture import Capture

SYMBOL: Final = "BTCUSDT"
START_NS: Final = 1_700_000_000_000_000_000
STEP_NS: Final = 50_000_000
MIDDLE_TICKS: Final = 600_000
LEVELS: Final = 200
SIZE_MAX_LOTS: Final = 2_000
#: A walk of the middle price per diff, in ticks.
DRIFT_TICKS: Final = 3
#: How many levels near the touch a diff names, and how many trades are printed between two diffs.
CHANGES_MAX: Final = 12
PRINTS_MAX: Final = 3
#: The best prices are recorded after every so many diffs.
TICKER_EVERY: Final = 5


def capture(*, seed: int, diffs: int) -> Capture:
    """Return a market of ``diffs`` steps that anyone with the same seed gets again."""
    return Capture(f"synthetic market, seed {seed}", lambda: lines(seed=seed, diffs=diffs))


def lines(*, seed: int, diffs: int) -> Iterator[bytes]:
    """Yield the lines of a capture: a snapshot, then trades, a diff and the best prices, step by step."""
    market = _Market(random.Random(seed))
    for number, record in enumerate(market.records(diffs)):
        yield f"{START_NS + number * STEP_NS} {json.dumps(record, separators=(',', ':'))}\n".encode()


class _Market:
    """A book around a wandering middle price: one tick is 0.1, one lot 0.001."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._middle_ticks = MIDDLE_TICKS
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._update = 1

    def records(self, diffs: int) -> Iterator[dict[str, object]]:
        self._move(LEVELS)
        yield {
            "lastUpdateId": self._update,
            "bids": [_row(ticks, lots) for ticks, lots in sorted(self._bids.items(), reverse=True)],
            "asks": [_row(ticks, lots) for ticks, lots in sorted(self._asks.items())],
        }
        for number in range(diffs):
            for _ in range(self._chance.randrange(PRINTS_MAX + 1)):
                yield self._trade()
            self._middle_ticks += self._chance.randint(-DRIFT_TICKS, DRIFT_TICKS)
            first = self._update + 1
            bids, asks = self._move(self._chance.randint(1, CHANGES_MAX))
            self._update += len(bids) + len(asks) + 1
            yield _message(
                "depth@100ms",
                {"e": "depthUpdate", "s": SYMBOL, "U": first, "u": self._update, "b": bids, "a": asks},
            )
            if number % TICKER_EVERY == 0:
                yield self._ticker()

    def _move(self, changes: int) -> tuple[list[list[str]], list[list[str]]]:
        """Change levels and take away what the middle price has passed; return both sides' changes."""
        changed: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for book, sign, out in ((self._bids, -1, changed[0]), (self._asks, 1, changed[1])):
            for ticks in [ticks for ticks in book if (ticks - self._middle_ticks) * sign <= 0]:
                del book[ticks]
                out[ticks] = 0
            for _ in range(changes):
                ticks = self._middle_ticks + sign * (1 + int(self._chance.expovariate(1 / (LEVELS / 4))))
                lots = 0 if self._chance.random() < 1 / 4 else self._chance.randint(1, SIZE_MAX_LOTS)
                book[ticks] = out[ticks] = lots
            touch = self._middle_ticks + sign
            book[touch] = out[touch] = self._chance.randint(1, SIZE_MAX_LOTS)
            for ticks in [ticks for ticks, lots in book.items() if lots == 0]:
                del book[ticks]
        bids, asks = changed
        return [_row(*level) for level in bids.items()], [_row(*level) for level in asks.items()]

    def _trade(self) -> dict[str, object]:
        buying = self._chance.random() < 1 / 2
        price_ticks = min(self._asks) if buying else max(self._bids)
        price_ticks += (1 if buying else -1) * self._chance.randrange(3)
        price, size = _row(price_ticks, self._chance.randint(1, SIZE_MAX_LOTS))
        return _message("trade", {"e": "trade", "s": SYMBOL, "p": price, "q": size, "m": not buying})

    def _ticker(self) -> dict[str, object]:
        bid, ask = max(self._bids), min(self._asks)
        best_bid, best_ask = _row(bid, self._bids[bid]), _row(ask, self._asks[ask])
        return _message(
            "bookTicker",
            {
                "u": self._update,
                "s": SYMBOL,
                "b": best_bid[0],
                "B": best_bid[1],
                "a": best_ask[0],
                "A": best_ask[1],
            },
        )


def _row(price_ticks: int, size_lots: int) -> list[str]:
    return [f"{price_ticks // 10}.{price_ticks % 10}", f"{size_lots // 1000}.{size_lots % 1000:03}"]


def _message(stream: str, data: dict[str, object]) -> dict[str, object]:
    return {"stream": f"{SYMBOL.lower()}@{stream}", "data": data}
