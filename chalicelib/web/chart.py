"""A curve as the places of an SVG. Pure.

The words of a chart are in an outer SVG without a viewBox, so that they keep their size at every width, at places in per
cent; lines are in an inner one that is stretched. No style is inline: positions are attributes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import floor, log10

from chalicelib.web.curve import Curve

HEIGHT, TOP, BOTTOM = 208, 18, 188
"""Of the whole, and of the upper and lower end of the plot, in pixels."""
TALL = 200
"""Units of the inner SVG from the upper to the lower end."""
ROOM = 1.1
"""How much higher than the highest value the plot is."""
STEPS = (1, 2, 2.5, 5, 10)
MAX_LINES = 3
Clock = Callable[[datetime], str]


@dataclass(frozen=True, slots=True)
class Word:
    """A text of the chart at `x` per cent and `y` pixels. `anchor` is that of SVG."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    alt: bool = False


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the time, in per cent from the left."""

    x: float
    width: float
    words: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """What the template draws. `lines` and `areas` are paths of the inner SVG, which is `wide` units wide."""

    title: str
    label: str
    wide: int
    lines: tuple[str, ...]
    areas: tuple[str, ...]
    grid: tuple[Word, ...]
    times: tuple[Word, ...]
    limit: Word | None
    gaps: tuple[Stretch, ...]
    bands: tuple[Stretch, ...]
    marks: tuple[Word, ...]
    now: str
    rows: tuple[tuple[str, str], ...]
    over: tuple[str, ...] = ()

    @property
    def read(self) -> str:
        """Return what is read under the pointer at each point, as one text."""
        return "|".join(f"{at} · {value}" for at, value in self.rows)


def chart_of(curve: Curve, clock: Clock) -> Chart:
    """Return a curve as a chart, with the times of the reader's clock."""
    top = _top(curve)
    last = len(curve.values) - 1
    runs = list(_runs(curve.values))
    paths = ["M" + " ".join(f"{n} {_y(value, top)}" for n, value in run) for run in runs]
    newest = next((value for value in reversed(curve.values) if value is not None), None)
    return Chart(
        title=curve.title,
        label=_label(curve, newest, clock),
        wide=max(1, last),
        lines=tuple(paths),
        areas=tuple(f"{path} {run[-1][0]} {TALL} {run[0][0]} {TALL}Z" for path, run in zip(paths, runs, strict=True)),
        grid=tuple(_grid(curve, top)),
        times=tuple(_times(curve, clock)),
        limit=_limit(curve, top),
        gaps=tuple(_gaps(curve)),
        bands=tuple(
            Stretch(_x(curve, each.begins), _x(curve, each.ends) - _x(curve, each.begins), each.words)
            for each in curve.bands
        ),
        marks=tuple(
            Word(_x(curve, each.at), 12, each.words, "end" if _x(curve, each.at) > 80 else "start")
            for each in curve.marks
        ),
        now=curve.words(newest),
        rows=tuple((clock(curve.start + curve.step * n), curve.words(value)) for n, value in enumerate(curve.values)),
        over=tuple(_over(curve, runs, top)),
    )


def _top(curve: Curve) -> float:
    known = [value for value in (*curve.values, curve.limit) if value is not None]
    return max([*known, 0.0]) * ROOM or 1.0


def _y(value: float, top: float) -> int:
    """Return the place of a value in the inner SVG; what is below zero stands on the line."""
    return round(TALL - TALL * max(0.0, min(value, top)) / top)


def _pixels(value: float, top: float) -> float:
    return round(TOP + (BOTTOM - TOP) * _y(value, top) / TALL, 1)


def _x(curve: Curve, at: datetime) -> float:
    whole = curve.end - curve.start
    share = (at - curve.start) / whole if whole else 0.0
    return round(100 * max(0.0, min(share, 1.0)), 2)


def _runs(values: Sequence[float | None]) -> Iterator[list[tuple[int, float]]]:
    """Yield the stretches without a gap; a point alone is as long as half a step, so that it is seen."""
    run: list[tuple[int, float]] = []
    for n, value in enumerate((*values, None)):
        if value is not None:
            run.append((n, value))
        elif run:
            yield run if len(run) > 1 else [*run, (run[0][0], run[0][1])]
            run = []


def _gaps(curve: Curve) -> Iterator[Stretch]:
    last = max(1, len(curve.values) - 1)
    begin: int | None = None
    for n, value in enumerate((*curve.values, 0.0)):
        if value is None:
            begin = n if begin is None else begin
        elif begin is not None:
            left, right = max(0, begin - 1), min(n, last)
            yield Stretch(round(100 * left / last, 2), round(100 * (right - left) / last, 2), "no data")
            begin = None


def _grid(curve: Curve, top: float) -> Iterator[Word]:
    rough = top / MAX_LINES
    power = 10.0 ** floor(log10(rough))
    step = next(power * each for each in STEPS if power * each >= rough * 0.999)
    for n in range(1, MAX_LINES + 1):
        if step * n < top:
            yield Word(0, _pixels(step * n, top), curve.words(step * n))


def _times(curve: Curve, clock: Clock) -> Iterator[Word]:
    for n, share in enumerate((0, 25, 50, 75, 100)):
        at = curve.start + (curve.end - curve.start) * share / 100
        anchor = "start" if share == 0 else "end" if share == 100 else "middle"
        yield Word(share, HEIGHT - 2, clock(at), anchor, alt=bool(n % 2))


def _limit(curve: Curve, top: float) -> Word | None:
    if curve.limit is None or curve.limit < 0:
        return None
    return Word(100, _pixels(curve.limit, top), f"limit {curve.words(curve.limit)}", "end")


def _over(curve: Curve, runs: Sequence[Sequence[tuple[int, float]]], top: float) -> Iterator[str]:
    """Yield the areas of what is on the wrong side of the limit."""
    if curve.limit is None:
        return
    base = _y(curve.limit, top)
    for run in runs:
        wrong: list[tuple[int, float]] = []
        for n, value in (*run, (-1, curve.limit)):
            if n >= 0 and (value > curve.limit if curve.above else value < curve.limit):
                wrong.append((n, value))
            elif wrong:
                points = " ".join(f"{at} {_y(each, top)}" for at, each in wrong)
                yield f"M{wrong[0][0]} {base} {points} {wrong[-1][0]} {base}Z"
                wrong = []


def _label(curve: Curve, newest: float | None, clock: Clock) -> str:
    known = [value for value in curve.values if value is not None]
    limit = f"; the limit is {curve.words(curve.limit)}" if curve.limit is not None else ""
    return (
        f"{curve.title} from {clock(curve.start)} to {clock(curve.end)}: between {curve.words(min(known))} and "
        f"{curve.words(max(known))}, now {curve.words(newest)}{limit}."
    )
