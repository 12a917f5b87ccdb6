"""What the slow exchange lists, the states of instruments, and call auctions."""

from steelyard.core import limits
from steelyard.core.commands import (
    ListAsset,
    ListInstrument,
    ScheduleState,
    SetInstrumentRules,
    SetInstrumentState,
    SetMark,
    StartAuction,
)
from steelyard.core.entry import Request
from steelyard.core.events import (
    AssetListed,
    AuctionEnded,
    InstrumentListed,
    InstrumentRulesSet,
    InstrumentStateChanged,
    MarkSet,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    InstrumentState,
    MarkRule,
    Permission,
    PriceSource,
    Side,
)
from steelyard.simulation.twin_parts import (
    AUCTION_FROM,
    MILLION,
    MOVES,
    TOO_BIG,
    Market,
    Order,
    no_rules,
    refuse_if,
    symbolic,
)
from steelyard.simulation.twin_prices import Prices


class Markets(Prices):
    """Listings, rules, marks, states, auctions."""

    # ---- listings

    def list_asset(self, request: Request, command: ListAsset) -> None:
        """List an asset."""
        refuse_if(not 0 < command.asset < TOO_BIG, Reject.MALFORMED)
        refuse_if(not symbolic(command.symbol), Reject.MALFORMED)
        refuse_if(not 0 <= command.decimals <= limits.DECIMALS_MAX, Reject.MALFORMED)
        self.operator_only(request)
        refuse_if(command.asset in self.assets, Reject.ASSET_EXISTS)
        refuse_if(command.symbol in [a.symbol for a in self.assets.values()], Reject.ASSET_EXISTS)
        refuse_if(len(self.assets) >= limits.ASSETS_MAX, Reject.TOO_MANY_LISTINGS)
        self.assets[command.asset] = command
        self.say(AssetListed(asset=command.asset, symbol=command.symbol, decimals=command.decimals))

    def list_instrument(self, request: Request, c: ListInstrument) -> None:
        """List a spot instrument whose scales are whole numbers of atoms."""
        self.check_listing_shape(c)
        self.operator_only(request)
        self.check_new_listing(c)
        lot_atoms, lot_rest = divmod(c.lot_mantissa * 10 ** self.assets[c.base].decimals, 10**c.lot_decimals)
        k, k_rest = divmod(
            c.tick_mantissa * c.lot_mantissa * 10 ** self.assets[c.quote].decimals,
            10 ** (c.tick_decimals + c.lot_decimals),
        )
        refuse_if(lot_rest != 0 or k_rest != 0, Reject.SCALE_NOT_INTEGER)
        refuse_if(c.price_max_ticks * c.size_max_lots * k > 10**18, Reject.BOUNDS_TOO_WIDE)
        refuse_if(c.size_max_lots * lot_atoms > 10**18, Reject.BOUNDS_TOO_WIDE)
        self.check_listing_fees(c)
        refuse_if(len(self.markets) >= limits.INSTRUMENTS_MAX, Reject.TOO_MANY_LISTINGS)
        self.markets[c.instrument] = Market(c, lot_atoms, k, no_rules(c.instrument))
        self.say(
            InstrumentListed(
                instrument=c.instrument,
                symbol=c.symbol,
                base=c.base,
                quote=c.quote,
                lot_atoms=lot_atoms,
                tick_lot_atoms=k,
            )
        )

    def check_listing_shape(self, c: ListInstrument) -> None:
        """Check what is wrong with a listing whatever the state."""
        refuse_if(not 0 < c.instrument < TOO_BIG, Reject.MALFORMED)
        refuse_if(not symbolic(c.symbol), Reject.MALFORMED)
        refuse_if(c.base == c.quote, Reject.MALFORMED)
        for mantissa in (c.tick_mantissa, c.lot_mantissa, c.price_max_ticks, c.size_max_lots):
            refuse_if(mantissa < 1, Reject.MALFORMED)
        for decimals in (c.tick_decimals, c.lot_decimals):
            refuse_if(not 0 <= decimals <= limits.DECIMALS_MAX, Reject.MALFORMED)
        refuse_if(not 0 <= c.notional_min_atoms <= limits.NOTIONAL_ATOMS_MAX, Reject.MALFORMED)
        refuse_if(not 0 <= c.market_protection_ppm <= MILLION, Reject.MALFORMED)

    def check_new_listing(self, c: ListInstrument) -> None:
        """Refuse assets that there are not, and instruments that there are."""
        refuse_if(c.base not in self.assets or c.quote not in self.assets, Reject.UNKNOWN_ASSET)
        refuse_if(c.instrument in self.markets, Reject.INSTRUMENT_EXISTS)
        refuse_if(c.symbol in [m.spec.symbol for m in self.markets.values()], Reject.INSTRUMENT_EXISTS)

    def check_listing_fees(self, c: ListInstrument) -> None:
        """Refuse fees that are too high, and rebates that are not paid for."""
        refuse_if(not 0 <= c.taker_ppm <= limits.FEE_PPM_MAX, Reject.FEE_OUT_OF_RANGE)
        refuse_if(not -c.taker_ppm <= c.maker_ppm <= limits.FEE_PPM_MAX, Reject.FEE_OUT_OF_RANGE)

    def set_rules(self, request: Request, c: SetInstrumentRules) -> None:
        """Set an instrument's protections."""
        refuse_if(min(c.price_step_ticks, c.size_step_lots, c.size_min_lots) < 1, Reject.MALFORMED)
        refuse_if(max(c.price_step_ticks, c.size_step_lots, c.size_min_lots) >= TOO_BIG, Reject.MALFORMED)
        for bound in (c.notional_max_atoms, c.orders_max):
            refuse_if(not 0 <= bound < TOO_BIG, Reject.MALFORMED)
        for down, up in (
            (c.buy_down_ppm, c.buy_up_ppm),
            (c.sell_down_ppm, c.sell_up_ppm),
            (c.execution_down_ppm, c.execution_up_ppm),
        ):
            refuse_if(not 0 <= down <= limits.BAND_PPM_MAX, Reject.MALFORMED)
            refuse_if(not 0 <= up <= limits.BAND_PPM_MAX, Reject.MALFORMED)
            refuse_if(0 < up < down, Reject.MALFORMED)
        halt = (c.halt_ppm, c.halt_window_ns, c.halt_ns, c.auction_ns)
        refuse_if(min(halt) < 0 or (max(halt) > 0 and min(halt) == 0), Reject.MALFORMED)
        refuse_if(c.halt_ppm > limits.BAND_PPM_MAX or max(halt[1:]) > limits.PAUSE_NS_MAX, Reject.MALFORMED)
        self.operator_only(request)
        market = self.market_of(c.instrument)
        market.rules = c
        market.anchor = market.window_ns = 0
        self.say(InstrumentRulesSet(rules=c))

    def set_mark(self, request: Request, c: SetMark) -> None:
        """Take a mark price, and let waiting orders see it."""
        refuse_if(c.mark_ticks < 1, Reject.MALFORMED)
        self.in_time_only(request)
        refuse_if(not self.may(request, Permission.FEED), Reject.NOT_PERMITTED)
        market, contract = self.market_of(c.instrument), self.contracts.get(c.instrument)
        follows = contract is not None and contract.rules.mark_rule != MarkRule.FED
        refuse_if(follows, Reject.NOT_THIS_KIND)
        refuse_if(market.state == InstrumentState.CLOSED, Reject.INSTRUMENT_STATE)
        refuse_if(c.mark_ticks > market.spec.price_max_ticks, Reject.PRICE_OUT_OF_RANGE)
        if contract is not None:
            changed = [int(c.instrument)] if market.mark != c.mark_ticks else []
            self.set_mark_to(market, c.mark_ticks)
            self.look_around([c.instrument], changed, judged=[])
            return
        market.mark = c.mark_ticks
        self.say(MarkSet(instrument=c.instrument, mark_ticks=c.mark_ticks))
        self.price_moved(market, PriceSource.MARK)

    # ---- states

    def set_state(self, request: Request, c: SetInstrumentState) -> None:
        """Move an instrument; closing it ends its orders, oldest number first."""
        self.operator_only(request)
        market = self.market_of(c.instrument)
        refuse_if(not self.can_move(market, c.state), Reject.STATE_MOVE)
        self.change_state(market, c.state)

    def can_move(self, market: Market, state: InstrumentState) -> bool:
        """Tell whether an operator may move an instrument there now."""
        if market.uncross or state not in MOVES[market.state]:
            return False
        quiet = state not in (InstrumentState.POST_ONLY, InstrumentState.OPEN)
        return quiet or not self.crossed(market.spec.instrument)

    def change_state(self, market: Market, state: InstrumentState) -> None:
        """Move an instrument, and let its orders act on it."""
        instrument = market.spec.instrument
        self.say(InstrumentStateChanged(instrument=instrument, before=market.state, after=state))
        market.state, market.uncross = state, 0
        if state == InstrumentState.CLOSED:
            orders = [o for o in self.orders if o.instrument == instrument]
            self.end_all(orders, Reject.INSTRUMENT_CLOSED if self.version >= 2 else None)
            if instrument in self.contracts:
                self.close_contract(instrument)
        if state == InstrumentState.OPEN:
            self.price_moved(market, PriceSource.LAST)
            self.price_moved(market, PriceSource.MARK)
            if instrument in self.contracts:
                self.price_moved(market, PriceSource.INDEX)

    def schedule_state(self, request: Request, c: ScheduleState) -> None:
        """Announce a move for later, or take back what was announced."""
        refuse_if(not 0 <= c.at_ns < TOO_BIG, Reject.MALFORMED)
        self.operator_only(request)
        market = self.market_of(c.instrument)
        if c.at_ns == 0:
            market.next_state, market.next_ns = None, 0
        else:
            refuse_if(not self.can_be_scheduled(market, c.state), Reject.STATE_MOVE)
            refuse_if(c.at_ns <= self.time_ns, Reject.EXPIRY_IN_PAST)
            market.next_state, market.next_ns = c.state, c.at_ns
        self.announce(market, c.state, c.at_ns)

    def can_be_scheduled(self, market: Market, state: InstrumentState) -> bool:
        """Tell whether a move may be announced: those by hand, and the end of an auction."""
        ends = market.state == InstrumentState.AUCTION and state == InstrumentState.OPEN
        return (ends and not market.uncross) or self.can_move(market, state)

    def start_auction(self, request: Request, c: StartAuction) -> None:
        """Begin to collect orders for a common price."""
        refuse_if(not 1 <= c.auction_ns <= limits.PAUSE_NS_MAX, Reject.MALFORMED)
        self.operator_only(request)
        market = self.market_of(c.instrument)
        refuse_if(market.state not in AUCTION_FROM, Reject.STATE_MOVE)
        self.begin_auction(market, c.auction_ns)

    def begin_auction(self, market: Market, auction_ns: int) -> None:
        """Collect orders until the auction's end."""
        self.change_state(market, InstrumentState.AUCTION)
        self.schedule(market, InstrumentState.OPEN, self.time_ns + auction_ns)

    def move_as_scheduled(self, market: Market) -> None:
        """Make the announced move whose time has come, or drop it."""
        state = market.next_state
        assert state is not None
        market.next_state, market.next_ns = None, 0
        if state == InstrumentState.AUCTION:
            if market.state in AUCTION_FROM and market.rules.auction_ns:
                self.begin_auction(market, market.rules.auction_ns)
                return
        elif state == InstrumentState.OPEN and market.state == InstrumentState.AUCTION:
            if not market.uncross:
                self.find_price(market)
                return
        elif self.can_move(market, state):
            self.change_state(market, state)
            return
        self.announce(market, state, 0)

    # ---- auctions

    def collected(self, market: Market) -> tuple[list[Order], list[Order]]:
        """Return the buys and the sells of a book, each with the first to trade in front."""
        resting = self.resting(market.spec.instrument)
        buys = [o for o in resting if o.side == Side.BUY]
        sells = [o for o in resting if o.side == Side.SELL]
        return (
            sorted(buys, key=lambda o: (-o.price, o.number)),
            sorted(sells, key=lambda o: (o.price, o.number)),
        )

    def find_price(self, market: Market) -> None:
        """Find the auction's price among the limits in the book: try each of them."""
        buys, sells = ([o for o in side if not self.overdue(o)] for side in self.collected(market))
        found = []
        for price in {o.price for o in buys + sells}:
            demand = sum(o.open for o in buys if o.price >= price)
            supply = sum(o.open for o in sells if o.price <= price)
            centre = self.reference(market)
            away = abs(price - centre) if centre else 0
            volume = min(demand, supply)
            found.append((-volume, abs(demand - supply), away, price, demand - supply))
        best = min(found, default=(0, 0, 0, 0, 0))
        volume, price, imbalance = -best[0], best[3], best[4]
        if volume == 0:
            price = imbalance = 0
        self.say(
            AuctionEnded(
                instrument=market.spec.instrument,
                price_ticks=price,
                volume_lots=volume,
                imbalance_lots=imbalance,
            )
        )
        market.uncross = price
        if price == 0:
            self.change_state(market, InstrumentState.OPEN)

    def uncross_step(self, market: Market) -> None:
        """Do one step of an auction that has its price."""
        price = market.uncross
        buys, sells = self.collected(market)
        for side in (buys, sells):
            if side and self.overdue(side[0]):
                self.end(side[0], Reject.EXPIRED)
                return
        if not buys or not sells or buys[0].price < price or sells[0].price > price:
            # What prevention took from one side may leave the other side beyond the price.
            if self.crossed(market.spec.instrument):
                self.find_price(market)
            else:
                self.change_state(market, InstrumentState.OPEN)
            return
        maker, taker = sorted((buys[0], sells[0]), key=lambda o: o.number)
        if self.must_not_meet(maker, taker):
            self.prevent(market, maker, taker, price)
            return
        self.claim(maker)
        self.claim(taker)
        self.trade(market, maker, taker, min(maker.shown, taker.shown), price)
        market.last = price
