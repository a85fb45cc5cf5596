"""Every chart is content that Plotly itself accepts, and says what it was given."""

import base64
import html
import inspect
import io
import itertools
import json
import re

import numpy as np
import plotly.graph_objects as go
import plotly.io
import pytest
from PIL import Image

from imgrec import charts
from imgrec.charts import shelf
from imgrec.language import large, speaking

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
    "effect": ([{"run": "a", "learning_rate": 0.1, "model": "lenet", "test_accuracy": 0.5}, {"run": "b", "learning_rate": 0.01, "model": "lenet", "test_accuracy": 0.7}],
        {"learning_rate": "Learning rate", "model": "Network", "test_accuracy": "accuracy"}, True),
    "elsewhere": ([{"name": "cat", "recall": 0.5, "own_recall": 0.9}, {"name": "<b>dog", "recall": 0.7, "own_recall": None}],),
    "falling": ({"Adam": [3.0, 2.0]}, "step", "height", True),
    "functions": ({"ReLU": (np.arange(3), np.arange(3.0))}, (1, 1)),
    "histogram": (np.arange(9), "value"),
    "network": ([{"layer": "Conv2d", "shape": (8, 4, 4), "parameters": 80}, {"layer": "Linear", "shape": (10,), "parameters": 90}],),
    "networks": (ROWS,),
    "overlaid": ({"a run": EPOCHS, "another": EPOCHS}, "loss"),
    "parallel": ([{"epochs": 3, "model": "lenet", "test_accuracy": 0.5}] * 2, {"epochs": "Epochs", "model": "Network", "test_accuracy": "accuracy"}),
    "race": (np.linspace(-2, 2, 5), np.ones((5, 5)), {"Adam": np.zeros((4, 3))}, ((0, 0),)),
    "rates": ((1e-4, 1e-3, 1e-2), (2.0, 1.0, 3.0), 1e-3),
    "regions": (np.linspace(-2, 2, 5), np.ones((5, 5)), np.zeros((4, 2)), np.array([0, 1, 0, 1])),
    "reliability": (ROWS,),
    "size_scatter": (ROWS,),
    "sizes": (ROWS, {"svm": 0.4}),
    "sketch": (((0, 0, "a"), (1, 0, "b"), (2, 0, "c")), ((0, 1), (1, 2), (0, 2))),
    "slices": (ROWS, 0.6),
    "worsening": ((0, 1, 2), (0.9, 0.8, 0.7), "noise"),
}  # fmt: skip
NO_CHARTS = {"Figure", "percent", "plain", "thin"}
TABLES = {"probability_bars", "ranking", "signed_bars"}  # these are HTML


def test_every_chart_has_a_sample_here():
    assert set(SAMPLES) == set(charts.__all__) - NO_CHARTS - TABLES
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


@pytest.mark.parametrize("name", SAMPLES)
def test_a_finger_that_begins_on_a_chart_scrolls_the_page(name):
    assert getattr(charts, name)(*SAMPLES[name]).to_dict()["layout"]["dragmode"] is False


def test_validation_accuracies_of_runs_lie_on_an_axis_of_shares_even_before_the_first_epoch():
    for epochs, least in ((EPOCHS, 0.78), ([], 0.0)):
        low, high = charts.overlaid({"a run": epochs}, "accuracy").to_dict()["layout"]["yaxis"]["range"]
        assert low <= least
        assert high == 1.02


def test_bars_hold_the_numbers_and_names_they_were_given():
    bars = charts.probability_bars([{"name": "<b>cat", "probability": 0.75}, {"name": "dog", "probability": 0.25}])
    assert said(bars) == [["<b>cat", "75.0%"], ["dog", "25.0%"]]
    assert re.findall(r"width:(\d+\.\d\d%);", bars) == ["75.00%", "25.00%"]
    signed = charts.signed_bars(["a", "b"], [-2.0, 1.0])
    assert said(signed) == [["a", "-2.00"], ["b", "+1.00"]]
    assert re.findall(r"width:(\d+\.\d\d%);", signed) == ["100.00%", "0.00%", "0.00%", "50.00%"]
    ranked = charts.ranking(
        [{"name": "svm", "accuracy": 0.5, "kind": "baseline"}, {"name": "a", "accuracy": 0.9, "kind": "this"}]
    )
    assert said(ranked) == [["a", "90.0%"], ["svm", "50.0%"]]


