"""Pictures of a crash: prices with liquidations, the funds, auto-deleveraging and open interest."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from steelyard.client import ContractKind
from steelyard.core.units import AssetId, InstrumentId
from steelyard.ops.crash.market import BTC, CONTRACTS, STARTS, USDT, ContractPlan, dollars_atoms
from steelyard.ops.crash.watch import Closed, Series, Watch
from steelyard.ops.errors import OpsError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE_INCHES: Final = (11.0, 5.2)
_DPI: Final = 130
_INK: Final = "#22303c"
_GREY: Final = "#8a97a3"
_COLOURS: Final = ("#1f6fb2", "#d9822b", "#5b8c3a")
_RED: Final = "#c23b3b"
_GRID: Final = "#e3e8ec"
#: Bars of one picture.
_BINS: Final = 90
#: Areas of the marks that stand for closed lots, in points squared: at least, and of the largest.
_DOT_AREA: Final = (6.0, 260.0)
_MILLION: Final = 1e6
_NS: Final = 1e9


def draw(watch: Watch, folder: Path, strike_ns: int = 0) -> list[Path]:
    """Write the pictures to a folder and return their paths; all say when the leader was killed, if ever.

    Raises:
        OpsError: The drawing library is missing, or the folder cannot be written.

    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise OpsError("pictures need matplotlib: pip install 'steelyard[plots]'") from error
    mpl.use("Agg")
    pictures: tuple[tuple[str, Callable[[Figure, Watch], None]], ...] = (
        ("price", _price),
        ("fund", _fund),
        ("adl", _adl),
        ("open-interest", _open_interest),
    )
    with mpl.rc_context(_STYLE):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return [
                _save(folder / f"crash-{name}.png", picture, watch, strike_ns) for name, picture in pictures
            ]
        except OSError as error:
            raise OpsError(f"cannot write pictures to {folder}: {error.strerror}") from error


def _save(path: Path, picture: Callable[["Figure", Watch], None], watch: Watch, strike_ns: int) -> Path:
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    picture(figure, watch)
    if strike_ns:
        (axes,) = figure.axes
        second = _second(watch, strike_ns)
        axes.axvline(second, color=_GREY, linewidth=1.0, linestyle="--", zorder=1)
        axes.annotate(
            " the leader is killed",
            (second, 1.0),
            xycoords=("data", "axes fraction"),
            va="top",
            color=_GREY,
            fontsize=9,
        )
    figure.savefig(path, dpi=_DPI)
    return path


def _price(figure: "Figure", watch: Watch) -> None:
    axes = _axes(figure, "Marks, and what the engine closed", "per cent of the starting price")
    largest = max((closed.notional_atoms / _unit(closed.instrument) for closed in watch.closed), default=1.0)
    for contract, colour in zip(CONTRACTS, _COLOURS, strict=True):
        marks = _falling(watch, watch.marks.get(InstrumentId(contract.instrument), []))
        axes.step(
            _seconds(watch, marks),
            _percents(contract, marks),
            where="post",
            color=colour,
            # On the same index as the first, it would hide that.
            linestyle="-" if contract.kind is ContractKind.LINEAR else (0, (2, 2)),
            label=contract.symbol,
        )
    for adl in (False, True):
        closed = [each for each in watch.closed if each.adl == adl]
        axes.scatter(
            [_second(watch, each.time_ns) for each in closed],
            [_percent(_plan(each.instrument), each.mark_ticks) for each in closed],
            s=[_area(each, largest) for each in closed],
            color=_RED if adl else _INK,
            alpha=0.35 if adl else 0.18,
            linewidths=0,
            label="closed by auto-deleveraging" if adl else "closed in the book",
            zorder=3 if adl else 2,
        )
    _legend(axes)


def _fund(figure: "Figure", watch: Watch) -> None:
    axes = _axes(figure, "Insurance funds", "per cent of what they had at first")
    for (asset, name), colour in zip(_FUNDS, _COLOURS, strict=False):
        series = watch.fund.get(asset, [])
        first = watch.fund_before.get(asset, 0)
        if first == 0:
            continue
        shown = [(watch.fall_ns, first), *_falling(watch, series), (watch.last_ns, series[-1][1])]
        axes.step(
            _seconds(watch, shown),
            [100 * atoms / first for _, atoms in shown],
            where="post",
            color=colour,
            label=name,
        )
    axes.axhline(100, color=_GREY, linewidth=0.8, linestyle=":")
    axes.set_ylim(bottom=0, top=1.12 * axes.get_ylim()[1])
    _legend(axes)


