"""Private events on their way from the replica to the streams that want them."""

from typing import Final, Protocol

from steelyard.core.units import AccountId
from steelyard.replication.front import Happened
from steelyard.rpc.encode_events import accounts_of, event_fields
from steelyard.rpc.replica_link import ReplicaLink


class Listener(Protocol):
    """A stream that wants an account's events."""

    @property
    def account(self) -> AccountId:
        """Whose."""
        ...

    def events(self, index: int, fields: bytes) -> None:
        """Take the encoded events of one entry."""
        ...


#: (log index, number within the entry) of an event.
Place = tuple[int, int]
#: Above every number within an entry.
_END: Final = 1 << 62
_NOT_YET: Final = (_END, _END)


class PrivateEvents:
    """Who listens to which account, and up to which event each has heard."""

    def __init__(self, link: ReplicaLink) -> None:
        self._link = link
        self._listeners: dict[AccountId, dict[Listener, Place]] = {}

    async def listen(self, listener: Listener, after_index: int) -> int:
        """Send ``listener`` the events above the index returned; zero: from now on.

        The index is ``after_index``, or higher where the node does not hold them all any more.
        """
        listeners = self._listeners.setdefault(listener.account, {})
        listeners[listener] = _NOT_YET
        floor = 0

        def attached(complete_after: int) -> None:
            nonlocal floor
            floor = max(complete_after, after_index)
            if listener in listeners:
                listeners[listener] = (floor, _END)

        await self._link.attach(listener.account, after_index, attached)
        return floor

    def forget(self, listener: Listener) -> None:
        """Send ``listener`` nothing any more."""
        listeners = self._listeners.get(listener.account)
        if listeners is None or listeners.pop(listener, None) is None:
            return
        if not listeners:
            del self._listeners[listener.account]
            self._link.detach(listener.account)

    def happened(self, frame: Happened) -> None:
        """Encode each event once per account, and give it to whoever has not heard of it yet.

        What a listener has heard arrives again when another one of the same account asks for older events.
        """
        fields: dict[AccountId, list[bytes]] = {}
        for number, event in frame.events:
            for account in accounts_of(event):
                if account in self._listeners:
                    encoded = event_fields(frame.index, number, frame.time_ns, event, account)
                    fields.setdefault(account, []).append(encoded)
        if not fields:
            return
        first, last = (frame.index, frame.events[0][0]), (frame.index, frame.events[-1][0])
        for account, encoded_events in fields.items():
            listeners = self._listeners[account]
            joined = b"".join(encoded_events)
            for listener, heard in listeners.items():
                if first > heard:
                    listeners[listener] = last
                    listener.events(frame.index, joined)
