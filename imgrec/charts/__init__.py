"""Every chart of the dashboard: plain data in, a Plotly figure out, or HTML for lying bars."""

from imgrec.charts.bars import probability_bars, ranking, signed_bars
from imgrec.charts.data import aspect_bars, channel_bars, class_counts, confidence_bars, size_scatter
from imgrec.charts.evaluation import class_scores, confusion, curve, elsewhere, reliability, slices, worsening
from imgrec.charts.figure import Figure
from imgrec.charts.lessons import falling, functions, histogram, race, regions, sketch
from imgrec.charts.shelf import network, networks, sizes
from imgrec.charts.style import percent, plain, thin
from imgrec.charts.training import curves, effect, overlaid, parallel, rates

__all__ = [
    "Figure",
    "aspect_bars",
    "channel_bars",
    "class_counts",
    "class_scores",
    "confidence_bars",
    "confusion",
    "curve",
    "curves",
    "effect",
    "elsewhere",
    "falling",
    "functions",
    "histogram",
    "network",
    "networks",
    "overlaid",
    "parallel",
    "percent",
    "plain",
    "probability_bars",
    "race",
    "ranking",
    "rates",
    "regions",
    "reliability",
    "signed_bars",
    "size_scatter",
    "sizes",
    "sketch",
    "slices",
    "thin",
    "worsening",
]
