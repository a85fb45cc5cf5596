"""Bring pictures: how do I get my own in? An archive, a folder, or loose pictures and camera shots, class by class."""

from contextlib import suppress

import streamlit as st

from imgrec import background, data
from imgrec.data import uploads
from imgrec.home import mend_name
from imgrec.images import EXTENSIONS
from imgrec.jobs import Job
from imgrec.language import listed, mark, tr
from pages import arrivals, drafts, film, parts, pickers, transfers, visitors

WAYS = (mark("Class by class"), mark("Archive"), mark("Folder"), mark("Without labels"), mark("On the server"))
NEW = mark("A new data set")
MOST, MOST_LOOSE = 2000, 20_000  # pictures of one class, more of which come as an archive or a folder; without a label


def archive() -> None:
    """An uploaded ZIP or TAR, written to disk only when the import begins."""
    file = st.file_uploader(
        tr("ZIP or TAR with one folder of pictures per class"),
        transfers.ARCHIVES,
        key=box("archive"),
        max_upload_size=transfers.upload_mb(),
    )
    st.caption(
        tr(
            "Also train/ and test/ folders of classes, MNIST's IDX files, CIFAR's Python batches, or a CSV of "
            "file and label."
        )
    )
    if file:
        propose(file.name.partition(".")[0])
    start(
        lambda: uploads.keep(file.name, file.getvalue()), "" if file else tr("Choose an archive first."), unlabelled()
    )


def whole_folder() -> None:
    """A folder from the visitor's computer, with its folders of classes."""
    files = st.file_uploader(
        tr("A folder with one folder of pictures per class"),
        EXTENSIONS,
        accept_multiple_files="directory",
        key=box("folder"),
        max_upload_size=transfers.upload_mb(20),
    )
    pictures = [uploads.Loose(file.name, file.getvalue()) for file in files]
    if pictures and "/" in pictures[0].name:
        propose(pictures[0].name.partition("/")[0])
    start(lambda: uploads.bundle(pictures), "" if pictures else tr("Choose a folder first."), unlabelled())


def without_labels() -> None:
    """Pictures of which nobody has said yet what they are."""
    shots = st.session_state.setdefault(box("shots_loose"), [])
    film.files(box("files_loose"), shots, MOST_LOOSE)
    film.taken(shots, box("taken_loose"), 24)
    pictures = [uploads.Loose(shot.name, shot.content) for shot in shots]
    if pictures:
        st.caption(parts.pictures(len(pictures)))
    st.caption(tr("On the page Label a network proposes what they are, and you accept or correct it."))
    start(lambda: uploads.bundle(pictures), "" if pictures else tr("Choose some pictures first."), unlabelled=True)


def on_server() -> None:
    """A path on the server, within what its operator allows."""
    roots = transfers.server_roots()
    if not roots:
        st.info(
            tr(
                "The operator of this server has opened no folder. Set IMGREC_SERVER_FOLDERS before the start, or "
                "use the command line: `python -m imgrec import FOLDER --name NAME`."
            )
        )
        return
    st.caption(tr("Open folders: {folders}", folders=parts.text(listed(map(str, roots)), 300)))
    path = transfers.server_path(tr("Folder, archive or table on the server"), "bring_path")
    start(lambda: path, "" if path else tr("Give a path that exists inside an open folder."), unlabelled())


def class_by_class() -> None:
    """A box per class: its name, pictures from files, shots from the camera."""
    count = st.session_state.setdefault(box("classes"), 2)
    pictures, filled = [], set()
    for number in range(count):
        with st.container(border=True):
            label, mine = class_box(number)
        pictures += mine
        filled |= {label} if label and mine else set()
    if st.button(tr("Another class"), icon=":material/add:"):
        st.session_state[box("classes")] = count + 1
        st.rerun()
    nameless = any(not picture.label for picture in pictures)
    missing = tr("Give every class with pictures a name.") if nameless else ""
    if len(filled) < (2 if st.session_state.get(box("into"), NEW) == NEW else 1):
        missing = missing or tr("Fill at least two classes.")
    into = st.session_state.get(box("into"), NEW)
    known: tuple[str, ...] = ()
    if into != NEW:
        with suppress(ValueError):  # somebody has deleted it; what comes below says so
            known = pickers.open_dataset(into).classes
    film.alike(sorted(filled), known)
    start(lambda: uploads.bundle(pictures), missing)


def class_box(number: int) -> tuple[str, list[uploads.Loose]]:
    """One class: its name and its pictures."""
    left, right = st.columns(2)
    label = left.text_input(
        tr("Class {number}", number=number + 1),
        key=box(f"label {number}"),
        placeholder=tr("such as cat"),
        max_chars=100,
        persist_state="session",
    )
    shots = st.session_state.setdefault(box(f"shots {number}"), [])
    with left:
        film.files(box(f"files {number}"), shots, MOST)
    with right:
        if st.toggle(tr("Camera"), key=box(f"camera {number}"), help=tr("Every shot goes into this class.")):
            film.record(box(f"film {number}"), lambda came: shots.extend(came[: MOST - len(shots)]))
            st.caption(
                tr("Move it meanwhile: near and far, from all sides. Pictures of one second stay in the same split.")
            )
    if shots:
        st.caption(parts.pictures(len(shots)))
    film.taken(shots, box(f"taken {number}"))
    label = " ".join(label.split())
    return label, film.loose(shots, label)


