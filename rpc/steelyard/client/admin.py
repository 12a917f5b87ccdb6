"""The operator's hand: list, open, fund, and give keys."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from steelyard.client.contracts import ContractRules, IndexQuote, quote_messages, rules_message
from steelyard.client.errors import Rejected
from steelyard.client.model import AssetTotal, Rows
from steelyard.client.replies import Accepted, Refused
from steelyard.client.translate import totals_of
from steelyard.client.unary import UnaryLine
from steelyard.client.words import ContractKind, InstrumentState, ReadMode, SelfTrade
from steelyard.v1 import admin_pb2, common_pb2, trading_pb2

ADMINISTER: Final = "/steelyard.v1.AdminService/Administer"
GET_TOTALS: Final = "/steelyard.v1.AdminService/GetTotals"


class Admin(UnaryLine):
    """Operator commands, each numbered in the operator's session and executed once.

    Every method returns the log index at which its command was carried out, unless it says otherwise, and
    raises ``Rejected`` with the reason if the exchange refuses.
    """

    async def list_asset(self, asset: int, symbol: str, decimals: int) -> int:
        """List an asset; one unit is ``10**decimals`` atoms, for ever."""
        row = admin_pb2.ListAsset(asset=asset, symbol=symbol, decimals=decimals)
        return (await self._do(admin_pb2.AdministerRequest(list_asset=row))).log_index

    async def list_instrument(
        self,
        instrument: int,
        symbol: str,
        base: int,
        quote: int,
        *,
        tick: Decimal,
        lot: Decimal,
        price_max_ticks: int,
        size_max_lots: int,
        notional_min_atoms: int = 0,
        maker_ppm: int = 0,
        taker_ppm: int = 0,
        market_protection_ppm: int = 50_000,
    ) -> int:
        """List a spot instrument, in state PRE_OPEN.

        ``tick`` is the price step in quote units per base unit, ``lot`` the size step in base units; both
        are sent exactly, as mantissa and decimals.
        """
        row = _listing(
            instrument,
            symbol,
            base,
            quote,
            tick=tick,
            lot=lot,
            price_max_ticks=price_max_ticks,
            size_max_lots=size_max_lots,
            notional_min_atoms=notional_min_atoms,
            maker_ppm=maker_ppm,
            taker_ppm=taker_ppm,
            market_protection_ppm=market_protection_ppm,
        )
        return (await self._do(admin_pb2.AdministerRequest(list_instrument=row))).log_index

    async def set_instrument_state(self, instrument: int, state: InstrumentState) -> int:
        """Move an instrument through its life; closing it cancels its orders."""
        wanted = common_pb2.InstrumentState.Value(f"INSTRUMENT_STATE_{state.name}")
        move = admin_pb2.SetInstrumentState(instrument=instrument, state=wanted)
        return (await self._do(admin_pb2.AdministerRequest(set_instrument_state=move))).log_index

    async def open_account(self, account: int) -> int:
        """Open an empty customer account."""
        row = admin_pb2.OpenAccount(account=account)
        return (await self._do(admin_pb2.AdministerRequest(open_account=row))).log_index

    async def deposit(self, account: int, asset: int, amount_atoms: int) -> int:
        """Credit an account against the outside world."""
        row = admin_pb2.Deposit(account=account, asset=asset, amount_atoms=amount_atoms)
        return (await self._do(admin_pb2.AdministerRequest(deposit=row))).log_index

    async def withdraw(self, account: int, asset: int, amount_atoms: int) -> int:
        """Pay free funds out to the outside world."""
        row = admin_pb2.Withdraw(account=account, asset=asset, amount_atoms=amount_atoms)
        return (await self._do(admin_pb2.AdministerRequest(withdraw=row))).log_index

    async def create_api_key(
        self, account: int, public_key: bytes, permissions: int, *, expires_ns: int = 0
    ) -> int:
        """Let the holder of an Ed25519 key act for an account; return the key's id.

        ``permissions`` is a sum of ``Permission``; ``expires_ns`` is log time, zero: never.
        """
        row = admin_pb2.CreateApiKey(
            account=account, public_key=public_key, permissions=permissions, expires_ns=expires_ns
        )
        return (await self._do(admin_pb2.AdministerRequest(create_api_key=row))).made

    async def revoke_api_key(self, key: int) -> int:
        """End a key for good."""
        row = admin_pb2.RevokeApiKey(key=key)
        return (await self._do(admin_pb2.AdministerRequest(revoke_api_key=row))).log_index

    async def activate_version(self, version: int) -> int:
        """Let the group do what the next version does, once every member runs a build that knows it."""
        row = admin_pb2.ActivateVersion(version=version)
        return (await self._do(admin_pb2.AdministerRequest(activate_version=row))).log_index

    # Markets.

    async def set_instrument_rules(
        self,
        instrument: int,
        *,
        price_step_ticks: int = 1,
        size_step_lots: int = 1,
        size_min_lots: int = 1,
        notional_max_atoms: int = 0,
        orders_max: int = 0,
        buy_down_ppm: int = 0,
        buy_up_ppm: int = 0,
        sell_down_ppm: int = 0,
        sell_up_ppm: int = 0,
        execution_down_ppm: int = 0,
        execution_up_ppm: int = 0,
        halt_ppm: int = 0,
        halt_window_ns: int = 0,
        halt_ns: int = 0,
        auction_ns: int = 0,
        self_trade: SelfTrade = SelfTrade.NONE,
    ) -> int:
        """Set an instrument's protections, all at once: what is left out does not apply from now on.

        Collar and execution band are factors of the reference price in parts per million (1,000,000 is the
        reference itself); a halt needs all four of its numbers.
        """
        row = admin_pb2.SetInstrumentRules(
            instrument=instrument,
            price_step_ticks=price_step_ticks,
            size_step_lots=size_step_lots,
            size_min_lots=size_min_lots,
            notional_max_atoms=notional_max_atoms,
            orders_max=orders_max,
            buy_down_ppm=buy_down_ppm,
            buy_up_ppm=buy_up_ppm,
            sell_down_ppm=sell_down_ppm,
            sell_up_ppm=sell_up_ppm,
            execution_down_ppm=execution_down_ppm,
            execution_up_ppm=execution_up_ppm,
            halt_ppm=halt_ppm,
            halt_window_ns=halt_window_ns,
            halt_ns=halt_ns,
            auction_ns=auction_ns,
            self_trade=common_pb2.SelfTrade.Value(f"SELF_TRADE_{self_trade.name}"),
        )
        return (await self._do(admin_pb2.AdministerRequest(set_instrument_rules=row))).log_index

    async def set_mark(self, instrument: int, mark_ticks: int) -> int:
        """Set an instrument's mark price; needs a key with FEED."""
        row = admin_pb2.SetMark(instrument=instrument, mark_ticks=mark_ticks)
        return (await self._do(admin_pb2.AdministerRequest(set_mark=row))).log_index

    async def start_auction(self, instrument: int, auction_ns: int) -> int:
        """Collect orders for so long of log time, then trade them at one price and open."""
        row = admin_pb2.StartAuction(instrument=instrument, auction_ns=auction_ns)
        return (await self._do(admin_pb2.AdministerRequest(start_auction=row))).log_index

    async def schedule_state(self, instrument: int, state: InstrumentState, at_ns: int) -> int:
        """Announce that an instrument moves to ``state`` at log time ``at_ns``; zero takes that back."""
        wanted = common_pb2.InstrumentState.Value(f"INSTRUMENT_STATE_{state.name}")
        row = admin_pb2.ScheduleState(instrument=instrument, state=wanted, at_ns=at_ns)
        return (await self._do(admin_pb2.AdministerRequest(schedule_state=row))).log_index

    # Contracts.

    async def list_index(
        self, index: int, symbol: str, *, tick: Decimal, stale_ns: int = 10 * 10**9, outlier_ppm: int = 50_000
    ) -> int:
        """List an index price in steps of ``tick``.

        A source older than ``stale_ns`` of log time counts no more; one that is more than ``outlier_ppm``
        from the median of all has no weight.
        """
        tick_mantissa, tick_decimals = mantissa_and_decimals(tick)
        row = admin_pb2.ListIndex(
            index=index,
            symbol=symbol,
            tick_mantissa=tick_mantissa,
            tick_decimals=tick_decimals,
            stale_ns=stale_ns,
            outlier_ppm=outlier_ppm,
        )
        return (await self._do(admin_pb2.AdministerRequest(list_index=row))).log_index

    async def list_contract(
        self,
        instrument: int,
        symbol: str,
        base: int,
        quote: int,
        *,
        contract: ContractKind,
        index: int,
        rules: ContractRules,
        tick: Decimal,
        lot: Decimal,
        price_max_ticks: int,
        size_max_lots: int,
        notional_min_atoms: int = 0,
        maker_ppm: int = 0,
        taker_ppm: int = 0,
        market_protection_ppm: int = 50_000,
    ) -> int:
        """List a perpetual contract, in state PRE_OPEN; ``tick`` is that of its index.

        LINEAR: settled in the quote, ``lot`` in base units.  INVERSE: settled in the base, ``lot`` in quote
        units.  The rest is as for ``list_instrument``.
        """
        listing = _listing(
            instrument,
            symbol,
            base,
            quote,
            tick=tick,
            lot=lot,
            price_max_ticks=price_max_ticks,
            size_max_lots=size_max_lots,
            notional_min_atoms=notional_min_atoms,
            maker_ppm=maker_ppm,
            taker_ppm=taker_ppm,
            market_protection_ppm=market_protection_ppm,
        )
        row = admin_pb2.ListContract(
            listing=listing,
            contract=common_pb2.ContractKind.Value(f"CONTRACT_KIND_{contract.name}"),
            index=index,
            rules=rules_message(rules),
        )
        return (await self._do(admin_pb2.AdministerRequest(list_contract=row))).log_index

    async def set_contract_rules(self, instrument: int, rules: ContractRules) -> int:
        """Set everything of a contract that may change, all at once; it acts from here on."""
        row = admin_pb2.SetContractRules(instrument=instrument, rules=rules_message(rules))
        return (await self._do(admin_pb2.AdministerRequest(set_contract_rules=row))).log_index

    async def set_index_sources(self, index: int, quotes: Iterable[IndexQuote]) -> int:
        """Say what the sources of an index say now, all of them; needs a key with FEED."""
        row = admin_pb2.SetIndexSources(index=index, quotes=quote_messages(quotes))
        return (await self._do(admin_pb2.AdministerRequest(set_index_sources=row))).log_index

    async def set_kill_switch(self, on: bool, *, account: int = 0, instrument: int = 0) -> int:
        """Switch new orders off, or on again: of an account, in an instrument, or (neither) all."""
        row = admin_pb2.SetKillSwitch(on=on, account=account, instrument=instrument)
        return (await self._do(admin_pb2.AdministerRequest(set_kill_switch=row))).log_index

    async def fund_insurance(self, asset: int, amount_atoms: int) -> int:
        """Pay into the insurance fund of an asset from the outside world, or (below zero) out of it."""
        row = admin_pb2.FundInsurance(asset=asset, amount_atoms=amount_atoms)
        return (await self._do(admin_pb2.AdministerRequest(fund_insurance=row))).log_index

    # Accounts.

    async def open_sub_account(self, master: int, account: int, permissions: int) -> int:
        """Open an account that belongs to a master; ``permissions`` bounds what any of its keys may do."""
        row = admin_pb2.OpenSubAccountOf(master=master, account=account, permissions=permissions)
        return (await self._do(admin_pb2.AdministerRequest(open_sub_account=row))).log_index

    async def set_account_rules(
        self, account: int, *, permissions: int, trade_group: int = 0, orders_max: int = 0
    ) -> int:
        """Set what the operator decides about an account, all at once; zero is no group and no bound.

        Accounts of one trade group never trade with each other by accident.
        """
        row = admin_pb2.SetAccountRules(
            account=account, permissions=permissions, trade_group=trade_group, orders_max=orders_max
        )
        return (await self._do(admin_pb2.AdministerRequest(set_account_rules=row))).log_index

    async def set_order_limit(
        self, account: int, instrument: int, *, size_max_lots: int = 0, notional_max_atoms: int = 0
    ) -> int:
        """Bound an account's single orders in an instrument; zero is no bound."""
        row = admin_pb2.SetOrderLimit(
            account=account,
            instrument=instrument,
            size_max_lots=size_max_lots,
            notional_max_atoms=notional_max_atoms,
        )
        return (await self._do(admin_pb2.AdministerRequest(set_order_limit=row))).log_index

    async def set_frozen(self, account: int, frozen: bool) -> int:
        """Freeze an account, or lift that: frozen, it may cancel and nothing else."""
        row = admin_pb2.SetFrozen(account=account, frozen=frozen)
        return (await self._do(admin_pb2.AdministerRequest(set_frozen=row))).log_index

    async def set_legal_hold(self, account: int, on: bool) -> int:
        """Put an account under legal hold, or lift that: as frozen, and ``set_frozen`` does not lift it."""
        row = admin_pb2.SetLegalHold(account=account, on=on)
        return (await self._do(admin_pb2.AdministerRequest(set_legal_hold=row))).log_index

    async def hold_funds(
        self, account: int, hold: int, asset: int, amount_atoms: int, *, legal: bool = False
    ) -> int:
        """Set free funds aside until they are released; ``hold`` is an id, unique among the account's."""
        row = admin_pb2.HoldFunds(
            account=account, hold=hold, asset=asset, amount_atoms=amount_atoms, legal=legal
        )
        return (await self._do(admin_pb2.AdministerRequest(hold_funds=row))).log_index

    async def release_hold(self, account: int, hold: int, *, legal: bool = False) -> int:
        """Give held funds back; a legal hold only with ``legal``."""
        row = admin_pb2.ReleaseHold(account=account, hold=hold, legal=legal)
        return (await self._do(admin_pb2.AdministerRequest(release_hold=row))).log_index

    async def set_fee_tier(self, tier: int, instrument: int, *, maker_ppm: int, taker_ppm: int) -> int:
        """Set the rates of a tier in an instrument, or in all that have none of their own (zero)."""
        row = admin_pb2.SetFeeTier(tier=tier, instrument=instrument, maker_ppm=maker_ppm, taker_ppm=taker_ppm)
        return (await self._do(admin_pb2.AdministerRequest(set_fee_tier=row))).log_index

    async def set_account_tier(self, account: int, tier: int) -> int:
        """Give an account a tier; zero: the listings' rates."""
        row = admin_pb2.SetAccountTier(account=account, tier=tier)
        return (await self._do(admin_pb2.AdministerRequest(set_account_tier=row))).log_index

    async def set_referrer(self, account: int, referrer: int, share_ppm: int) -> int:
        """Let ``referrer`` earn a share of what is kept of the account's fees; zero and zero end it."""
        row = admin_pb2.SetReferrer(account=account, referrer=referrer, share_ppm=share_ppm)
        return (await self._do(admin_pb2.AdministerRequest(set_referrer=row))).log_index

    async def totals(
        self, at: ReadMode = ReadMode.LINEARIZABLE, min_index: int = 0, *, node: str | None = None
    ) -> Rows[AssetTotal]:
        """Return where all the atoms are, by asset; reads are as those of ``Client``."""
        request = admin_pb2.GetTotalsRequest(at=read_at(at, min_index))
        body = await self._nodes.call(
            GET_TOTALS, request.SerializeToString(), at_leader=at is ReadMode.LINEARIZABLE, node=node
        )
        response = admin_pb2.GetTotalsResponse.FromString(body)
        return Rows(response.log_index, totals_of(response))

    async def _do(self, request: admin_pb2.AdministerRequest) -> Accepted:
        def build(once: trading_pb2.Once) -> bytes:
            request.once.CopyFrom(once)
            return request.SerializeToString()

        reply = await self.write(
            ADMINISTER, build, lambda body: admin_pb2.AdministerResponse.FromString(body).reply
        )
        if isinstance(reply, Accepted):
            return reply
        assert isinstance(reply, Refused), "an operator command was answered like an order"
        raise Rejected(reply.reason, reply.expected, reply.log_index)


