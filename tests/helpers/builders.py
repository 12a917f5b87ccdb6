"""A founded group, a market with traders, and short ways to ask them for something."""

from typing import Final

import msgspec

from steelyard.core import Entry, Exchange, Outcome, Reject, Request, snapshot, versions, wire
from steelyard.core.commands import (
    AnyCommand,
    CancelOrder,
    CreateApiKey,
    Deposit,
    FoundGroup,
    FoundGroupAt,
    ListAsset,
    ListInstrument,
    OpenAccount,
    OpenSession,
    OrderTerms,
    PlaceOrder,
    PlaceOrderOnTerms,
    SetInstrumentState,
)
from steelyard.core.entry import ENTRY_VERSION, Accepted, Refused, SessionReady
from steelyard.core.events import AnyEvent
from steelyard.core.queries import AnyAnswer, AnyQuery, answer
from steelyard.core.units import (
    FIRST_CUSTOMER,
    OPERATOR,
    OPERATOR_KEY,
    AccountId,
    AssetId,
    InstrumentId,
    InstrumentState,
    KeyId,
    OrderId,
    OrderKind,
    Permission,
    SessionId,
    Side,
    TimeInForce,
)

ALICE: Final = FIRST_CUSTOMER
BOB: Final = AccountId(1001)
CAROL: Final = AccountId(1002)
BTC: Final = AssetId(1)
USD: Final = AssetId(2)
BTC_USD: Final = InstrumentId(1)

PUBLIC_KEY: Final = bytes(range(32))
READ_TRADE: Final = int(Permission.READ | Permission.TRADE)
#: Log time between two entries.
STEP_NS: Final = 1000
NO_SESSION: Final = SessionId(0)
#: How many replies a client keeps unless told otherwise.
_WINDOW: Final = 100
#: Where the fields that move with every entry stand in a snapshot: applied index, log time, digest.
_POSITION_FIELDS: Final = slice(1, 4)
_SESSIONS_FIELD: Final = 12