def unlabelled() -> bool:
    """Whether the folders of what comes are to mean nothing."""
    return st.toggle(
        tr("They have no labels yet"), key=box("unlabelled"),
        help=tr("For photos in one folder, or in folders that are not their classes: all of them wait on the page Label."),
    )  # fmt: skip


def start(source, missing: str, unlabelled: bool = False) -> None:
    """Into which set, and the button; ``source()`` gives the path to import once it is pressed."""
    mine = [row.name for row in data.list_datasets() if row.kind == "imported" and row.ready]
    into = st.selectbox(
        tr("Into"),
        [NEW, *mine],
        key=box("into"),
        format_func=lambda name: tr(name) if name == NEW else name,
        help=tr("Pictures can also go into a set of your own."),
    )
    name = into
    if into == NEW:
        name = st.text_input(tr("Name of the data set"), key=box("name"), placeholder=tr("such as pets"), max_chars=80)
        written, name = name.strip(), mend_name(name) or name
        missing = missing or unusable(name)
        if name != written and not missing:
            st.caption(tr("It will be called {name}.", name=parts.text(name)))
    if any(map(parts.live, sent())):
        missing = tr("It is being imported, see above; the form is emptied once that has worked.")
    if st.button(tr("Import"), type="primary", icon=":material/input:", disabled=bool(missing), help=missing or None):
        with parts.refusals():
            job = background.start_import(source(), name, unlabelled, adding=into != NEW, owner=visitors.visitor())
            st.session_state["bring_sent"], st.session_state["bring_waits"] = job.name, True
            st.rerun()
    if missing:
        st.caption(parts.text(missing, 300))


def propose(name: str) -> None:
    """What the data set may be called, once for each file that was chosen."""
    if st.session_state.get(box("proposed")) != name:
        st.session_state[box("proposed")] = name
        if not st.session_state.get(box("name")):
            st.session_state[box("name")] = mend_name(name) or ""


def unusable(name: str) -> str:
    """Why a new data set cannot be called so, or empty."""
    if not name:
        return tr("Give the data set a name.")
    try:
        data.check_free(name)
    except ValueError as error:
        return str(error)
    return ""


def box(name: str) -> str:
    """The key of a form field; every import begins with fresh ones."""
    return f"bring {st.session_state.get('bring_turn', 0)} {name}"


def forget() -> None:
    """Empty the form: what it held is in the data set."""
    for key in [key for key in st.session_state if str(key).startswith(box(""))]:
        del st.session_state[key]
    st.session_state["bring_turn"] = st.session_state.get("bring_turn", 0) + 1


def sent() -> list[Job]:
    """The import that was begun last in this tab, until its note is dismissed."""
    name = st.session_state.get("bring_sent")
    return [job for job in background.bring_jobs() if job.name == name and visitors.may_change(job)]


def arrived() -> None:
    """How what was sent from this form goes. Only once that has worked the form is emptied: after a refusal it holds what can
    be sent again. A toast is seen from further down, too."""
    arrivals.follow(sent, "bring_importing")
    ended = [job for job in sent() if not parts.live(job)]
    if not ended or not st.session_state.pop("bring_waits", False):
        return
    if ended[0].status == "finished":
        forget()
        st.toast(tr("Imported: {name}.", name=parts.text(ended[0].name)), icon=":material/check:")
    else:
        st.toast(tr("Not imported; it says why above the form."), icon=":material/warning:")


def others() -> list[Job]:
    """The latest other imports of the visitor, or all where they are the operator."""
    here = [job.name for job in sent()]
    return [job for job in background.bring_jobs() if visitors.may_change(job) and job.name not in here][:4]


st.title(tr("How do I bring my own pictures?"), anchor=False)
st.write(tr("Two classes and a dozen pictures of each are enough for a start. Everything stays on this machine."))
drafts.restore("bring", box(""))
arrived()
way = pickers.address_choice(tr("From"), WAYS, "bring_way", "way", WAYS[0])
dict(zip(WAYS, (class_by_class, archive, whole_folder, without_labels, on_server), strict=True))[way]()
if others():
    st.subheader(tr("Imports"), anchor=False)
arrivals.follow(others)
numbers = range(st.session_state.get(box("classes"), 0))
names = [
    "classes",
    "name",
    "into",
    "shots_loose",
    *(f"{field} {number}" for number in numbers for field in ("label", "shots")),
]
drafts.keep("bring", box(""), map(box, names))
