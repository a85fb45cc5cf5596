"""Every chart is content that Plotly itself accepts, and says what it was given."""

import inspect
import json

import numpy as np
import plotly.graph_objects as go
import plotly.io
import pytest

from imgrec import charts

EPOCHS = [
    {"epoch": n, "train_loss": 1 / n, "validation_loss": 1.1 / n, "train_accuracy": 0.9, "validation_accuracy": 0.8}
    for n in (1, 2, 3)
]
STEPS = [{"at": n / 10, "loss": 1.0, "accuracy": 0.5} for n in range(1, 20)]
ROWS = [{"name": "cat", "accuracy": 0.5, "images": 8, "interval": (0.3, 0.7), "kind": "this", "probability": 0.7,
         "precision": 0.4, "recall": 0.6, "f1": 0.5, "low": 0.1, "high": 0.2, "confidence": 0.15, "count": 3, "network": "lenet",
         "year": 1998, "weights": 60_000, "multiply-adds": 400_000, "width": 8, "height": 9, "from": 0.5, "to": None}]  # fmt: skip
SAMPLES = {
    "aspect_bars": (ROWS,),
    "channel_bars": ((0.4, 0.5, 0.6), (0.1, 0.1, 0.2)),
    "class_counts": ({"cat": {"train": 3, "validation": 1, "test": 0}, "<b>dog": {"train": 2, "validation": 0, "test": 1}},),
    "class_scores": (ROWS,),
    "confidence_bars": ((0.2, 0.9),),
    "confusion": ([[3, 1], [0, 4]], ["cat", "dog"], True),
    "curve": (([0, 0.5, 1], [0, 0.8, 1]), "x", "y", (0, 1)),
    "curves": (STEPS, EPOCHS, "accuracy", 5, (1.5,)),
    "falling": ({"Adam": [3.0, 2.0]}, "step", "height", True),
    "functions": ({"ReLU": (np.arange(3), np.arange(3.0))}, (1, 1)),
    "histogram": (np.arange(9), "value"),
    "network": ([{"layer": "Conv2d", "shape": (8, 4, 4), "parameters": 80}, {"layer": "Linear", "shape": (10,), "parameters": 90}],),
    "networks": (ROWS,),
    "overlaid": ({"a run": EPOCHS, "another": EPOCHS}, "loss"),
    "parallel": ([{"epochs": 3, "model": "lenet", "test_accuracy": 0.5}] * 2, {"epochs": "Epochs", "model": "Network", "test_accuracy": "accuracy"}),
    "probability_bars": (ROWS,),
    "race": (np.linspace(-2, 2, 5), np.ones((5, 5)), {"Adam": np.zeros((4, 3))}, ((0, 0),)),
    "ranking": (ROWS,),
    "rates": ((1e-4, 1e-3, 1e-2), (2.0, 1.0, 3.0), 1e-3),
    "regions": (np.linspace(-2, 2, 5), np.ones((5, 5)), np.zeros((4, 2)), np.array([0, 1, 0, 1])),
    "reliability": (ROWS,),
    "signed_bars": (("a", "b"), (0.5, -0.5)),
    "size_scatter": (ROWS,),
    "sizes": (ROWS, {"svm": 0.4}),
    "sketch": (((0, 0, "a"), (1, 0, "b"), (2, 0, "c")), ((0, 1), (1, 2), (0, 2))),
    "slices": (ROWS, 0.6),
    "worsening": ((0, 1, 2), (0.9, 0.8, 0.7), "noise"),
}  # fmt: skip
NO_CHARTS = {"Figure", "percent", "plain", "thin"}


def test_every_chart_has_a_sample_here():
    assert set(SAMPLES) == set(charts.__all__) - NO_CHARTS
    assert all(inspect.isfunction(getattr(charts, name)) for name in SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_plotly_accepts_every_value_of_it(name):
    figure = getattr(charts, name)(*SAMPLES[name])
    content = figure.to_dict()
    accepted = go.Figure(content).to_plotly_json()  # raises ValueError for what is not in its reference
    sent = json.loads(plotly.io.to_json(figure, validate=False))
    assert [trace["type"] for trace in sent["data"]] == [trace["type"] for trace in accepted["data"]]
    assert sent["layout"]["height"] == content["layout"]["height"]
    assert "null" not in json.dumps(sent["layout"])


def test_a_chart_holds_the_numbers_and_names_it_was_given():
    bars = charts.probability_bars([{"name": "<b>cat", "probability": 0.75}, {"name": "dog", "probability": 0.25}])
    [trace] = bars.to_dict()["data"]
    assert trace["x"] == [0.25, 0.75]
    assert bars.to_dict()["layout"]["yaxis"]["ticktext"] == ["dog", "&lt;b&gt;cat"]
    assert trace["text"] == ["25.0 %", "75.0 %"]


@pytest.mark.parametrize("name", SAMPLES)
def test_every_chart_is_a_table_as_well(name):
    """Row 25 of the goals: a table and a text beside every chart."""
    rows = getattr(charts, name)(*SAMPLES[name]).table()
    assert rows
    json.dumps(rows)  # plain numbers and words, nothing of numpy
    assert all(len(row) >= 2 for row in rows)


def test_the_table_of_a_chart_has_its_names_and_numbers():
    bars = charts.probability_bars([{"name": "cat", "probability": 0.75}, {"name": "dog", "probability": 0.25}])
    assert bars.table() == [{"x": 0.25, "y": "dog"}, {"x": 0.75, "y": "cat"}]
    assert charts.confusion([[3, 1], [0, 4]], ["cat", "dog"], True).table() == [
        {"truth \\ answer": "cat", "cat": 3, "dog": 1},
        {"truth \\ answer": "dog", "cat": 0, "dog": 4},
    ]
    lines = charts.curves([], EPOCHS[:1], "loss", 5).table()
    assert lines == [{"": "train", "epoch": 1, "loss": 1.0}, {"": "validation", "epoch": 1, "loss": 1.1}]


def test_settings_are_merged_and_empty_ones_left_out():
    figure = charts.Figure().update_layout(margin={"t": 1, "b": 2}).update_layout(margin={"t": 3})
    figure.update_xaxes(range=[0, 1]).update_xaxes(tickformat=".0%", range=None)
    layout = figure.to_dict()["layout"]
    assert layout["margin"] == {"t": 3, "b": 2}
    assert layout["xaxis"] == {"range": [0, 1], "tickformat": ".0%"}


def test_there_is_room_beside_an_axis_for_what_it_says():
    def layout(*names):
        return charts.probability_bars([{"name": name, "probability": 0.5} for name in names]).to_dict()["layout"]

    short, long, chinese = (layout(name)["margin"]["l"] for name in ("cat", "automobile", "小汽车小汽车小汽车小"))
    assert 20 < short < long < chinese
    assert layout("cat")["yaxis"]["automargin"] is False
    assert layout("a name of a class that is very long")["yaxis"]["automargin"] is True  # Plotly looks how long
    titled, plain = (charts.falling({"a": [1.0, 0.5]}, "step", title).to_dict()["layout"] for title in ("loss", ""))
    assert titled["margin"]["l"] > plain["margin"]["l"]