class Venue:
    """An exchange with the numbering that clients and leader do for it."""

    def __init__(self) -> None:
        self.exchange = Exchange()
        self.keys: dict[AccountId, KeyId] = {OPERATOR: OPERATOR_KEY}
        self.sessions: dict[AccountId, SessionId] = {}
        self.due: list[AnyEvent] = []
        """What the last entry did before its requests."""
        self._orders: dict[AccountId, int] = {}

    def send(self, *requests: Request, after_ns: int = STEP_NS) -> list[Outcome]:
        """Apply the requests as one entry, through its bytes, and check every invariant."""
        entry = Entry(ENTRY_VERSION, self.exchange.time_ns + after_ns, list(requests))
        applied, _ = self.exchange.apply_bytes(self.exchange.applied_index + 1, wire.encode_entry(entry))
        self.exchange.check_invariants()
        self.due = applied.due
        return applied.outcomes

    def tick(self, after_ns: int = STEP_NS) -> list[AnyEvent]:
        """Apply an entry without requests and return what was due."""
        self.send(after_ns=after_ns)
        return self.due

    def last_request(self, account: AccountId) -> int:
        """Return the last number that the account's session has used up."""
        session = self.exchange.state.sessions.get(self.sessions.get(account, NO_SESSION))
        return 0 if session is None else session.last_request

    def request(
        self,
        account: AccountId,
        command: AnyCommand,
        *,
        number: int | None = None,
        wants_from: int | None = None,
        key: KeyId | None = None,
        session: SessionId | None = None,
        fingerprint: int = 0,
        not_after_ns: int = 0,
    ) -> Request:
        """Return the account's next request, or one that differs from it as told."""
        number = self.last_request(account) + 1 if number is None else number
        return Request(
            self.sessions[account] if session is None else session,
            number,
            max(1, number - _WINDOW) if wants_from is None else wants_from,
            self.keys[account] if key is None else key,
            fingerprint,
            not_after_ns,
            command,
        )

    def ask(self, account: AccountId, command: AnyCommand, *, not_after_ns: int = 0) -> Outcome:
        """Send the account's next request alone."""
        return self.send(self.request(account, command, not_after_ns=not_after_ns))[0]

    def operate(self, command: AnyCommand) -> Outcome:
        """Send the operator's next request alone."""
        return self.ask(OPERATOR, command)

    def sessionless(self, command: AnyCommand, key: KeyId = OPERATOR_KEY) -> Outcome:
        """Send a request without a session."""
        return self.send(Request(NO_SESSION, 0, 0, key, 0, 0, command))[0]

    def open_session(self, account: AccountId, name: str = "main") -> SessionId:
        """Open the account's session and use it from now on."""
        reply = self.sessionless(OpenSession(account=account, name=name), self.keys[account]).reply
        assert isinstance(reply, SessionReady), reply
        self.sessions[account] = reply.session
        return reply.session

    def open_account(self, account: AccountId, permissions: int = READ_TRADE) -> None:
        """Open an account with a key and a session."""
        self.accepted(OpenAccount(account=account))
        self.keys[account] = self.create_key(account, permissions)
        self.open_session(account)

    def create_key(self, account: AccountId, permissions: int = READ_TRADE, expires_ns: int = 0) -> KeyId:
        """Make another key for an account."""
        return KeyId(
            self.accepted(
                CreateApiKey(
                    account=account, public_key=PUBLIC_KEY, permissions=permissions, expires_ns=expires_ns
                )
            )
        )

    def accepted(self, command: AnyCommand) -> int:
        """Have the operator do something that must be accepted; return the id it made, or zero."""
        reply = self.operate(command).reply
        assert isinstance(reply, Accepted), reply
        return reply.made

    def deposit(self, account: AccountId, asset: AssetId, amount_atoms: int) -> None:
        """Credit an account."""
        self.accepted(Deposit(account=account, asset=asset, amount_atoms=amount_atoms))

    def move(self, *states: InstrumentState, instrument: InstrumentId = BTC_USD) -> None:
        """Lead an instrument through states."""
        for state in states:
            self.accepted(SetInstrumentState(instrument=instrument, state=state))

    def place(self, account: AccountId, command: PlaceOrder) -> Outcome:
        """Place an order that was built with ``buy`` or ``sell``, as ``account``."""
        return self.ask(account, msgspec.structs.replace(command, account=account))

    def cancel(self, account: AccountId, order: int) -> Outcome:
        """Cancel by the client's order id."""
        return self.ask(account, CancelOrder(account=account, order=OrderId(order)))

    def query(self, account: AccountId, query: AnyQuery) -> AnyAnswer | Reject:
        """Ask with the account's key."""
        return answer(self.exchange.state, self.keys[account], query)

    def free_atoms(self, account: AccountId, asset: AssetId) -> int:
        """Return what an account can spend."""
        return self.exchange.state.accounts[account].free_atoms(asset)

    def held_atoms(self, account: AccountId, asset: AssetId) -> int:
        """Return what an account's open orders hold."""
        balance = self.exchange.state.accounts[account].balances.get(asset)
        return 0 if balance is None else balance.held_atoms

    def business(self) -> list[object]:
        """Return the state without what every entry moves: the position in the log, and the sessions."""
        fields: list[object] = msgspec.msgpack.decode(snapshot.dump(self.exchange))
        del fields[_SESSIONS_FIELD]
        del fields[_POSITION_FIELDS]
        return fields

    def everything(self) -> list[object]:
        """Return the state without the position in the log."""
        fields: list[object] = msgspec.msgpack.decode(snapshot.dump(self.exchange))
        del fields[_POSITION_FIELDS]
        return fields


def listing(
    *,
    instrument: InstrumentId = BTC_USD,
    symbol: str = "BTC-USD",
    base: AssetId = BTC,
    quote: AssetId = USD,
    tick_mantissa: int = 1,
    tick_decimals: int = 0,
    lot_mantissa: int = 1,
    lot_decimals: int = 0,
    price_max_ticks: int = 100_000,
    size_max_lots: int = 10_000,
    notional_min_atoms: int = 0,
    maker_ppm: int = 0,
    taker_ppm: int = 0,
    market_protection_ppm: int = 50_000,
) -> ListInstrument:
    """Return a listing that is accepted as it stands: without decimals, one atom per tick and lot."""
    return ListInstrument(
        instrument=instrument,
        symbol=symbol,
        base=base,
        quote=quote,
        tick_mantissa=tick_mantissa,
        tick_decimals=tick_decimals,
        lot_mantissa=lot_mantissa,
        lot_decimals=lot_decimals,
        price_max_ticks=price_max_ticks,
        size_max_lots=size_max_lots,
        notional_min_atoms=notional_min_atoms,
        maker_ppm=maker_ppm,
        taker_ppm=taker_ppm,
        market_protection_ppm=market_protection_ppm,
    )


