"""Cancel on disconnect: countdowns that this gateway arms again for as long as its streams live."""

import asyncio
import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from steelyard.core import commands
from steelyard.core.entry import AnyReply, Refused, Request
from steelyard.core.limits import COUNTDOWN_NS_MAX
from steelyard.core.units import AccountId, KeyId, SessionId
from steelyard.core.versions import SPOT_COMPLETE
from steelyard.replication.front import FailureReason
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.status import refusal
from steelyard.rpc.translate_orders import NS_PER_MS

if TYPE_CHECKING:
    from steelyard.rpc.door import Door

log = logging.getLogger(__name__)

#: Shorter than an election, so below it a failover would cancel everything.
LEASE_MS_MIN: Final = 1_000
LEASE_MS_MAX: Final = COUNTDOWN_NS_MAX // NS_PER_MS
#: A countdown is armed again when a third of it has gone, so that two attempts in a row may be lost.
PART: Final = 3

#: Endings after which the client, or the session's newer stream, comes back: the countdown alone decides.
_HANDED_ON: Final = {
    Reason.NOT_LEADER,
    Reason.LEADERSHIP_LOST,
    Reason.NO_LEADER,
    Reason.DRAINING,
    Reason.SESSION_TAKEN_OVER,
}


class Lease(NamedTuple):
    """Whose orders go when a stream does, on whose behalf, and how long after this gateway has died."""

    account: AccountId
    key: KeyId
    countdown_ns: int


class Leases:
    """The streams that cancel on disconnect.

    The account's countdown of all instruments is the gateway's while such a stream lives; where an account
    has several, the shortest counts.  Arming and sweeping need no session, and twice does no harm.
    """

    def __init__(self, door: "Door") -> None:
        self._door = door
        self._leases: dict[object, Lease] = {}
        self._next_s = float("inf")
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def take(self, stream: object, account: AccountId, key: KeyId, lease_ms: int) -> None:
        """Arm the account's countdown, and keep it armed until ``drop``.

        Raises:
            DoorError: The time is out of range, the exchange refuses, or nobody can decide now.

        """
        if not LEASE_MS_MIN <= lease_ms <= LEASE_MS_MAX:
            raise DoorError(
                Reason.MALFORMED, f"cancel on disconnect takes {LEASE_MS_MIN} to {LEASE_MS_MAX} milliseconds"
            )
        state = self._door.link.state
        if state is not None and state.version < SPOT_COMPLETE:
            raise DoorError(Reason.REFUSED, f"cancel on disconnect needs version {SPOT_COMPLETE} in force")
        lease = Lease(account, key, lease_ms * NS_PER_MS)
        shortest = min(lease, self._shortest(account) or lease, key=_length_ns)
        # If there is no reply, it may be armed: then it fires, as for a stream that died.
        index, reply = await self._door.write(_armed(shortest))
        if isinstance(reply, Refused):
            raise refusal(reply.reason, index)
        self._leases[stream] = lease
        self._next_s = min(self._next_s, self._due_s(lease))
        self._wake.set()

    def drop(self, stream: object, ending: DoorError | None) -> None:
        """Cancel the account's orders now; if the stream goes on elsewhere, its countdown decides."""
        lease = self._leases.pop(stream, None)
        if lease is None or (ending is not None and ending.reason in _HANDED_ON):
            return
        left = self._shortest(lease.account)
        sweep = Request(SessionId(0), 0, 0, lease.key, 0, 0, commands.CancelOrders(account=lease.account))
        # What is armed would end orders that come later, on a stream that never asked for it.
        rearm = _armed(left or lease._replace(countdown_ns=0))
        self._door.link.submit([sweep, rearm], _Nobody())

    async def keep(self) -> None:
        """Arm all countdowns again in time, in one go; for ever, until cancelled."""
        while True:
            self._wake.clear()
            wait_s = self._next_s - self._loop.time()
            if wait_s > 0:
                try:
                    async with asyncio.timeout(None if wait_s == float("inf") else wait_s):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                else:
                    continue
            self._rearm()

    def _rearm(self) -> None:
        accounts = {lease.account: None for lease in self._leases.values()}
        shortest = [lease for lease in map(self._shortest, accounts) if lease is not None]
        self._next_s = min(map(self._due_s, shortest), default=float("inf"))
        if shortest and self._door.leads:
            self._door.link.submit([_armed(lease) for lease in shortest], _Nobody())

    def _due_s(self, lease: Lease) -> float:
        return self._loop.time() + lease.countdown_ns / PART / 1e9

    def _shortest(self, account: AccountId) -> Lease | None:
        of_account = [lease for lease in self._leases.values() if lease.account == account]
        return min(of_account, key=_length_ns, default=None)


class _Nobody:
    """Waits for replies that change nothing here; what is refused is told to the operator."""

    def replied(self, index: int, reply: AnyReply) -> None:
        """Note a refusal: the key was revoked, or its account is no more."""
        if isinstance(reply, Refused):
            log.info("cancel on disconnect, log index %d: %s", index, reply.reason.name)

    def failed(self, reason: FailureReason) -> None:
        """Note that nothing is known; what is armed fires by itself."""
        log.info("cancel on disconnect: no reply (%s)", reason.name)


def _length_ns(lease: Lease) -> int:
    return lease.countdown_ns


def _armed(lease: Lease) -> Request:
    command = commands.ArmCountdown(account=lease.account, countdown_ns=lease.countdown_ns)
    return Request(SessionId(0), 0, 0, lease.key, 0, 0, command)
