"""A market of perpetual contracts, and short ways to list them, feed them and pay margin in."""

from typing import Any, Final

import msgspec
from tests.helpers.builders import (
    ALICE,
    BOB,
    BTC,
    CAROL,
    PUBLIC_KEY,
    USD,
    Venue,
    founded,
    listing,
)

from steelyard.core import versions
from steelyard.core.commands import (
    NO_TERMS,
    ContractRules,
    CreateApiKey,
    IndexQuote,
    ListAsset,
    ListContract,
    ListIndex,
    MarginTerms,
    MarginTier,
    MoveMargin,
    OpenAccount,
    OrderTerms,
    PlaceContractOrder,
    SetIndexSources,
    SetMark,
)
from steelyard.core.contracts.contract import Contract
from steelyard.core.entry import Accepted, Outcome
from steelyard.core.instruments import Instrument
from steelyard.core.matching import Margin, Position
from steelyard.core.units import (
    AccountId,
    AssetId,
    ContractKind,
    IndexId,
    InstrumentId,
    InstrumentState,
    KeyId,
    Leg,
    MarkRule,
    OrderId,
    OrderKind,
    Permission,
    Side,
    TimeInForce,
)

BTC_INDEX: Final = IndexId(1)
#: Linear, settled in USD; its index is ``BTC_INDEX``.
PERP: Final = InstrumentId(2)
#: Inverse, settled in BTC; the same index.
INVERSE_PERP: Final = InstrumentId(3)
#: Whose key feeds indices and marks.
FEEDER: Final = AccountId(1900)

TRADE_TRANSFER: Final = int(Permission.READ | Permission.TRADE | Permission.TRANSFER)
ONE_TIER: Final = MarginTerms(tiers=[MarginTier(floor_atoms=0, maintenance_ppm=10_000, initial_ppm=20_000)])


def contract_rules(
    *,
    margin: MarginTerms = ONE_TIER,
    position_max_lots: int = 1_000_000,
    open_interest_max_lots: int = 1_000_000,
    mark_rule: MarkRule = MarkRule.FED,
    **more: Any,  # noqa: ANN401 - whatever else the rules say
) -> ContractRules:
    """Return rules that are accepted as they stand: one tier, and a mark that is fed."""
    return ContractRules(
        margin=margin,
        position_max_lots=position_max_lots,
        open_interest_max_lots=open_interest_max_lots,
        mark_rule=mark_rule,
        **more,
    )


def perpetual(
    kind: ContractKind = ContractKind.LINEAR,
    rules: ContractRules | None = None,
    *,
    index: IndexId = BTC_INDEX,
    **terms: Any,  # noqa: ANN401 - those of ``listing``
) -> ListContract:
    """Return a contract's listing that is accepted as it stands.

    Linear: one atom of USD per tick and lot.  Inverse: a lot is one USD, and of BTC with 8 decimals that is
    ``10**8 / price`` atoms.
    """
    named: dict[str, Any] = (
        {"instrument": PERP, "symbol": "BTC-PERP"}
        if kind == ContractKind.LINEAR
        else {"instrument": INVERSE_PERP, "symbol": "BTC-INV"}
    )
    spot = listing(**{**named, **terms})
    return ListContract(
        **msgspec.structs.asdict(spot),
        contract=kind,
        index=index,
        rules=contract_rules() if rules is None else rules,
    )


