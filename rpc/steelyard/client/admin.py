"""The operator's hand: list, open, fund, and give keys."""

from decimal import Decimal
from typing import Final

from steelyard.client.errors import Rejected
from steelyard.client.model import Accepted, AssetTotal, InstrumentState, ReadMode, Refused, Rows
from steelyard.client.translate import totals_of
from steelyard.client.unary import UnaryLine
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
        tick_mantissa, tick_decimals = mantissa_and_decimals(tick)
        lot_mantissa, lot_decimals = mantissa_and_decimals(lot)
        row = admin_pb2.ListInstrument(
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
