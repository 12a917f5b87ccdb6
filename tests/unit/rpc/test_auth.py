"""Who may not come in: every fault of a signature, one by one, against the keys of a real exchange."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.helpers.stub_replica import ALICE, GROUP, Door, open_door

from steelyard.client import ApiKey, signing
from steelyard.core.commands import RevokeApiKey
from steelyard.core.units import KeyId
from steelyard.rpc import auth
from steelyard.rpc.auth import AHEAD_NS, WINDOW_NS, Metadata, Verifier
from steelyard.rpc.errors import DoorError, Reason

METHOD = "/steelyard.v1.AccountService/GetBalances"
BODY = b"\x0a\x00"
START_NS = 1_800_000_000_000_000_000
#: After the first second, in which everything is refused.
NOW_NS = START_NS + 60_000_000_000
MS_NS = 1_000_000


class Desk:
    """A verifier with a clock that stands where it is told."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.now_ns = START_NS
        self.verifier = Verifier(door.gateway.door.link, GROUP, "1", lambda: self.now_ns)
        self.now_ns = NOW_NS
        self._nonce = 0

    def signed(
        self,
        key: ApiKey,
        *,
        time_ns: int = NOW_NS,
        group: str = GROUP,
        node: str = "1",
        method: str = METHOD,
        body: bytes = BODY,
        nonce: str | None = None,
    ) -> dict[str, str | bytes]:
        """Return the metadata of a call, right unless told otherwise."""
        self._nonce += 1
        nonce = f"{self._nonce:016x}" if nonce is None else nonce
        text = signing.signed_text(group, node, method, time_ns, nonce, body)
        return {
            signing.KEY: str(key.id),
            signing.NODE: node,
            signing.TIME: str(time_ns),
            signing.NONCE: nonce,
            signing.SIGNATURE: key.sign(text),
        }

    async def reason(self, metadata: Metadata) -> Reason | None:
        """Return why a call is refused, or None if it is let in."""
        try:
            await self.verifier.caller_of(METHOD, BODY, metadata)
        except DoorError as error:
            return error.reason
        return None


Check = Callable[[Desk], Awaitable[None]]


@pytest.fixture
def at_desk(tmp_path: Path) -> Callable[[Check], None]:
    """Run a check against a verifier, and see that the state has not moved."""

    async def run(check: Check) -> None:
        async with open_door(tmp_path) as door:
            before = door.state_digest()
            desk = Desk(door)
            await check(desk)
            assert door.state_digest() == before

    return lambda check: asyncio.run(run(check))


def test_who_signs_with_its_key_comes_in(at_desk: Callable[[Check], None]) -> None:
    async def check(desk: Desk) -> None:
        caller = await desk.verifier.caller_of(METHOD, BODY, desk.signed(desk.door.alice).items())
        assert (caller.key, caller.account, caller.permissions) == (desk.door.alice.id, ALICE, 3)

    at_desk(check)


def test_a_key_that_this_node_has_not_heard_of_yet_is_looked_up_freshly(
    at_desk: Callable[[Check], None],
) -> None:
    async def check(desk: Desk) -> None:
        desk.door.stub.behind = True
        assert await desk.reason(desk.signed(desk.door.alice).items()) is None
        stranger = desk.door.alice.with_id(999, ALICE)
        assert await desk.reason(desk.signed(stranger).items()) is Reason.BAD_CREDENTIALS

    at_desk(check)


