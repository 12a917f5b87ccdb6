"""Pictures of a crash: prices, liquidations, funds, auto-deleveraging; each alone, and all in one."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from steelyard.client import ContractKind
from steelyard.core.units import AssetId, IndexId, InstrumentId
from steelyard.ops.crash.market import (
    BTC,
    COIN_DECIMALS,
    CONTRACTS,
    INDICES,
    STARTS,
    USDT,
    USDT_DECIMALS,
    ContractPlan,
    dollars_atoms,
)
from steelyard.ops.crash.watch import Closed, Series, Watch
from steelyard.ops.errors import OpsError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE_INCHES: Final = (11.0, 5.2)
_DPI: Final = 130
#: Of the picture that has all in one.
_TALL_INCHES: Final = (10.0, 13.0)
_TALL_DPI: Final = 80
_INK: Final = "#22303c"
_GREY: Final = "#8a97a3"
_PALE: Final = "#eceff2"
_COLOURS: Final = ("#1f6fb2", "#d9822b", "#5b8c3a")
_RED: Final = "#c23b3b"
_GRID: Final = "#e3e8ec"
#: Bars of one picture.
_BINS: Final = 90
#: Areas of the dots that stand for closed lots, in points squared: at least, and of the largest; what lies
#: in one of so many parts of the time is one dot.
_DOT_AREA: Final = (5.0, 320.0)
_DOTS: Final = 240
_MILLION: Final = 1e6
_NS: Final = 1e9


class Story(NamedTuple):
    """What is drawn: what was seen, when the fall began, and when leaders were killed."""

    watch: Watch
    fall_ns: int
    strikes_ns: Sequence[int]

    def second(self, time_ns: int) -> float:
        """Return a time as a place on the axis."""
        return (time_ns - self.fall_ns) / _NS

    def seconds(self, series: Series) -> list[float]:
        """Return the times of a series as places on the axis."""
        return [self.second(time_ns) for time_ns, _ in series]

    def falling(self, series: Series) -> Series:
        """Return the part of a series that is of the fall, from its beginning to the last entry."""
        before = [(self.fall_ns, value) for time_ns, value in series if time_ns < self.fall_ns][-1:]
        shown = before + [point for point in series if point[0] >= self.fall_ns]
        return [*shown, (self.watch.last_ns, shown[-1][1])] if shown else []


Panel = Callable[["Axes", Story], None]


def draw(story: Story, folder: Path) -> list[Path]:
    """Write the pictures to a folder and return their paths.

    Raises:
        OpsError: The drawing library is missing, or the folder cannot be written.

    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise OpsError("pictures need matplotlib: pip install 'steelyard[plots]'") from error
    mpl.use("Agg")
    with mpl.rc_context(_STYLE):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            alone = [_save(folder / f"crash-{name}.png", [panel], story) for name, panel in _PANELS.items()]
            return [*alone, _save(folder / "crash.png", list(_PANELS.values()), story)]
        except OSError as error:
            raise OpsError(f"cannot write pictures to {folder}: {error.strerror}") from error


def _save(path: Path, panels: Sequence[Panel], story: Story) -> Path:
    from matplotlib.figure import Figure

    alone = len(panels) == 1
    figure = Figure(figsize=_SIZE_INCHES if alone else _TALL_INCHES, layout="constrained")
    rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(rows, panels, strict=True):
        _time_marks(axes, story, labelled=axes is rows[0])
        panel(axes, story)
    rows[-1].set_xlabel("seconds of log time since the fall began")
    figure.savefig(path, dpi=_DPI if alone else _TALL_DPI)
    return path


