"""Figures: nothing runs into anything or over the edge, and colours follow the reader's screen."""

import re
from itertools import pairwise

import pytest

from ttc_client.analysis.calibration import Calibration
from ttc_client.analysis.curves import Curve, Point, Spent
from ttc_client.report import figures, palette
from ttc_client.report.axes import NARROW, WIDE, short, spaced, svg_of
from ttc_client.report.inline import inline
from ttc_client.report.tables import ModelSizes

BUDGETS = (1, 2, 4, 5, 6, 7, 8, 12, 16, 32, 64, 128, 256, 300)
LONG = "runs/a directory with a name that is longer than there is room for"
SUBJECTS = [f"{name} & Probability" for name in ("Algebra", "Counting", "Geometry", "Calculus")]


def point(n: int) -> Point:
    right = {f"p{i}": {0: float(i % 3 > 0)} for i in range(12)}
    return Point(right, {name: {0: Spent(90.0 * n, 9.0, 99.0 * n, 1.0, 1.0)} for name in right})


def points() -> dict[Curve, dict[int, Point]]:
    """Curves of every strategy and vote, one that is in no release, and a long label."""
    kinds = [("majority", "majority", ""), ("dice", "weighted", "")]
    for strategy in ("best-of-n", "beam", "dvts"):
        kinds += [(strategy, vote, "") for vote in ("weighted", "prm", "majority", "pass")]
    kinds += [("beam", "weighted", LONG), ("compute-optimal", "table", "")]
    found = {Curve(*kind): {n: point(n) for n in BUDGETS} for kind in kinds}
    return {**found, Curve("greedy", "majority"): {1: point(1)}}


POINTS = points()
GROUPS = {name: [f"p{i}", f"p{i + 1}"] for i, name in enumerate(SUBJECTS)}
MANY = {f"{i} {LONG}": [f"p{i}"] for i in range(12)}
FOUND = Calibration((0.1, 0.5, 0.9), (0.0, 0.6, 1.0), (5, 1, 9), 0.123, 0.987)
DRAWS = {
    "accuracy": lambda shape: figures.accuracy_figure(POINTS, {LONG: 0.5, "$x$": 0.6}, shape),
    "optimal": lambda shape: figures.optimal_figure(POINTS, {}, shape),
    "votes": lambda shape: figures.votes_figure(POINTS, shape),
    "tokens": lambda shape: figures.cost_figure(POINTS, ModelSizes(), shape),
    "flops": lambda shape: figures.cost_figure(POINTS, ModelSizes(1e9, 8e9), shape),
    "subject": lambda shape: figures.groups_figure(POINTS, GROUPS, "subject", shape),
    "many": lambda shape: figures.groups_figure(POINTS, MANY, "group", shape),
    "calibration": lambda shape: figures.calibration_figure(FOUND, shape),
}


@pytest.fixture(autouse=True)
def _dice_is_known(dice):
    """All figures show it."""


@pytest.mark.parametrize("shape", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", DRAWS)
def test_ticks_do_not_overlap_and_nothing_is_cut_off(name, shape):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = DRAWS[name](shape)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer, edges = canvas.get_renderer(), figure.bbox
    texts = [text for legend in figure.legends for text in legend.get_texts()]
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            labels = drawn_labels(axis)
            texts += [*labels, axis.label]
            upright = [box(label, renderer) for label in labels if not label.get_rotation()]
            assert labels or (axis is axes.yaxis and axes is not figure.axes[0])
            assert not any(one.overlaps(other) for one, other in pairwise(upright))
        texts.append(axes.title)
    for text in texts:
        found = box(text, renderer)
        assert found.x0 >= edges.x0 - 1, text
        assert found.x1 <= edges.x1 + 1, text
        assert found.y0 >= edges.y0 - 1, text
        assert found.y1 <= edges.y1 + 1, text


def drawn_labels(axis):
    """The labels of an axis' ticks, without those that lie outside of its ends."""
    low, high = sorted(axis.get_view_interval())
    ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=False)
    return [label for place, label in ticks if label.get_text() and low <= place <= high]


def box(text, renderer):
    return text.get_window_extent(renderer)


@pytest.mark.parametrize("name", ["accuracy", "votes"])
def test_the_largest_budget_always_has_its_number(name):
    axes = DRAWS[name](NARROW).axes[-1]
    numbers = [label.get_text() for label in axes.get_xticklabels()]
    assert numbers[-1] == "300"
    assert len(numbers) == len(BUDGETS)


def test_labels_are_left_out_where_they_would_run_into_each_other():
    labels = [(0.0, "1"), (1.0, "2"), (1.1, "3"), (2.0, "4")]
    assert spaced(labels, 2.0) == {0, 2, 3}
    assert spaced(labels, 0.1) == {3}
    assert spaced([], 1.0) == set()
    assert [short(n) for n in (50, 2_000, 5e6, 2e13, 0.5)] == ["50", "2k", "5M", "2e13", "0.5"]


def test_a_strategy_has_one_colour_and_one_that_is_not_known_has_one_too():
    known = [palette.colour(name) for name in ("greedy", "majority", "best-of-n", "beam", "dvts")]
    assert len(set(known)) == 5
    assert palette.colour("dice") == palette.colour("dice")
    assert palette.colour("dice") not in known


def luminance(colour: str) -> float:
    channels = [(int(colour[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5)]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), channels, strict=True))


def test_every_colour_can_be_told_from_the_ground_light_and_dark():
    assert palette.css().count("prefers-color-scheme:dark") == 1
    light, dark = palette.css().split("@media")
    for part, ground, least in ((light, "#ffffff", 3), (dark, "#14171a", 3)):
        for name, colour in re.findall(r"--c(\w+):(#\w+);", part):
            if f"#{name}" != palette.GRID:
                pair = sorted((luminance(colour) + 0.05, luminance(ground) + 0.05))
                assert pair[1] / pair[0] >= least, name


@pytest.mark.parametrize("name", ["accuracy", "subject", "calibration"])
def test_in_a_page_every_colour_is_one_that_follows_the_screen(name):
    drawn = inline(svg_of(DRAWS[name](NARROW), name), f"{name}-narrow", 'say "hi" & <bye>')
    assert not re.search(r"#[0-9a-f]{6}\b", drawn)
    assert "var(--c" in drawn
    assert 'aria-label="say &quot;hi&quot; &amp; &lt;bye&gt;"' in drawn
    assert not re.search(r"<!--|<style|<metadata|<script", drawn)
    ids = re.findall(r'\bid="([^"]*)"', drawn)
    assert len(ids) == len(set(ids))
    assert all(found.startswith(f"{name}-narrow-") for found in ids)
    assert set(re.findall(r'href="#([^"]*)"', drawn)) <= set(ids)


def test_the_same_figure_is_the_same_bytes():
    assert svg_of(DRAWS["accuracy"](WIDE), "a") == svg_of(DRAWS["accuracy"](WIDE), "a")
