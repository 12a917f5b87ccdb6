"""Seeded traffic of version 3: its world of contracts, and what it learns of positions."""

from collections.abc import Generator
from dataclasses import dataclass

from msgspec.structs import replace
from tests.helpers.contract_wishes import ContractWishes
from tests.helpers.contract_world import CENTRE_TICKS, CONTRACTS, INDICES, contract_listings, insurance
from tests.helpers.spot_traffic import SpotTraffic
from tests.helpers.world import BASE, CUSTOMERS, MARKETS, QUOTE, SECOND_NS

from steelyard.core.commands import (
    ActivateVersion,
    AnyCommand,
    IndexQuote,
    MoveMargin,
    SetIndexSources,
    SetKillSwitch,
    SetMark,
)
from steelyard.core.entry import Applied, Entry, Request
from steelyard.core.events import (
    AdlSettled,
    AnyEvent,
    ContractModesSet,
    IndexSet,
    KillSwitchSet,
    PositionSettled,
    PositionsTraded,
)
from steelyard.core.units import OPERATOR, AccountId

#: One seed in three begins in an older version.
OLD_SEEDS = 3


@dataclass
class ContractTraffic(ContractWishes, SpotTraffic):
    """A source of entries of version 3."""

    def __post_init__(self) -> None:
        """Let contracts come first; one spot market stays."""
        super().__post_init__()
        self.stormy, self.poor = self.seed % 4 in (1, 2), self.seed % 4 == 1
        first = self.random.randrange(len(CONTRACTS))
        turned = (*CONTRACTS[first:], *CONTRACTS[:first])
        self.markets = [(listing.instrument, listing) for listing in (*turned, MARKETS[0])]

    # ---- the script

    def founding(self) -> Generator[Entry, Applied, None]:
        """Found the group of the spot traffic, list contracts beside it, and give everyone margin."""
        yield from super().founding()
        if self.version < 3:
            yield from self.as_operator([ActivateVersion(version=3)])
        yield from self.as_operator([*contract_listings(), *([] if self.poor else insurance())])
        for index in INDICES:
            quote = IndexQuote(source=1, price_ticks=CENTRE_TICKS, weight=1, time_ns=self.time_ns)
            yield from self.fed(SetIndexSources(index=index.index, quotes=[quote]))
        for listing in CONTRACTS:
            if listing.index == 2:
                yield from self.fed(SetMark(instrument=listing.instrument, mark_ticks=CENTRE_TICKS))
        for account in CUSTOMERS:
            line = self.lines[account]
            moves = (MoveMargin(account=account, asset=QUOTE, amount_atoms=9_000),)
            more = (MoveMargin(account=account, asset=BASE, amount_atoms=120),)
            requests = [self.numbered(line, command) for command in (*moves, *more)]
            self.learn(requests, (yield self.entry(requests)))

    def founded_at(self) -> int:
        """Begin in version 3, or in an older one."""
        return 3 if self.seed % OLD_SEEDS else super().founded_at()

    def fed(self, command: AnyCommand) -> Generator[Entry, Applied, None]:
        """Send one command with the key that feeds."""
        request = replace(self.numbered(self.lines[OPERATOR], command), key=self.feed_key)
        self.learn([request], (yield self.entry([request])))

    def entry(self, requests: list[Request]) -> Entry:
        """Stamp a batch; now and then some time has passed, so that samples, funding and gates come."""
        pick = self.random.random()
        if pick < 0.1:
            self.time_ns += self.random.randint(1, 6 * SECOND_NS)
        elif pick < 0.103:
            self.time_ns += self.random.choice((30, 70, 700)) * SECOND_NS
        return super().entry(requests)

    def request(self) -> Request:
        """Make one request; one in eight is a feed's."""
        if self.random.random() < 0.12:
            command = self.feed()
            if self.random.random() < 0.03:
                command = self.bend(command)
            request = self.numbered(self.lines[OPERATOR], command)
            return replace(request, key=self.feed_key) if self.random.random() < 0.97 else request
        return super().request()

    def operator_command(self) -> AnyCommand:
        """Do what operators do."""
        if self.random.random() < 0.35:
            return self.about_contracts()
        return super().operator_command()

    # ---- learning from what came back

    def follow(self, event: AnyEvent, orders: dict[tuple[AccountId, int], object]) -> None:  # type: ignore[override]
        """Note what one event says."""
        super().follow(event, orders)  # type: ignore[arg-type]
        match event:
            case PositionsTraded():
                self.held[event.maker, event.instrument, event.maker_leg] = event.maker_qty_lots
                self.held[event.taker, event.instrument, event.taker_leg] = event.taker_qty_lots
            case AdlSettled():
                self.held.pop((event.account, event.instrument, event.leg), None)
                for row in event.ranking:
                    left = row.qty_lots + (row.lots if row.qty_lots < 0 else -row.lots)
                    self.held[row.account, event.instrument, row.leg] = left
            case PositionSettled():
                self.held.pop((event.account, event.instrument, event.leg), None)
            case ContractModesSet():
                self.hedged[event.account, event.instrument] = event.hedge
            case IndexSet():
                if event.price_ticks:
                    self.prices[event.index] = max(30, min(event.price_ticks, 1_200))
            case KillSwitchSet():
                lift = SetKillSwitch(on=False, account=event.account, instrument=event.instrument)
                kind = f"switch {event.instrument}"
                if event.on:
                    self.stopped[kind, event.account] = lift
                else:
                    self.stopped.pop((kind, event.account), None)
            case _:
                pass
