"""Train: how does a network learn? The settings, the start, and the live view of a run that a worker process carries out."""

import dataclasses
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import streamlit as st

from imgrec import charts, coach, hardware, models, runs, snapshots
from imgrec.home import folder
from imgrec.language import current, sentences, tr
from imgrec.recipe import FIELDS, PRESETS, Recipe, command_line
from imgrec.runs import Run
from pages import exam, layers, live_run, moments, parts, pickers, settings, several, teaching, transfers, visitors
from pages.study import Study

UNEQUAL = 3  # times the smallest class, from which on a network neglects it
WORTH = 60  # seconds of a training, from which on it is worth beginning with smaller pictures
FIRST = ("model", "epochs", "learning_rate", "batch_size")
REST = ("optimiser", "schedule", "loss", "augment", "mix", "balance", "weight_decay", "momentum", "label_smoothing", "l1", "clip",
        "warmup", "average", "patience", "image_size", "resize", "start_small", "weights", "freeze", "views", "precision", "device", "seed")  # fmt: skip


@st.cache_data(ttl=10, show_spinner=False)
def device_line(language: str) -> str:
    return hardware.describe(hardware.pick())


def widget(name: str):
    """The form field of one recipe setting, from what the recipe and the shelves say of it."""
    field, key = FIELDS[name], f"recipe_{name}"
    about, default = field.metadata, field.default
    st.session_state.setdefault(key, default)
    common = {"key": key, "help": tr(about["help"]), "persist_state": "session"}
    if name in settings.SHELVES:
        shelf = settings.SHELVES[name]
        return st.selectbox(tr(about["title"]), list(shelf), format_func=lambda row: tr(shelf[row].title), **common)
    if "choices" in about:
        return st.selectbox(tr(about["title"]), about["choices"], format_func=tr, **common)
    if isinstance(default, str):
        return st.text_input(tr(about["title"]), **common)
    if isinstance(default, int):
        return st.number_input(tr(about["title"]), int(about["minimum"]), int(about["maximum"]), step=1, **common)
    step = about.get("step", default / 2)
    return st.number_input(
        tr(about["title"]), float(about["minimum"]), float(about["maximum"]), step=step, format="%g", **common
    )


def use_preset(name: str = "") -> None:
    settings.fill({}, name or st.session_state["preset"])


def form(dataset) -> None:
    """All settings, each with a default that works, and the button that starts."""
    settings.adopt()
    settings.suggest(coach.few_preset(dataset.channels) if few_because(dataset) else "standard")
    st.segmented_control(
        tr("Preset"), list(PRESETS), required=True, key="preset", format_func=tr, on_change=use_preset, persist_state="session",
        help=tr(
            "They fill in the fields below. Standard: a small network from nothing. Quick: the same, for a first look. Transfer: one "
            "that has seen a million photos learns only its last layer. Few: for a handful of photos. Fast: a network made for "
            "speed. Thorough: more time for a better result."
        ),
    )  # fmt: skip
    values = {"dataset": dataset.name}
    for column, name in zip(st.columns(len(FIRST)), FIRST, strict=True):
        with column:
            values[name] = widget(name)
    chosen = models.SHELF[values["model"]]
    st.caption(tr("{title} ({year}): {idea}", title=tr(chosen.title), year=chosen.year, idea=tr(chosen.idea)))
    if values["model"] == "custom":
        values["model"] = layers.table(dataset)
    balance(dataset)
    few(dataset)
    more = st.expander(tr("More settings"), icon=":material/tune:", key="more_settings", on_change="rerun")
    if more.open:
        with more:
            columns = st.columns(3)
            for number, name in enumerate(REST):
                with columns[number % 3]:
                    values[name] = widget(name)
    else:  # two dozen fields cost more than the rest of the page
        values |= {name: st.session_state.setdefault(f"recipe_{name}", FIELDS[name].default) for name in REST}
    wanted = several.form(values, settings.SHELVES)
    said = settings.differing(values, wanted.lists, wanted.draw)
    settings.keep(said)
    sizes(values, dataset)
    to_fetch(values)
    before(values, wanted)
    plan = st.session_state["recipe_augment"]
    st.caption(
        tr(
            "Augmentation: {plan}. Device: {device}.",
            plan=tr("none") if plan == "none" else parts.text(plan),
            device=parts.text(device_line(current()), 120),
        )
    )
    if st.button(
        several.button(wanted), type="primary", icon=":material/play_arrow:", key="start", disabled=not wanted.complete
    ):
        with parts.refusals():
            check_weights(values, wanted)
            started = several.start(Recipe(**values), wanted)
            st.session_state["run"] = st.session_state["started"] = started[0].name
            st.rerun()
    with st.expander(tr("On the command line"), icon=":material/terminal:"):
        st.code(command_line({"dataset": dataset.name, **said}), language="sh", wrap_lines=True)


