"""Languages: no sentence lacks its translation, none is left in the code untranslated, and pages speak what was chosen."""

import ast
import re
import unicodedata
from collections import Counter
from pathlib import Path

import messages
import pytest
from test_pages import PAGES, open_page, texts

from imgrec import language
from imgrec.data import class_names, named, open_dataset
from imgrec.data.names import KNOWN
from imgrec.language import FOLDER, LANGUAGES, listed, plural, sentences, speaking, tr
from imgrec.predict import predictor
from imgrec.recipe import Recipe, RecipeError
from pages.live_run import led

OTHERS = [name for name in LANGUAGES if name != "en"]
HAN = re.compile(r"[\u4e00-\u9fff]")
NOT_FOR_PEOPLE = {  # arguments and keywords that are names, not words
    "key", "icon", "type", "language", "format", "mime", "anchor", "vertical_alignment", "width", "label_visibility",
    "selection_mode", "on_select", "gap", "kind", "border", "height", "encoding", "css", "js", "html", "path", "detail",
}  # fmt: skip
NOT_SHOWN = ("startswith", "endswith", "get", "setdefault", "pop", "split", "replace", "write_text", "execute")


@pytest.fixture
def chinese(monkeypatch):
    monkeypatch.setattr(language, "_chosen", lambda: "zh_CN")


@pytest.mark.parametrize("name", OTHERS)
def test_every_sentence_is_translated_and_no_translation_is_left_over(name):
    """Row 25 of the goals: two languages with no missing key. `python tests/messages.py` brings the catalogue up to date."""
    kept = {m.id: m for m in messages.catalogue(name) if m.id}
    code = set(messages.of_the_code())
    assert code - set(kept) == set()
    assert set(kept) - code == set()
    assert [m.id for m in kept.values() if not all(m.string if isinstance(m.string, tuple) else [m.string])] == []
    assert [m.id for m in kept.values() if m.fuzzy] == []


@pytest.mark.parametrize("name", OTHERS)
def test_a_translation_has_the_same_fields_and_marks_as_the_sentence(name):
    for message in messages.catalogue(name):
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        for text in message.string if isinstance(message.string, tuple) else (message.string,):
            assert messages.fields(text) == messages.fields(ids[-1]), ids
            assert text.count("**") == ids[-1].count("**"), ids
            assert text.count("`") == ids[-1].count("`"), ids


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_meant_to_be_bold_is(name):
    """Markdown's two stars are stars where punctuation is inside of them and a letter outside, as is usual in Chinese."""

    def mark(sign):
        return not sign.strip() or unicodedata.category(sign)[0] in "PS"

    for message in messages.catalogue(name):
        for text in message.string if isinstance(message.string, tuple) else (message.string,):
            shown = re.sub(r"\{[^}]*\}", lambda field: "1%" if "%" in field[0] else "x", text)
            for bold in re.finditer(r"\*\*(.+?)\*\*", shown):
                before, after = shown[: bold.start()][-1:], shown[bold.end() :][:1]
                assert mark(before) or not mark(bold[1][0]), text
                assert mark(after) or not mark(bold[1][-1]), text