def test_every_credential_that_is_wrong_gets_the_one_answer(at_desk: Callable[[Check], None]) -> None:
    async def check(desk: Desk) -> None:
        alice, bob = desk.door.alice, desk.door.bob
        good = desk.signed(alice)
        wrong: dict[str, dict[str, str | bytes]] = {
            "nothing at all": {},
            "an unknown key": desk.signed(alice.with_id(999, ALICE)),
            "key zero": desk.signed(alice.with_id(0, ALICE)),
            "another's key number": desk.signed(alice.with_id(bob.id, ALICE)),
            "another group": desk.signed(alice, group="f" * 32),
            "another method": desk.signed(alice, method="/steelyard.v1.TradingService/PlaceOrder"),
            "another body": desk.signed(alice, body=b"\x0a\x01"),
            "another time than signed": {**good, signing.TIME: str(NOW_NS - 1)},
            "another nonce than signed": {**good, signing.NONCE: "0" * 16},
            "a cut signature": {**good, signing.SIGNATURE: bytes(good[signing.SIGNATURE])[:-1]},  # type: ignore[arg-type]
            "a signature of zeros": {**good, signing.SIGNATURE: bytes(64)},
            "a signature as text": {**good, signing.SIGNATURE: "x" * 64},
            "a key with a sign": {**good, signing.KEY: f"+{alice.id}"},
            "a key with a leading zero": {**good, signing.KEY: f"0{alice.id}"},
            "a key in other digits": {**good, signing.KEY: "\u0661"},
            "an endless number": {**good, signing.TIME: "9" * 5000},
            "a short nonce": desk.signed(alice, nonce="12"),
            "a nonce in capitals": desk.signed(alice, nonce="ABCDEFABCDEFABCD"),
        }
        for name in good:
            wrong[f"without {name}"] = {key: value for key, value in good.items() if key != name}
        for name, metadata in wrong.items():
            assert await desk.reason(metadata.items()) is Reason.BAD_CREDENTIALS, name
        twice = [*good.items(), (signing.KEY, str(alice.id))]
        assert await desk.reason(twice) is Reason.BAD_CREDENTIALS
        assert await desk.reason(good.items()) is None

    at_desk(check)


def test_the_window_is_exact_on_both_sides(at_desk: Callable[[Check], None]) -> None:
    async def check(desk: Desk) -> None:
        key = desk.door.alice
        for time_ns, expected in (
            (NOW_NS - WINDOW_NS - MS_NS, Reason.TIMESTAMP_OUT_OF_WINDOW),
            (NOW_NS - WINDOW_NS - 1, Reason.TIMESTAMP_OUT_OF_WINDOW),
            (NOW_NS - WINDOW_NS, None),
            (NOW_NS - WINDOW_NS + MS_NS, None),
            (NOW_NS + AHEAD_NS - MS_NS, None),
            (NOW_NS + AHEAD_NS - 1, None),
            (NOW_NS + AHEAD_NS, Reason.TIMESTAMP_OUT_OF_WINDOW),
            (NOW_NS + AHEAD_NS + MS_NS, Reason.TIMESTAMP_OUT_OF_WINDOW),
        ):
            assert await desk.reason(desk.signed(key, time_ns=time_ns).items()) is expected, time_ns

    at_desk(check)


def test_nothing_signed_before_the_start_is_taken(at_desk: Callable[[Check], None]) -> None:
    async def check(desk: Desk) -> None:
        desk.now_ns = START_NS + 2 * AHEAD_NS
        recorded = desk.signed(desk.door.alice, time_ns=START_NS + AHEAD_NS - 1)
        assert await desk.reason(recorded.items()) is Reason.TIMESTAMP_OUT_OF_WINDOW
        fresh = desk.signed(desk.door.alice, time_ns=START_NS + AHEAD_NS)
        assert await desk.reason(fresh.items()) is None

    at_desk(check)


def test_a_refused_time_says_what_time_it_is_and_how_long_to_wait(at_desk: Callable[[Check], None]) -> None:
    async def check(desk: Desk) -> None:
        desk.now_ns = START_NS + AHEAD_NS // 4
        early = desk.signed(desk.door.alice, time_ns=desk.now_ns)
        with pytest.raises(DoorError) as caught:
            await desk.verifier.caller_of(METHOD, BODY, early.items())
        assert caught.value.metadata == {"server_time_ns": str(desk.now_ns), "node": "1"}
        assert caught.value.delay_s == 0.75

    at_desk(check)


def test_a_call_signed_for_another_node_is_told_so(at_desk: Callable[[Check], None]) -> None:
    async def check(desk: Desk) -> None:
        elsewhere = desk.signed(desk.door.alice, node="2")
        assert await desk.reason(elsewhere.items()) is Reason.WRONG_NODE
        relabelled = {**elsewhere, signing.NODE: "1"}
        assert await desk.reason(relabelled.items()) is Reason.BAD_CREDENTIALS

    at_desk(check)