def founded(version: int = versions.FIRST, venue: Venue | None = None) -> Venue:
    """Return a group with an operator and nothing else, founded at a version."""
    venue = Venue() if venue is None else venue
    if version == versions.FIRST:
        venue.sessionless(FoundGroup(group="test", operator_public_key=PUBLIC_KEY))
    else:
        venue.sessionless(FoundGroupAt(group="test", operator_public_key=PUBLIC_KEY, version=version))
    venue.open_session(OPERATOR)
    return venue


def market(
    terms: ListInstrument | None = None,
    *,
    decimals: int = 0,
    funds_atoms: int = 1_000_000,
    version: int = versions.FIRST,
) -> Venue:
    """Return an open market of BTC against USD, and Alice, Bob and Carol with funds in both."""
    venue = founded(version)
    venue.accepted(ListAsset(asset=BTC, symbol="BTC", decimals=decimals))
    venue.accepted(ListAsset(asset=USD, symbol="USD", decimals=decimals))
    venue.accepted(listing() if terms is None else terms)
    venue.move(InstrumentState.POST_ONLY, InstrumentState.OPEN)
    for account in (ALICE, BOB, CAROL):
        venue.open_account(account)
        if funds_atoms:
            venue.deposit(account, BTC, funds_atoms)
            venue.deposit(account, USD, funds_atoms)
    return venue


def order(
    side: Side,
    number: int,
    size_lots: int,
    limit_ticks: int = 0,
    *,
    kind: OrderKind = OrderKind.LIMIT,
    time_in_force: TimeInForce = TimeInForce.GTC,
    post_only: bool = False,
    label: str = "",
    account: AccountId = ALICE,
    instrument: InstrumentId = BTC_USD,
) -> PlaceOrder:
    """Return a command to place an order."""
    return PlaceOrder(
        account=account,
        instrument=instrument,
        order=OrderId(number),
        side=side,
        size_lots=size_lots,
        limit_ticks=limit_ticks,
        kind=kind,
        time_in_force=time_in_force,
        post_only=post_only,
        label=label,
    )


def buy(
    number: int,
    size_lots: int,
    limit_ticks: int,
    time_in_force: TimeInForce = TimeInForce.GTC,
    *,
    post_only: bool = False,
    label: str = "",
) -> PlaceOrder:
    """Return a command to buy at a limit."""
    return order(
        Side.BUY,
        number,
        size_lots,
        limit_ticks,
        time_in_force=time_in_force,
        post_only=post_only,
        label=label,
    )


def sell(
    number: int,
    size_lots: int,
    limit_ticks: int,
    time_in_force: TimeInForce = TimeInForce.GTC,
    *,
    post_only: bool = False,
    label: str = "",
) -> PlaceOrder:
    """Return a command to sell at a limit."""
    return order(
        Side.SELL,
        number,
        size_lots,
        limit_ticks,
        time_in_force=time_in_force,
        post_only=post_only,
        label=label,
    )


def on_terms(command: PlaceOrder, terms: OrderTerms) -> PlaceOrderOnTerms:
    """Return the same order on these terms."""
    return PlaceOrderOnTerms(**msgspec.structs.asdict(command), terms=terms)


def refusal(outcome: Outcome) -> Reject:
    """Return why a request was refused; it must have been, and without events."""
    assert isinstance(outcome.reply, Refused), outcome
    assert outcome.events == []
    return outcome.reply.reason


def complete(terms: ListInstrument | None = None, *, funds_atoms: int = 1_000_000) -> Venue:
    """Return ``market`` with the spot exchange complete: version 2 from its founding on."""
    return market(terms, funds_atoms=funds_atoms, version=versions.SPOT_COMPLETE)


def kinds(events: list[AnyEvent]) -> list[str]:
    """Return the names of the events, in their order."""
    return [type(event).__name__ for event in events]
