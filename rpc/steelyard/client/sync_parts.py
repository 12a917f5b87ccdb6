"""``Admin`` and ``MarketData``, blocking."""

from collections.abc import Generator, Iterable

from steelyard.client.admin import Admin
from steelyard.client.blocking import Blocking, blocking
from steelyard.client.market import MarketData
from steelyard.client.market_model import Channel, Interval, MarketUpdate
from steelyard.client.model import Instrument


class SyncAdmin(Blocking[Admin]):
    """``Admin``, blocking."""

    list_asset = blocking(Admin.list_asset)
    list_instrument = blocking(Admin.list_instrument)
    set_instrument_state = blocking(Admin.set_instrument_state)
    open_account = blocking(Admin.open_account)
    deposit = blocking(Admin.deposit)
    withdraw = blocking(Admin.withdraw)
    create_api_key = blocking(Admin.create_api_key)
    revoke_api_key = blocking(Admin.revoke_api_key)
    activate_version = blocking(Admin.activate_version)
    set_instrument_rules = blocking(Admin.set_instrument_rules)
    set_mark = blocking(Admin.set_mark)
    start_auction = blocking(Admin.start_auction)
    schedule_state = blocking(Admin.schedule_state)
    list_index = blocking(Admin.list_index)
    list_contract = blocking(Admin.list_contract)
    set_contract_rules = blocking(Admin.set_contract_rules)
    set_index_sources = blocking(Admin.set_index_sources)
    set_kill_switch = blocking(Admin.set_kill_switch)
    fund_insurance = blocking(Admin.fund_insurance)
    open_sub_account = blocking(Admin.open_sub_account)
    set_account_rules = blocking(Admin.set_account_rules)
    set_order_limit = blocking(Admin.set_order_limit)
    set_frozen = blocking(Admin.set_frozen)
    set_legal_hold = blocking(Admin.set_legal_hold)
    hold_funds = blocking(Admin.hold_funds)
    release_hold = blocking(Admin.release_hold)
    set_fee_tier = blocking(Admin.set_fee_tier)
    set_account_tier = blocking(Admin.set_account_tier)
    set_referrer = blocking(Admin.set_referrer)
    totals = blocking(Admin.totals)


class SyncMarketData(Blocking[MarketData]):
    """``MarketData``, blocking."""

    orders = blocking(MarketData.orders)
    tickers = blocking(MarketData.tickers)
    trades = blocking(MarketData.trades)
    candles = blocking(MarketData.candles)
    funding = blocking(MarketData.funding)
    liquidations = blocking(MarketData.liquidations)
    statement = blocking(MarketData.statement)

    def watch(
        self,
        instrument: Instrument | int,
        channels: Iterable[Channel],
        *,
        depth: int = 0,
        interval: Interval | None = None,
        node: str | None = None,
    ) -> Generator[MarketUpdate, None, None]:
        """Yield a picture, then every change; blocks until the next one; see ``MarketData.watch``."""
        updates = self._inner.watch(instrument, channels, depth=depth, interval=interval, node=node)
        return self._loop.items(updates)