def test_every_field_of_a_sentence_gets_its_value():
    for path in [*(messages.ROOT / "imgrec").rglob("*.py"), *(messages.ROOT / "pages").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("tr", "plural"):
                given = {keyword.arg for keyword in node.keywords} | ({"n"} if node.func.id == "plural" else set())
                texts = [text for place in messages.WHERE[node.func.id] for text in messages._texts(node.args[place])]
                if None not in given and texts:
                    wanted = {field.partition("!")[0] for text in texts for field in messages.fields(text)}
                    assert wanted | {"n"} == given | {"n"}, (path.name, node.lineno)


def words_in(path: Path):
    """(line, text) of what looks like words for people and goes through no translation."""
    tree = ast.parse(path.read_text("utf-8"))
    around = {id(child): node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            continue
        text, parent = node.value, around[id(node)]
        if not re.search(r"[a-z]{2,} [a-z]{2,}", text) or re.search(r"[<>{};]|\n|^python -m|^streamlit run|\\", text):
            continue
        if isinstance(parent, ast.Expr | ast.Compare | ast.Subscript):
            continue
        inside, call = parent, None
        while inside is not None and not isinstance(inside, ast.stmt):
            if isinstance(inside, ast.Call):
                name = getattr(inside.func, "attr", getattr(inside.func, "id", ""))
                if name in (*messages.WHERE, *NOT_SHOWN):
                    call = name
                    break
            if isinstance(inside, ast.keyword) and inside.arg in NOT_FOR_PEOPLE:
                call = inside.arg
                break
            inside = around.get(id(inside))
        if call is None and not isinstance(inside, ast.Assert):
            yield node.lineno, text


@pytest.mark.parametrize("path", sorted((messages.ROOT / "pages").glob("*.py")), ids=lambda path: path.name)
def test_no_words_for_people_are_outside_the_catalogues(path):
    assert [entry for entry in words_in(path) if entry[1] not in ALLOWED] == []


SHOWING = {
    "metric", "caption", "markdown", "write", "button", "subheader", "title", "header", "info", "success", "warning", "error",
    "toggle", "checkbox", "selectbox", "slider", "radio", "number_input", "text_input", "text_area", "multiselect", "tabs",
    "select_slider", "segmented_control", "expander", "file_uploader", "popover", "download_button", "camera_input",
    "link_button", "spinner", "toast",
}  # fmt: skip


@pytest.mark.parametrize("path", sorted((messages.ROOT / "pages").glob("*.py")), ids=lambda path: path.name)
def test_not_even_a_single_word_is_shown_untranslated(path):
    for call in ast.walk(ast.parse(path.read_text("utf-8"))):
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr in SHOWING
            and call.args
        ):
            said = getattr(call.args[0], "value", None)
            assert not (isinstance(said, str) and re.search("[A-Za-z]{2}", said)) or said in ALLOWED, (
                f"line {call.lineno}"
            )


CORE_AND_PAGES = [*sorted(messages.ROOT.glob("imgrec/*.py")), *sorted(messages.ROOT.glob("pages/*.py"))]
TELLING = {"on_progress", "progress", "under_way"}  # whose second argument says what is being done


@pytest.mark.parametrize("path", CORE_AND_PAGES, ids=lambda path: path.name)
def test_what_is_being_done_is_told_in_the_language(path):
    for call in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", getattr(call.func, "id", "")) in TELLING:
            assert not [text for text in call.args[1:2] if isinstance(getattr(text, "value", None), str)], call.lineno


ALLOWED = {
    "many folder ",
    "Language / 语言",
    "many tiles",
    "map grid",
    " in the address",
    ":custom a CNN of your own",
}  # keys of widgets


def test_an_unknown_language_is_english_and_a_missing_sentence_stays_as_it_is(chinese, monkeypatch):
    assert HAN.search(tr("Train a network"))
    assert tr("a sentence that nobody translated, with {n}", n=3) == "a sentence that nobody translated, with 3"
    assert plural("{n:,} picture", "{n:,} pictures", 1200) == "1,200 张图片"
    monkeypatch.setattr(language, "_chosen", lambda: "xx")
    assert tr("Train a network") == "Train a network"
    monkeypatch.setattr(language, "_chosen", language._default)
    monkeypatch.setenv("IMGREC_LANGUAGE", "zh_CN")
    assert HAN.search(tr("Train a network"))
    assert sorted(path.name for path in FOLDER.iterdir()) == OTHERS


def test_sentences_and_lists_are_joined_as_the_language_does(chinese):
    assert sentences("一。", "", "二。") == "一。二。"
    assert led("良好", "继续。") == ("良好", "：继续。")
    with speaking("en"):
        assert sentences("One.", "", "Two.") == "One. Two."
        assert led("Good", "Go on.") == ("Good.", " Go on.")
        assert listed(["a", "b", "c"]) == "a, b, c"


def test_errors_of_the_core_speak_the_language_too(chinese):
    with pytest.raises(RecipeError, match=r"choose one of|请从"):
        Recipe(resize="stretch")
    with pytest.raises(RecipeError) as caught:
        Recipe(resize="stretch")
    assert HAN.search(str(caught.value))


def test_what_is_wrong_with_a_picture_is_said_in_the_language_although_another_thread_finds_out():
    with speaking("zh_CN"):
        results = predictor("digits-seed-cnn").classify(
            [("empty.png", b""), ("text.png", b"hello"), ("cut.gif", b"GIF89a")]
        )
    assert [bool(HAN.search(result.error)) for result in results] == [True, True, True]


def test_classes_that_everybody_has_are_named_in_the_language_and_those_of_people_stay_theirs(chinese):
    cifar = tuple(predictor("cifar10-fast").classes)
    for classes in (open_dataset("shapes:count=60").classes, cifar, cifar[::-1]):
        shown = class_names(classes)
        assert all(HAN.search(name) for name in shown)
        assert len(set(shown)) == len(classes)
    assert class_names(("ship", "airplane", *cifar[1:8], "truck"))[:2] == ("船", "飞机")
    assert class_names(("cat", "dog")) == ("cat", "dog")  # somebody's folders, which happen to be called so
    assert named([{"name": name, "recall": 0.5} for name in cifar])[0] == {"name": "飞机", "recall": 0.5}
    for classes in KNOWN:
        assert len(set(class_names(classes))) == len(classes)


def test_a_page_names_the_classes_in_chinese_and_the_network_is_still_asked_for_its_own():
    test = open_page("learn_trust.py", {"run": "cifar10-fast"}, language="zh_CN")
    assert not test.exception
    assert re.search("飞机|轿车|鸟|猫|鹿|狗|青蛙|马|船|卡车", texts(test))
    told = open_page("predict.py", {"run": "cifar10-fast"}, language="zh_CN")
    assert "飞机" in texts(told)
    assert "airplane" not in texts(told)


@pytest.mark.parametrize("path", sorted((messages.ROOT / "pages").glob("*.py")), ids=lambda path: path.name)
def test_what_a_control_holds_is_never_a_translation(path):
    """Predict once held its choice in Chinese, which was none of the choices: it offered no upload."""
    state = "st.session_state"
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        kept = []
        if isinstance(node, ast.Assign) and any(ast.unparse(target).startswith(state) for target in node.targets):
            kept = [node.value]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith(state):
            kept = node.args[1:]
        called = [ast.unparse(call.func) for value in kept for call in ast.walk(value) if isinstance(call, ast.Call)]
        assert "tr" not in called, f"line {node.lineno}"


def drawn(page, query, spoken):
    """How many of each kind of element a page has."""
    test = open_page(page, query, language=spoken)
    assert not test.exception
    return Counter(element.type for element in test.main)


@pytest.mark.parametrize(("page", "query"), [*((page, {}) for page in PAGES), ("predict.py", {"run": "cifar10-fast"})])
def test_a_page_has_the_same_parts_in_both_languages(page, query):
    assert drawn(page, query, "zh_CN") == drawn(page, query, "en")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_in_chinese(page):
    test = open_page(page, language="zh_CN")
    assert not test.exception
    assert not test.error
    assert HAN.search(test.title[0].value)
    assert len(HAN.findall(texts(test))) > 20