@st.cache_data(max_entries=200, show_spinner=False)
def weights(*asked) -> tuple[int, int]:
    """Of the whole network and of its last layer."""
    return models.parameters(*asked), models.parameters(*asked, head=True)


def sizes(values: dict, dataset) -> None:
    """How many weights there are, and how many of them learn."""
    asked = (values["model"], len(dataset.classes), dataset.channels, values["image_size"] or dataset.image_size)
    try:
        every, head = weights(*asked)
    except (ValueError, RuntimeError):
        return  # said when it is started
    learning = {
        "none": tr("all of them learn"),
        "backbone": tr("{head:,} of them learn, those of the last layer", head=head),
        "gradual": tr("at first {head:,} of them learn, those of the last layer, later all", head=head),
    }[values["freeze"]]
    st.caption(tr("Weights: {every:,}; {learning}.", every=every, learning=learning))


def to_fetch(values: dict) -> None:
    """Say beforehand that weights have to come from the internet."""
    if values["weights"] == "imagenet" and models.SHELF[values["model"].partition(":")[0]].pretrained:
        from imgrec.weights import Start

        if not Start.is_here(values["model"]):
            st.caption(
                tr(
                    ":material/cloud_download: Its ImageNet weights are not on this machine yet. They are fetched from the "
                    "internet when the training starts, once."
                )
            )


def hint(words: str, icon: str, *ways: tuple[str, str, Callable[..., None], *tuple[str, ...]]) -> None:
    """What these pictures suggest, and a button for each way to do it: label, key, and what it calls with what."""
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.info(words, icon=icon)
    for label, key, do, *given in ways:
        right.button(label, key=key, on_click=do, args=given)


def balance(dataset) -> None:
    """For unequal classes: what to do about it, and how much a picture of each class will count."""
    counts = {name: row["train"] for name, row in dataset.counts().items() if row["train"]}
    if not counts or max(counts.values()) <= UNEQUAL * min(counts.values()):
        return
    ratio, chosen = max(counts.values()) / min(counts.values()), st.session_state.get("recipe_balance", "none")
    if chosen == "none":
        words = tr(
            "The largest class has {ratio:.1f} times the training pictures of the smallest; the network will "
            "neglect the small one unless it counts for more.",
            ratio=ratio,
        )
        hint(words, ":material/balance:", (tr("Balance classes"), "use_balance", use, "balance", "loss"))
        return
    total = sum(counts.values())
    weights = {name: total / (len(counts) * count) for name, count in counts.items()}
    title = (
        tr("Balanced: how much a picture of each class counts in the loss")
        if chosen == "loss"
        else tr("Balanced: how often a picture of each class is drawn")
    )
    with st.expander(title, icon=":material/balance:"):
        rows = [
            {tr("class"): name, tr("pictures"): counts[name], tr("weight"): round(weights[name], 2)} for name in counts
        ]
        parts.grid(rows)


def few_because(dataset) -> str:
    """Why its pictures are few for a network that begins with nothing, or empty."""
    return coach.few(len(dataset.indices("train")), len(dataset.classes), dataset.image_size, "none")


def few(dataset) -> None:
    """For few photos: a way that beats every network that begins with nothing."""
    base = settings.of_preset("few")["weights"]
    chosen = st.session_state["preset"] == "few" and st.session_state.get("recipe_weights", base) == base
    why = few_because(dataset)
    if not why or not (chosen or st.session_state.get("recipe_weights", "none") == "none"):
        return
    begins = tr("*Few* begins with one that comes with imgrec and looks at 32 pixels: seconds.")
    fetched = tr("Transfer learning begins with one that has seen a million photos of 224 pixels; its weights (14 MB) are fetched once.")  # fmt: skip
    ways = [(tr("Transfer learning"), "use_transfer", use_preset, "transfer")]
    words = [why, fetched]
    if coach.few_preset(dataset.channels) == "few":
        words.insert(
            1,
            tr("So *few* is chosen, which begins with one that comes with imgrec and looks at 32 pixels: seconds.")
            if chosen
            else begins,
        )
        if not chosen:
            ways.insert(0, (tr("Few"), "use_few", use_preset, "few"))
    hint(sentences(*words), ":material/model_training:", *ways)


def check_weights(values: dict, wanted: several.Several) -> None:
    """Raise ValueError for a file of weights that this visitor may not open: a path may lead anywhere on the server."""
    if visitors.is_operator():
        return
    for name in (values["weights"], *wanted.lists.get("weights", ())):
        path = Path(os.path.expanduser(str(name)))  # Path.expanduser raises for ~nobody
        if path.suffix in (".safetensors", ".pth", ".pt") and not transfers.opened(path, folder("weights")):
            raise ValueError(
                tr(
                    "{file} cannot be opened here: weights come from the folder weights of the workspace, or from one that the operator has opened.",
                    file=path.name,
                )
            )