def _time_marks(axes: "Axes", story: Story, *, labelled: bool) -> None:
    """Show when the oracles were silent and when leaders were killed."""
    spans = story.watch.silences.get(IndexId(INDICES[0].number), [])
    falling = [span for span in spans if span[0] >= story.fall_ns]
    for number, (began_ns, ended_ns) in enumerate(falling):
        axes.axvspan(
            story.second(began_ns),
            story.second(ended_ns),
            color=_PALE,
            zorder=0,
            label="index stale" if labelled and number == 0 else None,
        )
    for number, strike_ns in enumerate(story.strikes_ns):
        axes.axvline(
            story.second(strike_ns),
            color=_GREY,
            linewidth=1.0,
            linestyle="--",
            zorder=1,
            label="the leader is killed" if labelled and number == 0 else None,
        )


def _price(axes: "Axes", story: Story) -> None:
    watch = story.watch
    _head(axes, "Mark prices, and what the engine closed at them", "% of the starting price")
    for contract, colour in zip(CONTRACTS, _COLOURS, strict=True):
        marks = story.falling(watch.marks.get(InstrumentId(contract.instrument), []))
        axes.step(
            story.seconds(marks),
            [_percent(contract, ticks) for _, ticks in marks],
            where="post",
            color=colour,
            # On the same index as the first, it would hide that.
            linestyle="-" if contract.kind is ContractKind.LINEAR else (0, (2, 2)),
            label=contract.symbol,
        )
    dots = _dots(story)
    largest = max((dot.dollars for each in dots.values() for dot in each), default=1.0)
    low, high = _DOT_AREA
    for adl, found in dots.items():
        axes.scatter(
            [dot.second for dot in found],
            [dot.percent for dot in found],
            s=[low + (high - low) * dot.dollars / largest for dot in found],
            color=_RED if adl else _INK,
            alpha=0.5 if adl else 0.3,
            linewidths=0,
            label="closed by auto-deleveraging" if adl else "closed in the book",
            zorder=3 if adl else 2,
        )
    _legend(axes)


class _Dot(NamedTuple):
    """What the engine closed of one contract within a while."""

    second: float
    percent: float
    dollars: float


