"""Lesson: can we trust a network? A nudge nobody sees, how sure it should be, who is treated worse, its reasons, what a photo gives away."""

import numpy as np
import streamlit as st
import torch

from imgrec import privacy
from imgrec.augment import to_pixels, to_tensor
from imgrec.data import class_name, class_names, named
from imgrec.evaluate import wilson
from imgrec.language import mark, tr
from imgrec.lessons import adversarial
from imgrec.predict import Predictor
from pages import answers, parts, pickers, teaching, thumbnails, transfers

UNSEEN = 3  # brightness steps; at 4 a plain ground looks grainy on a good screen
FIRST = 2  # picture of the test, which that much already turns into another


@st.cache_data(max_entries=60, show_spinner=False)
def directions(name: str, changed: int, picture: np.ndarray, label: int, _model: Predictor) -> np.ndarray:
    """Which way each value of a picture (S, S, C) makes the loss grow, float32 (S, S, C)."""
    network, passport = _model.model, _model.passport
    images = to_tensor(picture)
    found = adversarial.nudge(
        lambda x: passport.answer(network, x), images.to(_model.device), torch.tensor([label]).to(_model.device)
    )
    return found[0].permute(1, 2, 0).cpu().numpy()


def reasons(run, model: Predictor, picture: np.ndarray) -> None:
    """Where the network looked, beside where one that has learned nothing seems to look."""
    st.subheader(tr("Can it give its reasons?"), anchor=False)
    answer = model.classes[int(model.recalled(picture[None])[0].argmax())]
    name = parts.text(class_name(answer, model.classes))
    asked = (run.name, model.changed, picture.tobytes(), picture.shape, "gradcam", answer)
    for column, title, learned in zip(
        st.columns(2), (tr("This network"), tr("The same with random weights")), (True, False), strict=True
    ):
        with column:
            try:
                image, found = answers.heat(*asked, learned)
            except ValueError as error:
                st.info(parts.text(error, 300))
                return
            st.image(image, width="stretch", output_format="PNG", alt=tr("Heat map for {target}", target=name))
            st.markdown(f"**{title}**")
            st.caption(
                tr(
                    "{name}: {probability:.1%}. With the hottest fifth covered {hidden:.1%}, with another fifth {elsewhere:.1%}.",
                    name=name,
                    probability=found.probability,
                    hidden=found.hidden,
                    elsewhere=found.elsewhere,
                )
            )
    st.write(
        tr(
            "A heat map says where a network looked for its answer. But one that has learned nothing draws one, too, and it "
            "may look just as good. So do not trust the picture: cover what is hot, and see whether the answer suffers "
            "more than from covering something else."
        )
    )


def fool(run, model: Predictor) -> np.ndarray:
    """The picture, which it gives, the nudge and what both together are taken for."""
    st.subheader(tr("A nudge that nobody sees"), anchor=False)
    picture, label = teaching.of_a_run(run, model, "trust", FIRST)
    strength = st.slider(tr("Strength of the nudge, in brightness steps of 255"), 0, 32, 3, key="trust_strength")
    direction = directions(run.name, model.changed, picture, label, model)
    images = to_tensor(picture)
    moved = adversarial.nudged(images, torch.from_numpy(direction).permute(2, 0, 1)[None], strength / 255)
    nudged = to_pixels(moved)[0]
    before, after = model.recalled(np.stack([picture, nudged]))
    shown = ((direction + 1) * 127.5).round().astype(np.uint8)
    names = class_names(model.classes)
    best, now = int(before.argmax()), int(after.argmax())
    st.markdown(
        tr("It still says **{name}**.", name=parts.text(names[now]))
        if best == now
        else tr(
            "Fooled: **{before}** became **{after}**, and nobody would see why."
            if strength <= UNSEEN
            else "Fooled: **{before}** became **{after}**; but so strong a nudge can be seen.",
            before=parts.text(names[best]),
            after=parts.text(names[now]),
        )
    )
    beside = st.container(horizontal=True, wrap=False, gap="small", key="nudge")  # on a phone, too
    columns = [beside.container() for _ in range(3)]
    for column, seen, words in (
        (columns[0], picture, tr("The picture")),
        (columns[1], shown, tr("The nudge, stretched so that it can be seen")),
        (columns[2], nudged, tr("Both together")),
    ):
        thumbnails.image(seen, words, side=224, at=column)
        column.caption(words)
    left, right = st.columns(2)
    for column, probabilities, words in ((left, before, tr("The picture")), (right, after, tr("Both together"))):
        with column:
            st.caption(words)
            parts.likeliest(model.classes, probabilities)
    middle = picture.shape[0] // 2, picture.shape[1] // 2
    middle = (*middle, int(np.abs(picture[middle] - 127.5).argmin()))  # the channel that is furthest from both ends
    value, way, end = (float(values[middle]) for values in (picture, direction, nudged))
    teaching.formula(
        "x'", r"\mathrm{clip}_{0..1}\left(x + \varepsilon \cdot \mathrm{sign}\left(\nabla_x L(x, y)\right)\right)",
        rf"\mathrm{{clip}}_{{0..1}}\left(\tfrac{{{value:.0f}}}{{255}} + \tfrac{{{strength}}}{{255}} \cdot ({way:+.0f})\right)", rf"\tfrac{{{end:.0f}}}{{255}}",
    )  # fmt: skip
    st.caption(
        tr(
            "The gradient of the loss by the picture says for every pixel which way makes the answer worse; each pixel moves that way by the same small step. The numbers are those of the pixel in the middle."
        )
    )
    return picture