def test_bars_are_nothing_but_a_table_whatever_their_names_hold():
    hostile = "</th><script>alert(1)</script><img src=x onerror=alert(1)> \n " + "long " * 50
    bars = charts.probability_bars([{"name": hostile, "probability": 1.0}])
    tags = {tag.lower() for tag in re.findall(r"</?(\w+)", bars)}
    assert tags == {"table", "tr", "th", "td", "div", "bdi"}
    assert len(said(bars)[0][0]) <= 40


def said(bars):
    """The words of each row of a table of HTML."""
    rows = re.findall("<tr>(.*?)</tr>", bars)
    return [[html.unescape(words) for words in re.sub("<[^>]+>", "\n", row).split("\n") if words] for row in rows]


def test_a_landscape_is_a_picture_with_its_lowest_place_where_it_is():
    axis = np.linspace(-1, 1, 21)
    heights = (axis[None, :] - 0.5) ** 2 + (axis[:, None] - 0.8) ** 2  # lowest to the right and far up
    figure = charts.race(axis, heights, {}, ())
    [ground] = figure.to_dict()["layout"]["images"]
    left, bottom, side = ground["x"], ground["y"], ground["sizex"]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(ground["source"].partition(",")[2]))).convert("L"))
    rows, columns = np.nonzero(picture == picture.min())
    x, y = ((place.mean() + 0.5) / len(picture) for place in (columns, len(picture) - 1 - rows))
    assert (left + x * side, bottom + y * side) == pytest.approx((0.5, 0.8), abs=0.03)


def test_regions_are_coloured_as_they_are_answered():
    answers = np.zeros((3, 3))
    answers[2, 0] = 1  # to the left and up
    [ground] = charts.regions([0, 1, 2], answers, np.zeros((2, 2)), np.array([0, 1])).to_dict()["layout"]["images"]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(ground["source"].partition(",")[2]))))
    assert (picture[0, 0] == [0xE6, 0x9F, 0x00]).all()
    assert (picture[2, 2] == [0, 0x72, 0xB2]).all()
    assert (ground["x"], ground["y"], ground["sizex"], ground["sizey"]) == (-0.5, -0.5, 3, 3)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_chart_is_a_table_as_well(name):
    """Row 25 of the goals: a table and a text beside every chart."""
    rows = getattr(charts, name)(*SAMPLES[name]).table()
    assert rows
    json.dumps(rows)  # plain numbers and words, nothing of numpy
    assert all(len(row) >= 2 for row in rows)


def test_the_table_of_a_chart_has_its_names_and_numbers():
    scores = charts.class_scores([{"name": "<b>cat", "precision": 0.25, "recall": 0.75, "f1": 0.4}]).table()
    assert [row["y"] for row in scores] == ["&lt;b&gt;cat"] * 2
    assert [row["x"] for row in scores] == [0.25, 0.75]
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
        return charts.class_scores([{**ROWS[0], "name": name} for name in names]).to_dict()["layout"]

    short, long, chinese = (layout(name)["margin"]["l"] for name in ("cat", "automobile", "小汽车小汽车小汽车小"))
    assert 20 < short < long < chinese
    assert layout("cat")["yaxis"]["automargin"] is False
    assert layout("a name of a class that is very long")["yaxis"]["automargin"] is True  # Plotly looks how long
    titled, plain = (charts.falling({"a": [1.0, 0.5]}, "step", title).to_dict()["layout"] for title in ("loss", ""))
    assert titled["margin"]["l"] > plain["margin"]["l"]