def _listing(
    instrument: int,
    symbol: str,
    base: int,
    quote: int,
    *,
    tick: Decimal,
    lot: Decimal,
    price_max_ticks: int,
    size_max_lots: int,
    notional_min_atoms: int,
    maker_ppm: int,
    taker_ppm: int,
    market_protection_ppm: int,
) -> admin_pb2.ListInstrument:
    tick_mantissa, tick_decimals = mantissa_and_decimals(tick)
    lot_mantissa, lot_decimals = mantissa_and_decimals(lot)
    return admin_pb2.ListInstrument(
        instrument=instrument,
        symbol=symbol,
        base_asset=base,
        quote_asset=quote,
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


def mantissa_and_decimals(step: Decimal) -> tuple[int, int]:
    """Return the integers of which ``step`` is ``mantissa / 10**decimals``, the smallest there are."""
    if not isinstance(step, Decimal):
        raise TypeError(f"need a Decimal, got {type(step).__name__}")
    sign, digits, exponent = step.as_tuple()
    if not isinstance(exponent, int) or sign or not any(digits):
        raise ValueError(f"a step must be a number above zero, got {step}")
    mantissa = int("".join(map(str, digits)))
    if exponent >= 0:
        return mantissa * 10**exponent, 0
    while exponent < 0 and mantissa % 10 == 0:
        mantissa, exponent = mantissa // 10, exponent + 1
    return mantissa, -exponent


def read_at(mode: ReadMode, min_index: int = 0) -> common_pb2.ReadAt:
    """Return how fresh an answer must be, for the wire."""
    return common_pb2.ReadAt(mode=_MODES[mode], min_index=min_index)


_MODES: Final = {
    ReadMode.LINEARIZABLE: common_pb2.READ_MODE_LINEARIZABLE,
    ReadMode.AT_LEAST: common_pb2.READ_MODE_AT_LEAST,
    ReadMode.STALE: common_pb2.READ_MODE_STALE,
}
