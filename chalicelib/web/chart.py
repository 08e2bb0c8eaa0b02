"""A curve as the places of an SVG. Pure.

The words of a chart are in an outer SVG without a viewBox, so that they keep their size at every width, at places in per
cent; lines are in an inner one that is stretched. No style is inline: positions are attributes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
ONE_DAY = timedelta(days=1)
"""Within it an hour alone says when."""
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
    rows: tuple[tuple[str, ...], ...]
    over: tuple[str, ...] = ()
    second: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    levels: tuple[Word, ...] = ()
    ahead: str = ""
    ahead_range: str = ""

    @property
    def heads(self) -> tuple[str, ...]:
        """Return the heads of the columns of values."""
        return self.names or (self.title,)

    @property
    def read(self) -> str:
        """Return what is read under the pointer at each point, as one text."""
        named = self.names if len(self.names) > 1 else ("",)
        return "|".join(
            f"{at} · {', '.join(f'{name} {text}'.strip() for name, text in zip(named, texts, strict=True))}"
            for at, *texts in self.rows
        )


@dataclass(frozen=True, slots=True)
class Scale:
    """From which value to which the plot is high."""

    base: float
    top: float

    def y(self, value: float) -> int:
        """Return the place of a value in the inner SVG; what is beyond the plot stands on its edge."""
        share = (max(self.base, min(value, self.top)) - self.base) / (self.top - self.base)
        return round(TALL - TALL * share)

    def pixels(self, value: float) -> float:
        """Return the place of a value in the outer SVG."""
        return round(TOP + (BOTTOM - TOP) * self.y(value) / TALL, 1)


def chart_of(curve: Curve, clock: Clock) -> Chart:
    """Return a curve as a chart, with the times of the reader's clock."""
    scale = _scale(curve)
    runs = list(_runs(curve.values))
    paths = _paths(curve.values, scale)
    newest = next((value for value in reversed(curve.values) if value is not None), None)
    ahead, ahead_range = _foretold(curve, newest, scale)
    return Chart(
        title=curve.title,
        label=_label(curve, newest, clock),
        wide=max(1, curve.steps),
        lines=paths,
        areas=() if scale.base else tuple(_area(path, run) for path, run in zip(paths, runs, strict=True)),
        grid=tuple(_grid(curve, scale)),
        times=tuple(_times(curve, clock)),
        limit=_limit(curve, scale),
        gaps=tuple(_gaps(curve)),
        bands=tuple(
            Stretch(_x(curve, each.begins), _x(curve, each.ends) - _x(curve, each.begins), each.words)
            for each in curve.bands
        ),
        marks=tuple(
            Word(_x(curve, each.at), 12, each.words, "end" if _x(curve, each.at) > 60 else "start")
            for each in curve.marks
        ),
        now=curve.words(newest),
        rows=tuple(_rows(curve, clock)),
        over=tuple(_over(curve, runs, scale)),
        second=_paths(curve.second, scale),
        names=curve.names,
        levels=tuple(Word(0, scale.pixels(each.value), each.words) for each in curve.levels if each.value >= 0),
        ahead=ahead,
        ahead_range=ahead_range,
    )


def _rows(curve: Curve, clock: Clock) -> Iterator[tuple[str, ...]]:
    for n, value in enumerate(curve.values):
        others = (curve.words(curve.second[n]),) if curve.second else ()
        yield clock(curve.start + curve.step * n), curve.words(value), *others


def _paths(values: Sequence[float | None], scale: Scale) -> tuple[str, ...]:
    return tuple("M" + " ".join(f"{n} {scale.y(value)}" for n, value in run) for run in _runs(values))


def _area(path: str, run: Sequence[tuple[int, float]]) -> str:
    return f"{path} {run[-1][0]} {TALL} {run[0][0]} {TALL}Z"


def _foretold(curve: Curve, newest: float | None, scale: Scale) -> tuple[str, str]:
    """Return the line of what is foretold and the area of its range, both from the newest point on."""
    ahead, begin = curve.foretold, len(curve.values) - 1
    if ahead is None or newest is None or not ahead.likely:
        return "", ""
    likely, least, greatest = (
        [f"{begin + n} {scale.y(value)}" for n, value in enumerate((newest, *values))]
        for values in (ahead.likely, ahead.least, ahead.greatest)
    )
    return "M" + " ".join(likely), "M" + " ".join([*greatest, *reversed(least)]) + "Z"