def test_a_landscape_without_end_is_highest_where_nothing_is_known():
    axis = np.linspace(-1, 1, 9)
    heights = np.tile(np.linspace(0, 8, 9), (9, 1))
    heights[:, 0] = np.nan
    heights[:, 1] = np.inf
    [ground] = charts.race(axis, heights, {}, ()).to_dict()["layout"]["images"]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(ground["source"].partition(",")[2]))).convert("L"))
    middle = picture[len(picture) // 2].astype(int)
    assert middle[2] > middle[-2] - 20 > middle[20]  # the left is as high as the right, and the valley lies between


def test_an_effect_shows_every_run_at_its_value_and_the_means_between_them():
    rows = [
        {"run": name, "rate": rate, "kind": kind, "accuracy": accuracy}
        for name, rate, kind, accuracy in (("a", 0.1, "x", 0.2), ("b", 0.1, "x", 0.4), ("c", 0.01, "x", 0.9), ("d", 0.1, "y", 0.5))
    ]  # fmt: skip
    content = charts.effect(rows, {"rate": "Rate", "kind": "Kind", "accuracy": "Accuracy"}, log=True).to_dict()
    x_dots, x_line, y_dots, _ = content["data"]
    assert sorted(zip(x_dots["x"], x_dots["y"], strict=True)) == [(0.01, 0.9), (0.1, 0.2), (0.1, 0.4)]
    assert list(zip(x_line["x"], x_line["y"], strict=True)) == [(0.01, 0.9), (0.1, pytest.approx(0.3))]
    assert (y_dots["name"], y_dots["x"], y_dots["y"]) == ("Kind y", [0.1], [0.5])
    assert content["layout"]["xaxis"]["type"] == "log"
    assert content["layout"]["xaxis"]["ticktext"] == ["0.01", "0.1"]


def test_an_effect_of_words_stands_them_side_by_side():
    rows = [{"run": name, "model": name, "accuracy": 0.5} for name in ("vgg", "<b>", "vgg")]
    figure = charts.effect(rows, {"model": "Network", "accuracy": "Accuracy"})
    content = figure.to_dict()
    assert content["layout"]["xaxis"]["ticktext"] == ["&lt;b&gt;", "vgg"]
    assert content["data"][0]["x"] == [0, 1, 1]
    assert {row["Network"] for row in figure.table()} == {"&lt;b&gt;", "vgg"}


def test_names_beside_dots_cover_neither_each_other_nor_dots_where_there_is_room():
    places = [(0, 0), (0.1, 0.02), (0.12, 0.3), (0.5, 0.5), (0.52, 0.52), (1, 1), (1, 0.9)]
    widths = [60] * len(places)
    sides = shelf.beside(places, widths)
    assert all(sides)
    for screen in shelf.SCREENS:
        dots = [(screen * (0.05 + 0.9 * x), shelf.HIGH * (0.95 - 0.9 * y)) for x, y in places]
        boxes = [shelf._box(dot, 60, side) for dot, side in zip(dots, sides, strict=True)]
        for one, other in itertools.combinations(boxes, 2):
            assert not shelf._meet(one, other)
        assert all(box[2] <= screen + shelf.DOT for box in boxes)
    crowd = shelf.beside([(0, 0)] * 30 + [(1, 1)], [200] * 31)
    assert 0 < sum(map(bool, crowd)) < 12  # the others are left out instead of covering each other


def test_for_the_back_row_letters_height_and_margins_grow_and_the_figure_itself_stays():
    figure = charts.functions({"x": ([0.0, 1.0], [0.0, 1.0])}, (0.5, 0.5), "x", "y")
    before = json.dumps(figure.to_dict(), default=str)
    large = figure.larger(1.3)
    assert json.dumps(figure.to_dict(), default=str) == before
    old, new = figure.to_dict()["layout"], large.to_dict()["layout"]
    assert new["height"] == pytest.approx(1.3 * old["height"])
    assert new["font"]["size"] == pytest.approx(1.3 * old.get("font", {}).get("size", 13))
    assert all(new["margin"][side] >= 1.3 * room - 1e-9 for side, room in old["margin"].items())
    assert large.to_dict()["data"] == figure.to_dict()["data"]
    go.Figure(large.to_dict())  # Plotly agrees


def test_large_numbers_are_written_as_the_language_counts():
    rows = [{"network": "lenet", "year": 1998, "weights": 60_000, "multiply-adds": 400_000}] * 2
    english = charts.networks(rows).to_dict()["layout"]["xaxis"]
    with speaking("zh_CN"):
        chinese = charts.networks(rows).to_dict()["layout"]["xaxis"]
        assert [large(300_300_000), large(61_700)] == ["3.00 亿", "6.2 万"]
    assert "exponentformat" not in english
    assert chinese["exponentformat"] == "power"
    assert large(300_300_000) == "300.3 M"
