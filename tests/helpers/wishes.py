"""Seeded commands: what customers and operators wish for, reasonable or not."""

from dataclasses import dataclass, field
from random import Random

from msgspec.structs import replace
from tests.helpers.world import (
    ALL_PERMISSIONS,
    CUSTOMERS,
    EXTREMES,
    FOUNDED_NS,
    FUNDS,
    MARKETS,
    ODD_BYTES,
    ODD_TEXTS,
    PRICE_MAX,
    SECOND_NS,
)

from steelyard.core.commands import (
    AnyCommand,
    CancelOrder,
    CreateApiKey,
    Deposit,
    FoundGroup,
    ListAsset,
    ListInstrument,
    OpenAccount,
    OpenSession,
    PlaceOrder,
    RevokeApiKey,
    SetInstrumentState,
    Skip,
    Withdraw,
)
from steelyard.core.entry import Request
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    OPERATOR,
    OPERATOR_KEY,
    AccountId,
    AssetId,
    InstrumentId,
    InstrumentState,
    KeyId,
    OrderId,
    OrderKind,
    OrderNumber,
    SessionId,
    Side,
    TimeInForce,
)


@dataclass
class Line:
    """What the traffic knows of one account's session."""

    account: AccountId
    session: SessionId
    key: KeyId
    last: int = 0
    wants_from: int = 1
    lazy: bool = False