def before(values: dict, wanted: several.Several) -> None:
    """A look ahead: one batch, the time all will take, and a learning rate that one click puts into the form."""
    with st.expander(tr("Before you start"), icon=":material/flight_takeoff:"):
        try:
            check_weights(values, wanted)
            recipe = dataclasses.replace(Recipe(**values), learning_rate=0.001).to_json()  # it is what is looked for
        except ValueError as error:
            st.error(parts.text(error, 300))
            return
        study = Study("preflight", values["dataset"], recipe=recipe)
        if found := study.found:
            rates, losses, suggested = found["rates"].tolist(), found["losses"].tolist(), float(found["suggested"])
            seconds = float(found["seconds"])
            parts.metrics(
                (tr("About"), parts.duration(seconds), tr("For all epochs, without validation.")),
                *together(wanted, values, seconds),
                (
                    tr("Memory"),
                    f"{int(found['memory']) / 2**20:,.0f} MiB",
                    tr("Held while a batch goes through."),
                ),
                (tr("Precision"), str(found["precision"]), tr("What the training will compute in.")),
            )
            if len(losses) > 1:
                parts.chart(charts.rates(rates, losses, suggested), "rates", tr("Loss while the learning rate grows"))
            st.caption(tr("The rate grows from left to right; learning is fastest before the loss turns up."))
            st.button(
                tr("Use {suggested:g}", suggested=suggested),
                key="use_rate",
                on_click=use,
                args=("learning_rate", suggested),
            )
            if (share := float(found.get("growing", 1.0))) < 0.9 and seconds > WORTH:
                st.button(
                    tr("Begin with smaller pictures: about {time}", time=parts.duration(share * seconds)),
                    key="use_small", on_click=use, args=("start_small", 0.5),
                    help=tr("They begin with half their side and grow. On 2,062 photos of hand signs a ResNet-18 was as accurate so."),
                )  # fmt: skip
        study.offer(tr("Try a batch and look for a learning rate"))


def together(wanted: several.Several, values: dict, seconds: float) -> list[tuple[str, str, str]]:
    """About how long all trainings take that are started together, if one takes so many seconds."""
    if wanted.trainings < 2:
        return []
    with suppress(ValueError):  # said when they are started
        epochs = sum(recipe.epochs for recipe in wanted.recipes(Recipe(**values)))
        title = tr("All {n}", n=wanted.trainings)
        about = tr("One after the other, if an epoch of each takes as long as of this one.")
        return [(title, parts.duration(seconds * epochs / values["epochs"]), about)]
    return []


def use(setting: str, value: float | str) -> None:
    st.session_state[f"recipe_{setting}"] = value


def show(run: Run) -> None:
    """A run as it learns, and what came of it."""
    try:
        recipe = run.recipe  # unreadable: said here, once
        alive = parts.live(run)
        several.together(run)
        st.fragment(live_run.controls)(run)
        live_run.watch(run)
        if alive:
            st.fragment(teaching.while_waiting)()
        else:
            exam.result(run)
        if (alive or snapshots.moments(run)) and st.toggle(
            tr("Watch it learn: the network after each epoch"), key="moments"
        ):
            st.fragment(moments.show, run_every=10 if alive else None)(run)
        if not alive:
            with st.expander(tr("Recipe, as JSON")):
                st.json(dataclasses.asdict(recipe))
            log = run.file("worker.log")
            if run.status in ("failed", "lost") and log.exists():
                with st.expander(tr("The worker's log")):
                    st.code(log.read_text("utf-8", errors="replace")[-4000:], language=None)
    except ValueError as error:
        st.error(parts.text(error, 400))


def linked() -> Run | None:
    """The run that a link names without its data set, if that is gone; else the address gets its data set, too."""
    if "dataset" in st.query_params or "run" not in st.query_params:
        return None
    try:
        run = runs.open_run(st.query_params["run"])
    except ValueError:
        return None  # said where runs are chosen
    try:
        name = run.recipe.dataset
        pickers.open_dataset(name)
    except (ValueError, OSError):
        return run
    st.query_params["dataset"] = name
    return None


st.title(tr("How does a network learn?"), anchor=False)
if alone := linked():
    st.info(tr("The pictures that {run} learned from are not on this machine any more.", run=parts.text(alone.name)))
    show(alone)
    st.stop()
dataset = pickers.dataset_picker(tr("The pictures to learn from."))
form(dataset)
st.divider()
run = pickers.run_picker(trained_on=dataset.name, only=True)
if run is None:
    st.info(
        tr(
            "No training on this data set yet. The settings above work as they are: press Start training and watch the curves."
        )
    )
else:
    show(run)
