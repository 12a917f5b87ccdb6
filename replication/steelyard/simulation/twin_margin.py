"""The slow exchange's margin: every sum over orders and positions is made anew whenever it is asked for."""

from collections.abc import Iterator
from contextlib import contextmanager

from steelyard.core.units import (
    AccountId,
    AssetId,
    InstrumentId,
    Leg,
    MarginMode,
    OrderState,
    RiskLevel,
)
from steelyard.simulation.twin_contracts import BILLION, Contract, Position, Scope, filled
from steelyard.simulation.twin_parts import MILLION, Order, ceil_div
from steelyard.simulation.twin_tables import Tables


class Margins(Tables):
    """Positions, scopes, and what stands behind them.

    ``margins`` is what is in margin wallets, what isolated orders hold of it included.
    """

    # ---- which orders there are

    @contextmanager
    def regarding(self, orders: list[Order]) -> Iterator[None]:
        """Let margin be reckoned as if these were the living orders."""
        before, self.regarded = self.regarded, orders
        try:
            yield
        finally:
            self.regarded = before

    def working(self, account: int, instrument: int, leg: Leg) -> list[Order]:
        """Return the working orders about a position."""
        orders = self.orders if self.regarded is None else self.regarded
        return [
            o
            for o in orders
            if (o.account, o.instrument, o.leg) == (account, instrument, leg)
            and o.state == OrderState.WORKING
        ]

    def enlarging(self, p: Position) -> list[Order]:
        """Return a position's working orders that are not reduce-only."""
        return [o for o in self.working(p.account, p.instrument, p.leg) if not o.reduce_only]

    def reducing(self, p: Position) -> list[Order]:
        """Return a position's working orders that are reduce-only."""
        return [o for o in self.working(p.account, p.instrument, p.leg) if o.reduce_only]

    # ---- positions

    def position(self, account: int, instrument: int, leg: Leg) -> Position:
        """Find a position, or begin one."""
        fresh = Position(AccountId(account), InstrumentId(instrument), leg)
        return self.positions.setdefault((account, instrument, leg), fresh)

    def position_of(self, order: Order) -> Position:
        """Find the position that an order is about."""
        return self.position(order.account, order.instrument, order.leg)

    def modes_of(self, account: int, instrument: int) -> tuple[MarginMode, bool]:
        """Return an account's margin mode in a contract, and whether it hedges."""
        return self.modes.get((account, instrument), (MarginMode.CROSS, False))

    def is_isolated(self, p: Position) -> bool:
        """Tell whether a position has a bucket of its own."""
        return self.modes_of(p.account, p.instrument)[0] == MarginMode.ISOLATED

    def fits_modes(self, account: int, instrument: int, leg: Leg) -> bool:
        """Tell whether there is such a leg."""
        return (leg != Leg.NET) == self.modes_of(account, instrument)[1]

    def holders(self, instrument: int) -> list[Position]:
        """Return the positions with lots in a contract, by account and leg."""
        found = [p for p in self.positions.values() if p.instrument == instrument and p.lots]
        return sorted(found, key=lambda p: (p.account, p.leg))

    def open_interest(self, instrument: int) -> int:
        """Add up all longs."""
        return sum(max(0, p.lots) for p in self.holders(instrument))

    def contract_of(self, p: Position) -> Contract:
        """Return the contract of a position."""
        return self.contracts[p.instrument]

    def mark_of(self, instrument: int) -> int:
        """Return a contract's mark; zero: none yet."""
        return self.markets[instrument].mark

    def is_stale(self, instrument: int) -> bool:
        """Tell whether a contract's index is stale."""
        return self.indices[self.contracts[instrument].spec.index].stale

    def known_positions(self, account: int, asset: int) -> list[tuple[int, Leg]]:
        """Return the positions of which a margin knows anything."""
        known = set()
        for (owner, instrument, leg), p in self.positions.items():
            if owner == account and (p.lots or p.bucket or p.leverage):
                known.add((instrument, leg))
        for order in self.own(account):
            if order.instrument in self.contracts:
                known.add((order.instrument, order.leg))
        for (owner, instrument), (mode, hedge) in self.modes.items():
            if owner == account and (hedge or mode == MarginMode.ISOLATED):
                known |= {(instrument, leg) for leg in ((Leg.LONG, Leg.SHORT) if hedge else (Leg.NET,))}
        return sorted(row for row in known if self.contracts[row[0]].settle == asset)

    # ---- what positions are worth and need

    def pnl(self, p: Position) -> int:
        """Return what a position has won at the mark."""
        return self.contract_of(p).value(p.lots, self.mark_of(p.instrument)) + p.cash if p.lots else 0

    def unsettled(self, p: Position) -> int:
        """Return what a position owes of funding."""
        return ceil_div(p.lots * (self.contract_of(p).cumulative - p.settled), BILLION)

    def size_at_mark(self, instrument: int, lots: int) -> int:
        """Return the notional of lots at the mark."""
        return self.contracts[instrument].notional_up(self.mark_of(instrument), lots) if lots else 0

    def maintenance(self, p: Position) -> int:
        """Return a position's maintenance margin."""
        contract, lots = self.contract_of(p), abs(p.lots)
        at_entry = contract.rules.margin.at_entry
        size = abs(p.cash) if at_entry else self.size_at_mark(p.instrument, lots)
        return contract.margin(size, lots, initial=False)

    def initial(self, p: Position, lots: int, leverage: int) -> int:
        """Return the initial margin of that many lots of a position."""
        if lots == 0:
            return 0
        contract, size = self.contract_of(p), self.size_at_mark(p.instrument, lots)
        needs = [contract.margin(size, lots, initial=True)]
        if leverage:
            needs.append(ceil_div(size, leverage))
        needs.append(ceil_div(size * self.crowd_ppm(p.instrument), MILLION))
        return max(needs)

    def crowd_ppm(self, instrument: int) -> int:
        """Return the initial rate that a contract's open interest asks for."""
        interest = self.size_at_mark(instrument, self.open_interest(instrument))
        return self.contracts[instrument].crowd_ppm(interest)

    def worst(self, p: Position) -> int:
        """Return the most lots that a position can come to have by its orders."""
        orders = self.enlarging(p)
        buys = sum(o.open for o in orders if o.buying)
        sells = sum(o.open for o in orders if not o.buying)
        return max(abs(p.lots + buys), abs(p.lots - sells))

    # ---- scopes

    def scope_of(self, p: Position) -> Scope:
        """Return what a position is liquidated with."""
        settle = self.contract_of(p).settle
        if self.is_isolated(p):
            return (p.account, settle, p.instrument, p.leg)
        return self.wallet_scope(p.account, settle)

    def wallet_scope(self, account: int, asset: int) -> Scope:
        """Return the scope of a margin wallet."""
        return (AccountId(account), AssetId(asset), InstrumentId(0), Leg.NET)

    def scopes(self) -> list[Scope]:
        """Return every scope there may be: wallets and isolated positions."""
        wallets = {self.wallet_scope(account, asset) for account, asset in self.margins}
        return sorted(wallets | {self.scope_of(p) for p in self.positions.values()})

    def members(self, scope: Scope) -> list[Position]:
        """Return the positions of a scope, with lots or without, by instrument and leg."""
        own = [p for p in self.positions.values() if p.account == scope[0]]
        found = [p for p in own if self.scope_of(p) == scope]
        return sorted(found, key=lambda p: (p.instrument, p.leg))

    def with_lots(self, scope: Scope) -> list[Position]:
        """Return the positions of a scope that have lots."""
        return [p for p in self.members(scope) if p.lots]

    def is_paused(self, scope: Scope) -> bool:
        """Tell whether a scope has lots under a stale index."""
        return any(self.is_stale(p.instrument) for p in self.with_lots(scope))

    def level_of(self, scope: Scope) -> RiskLevel:
        """Return a scope's risk level."""
        return self.levels.get(scope, RiskLevel.SAFE)

    def pledged(self, account: int, asset: int) -> int:
        """Add up what isolated orders hold of a margin wallet."""
        orders = self.orders if self.regarded is None else self.regarded
        return sum(
            o.open * o.lot_pledge
            for o in orders
            if o.account == account
            and o.state == OrderState.WORKING
            and o.instrument in self.contracts
            and self.contracts[o.instrument].settle == asset
        )

    def wallet(self, account: int, asset: int) -> int:
        """Return what is in a margin wallet."""
        return self.margins.get((account, asset), 0) - self.pledged(account, asset)

    def backing(self, scope: Scope) -> int:
        """Return a scope's wallet or bucket."""
        account, asset, instrument, leg = scope
        return self.position(account, instrument, leg).bucket if instrument else self.wallet(account, asset)

    def pay(self, scope: Scope, atoms: int) -> None:
        """Take money out of a scope's wallet or bucket."""
        account, asset, instrument, leg = scope
        if instrument:
            self.position(account, instrument, leg).bucket -= atoms
        else:
            self.margins[account, asset] = self.margins.get((account, asset), 0) - atoms

    def equity(self, scope: Scope) -> int:
        """Return what a scope would have if all of it were closed at the mark."""
        return self.backing(scope) + sum(self.pnl(p) - self.unsettled(p) for p in self.with_lots(scope))

    def scope_maintenance(self, scope: Scope) -> int:
        """Return what a scope needs to be left alone."""
        return sum(self.maintenance(p) for p in self.with_lots(scope))

    def size_of(self, scope: Scope) -> int:
        """Return the notional of all of a scope at the marks."""
        return sum(self.size_at_mark(p.instrument, abs(p.lots)) for p in self.with_lots(scope))

    # ---- fills

    def settle(self, p: Position) -> int:
        """Let a position pay the funding that it owes; return how much."""
        paid = self.unsettled(p)
        self.pay(self.scope_of(p), paid)
        self.contract_of(p).funding += paid
        p.settled = self.contract_of(p).cumulative
        return paid

    def fill_position(
        self, p: Position, signed_lots: int, flow: int, fee: int = 0, pledge: int = 0
    ) -> tuple[int, int]:
        """Settle a position, then let it take a fill; return what it realised and what funding it paid.

        ``pledge`` is what each lot of the order held.
        """
        scope, contract = self.scope_of(p), self.contract_of(p)
        paid = self.settle(p)
        before = abs(p.lots)
        closed = min(before, abs(signed_lots)) if p.lots * signed_lots < 0 else 0
        opened = abs(signed_lots) - closed
        if not self.is_isolated(p):
            realised = filled(p, signed_lots, flow)
            self.pay(scope, fee - realised)
            contract.clearing -= realised
            return realised, paid
        if opened == 0:
            p.bucket -= fee
        whole = closed == before
        share = p.bucket if whole else p.bucket * closed // max(1, before)
        realised = filled(p, signed_lots, flow)
        contract.clearing -= realised
        p.bucket += realised
        wallet = self.wallet_scope(p.account, contract.settle)
        freed = share + realised > 0 or (whole and share + realised == 0)
        if closed and self.level_of(scope) != RiskLevel.LIQUIDATING:
            given = -(share + realised) if freed else 0
            # What the lots' own pledge was for.
            given += min(closed * pledge, max(0, -(p.bucket + given)))
            p.bucket += given
            self.pay(wallet, given)
        if opened:
            p.bucket += opened * pledge - fee
            self.pay(wallet, opened * pledge)
        return realised, paid