def sure(run) -> None:
    """Whether its confidence can be believed, and whether it is fair to all."""
    st.subheader(tr("As sure as it is right?"), anchor=False)
    evaluation = run.read("evaluation.json")
    rows = [row for row in named(evaluation.get("classes", [])) if row.get("support")]  # others were never tested
    rows.sort(key=lambda row: row.get("recall", 0))
    if rows:
        worst, best = rows[0], rows[-1]
        (_, high), (low, _) = (wilson(round(row["recall"] * row["support"]), row["support"]) for row in (worst, best))
        names = {"worst": parts.text(worst["name"]), "best": parts.text(best["name"])}
        parts.metrics(
            (
                tr("Calibration error"),
                f"{evaluation.get('calibration_error', 0):.1%}",
                tr("How far confidence and accuracy are apart on average."),
            ),
            (tr("Best class"), f"{best['recall']:.0%}", names["best"]),
            (tr("Worst class"), f"{worst['recall']:.0%}", names["worst"]),
        )
        st.caption(
            tr(
                "One accuracy hides that it serves {worst} worse than {best}. Where classes are about people, those of the worst one may be harmed by it.",
                **names,
            )
            if high < low
            else tr(
                "It has {least:.0%} of {worst} right and {most:.0%} of {best}; with {few} and {many} test pictures of them that may be luck. Where classes are about people, find out: one accuracy may hide that some are served worse.",
                least=worst["recall"],
                most=best["recall"],
                few=worst["support"],
                many=best["support"],
                **names,
            )
        )
    else:
        st.caption(tr("This run was not tested."))
    parts.link("evaluate", "See its calibration and its parts", ":material/analytics:", run=run.name)


def secrets() -> None:
    """What an uploaded photo tells besides its pixels, and the photo without that."""
    st.subheader(tr("What does your photo tell?"), anchor=False)
    st.caption(
        tr(
            "A phone mostly writes time and model into a photo, and the place where it may. Nothing of it is needed to recognise a thing. The photo is not kept."
        )
    )
    file = transfers.upload_box(tr("A photo as it came from the phone"), "trust_photo", many=False)
    if file is None:
        return
    try:
        found = privacy.told_by(file.getvalue(), file.name)
        bare, ending = privacy.stripped(file.getvalue(), file.name)
    except (ValueError, OSError) as error:
        st.error(parts.text(error, 300))
        return
    if not found:
        st.success(tr("It tells nothing but its pixels."))
        return
    if "Place" in found:
        st.warning(
            tr("It tells where it was taken: {place} (latitude, longitude).", place=found["Place"]),
            icon=":material/location_on:",
        )
    teaching.rows({mark("entry"): tr(title), "value": value} for title, value in found.items())
    transfers.download(
        tr("The same photo without all that"),
        bare,
        f"plain-{file.name.rpartition('.')[0][:60]}.{ending}",
        icon=":material/shield:",
    )


teaching.begin(
    tr("Can we trust it?"),
    tr(
        "A network is a function with many numbers, not a mind. It can be fooled by changes that nobody sees, be sure and wrong, be worse for some than for others, and give reasons that are none. And the photos we show it tell more than we think."
    ),
)
run, model = pickers.model_picker(first="shapes-seed-cnn")
picture = fool(run, model)
sure(run)
reasons(run, model, picture)
secrets()
teaching.question("trust")
teaching.in_pytorch("""
import torch
from torch import nn

network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))
picture, label = torch.rand(1, 3, 32, 32, requires_grad=True), torch.tensor([3])
nn.functional.cross_entropy(network(picture), label).backward()
fooled = (picture + 4 / 255 * picture.grad.sign()).clamp(0, 1)
print(network(picture).softmax(1), network(fooled).softmax(1))
""")
teaching.plan(
    tr("Pupils can name three reasons not to trust an answer blindly, and strip a photo of its place."), 30,
    (
        (tr("Why does so small a nudge suffice?"), tr("All pixels push the same way at once; thousands of small pushes add up.")),
        (tr("What does a heat map prove?"), tr("Nothing by itself: one with random weights has one, too. Covering what is hot is a test.")),
        (tr("Is a network with 95% accuracy fair?"), tr("It must be about as good for everybody, and even that is not enough: look at its parts.")),
        (tr("What does a photo tell besides its pixels?"), tr("Place, time, camera, sometimes the owner.")),
    ),
)  # fmt: skip
teaching.further("learn_trust")
