"""Shared: who looks at the dashboard, what is theirs, and who may change what is somebody else's."""

import hashlib
import hmac
import os
from functools import lru_cache

import streamlit as st

from imgrec.jobs import Job, Owner
from imgrec.language import mark, tr

COOKIE = "imgrec_visitor"  # set by app.py
MOST = 10_000  # visitors of whom something is remembered
_remembered: dict[str, set[str]] = {}  # what → the digests of those for whom it holds, also after a reload
LOCAL = (None, "127.0.0.1", "::1", "localhost")
COLOURS = (
    mark("Amber"),
    mark("Blue"),
    mark("Coral"),
    mark("Green"),
    mark("Indigo"),
    mark("Ivory"),
    mark("Jade"),
    mark("Lilac"),
    mark("Olive"),
    mark("Pink"),
    mark("Red"),
    mark("Silver"),
    mark("Teal"),
)
ANIMALS = (
    mark("Bear"),
    mark("Crane"),
    mark("Deer"),
    mark("Falcon"),
    mark("Fox"),
    mark("Hare"),
    mark("Heron"),
    mark("Lynx"),
    mark("Otter"),
    mark("Owl"),
    mark("Panda"),
    mark("Seal"),
    mark("Swan"),
    mark("Wolf"),
)


def visitor() -> Owner | None:
    """Who this is: the name of a login where one is configured, else a browser, by a name made from its cookie."""
    if getattr(st.user, "is_logged_in", False):
        return Owner(
            _digest(f"{st.user.get('sub')} {st.user.get('iss')}"), str(st.user.get("name") or st.user.get("email"))
        )
    cookie = st.context.cookies.get(COOKIE)
    if not cookie:
        return None
    digest = _digest(cookie)
    return Owner(digest, called(digest))


def called(digest: str) -> str:
    """The name of a browser, made from the digest of its cookie."""
    number = int(digest, 16)
    return f"{COLOURS[number % len(COLOURS)]} {ANIMALS[number // 97 % len(ANIMALS)]}"


def spoken(name: str) -> str:
    """The name of an owner for who reads: those made from a cookie in the reader's language, those of people as they are."""
    colour, _, animal = name.partition(" ")
    known = colour in COLOURS and animal in ANIMALS
    return tr("{colour} {animal}", colour=tr(colour), animal=tr(animal)) if known else name


def sign_in() -> None:
    """The way in and out, in the side bar, where the operator has set up a login: [auth] in .streamlit/secrets.toml, with one
    OpenID provider or several by name."""
    if not (providers := _providers()):
        return
    if st.user.is_logged_in:
        st.sidebar.text(visitor().name)
        st.sidebar.button(tr("Log out"), icon=":material/logout:", on_click=st.logout, key="log_out")
    elif "client_id" in providers:
        st.sidebar.button(tr("Log in"), icon=":material/login:", on_click=st.login, key="log_in")
    else:
        for name in [name for name, about in providers.items() if hasattr(about, "get") and about.get("client_id")]:
            st.sidebar.button(
                tr("Log in with {name}", name=name), icon=":material/login:", on_click=st.login, args=(name,), key=f"log_in_{name}"
            )  # fmt: skip


@lru_cache
def _providers() -> dict:
    """What the server was started with. Streamlit would look for the file at every click where there is none."""
    try:
        return dict(st.secrets.get("auth", {}))
    except FileNotFoundError:  # no secrets at all
        return {}


def me() -> str:
    """The digest by which this visitor is known; empty for who has no cookie and no login."""
    return getattr(visitor(), "visitor", "")


def is_operator() -> bool:
    """Whether this is who runs the server: who opened it with ?operator=… where IMGREC_OPERATOR is set, else whoever sits
    at the machine itself."""
    secret = os.environ.get("IMGREC_OPERATOR", "")
    if not secret:
        return st.context.ip_address in LOCAL
    given = str(st.query_params.pop("operator", ""))
    if given:
        st.session_state["operator"] = hmac.compare_digest(given.encode(), secret.encode())
        remember("operator", st.session_state["operator"])
    return bool(st.session_state.get("operator")) or recalls("operator")


def remember(what: str, holds: bool) -> None:
    """Keep for a reload whether something holds for this visitor, such as that they want large type."""
    known = _remembered.setdefault(what, set())
    if who := me():
        (known.add if holds and len(known) < MOST else known.discard)(who)


def recalls(what: str) -> bool:
    """Whether that was so when it was last said."""
    return me() in _remembered.get(what, ())


def may_delete() -> bool:
    """Whether this visitor may take away what is nobody's: everybody where no operator is named, else only the operator."""
    return not os.environ.get("IMGREC_OPERATOR") or is_operator()


def may_change(run: Job) -> bool:
    """Whether this visitor may stop, resume or delete a run: its owner and the operator may, and see `may_delete`."""
    owner, me = run.owner, visitor()
    return may_delete() if owner is None else (me is not None and me.visitor == owner.visitor) or is_operator()


def whose(run: Job, other_than: str | None = None) -> str:
    """The name of its owner, or an empty text where that is nobody, or the visitor of that digest, by default this one."""
    owner, who = run.owner, me() if other_than is None else other_than
    return "" if owner is None or owner.visitor == who else spoken(owner.name) or tr("somebody else")


def _digest(text: str) -> str:
    return hashlib.sha256(f"imgrec {text}".encode()).hexdigest()[:24]
