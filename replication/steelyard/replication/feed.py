"""Private events: whom an event concerns, and the last entries for gateways that come back."""

from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from itertools import islice
from typing import Any, Final, get_args

import msgspec

from steelyard.core.entry import Applied
from steelyard.core.events import AdlSettled, AnyEvent, LossShared
from steelyard.core.units import AccountId
from steelyard.core.wire import decode_applied

#: Attaching may read the whole ring between two turns: 16 MiB take about 0.2 s.
BYTES_MAX: Final = 16 << 20
ENTRIES_MAX: Final = 20_000

#: An event concerns the accounts that it names, whatever it calls them.
_CONCERNED: Final = {
    kind: tuple(field.name for field in msgspec.structs.fields(kind) if field.type is AccountId)
    for kind in get_args(AnyEvent)
}
#: Those that name accounts in rows, too.
_IN_ROWS: Final[dict[type, Callable[[Any], Iterable[AccountId]]]] = {
    AdlSettled: lambda event: (row.account for row in event.givers),
    LossShared: lambda event: (account for account, _, _ in event.shares),
}


def private_events(applied: Applied, accounts: Container[int]) -> list[tuple[int, AnyEvent]]:
    """Return the events of an entry that concern ``accounts``, each with its number within the entry.

    What was due before the entry's requests comes first.
    """
    found: list[tuple[int, AnyEvent]] = []
    for number, event in enumerate(applied.events()):
        for name in _CONCERNED[type(event)]:
            if getattr(event, name) in accounts:
                found.append((number, event))
                break
        else:
            in_rows = _IN_ROWS.get(type(event))
            if in_rows is not None and any(account in accounts for account in in_rows(event)):
                found.append((number, event))
    return found


class Feed:
    """The newest applied entries, as bytes, within bounds of count and size."""

    def __init__(self, complete_after: int) -> None:
        """Begin empty: entries above ``complete_after`` will be here."""
        self._entries: deque[tuple[int, bytes]] = deque()
        self._bytes = 0
        self.complete_after = complete_after
        """Every entry above this index, as far as applied, is held."""

    def append(self, index: int, applied: bytes) -> None:
        """Keep the encoded ``Applied`` of the next entry, and let the oldest go."""
        self._entries.append((index, applied))
        self._bytes += len(applied)
        while self._bytes > BYTES_MAX or len(self._entries) > ENTRIES_MAX:
            self.complete_after, dropped = self._entries.popleft()
            self._bytes -= len(dropped)

    def since(
        self, after_index: int, accounts: Container[int]
    ) -> Iterator[tuple[int, int, list[tuple[int, AnyEvent]]]]:
        """Yield (index, time, events) of the held entries above ``after_index`` that concern ``accounts``."""
        for index, encoded in self.entries(after_index):
            applied = decode_applied(encoded)
            events = private_events(applied, accounts)
            if events:
                yield index, applied.time_ns, events

    def entries(self, after_index: int) -> Iterator[tuple[int, bytes]]:
        """Yield (index, encoded ``Applied``) of the held entries above ``after_index``, oldest first."""
        newer = 0
        for index, _ in reversed(self._entries):
            if index <= after_index:
                break
            newer += 1
        return islice(self._entries, len(self._entries) - newer, None)