def test_a_nonce_works_once_for_as_long_as_its_signature_would(at_desk: Callable[[Check], None]) -> None:
    async def check(desk: Desk) -> None:
        ahead = desk.signed(desk.door.alice, time_ns=NOW_NS + AHEAD_NS - 1)
        assert await desk.reason(ahead.items()) is None
        for later_ns in (0, MS_NS, WINDOW_NS, WINDOW_NS + AHEAD_NS - 1):
            desk.now_ns = NOW_NS + later_ns
            assert await desk.reason(ahead.items()) is Reason.NONCE_REUSED, later_ns
        desk.now_ns = NOW_NS + WINDOW_NS + AHEAD_NS
        assert await desk.reason(ahead.items()) is Reason.TIMESTAMP_OUT_OF_WINDOW
        assert await desk.reason(desk.signed(desk.door.bob, time_ns=desk.now_ns).items()) is None

    at_desk(check)


def test_a_wrong_signature_uses_up_no_nonce(at_desk: Callable[[Check], None]) -> None:
    async def check(desk: Desk) -> None:
        good = desk.signed(desk.door.alice)
        forged = {**good, signing.SIGNATURE: bytes(64)}
        assert await desk.reason(forged.items()) is Reason.BAD_CREDENTIALS
        assert await desk.reason(good.items()) is None

    at_desk(check)


def test_nonces_have_a_limit(at_desk: Callable[[Check], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "NONCES_MAX", 2)

    async def check(desk: Desk) -> None:
        key = desk.door.alice
        assert await desk.reason(desk.signed(key).items()) is None
        assert await desk.reason(desk.signed(key).items()) is None
        assert await desk.reason(desk.signed(key).items()) is Reason.OVERLOADED
        desk.now_ns += WINDOW_NS + AHEAD_NS + 1
        assert await desk.reason(desk.signed(key, time_ns=desk.now_ns).items()) is None

    at_desk(check)


def test_a_revoked_key_and_an_expired_one_do_not_come_in(tmp_path: Path) -> None:
    async def run() -> None:
        async with open_door(tmp_path) as door:
            revoked = door.key(ALICE, 3)
            expiring = door.key(ALICE, 3, expires_ns=NOW_NS + MS_NS)
            door.stub.do(RevokeApiKey(key=KeyId(revoked.id)))
            desk = Desk(door)
            assert await desk.reason(desk.signed(revoked).items()) is Reason.BAD_CREDENTIALS
            assert await desk.reason(desk.signed(expiring).items()) is None
            desk.now_ns += MS_NS
            late = desk.signed(expiring, time_ns=desk.now_ns)
            assert await desk.reason(late.items()) is Reason.BAD_CREDENTIALS

    asyncio.run(run())


def test_a_challenge_is_answered_for_its_nonce_key_and_session_only(at_desk: Callable[[Check], None]) -> None:
    async def check(desk: Desk) -> None:
        alice, nonce = desk.door.alice, bytes(range(32))

        async def reason(key: ApiKey, text: bytes, name: str = "maker") -> Reason | None:
            try:
                await desk.verifier.stream_caller(key.id, key.sign(text), nonce, name)
            except DoorError as error:
                return error.reason
            return None

        good = signing.stream_text(GROUP, "1", nonce, alice.id, "maker")
        assert await reason(alice, good) is None
        for text in (
            signing.stream_text(GROUP, "2", nonce, alice.id, "maker"),
            signing.stream_text("f" * 32, "1", nonce, alice.id, "maker"),
            signing.stream_text(GROUP, "1", bytes(32), alice.id, "maker"),
            signing.stream_text(GROUP, "1", nonce, alice.id + 1, "maker"),
            signing.stream_text(GROUP, "1", nonce, alice.id, "other"),
            b"",
        ):
            assert await reason(alice, text) is Reason.BAD_CREDENTIALS
        assert await reason(alice.with_id(999, ALICE), good) is Reason.BAD_CREDENTIALS

    at_desk(check)