class ContractVenue(Venue):
    """A venue with a feed, and with eyes for what contracts keep."""

    def open_feed(self) -> None:
        """Open the account whose key feeds indices and marks."""
        self.accepted(OpenAccount(account=FEEDER))
        feed = CreateApiKey(account=FEEDER, public_key=PUBLIC_KEY, permissions=int(Permission.FEED))
        self.keys[FEEDER] = KeyId(self.accepted(feed))
        self.open_session(FEEDER)

    def feed(self, price_ticks: int, index: IndexId = BTC_INDEX, *, weight: int = 1) -> Outcome:
        """Let one source say the price of an index, at the time of the last entry."""
        quote = IndexQuote(source=1, price_ticks=price_ticks, weight=weight, time_ns=self.exchange.time_ns)
        return self.ask(FEEDER, SetIndexSources(index=index, quotes=[quote]))

    def mark(self, mark_ticks: int, instrument: InstrumentId = PERP) -> Outcome:
        """Set the mark of a contract whose mark is fed."""
        return self.ask(FEEDER, SetMark(instrument=instrument, mark_ticks=mark_ticks))

    def pay_in(self, account: AccountId, amount_atoms: int, asset: AssetId = USD) -> None:
        """Move free funds to a margin wallet."""
        outcome = self.ask(account, MoveMargin(account=account, asset=asset, amount_atoms=amount_atoms))
        assert isinstance(outcome.reply, Accepted), outcome

    def instrument(self, instrument: InstrumentId = PERP) -> Instrument:
        """Return a listed instrument."""
        return self.exchange.state.markets.instruments[instrument]

    def contract(self, instrument: InstrumentId = PERP) -> Contract:
        """Return what an instrument has as a contract."""
        contract = self.instrument(instrument).contract
        assert contract is not None, instrument
        return contract

    def margin(self, account: AccountId, asset: AssetId = USD) -> Margin:
        """Return an account's margin, an empty one that nobody knows if it has none."""
        return self.exchange.state.accounts[account].margins.get(asset) or Margin(account, asset)

    def position(self, account: AccountId, instrument: InstrumentId = PERP, leg: Leg = Leg.NET) -> Position:
        """Return an account's position, an empty one that nobody knows if it has none."""
        margin = self.margin(account, self.contract(instrument).settle)
        return margin.positions.get((instrument, leg)) or Position(margin, instrument, leg, 0)


def contract_market(
    *contracts: ListContract,
    price_ticks: int = 100,
    decimals: int = 0,
    funds_atoms: int = 1_000_000_000,
    wallet_atoms: int = 1_000_000,
    accounts: tuple[AccountId, ...] = (ALICE, BOB, CAROL),
    venue: ContractVenue | None = None,
) -> ContractVenue:
    """Return open markets of contracts (one linear one by default) with an index, marks, and funded traders.

    The index and every mark that is fed stand at ``price_ticks``.  Of ``funds_atoms`` of both assets each
    trader has ``wallet_atoms`` in the margin wallets of the settle assets.
    """
    listed = contracts or (perpetual(),)
    venue = ContractVenue() if venue is None else venue
    founded(versions.DERIVATIVES, venue)
    for asset, symbol in ((BTC, "BTC"), (USD, "USD")):
        venue.accepted(ListAsset(asset=asset, symbol=symbol, decimals=decimals))
    venue.accepted(ListIndex(index=BTC_INDEX, symbol="BTC", tick_mantissa=1, tick_decimals=0))
    venue.open_feed()
    for contract in listed:
        venue.accepted(contract)
    assert isinstance(venue.feed(price_ticks).reply, Accepted)
    settled = sorted({venue.contract(contract.instrument).settle for contract in listed})
    for contract in listed:
        if contract.rules.mark_rule == MarkRule.FED:
            assert isinstance(venue.mark(price_ticks, contract.instrument).reply, Accepted)
        venue.move(InstrumentState.POST_ONLY, InstrumentState.OPEN, instrument=contract.instrument)
    for account in accounts:
        venue.open_account(account, TRADE_TRANSFER)
        for asset in (BTC, USD):
            venue.deposit(account, asset, funds_atoms)
        for asset in settled:
            if wallet_atoms:
                venue.pay_in(account, wallet_atoms, asset)
    return venue


def about(
    side: Side,
    number: int,
    size_lots: int,
    limit_ticks: int = 0,
    *,
    instrument: InstrumentId = PERP,
    kind: OrderKind | None = None,
    time_in_force: TimeInForce | None = None,
    post_only: bool = False,
    terms: OrderTerms = NO_TERMS,
    leg: Leg = Leg.NET,
    reduce_only: bool = False,
    close_position: bool = False,
) -> PlaceContractOrder:
    """Return a command to place an order about a position; without a limit it is a market order."""
    is_limit = limit_ticks != 0
    return PlaceContractOrder(
        account=ALICE,
        instrument=instrument,
        order=OrderId(number),
        side=side,
        size_lots=size_lots,
        limit_ticks=limit_ticks,
        kind=kind or (OrderKind.LIMIT if is_limit else OrderKind.MARKET),
        time_in_force=time_in_force or (TimeInForce.GTC if is_limit else TimeInForce.IOC),
        post_only=post_only,
        terms=terms,
        leg=leg,
        reduce_only=reduce_only,
        close_position=close_position,
    )