def _dots(story: Story) -> dict[bool, list[_Dot]]:
    """Return what was closed in the book, and (True) by auto-deleveraging."""
    width_ns = max(1, (story.watch.last_ns - story.fall_ns) // _DOTS)
    dots: dict[bool, dict[tuple[int, int], _Dot]] = {False: {}, True: {}}
    for closed in story.watch.closed:
        key = (closed.instrument, (closed.time_ns - story.fall_ns) // width_ns)
        before = dots[closed.adl].get(key)
        dots[closed.adl][key] = _Dot(
            story.second(closed.time_ns),
            _percent(_plan(closed.instrument), closed.mark_ticks),
            _dollars(closed) + (0.0 if before is None else before.dollars),
        )
    return {adl: list(found.values()) for adl, found in dots.items()}


def _liquidations(axes: "Axes", story: Story) -> None:
    register = story.watch.register
    _head(axes, "Liquidations", "positions and margin wallets")
    began_ns, ended_ns = sorted(register.started_ns.values()), sorted(register.ended_ns.values())
    changes = sorted([(time_ns, 1) for time_ns in began_ns] + [(time_ns, -1) for time_ns in ended_ns])
    in_work = accumulate(change for _, change in changes)
    for label, colour, points in (
        ("begun", _COLOURS[1], [(time_ns, count) for count, time_ns in enumerate(began_ns, 1)]),
        ("ended", _COLOURS[0], [(time_ns, count) for count, time_ns in enumerate(ended_ns, 1)]),
        ("in work", _RED, [(time_ns, count) for (time_ns, _), count in zip(changes, in_work, strict=True)]),
    ):
        shown = story.falling([(story.fall_ns - 1, 0), *points])
        axes.step(
            story.seconds(shown), [count for _, count in shown], where="post", color=colour, label=label
        )
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    _legend(axes)


def _fund(axes: "Axes", story: Story) -> None:
    _head(axes, "Insurance funds", "% of what they had at first")
    for (asset, name), colour in zip(_FUNDS, _COLOURS, strict=False):
        first = story.watch.fund_before.get(asset, 0)
        if first == 0:
            continue
        shown = story.falling(story.watch.fund.get(asset, []))
        axes.step(
            story.seconds(shown),
            [100 * atoms / first for _, atoms in shown],
            where="post",
            color=colour,
            label=f"{name}: {_words(asset, first)} at first, {_words(asset, shown[-1][1])} at the end",
        )
    axes.axhline(100, color=_GREY, linewidth=0.8, linestyle=":")
    axes.set_ylim(bottom=0, top=1.12 * axes.get_ylim()[1])
    _legend(axes)


def _adl(axes: "Axes", story: Story) -> None:
    watch = story.watch
    begin, end = 0.0, story.second(watch.last_ns)
    width = max(end - begin, 1e-9) / _BINS
    _head(axes, "Closed by the engine", f"million dollars in {width:.1f} s")
    below = [0.0] * _BINS
    for adl, colour, label in (
        (False, _GREY, "in the book"),
        (True, _RED, "against opposite positions (ADL)"),
    ):
        bars = [0.0] * _BINS
        for closed in watch.closed:
            if closed.adl == adl:
                place = max(0, min(_BINS - 1, int((story.second(closed.time_ns) - begin) / width)))
                bars[place] += _dollars(closed) / _MILLION
        axes.bar(
            [begin + (place + 0.5) * width for place in range(_BINS)],
            bars,
            width=0.9 * width,
            bottom=below,
            color=colour,
            label=f"{label}: {sum(bars):,.1f} million in all",
        )
        below = [one + more for one, more in zip(below, bars, strict=True)]
    _legend(axes)


def _open_interest(axes: "Axes", story: Story) -> None:
    _head(axes, "Open interest", "% of its highest")
    for contract, colour in zip(CONTRACTS, _COLOURS, strict=True):
        series = story.watch.open_interest.get(InstrumentId(contract.instrument), [])
        highest = max((lots for _, lots in series), default=0)
        if highest:
            shown = story.falling(series)
            axes.step(
                story.seconds(shown),
                [100 * lots / highest for _, lots in shown],
                where="post",
                color=colour,
                label=contract.symbol,
            )
    axes.set_ylim(bottom=0, top=112)
    _legend(axes)


def _head(axes: "Axes", title: str, unit: str) -> None:
    axes.set_title(title, loc="left", fontweight="bold", color=_INK)
    axes.set_ylabel(unit)
    axes.margins(x=0.01)


def _legend(axes: "Axes") -> None:
    legend = axes.legend(loc="best", frameon=True, framealpha=0.9, edgecolor=_GRID, fontsize=9)
    for handle in legend.legend_handles:
        # A mark in the legend has one size and full colour, whatever the marks in the picture have.
        if handle is not None and hasattr(handle, "set_sizes"):
            handle.set_sizes([40.0])
            handle.set_alpha(0.8)


def _plan(instrument: InstrumentId) -> ContractPlan:
    return next(contract for contract in CONTRACTS if contract.instrument == instrument)


def _percent(contract: ContractPlan, ticks: int) -> float:
    return 100 * ticks * contract.tick / STARTS[contract.market]


def _dollars(closed: Closed) -> float:
    """Return what the engine closed, in dollars at the starting price."""
    return closed.notional_atoms / (dollars_atoms(_plan(closed.instrument).settle, _MILLION) / _MILLION)


def _words(asset: AssetId, atoms: int) -> str:
    return f"{atoms / 10 ** _DECIMALS[asset]:,.{0 if asset == USDT else 3}f}"


_FUNDS: Final[Sequence[tuple[AssetId, str]]] = ((AssetId(USDT), "USDT"), (AssetId(BTC), "BTC"))
_DECIMALS: Final = {AssetId(USDT): USDT_DECIMALS, AssetId(BTC): COIN_DECIMALS}
_PANELS: Final[dict[str, Panel]] = {
    "price": _price,
    "liquidations": _liquidations,
    "fund": _fund,
    "adl": _adl,
    "open-interest": _open_interest,
}
_STYLE: Final[dict[Any, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "lines.linewidth": 1.6,
    "savefig.facecolor": "white",
}
