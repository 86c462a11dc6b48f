"""The colours, dashes and markers of curves, on light and on dark ground.

Figures are drawn in the light colours. A page replaces each by a variable, which takes the dark one
where the reader's screen is dark. A strategy that is not known here gets a colour all the same.
"""

from zlib import crc32

from ttc_client.analysis.curves import Curve
from ttc_client.search.strategies import STRATEGIES

INK, FAINT, GRID, GROUND = "#24292f", "#6a737d", "#d8dce0", "#ffffff"

_DARK = {
    INK: "#e6e9ec",
    FAINT: "#a8b0b8",
    GRID: "#3a4046",
    GROUND: "transparent",
    "#6e6e6e": "#b4b4b4",
    "#a86c00": "#f0b345",
    "#0068a3": "#62b5f0",
    "#00795a": "#3ecfa0",
    "#b04a88": "#f29ccd",
    "#3f3f9f": "#a9a9ff",
    "#c04a00": "#ff9d5c",
    "#2d87b8": "#8fd0f5",
    "#7a5c3a": "#d6b48c",
    "#5c7a00": "#b9d650",
    "#c2185b": "#ff8fb8",
    "#00808a": "#5fd3dc",
    "#8b2e16": "#f0a08c",
    "#6b4fb3": "#c6b3ff",
    "#3f6b2f": "#9fd18c",
    "#9a7400": "#ecc94b",
    "#4a5a7a": "#b7c6e6",
    "#7b1fa2": "#dca6f2",
    "#b8336a": "#f58fb8",
    "#4a6fa5": "#a3c2f0",
}
"""The dark colour for each light one; both have a contrast of 3 and more to their ground."""

_KNOWN = (
    *("#6e6e6e", "#0068a3", "#a86c00", "#00795a", "#b04a88", "#3f3f9f"),
    *("#c2185b", "#00808a", "#8b2e16", "#6b4fb3", "#3f6b2f"),
    *("#9a7400", "#4a5a7a", "#7b1fa2"),
    *("#c04a00", "#5c7a00", "#7a5c3a"),
)
"""Of the strategies in the order of their table; after Okabe and Ito, whose colours the
colour-blind can tell apart."""
_OTHERS = ("#2d87b8", "#b8336a", "#4a6fa5")
_VOTES = {"weighted": "#0068a3", "majority": "#2d87b8", "prm": "#c04a00", "pass": "#6e6e6e"}
_DASHES = {
    "weighted": "-",
    "majority": "--",
    "prm": ":",
    "pass": "-.",
    "oracle bins": "--",
    "table": "-.",
}
_MARKERS = "osD^v<>"


def colour(strategy: str) -> str:
    """Return the colour of a strategy, always the same one."""
    known = dict(zip(STRATEGIES, _KNOWN, strict=False))
    return known.get(strategy) or _OTHERS[crc32(strategy.encode()) % len(_OTHERS)]


def vote_colour(measure: str) -> str:
    """Return the colour of a vote among those of one strategy."""
    return _VOTES.get(measure, FAINT)


def style(curve: Curve) -> dict[str, object]:
    """Return how matplotlib draws a curve: a colour per strategy, dashes per vote."""
    plain = curve.is_main and curve.measure == "majority"
    return {
        "color": colour(curve.strategy),
        "linestyle": "-" if plain else _DASHES.get(curve.measure, "-"),
        "marker": _MARKERS[sum(map(ord, curve.label)) % len(_MARKERS)],
        "markersize": 4,
        "linewidth": 1.5,
    }


def variable(light: str) -> str:
    """Return what stands for a light colour in a page; other colours are returned as they are."""
    return f"var(--c{light[1:]})" if light in _DARK else light


def css() -> str:
    """Return the variables of all colours, for light and for dark screens."""
    light = "".join(f"--c{name[1:]}:{'transparent' if name == GROUND else name};" for name in _DARK)
    dark = "".join(f"--c{name[1:]}:{other};" for name, other in _DARK.items())
    return f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"