@dataclass
class Wishes:
    """A source of commands, which knows what it has seen of the exchange so far.

    ``hostile`` is the share of requests that are bent out of shape; ``idle_share`` that of the entries which
    come so long after the last one that every session has run out.
    """

    seed: int
    hostile: float = 0.12
    idle_share: float = 0.0015
    entry_max: int = 8
    lines: dict[AccountId, Line] = field(default_factory=dict)
    living: dict[AccountId, list[tuple[OrderId, OrderNumber, str]]] = field(default_factory=dict)
    keys: list[KeyId] = field(default_factory=list)
    newest_keys: dict[AccountId, KeyId] = field(default_factory=dict)
    lost_keys: list[AccountId] = field(default_factory=list)
    lost_sessions: list[AccountId] = field(default_factory=list)
    states: dict[InstrumentId, InstrumentState] = field(default_factory=dict)
    next_market: int = 100
    sent: list[Request] = field(default_factory=list)
    time_ns: int = FOUNDED_NS

    def __post_init__(self) -> None:
        """Start the seeded generator."""
        self.random = Random(self.seed)
        self.next_order = 1
        self.markets = [(listing.instrument, listing) for listing in MARKETS]

    def bend(self, command: AnyCommand) -> AnyCommand:
        """Replace one field of a command by something extreme of the same type."""
        name = self.random.choice(command.__struct_fields__)
        bent = replace(command, **{name: self.odd(getattr(command, name))})
        # The operator's only key must outlive the run.
        return command if bent == RevokeApiKey(key=OPERATOR_KEY) else bent

    def odd(self, value: object) -> object:
        """Return an unlikely value of the same type."""
        match value:
            case bool():
                return not value
            case Side() | OrderKind() | TimeInForce() | InstrumentState() | Reject():
                return self.random.choice(list(type(value)))
            case int():
                return self.random.choice((*EXTREMES, *CUSTOMERS, OPERATOR, 2, 3, value + 1, value - 1))
            case str():
                return self.random.choice(ODD_TEXTS)
            case _:
                return self.random.choice(ODD_BYTES)

    def operator_command(self) -> AnyCommand:
        """Do what operators do: mostly money and states, now and then a new listing or key."""
        pick = self.random.random()
        account = self.random.choice(CUSTOMERS)
        if pick < 0.6:
            asset, atoms = self.random.choice(FUNDS)
            kind = Deposit if self.random.random() < 0.55 else Withdraw
            return kind(account=account, asset=asset, amount_atoms=self.random.randint(1, 1 + atoms // 4))
        if pick < 0.75:
            return self.state_command()
        if pick < 0.84:
            return self.odd_listing()
        if pick < 0.88:
            return OpenAccount(account=AccountId(1000 + self.random.randrange(40)))
        if pick < 0.94:
            expires_ns = self.random.choice((0, 0, self.time_ns, self.time_ns + 5 * SECOND_NS))
            return CreateApiKey(
                account=self.random.choice((*CUSTOMERS, OPERATOR)),
                public_key=self.random.randbytes(32),
                permissions=int(self.random.choice(ALL_PERMISSIONS)),
                expires_ns=expires_ns,
            )
        if pick < 0.97 and len(self.keys) > len(CUSTOMERS):
            return RevokeApiKey(key=self.random.choice(self.keys[len(CUSTOMERS) :]))
        return Skip(reason=self.random.choice(list(Reject)))

    def state_command(self) -> SetInstrumentState:
        """Move an instrument anywhere, or more often back to where it trades."""
        if self.random.random() < 0.3:
            market = self.random.choice(
                (*(market for market, _ in self.markets), *map(InstrumentId, range(4, 9)))
            )
            return SetInstrumentState(instrument=market, state=self.random.choice(list(InstrumentState)[:5]))
        market = min(self.markets, key=lambda row: self.states.get(row[0]) == InstrumentState.OPEN)[0]
        ready = self.states.get(market) == InstrumentState.POST_ONLY
        return SetInstrumentState(
            instrument=market, state=InstrumentState.OPEN if ready else InstrumentState.POST_ONLY
        )

    def odd_listing(self) -> AnyCommand:
        """List an asset or an instrument, with scales, bounds and fees that often do not fit."""
        if self.random.random() < 0.3:
            number = self.random.randint(1, 6)
            return ListAsset(asset=AssetId(number), symbol=f"A{number}", decimals=self.random.randint(0, 19))
        number = self.random.randint(1, 9)
        return ListInstrument(
            instrument=InstrumentId(number),
            symbol=f"I{number}",
            base=AssetId(self.random.randint(1, 4)),
            quote=AssetId(self.random.randint(1, 4)),
            tick_mantissa=self.random.choice((1, 5, 7)),
            tick_decimals=self.random.randint(0, 4),
            lot_mantissa=self.random.choice((1, 10)),
            lot_decimals=self.random.randint(0, 4),
            price_max_ticks=self.random.choice((5, 20, 10**9, 10**18)),
            size_max_lots=self.random.choice((5, 20, 10**9)),
            notional_min_atoms=self.random.choice((0, 10)),
            maker_ppm=self.random.choice((-1000, -500, 0, 100)),
            taker_ppm=self.random.choice((0, 500, 999_999, 1_000_001)),
        )

    def customer_command(self, line: Line) -> AnyCommand:
        """Do what customers do: place and cancel."""
        own = self.living.setdefault(line.account, [])
        pick = self.random.random()
        if pick < 0.01:
            return Skip(reason=self.random.choice(list(Reject)))
        if pick < 0.02:
            return self.operator_command()
        if pick < 0.025:
            return OpenSession(account=line.account, name=self.random.choice(("main", "inner")))
        if pick < 0.027:
            return FoundGroup(group="inner", operator_public_key=bytes(32))
        if own and pick < (0.3 if len(own) < 15 else 0.75):
            return self.cancel(line.account, own)
        return self.place(line.account)

    def cancel(self, account: AccountId, own: list[tuple[OrderId, OrderNumber, str]]) -> CancelOrder:
        """Cancel an order that may be gone by now, by one of its names."""
        position = self.random.randrange(len(own))
        order, number, label = own.pop(position) if self.random.random() < 0.95 else own[position]
        pick = self.random.random()
        if label and pick < 0.3:
            return CancelOrder(account=account, label=label)
        if pick < 0.6:
            return CancelOrder(account=account, number=number)
        return CancelOrder(account=account, order=order)

    def place(self, account: AccountId) -> PlaceOrder:
        """Place an order of any kind, near the middle."""
        if self.random.random() < 0.04 and self.next_order > 20:
            order = OrderId(self.next_order - self.random.randint(1, 20))
        else:
            order = OrderId(self.next_order)
            self.next_order += 1
        side = self.random.choice((Side.BUY, Side.SELL))
        label = f"l{self.random.randrange(30)}" if self.random.random() < 0.3 else ""
        market, template = self.random.choice(self.markets)
        size_lots = self.random.randint(1, 9)
        scale = template.price_max_ticks // PRICE_MAX
        if scale > 1:
            size_lots *= self.random.choice((1, 10**4, 10**7, 10**8))
        plain = PlaceOrder(
            account=account,
            instrument=InstrumentId(4) if self.random.random() < 0.03 else market,
            order=order,
            side=side,
            size_lots=size_lots,
            label=label,
        )
        at_once = self.random.choice((TimeInForce.IOC, TimeInForce.FOK))
        pick = self.random.random()
        if pick < 0.1:
            return replace(plain, kind=OrderKind.MARKET, time_in_force=at_once)
        middle = 6 if side == Side.BUY else 8
        limit_ticks = scale * min(PRICE_MAX + 1, max(0, middle + self.random.randint(-3, 3)))
        if pick < 0.3:
            return replace(plain, limit_ticks=limit_ticks, time_in_force=at_once)
        return replace(plain, limit_ticks=limit_ticks, post_only=pick < 0.42)