def _adl(figure: "Figure", watch: Watch) -> None:
    axes = _axes(figure, "Closed by the engine", "million dollars")
    begin, end = _second(watch, watch.fall_ns), _second(watch, watch.last_ns)
    width = max(end - begin, 1e-9) / _BINS
    below = [0.0] * _BINS
    for adl, colour, label in (
        (False, _GREY, "in the book"),
        (True, _RED, "against opposite positions (ADL)"),
    ):
        bars = [0.0] * _BINS
        for closed in watch.closed:
            if closed.adl == adl:
                place = min(_BINS - 1, int((_second(watch, closed.time_ns) - begin) / width))
                bars[place] += closed.notional_atoms / _unit(closed.instrument) / _MILLION
        axes.bar(
            [begin + (place + 0.5) * width for place in range(_BINS)],
            bars,
            width=0.9 * width,
            bottom=below,
            color=colour,
            label=label,
        )
        below = [one + more for one, more in zip(below, bars, strict=True)]
    _legend(axes)


def _open_interest(figure: "Figure", watch: Watch) -> None:
    axes = _axes(figure, "Open interest", "per cent of its highest")
    for contract, colour in zip(CONTRACTS, _COLOURS, strict=True):
        series = watch.open_interest.get(InstrumentId(contract.instrument), [])
        highest = max((lots for _, lots in series), default=0)
        if highest:
            shown = _falling(watch, series)
            shown = [*shown, (watch.last_ns, series[-1][1])]
            axes.step(
                _seconds(watch, shown),
                [100 * lots / highest for _, lots in shown],
                where="post",
                color=colour,
                label=contract.symbol,
            )
    axes.set_ylim(bottom=0, top=112)
    _legend(axes)


def _axes(figure: "Figure", title: str, unit: str) -> "Axes":
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontweight="bold", color=_INK)
    axes.set_xlabel("seconds of log time since the fall began")
    axes.set_ylabel(unit)
    axes.margins(x=0.01)
    return axes


def _legend(axes: "Axes") -> None:
    legend = axes.legend(loc="best", frameon=True, framealpha=0.9, edgecolor=_GRID)
    for handle in legend.legend_handles:
        # A mark in the legend has one size and full colour, whatever the marks in the picture have.
        if handle is not None and hasattr(handle, "set_sizes"):
            handle.set_sizes([40.0])
            handle.set_alpha(0.8)


def _falling(watch: Watch, series: Series) -> Series:
    """Return the part of a series that is of the fall, and the last point before it."""
    before = [point for point in series if point[0] < watch.fall_ns][-1:]
    return [(watch.fall_ns, value) for _, value in before] + [
        point for point in series if point[0] >= watch.fall_ns
    ]


def _second(watch: Watch, time_ns: int) -> float:
    return (time_ns - watch.fall_ns) / _NS


def _seconds(watch: Watch, series: Series) -> list[float]:
    return [_second(watch, time_ns) for time_ns, _ in series]


def _plan(instrument: InstrumentId) -> ContractPlan:
    return next(contract for contract in CONTRACTS if contract.instrument == instrument)


def _percent(contract: ContractPlan, ticks: int) -> float:
    return 100 * ticks * contract.tick / STARTS[contract.market]


def _percents(contract: ContractPlan, series: Series) -> list[float]:
    return [_percent(contract, ticks) for _, ticks in series]


def _unit(instrument: InstrumentId) -> float:
    """Return how many atoms of a contract's settle asset are a dollar, at the starting price."""
    return dollars_atoms(_plan(instrument).settle, _MILLION) / _MILLION


def _area(closed: Closed, largest: float) -> float:
    low, high = _DOT_AREA
    return low + (high - low) * closed.notional_atoms / _unit(closed.instrument) / largest


_FUNDS: Final[Sequence[tuple[AssetId, str]]] = ((AssetId(USDT), "USDT"), (AssetId(BTC), "BTC"))
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