def _scale(curve: Curve) -> Scale:
    """Return a scale with all values and limits; a level that is far above them is left out of a close one."""
    levels = (*(each.value for each in curve.levels), *((curve.limit,) if curve.limit is not None else ()))
    highest = max((*curve.known, 0.0))
    if not curve.close:
        return Scale(0.0, max((highest, *levels)) * ROOM or 1.0)
    lowest, highest = min((*curve.known, *levels), default=0.0), max((*curve.known, *levels), default=1.0)
    room = (highest - lowest) * (ROOM - 1) or abs(highest) * (ROOM - 1) or 1.0
    return Scale(max(0.0, lowest - room), max(highest + room, 1e-9))


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
    last, whole = len(curve.values) - 1, max(1, curve.steps)
    begin: int | None = None
    for n, value in enumerate((*curve.values, 0.0)):
        if value is None:
            begin = n if begin is None else begin
        elif begin is not None:
            left, right = max(0, begin - 1), min(n, max(1, last))
            yield Stretch(round(100 * left / whole, 2), round(100 * (right - left) / whole, 2), "no data")
            begin = None


def _grid(curve: Curve, scale: Scale) -> Iterator[Word]:
    rough = (scale.top - scale.base) / MAX_LINES
    power = 10.0 ** floor(log10(rough))
    step = next(power * each for each in STEPS if power * each >= rough * 0.999)
    first = floor(scale.base / step) + 1
    for n in range(first, first + MAX_LINES):
        if step * n < scale.top:
            yield Word(0, scale.pixels(step * n), curve.words(step * n))


def _times(curve: Curve, clock: Clock) -> Iterator[Word]:
    """Yield the times of the first and the last point, and of the three nearest to the quarters between."""
    steps = curve.steps
    for n, step in enumerate(dict.fromkeys(round(steps * quarter / 4) for quarter in range(5))):
        at = curve.start + curve.step * step
        anchor = "start" if step == 0 else "end" if step == steps else "middle"
        words = clock(at) if curve.end - curve.start > ONE_DAY else clock(at).rpartition(", ")[2]
        yield Word(_x(curve, at), HEIGHT - 2, words, anchor, alt=bool(n % 2))


def _limit(curve: Curve, scale: Scale) -> Word | None:
    if curve.limit is None or curve.limit < 0:
        return None
    return Word(100, scale.pixels(curve.limit), f"limit {curve.words(curve.limit)}", "end")


def _over(curve: Curve, runs: Sequence[Sequence[tuple[int, float]]], scale: Scale) -> Iterator[str]:
    """Yield the areas of what is on the wrong side of the limit, or of the first level."""
    limit = curve.limit if curve.limit is not None else next(iter(_first_levels(curve)), None)
    if limit is None:
        return
    base = scale.y(limit)
    for run in runs:
        wrong: list[tuple[int, float]] = []
        for n, value in (*run, (-1, limit)):
            if n >= 0 and (value > limit if curve.above else value < limit):
                wrong.append((n, value))
            elif wrong:
                points = " ".join(f"{at} {scale.y(each)}" for at, each in wrong)
                yield f"M{wrong[0][0]} {base} {points} {wrong[-1][0]} {base}Z"
                wrong = []


def _first_levels(curve: Curve) -> list[float]:
    return [each.value for each in curve.levels if not each.of_second]


def _label(curve: Curve, newest: float | None, clock: Clock) -> str:
    known = [value for value in curve.values if value is not None]
    until = clock(curve.start + curve.step * (len(curve.values) - 1))
    limit = f"; the limit is {curve.words(curve.limit)}" if curve.limit is not None else ""
    levels = "".join(f"; {each.words}" for each in curve.levels)
    if not known:
        return f"{curve.title} from {clock(curve.start)} to {until}: no data{limit}{levels}."
    return (
        f"{curve.title} from {clock(curve.start)} to {until}: between {curve.words(min(known))} and "
        f"{curve.words(max(known))}, now {curve.words(newest)}{limit}{levels}."
    )
