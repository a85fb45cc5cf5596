"""What the pages share: pictures inside addresses, and tables, come to the browser as they are."""

import base64
import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import wait_for
from PIL import Image
from streamlit import runtime
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
from streamlit.testing.v1 import AppTest

from imgrec.images import Recalled
from pages import parts, thumbnails, transfers


def pixels(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition("base64,")[2]))))


@pytest.mark.parametrize("shape", [(6, 4, 3), (4, 6, 3), (24, 3, 1)])
def test_a_picture_in_an_address_has_its_pixels_and_is_made_once(shape, monkeypatch):
    """All three are made of the same bytes, and are three pictures all the same."""
    picture = np.arange(72, dtype=np.uint8).reshape(shape)
    address = thumbnails.data_url(picture)
    assert np.array_equal(pixels(address).reshape(shape), picture)
    assert np.array_equal(pixels(thumbnails.data_url(picture[::-1])).reshape(shape), picture[::-1])  # not in one piece
    larger = pixels(thumbnails.data_url(picture, 2 * shape[0]))
    assert np.array_equal(larger.reshape(2 * shape[0], -1, shape[2])[::2, ::2], picture)
    monkeypatch.setattr(thumbnails, "to_png", lambda _: pytest.fail("it is made again"))
    assert thumbnails.data_url(picture.copy()) == address


def test_of_addresses_only_so_many_are_kept_and_no_long_ones(monkeypatch):
    kept = Recalled(20, thumbnails._addresses.worth)
    monkeypatch.setattr(thumbnails, "_addresses", kept)
    noise = np.random.default_rng(0).integers(0, 256, (50, 200, 200, 3), np.uint8)
    for picture in noise:
        thumbnails.data_url(picture[:4, :4])
    assert 0 < len(kept.known) <= 20
    before = dict(kept.known)
    assert np.array_equal(pixels(thumbnails.data_url(noise[0])), noise[0])
    assert kept.known == before


def shown(rows):
    from pages import parts

    parts.grid(rows)


@pytest.mark.parametrize(
    "rows",
    [
        [{"name": "a", "count": 1, "share": 0.5, "tags": ["x"]}, {"name": "", "count": -2, "share": 1, "tags": []}],
        [{"setting": "epochs", "first": 3, "second": "three"}, {"setting": "seed", "first": "none", "second": 2**70}],
        [{"name": "a"}, {"name": "b", "more": "only here"}],
        [],
    ],
    ids=["plain", "mixed", "ragged", "empty"],
)
def test_a_table_shows_every_value_of_every_row(rows):
    test = AppTest.from_function(shown, kwargs={"rows": rows}).run()
    assert not test.exception
    table = test.dataframe[0].value
    assert len(table) == len(rows)
    assert [*table.columns] == [*dict.fromkeys(name for row in rows for name in row)]
    for number, row in enumerate(rows):
        for name, value in row.items():
            found = table[name].iloc[number]
            assert (list(found) if isinstance(value, list) else found) in (value, str(value))


def test_what_an_error_says_to_type_or_to_fetch_can_be_copied_and_is_no_link():
    error = ValueError(
        "get https://example.com/a@1.0/b.js or `npm pack x@1`; **bold** <img src=x> [a](http://evil.example)"
    )
    said = parts.text(error, 400)
    assert "`https://example.com/a@1.0/b.js`" in said
    assert "`npm pack x@1`" in said
    assert "\u2060" not in said.replace(parts.text("[a](http"), "")
    assert r"\*\*bold\*\*" in said
    assert "`http://evil.example)`" in said  # as code, so it leads nowhere
    assert parts.text("`npm`") == r"\`npm\`"  # a name stays what it is


def test_a_download_made_on_request_stays_until_the_browser_has_fetched_it(monkeypatch):
    """Streamlit forgets such a file when two scripts have ended, anybody's, and a class of thirty ends two in no time."""
    storage = MemoryMediaFileStorage("/media")
    files = MediaFileManager(storage)
    monkeypatch.setattr(runtime, "get_instance", lambda: SimpleNamespace(media_file_mgr=files))
    given = {}
    monkeypatch.setattr(parts.st, "download_button", lambda label, *rest, **more: given.update(data=rest[0], **more))
    transfers.download("Report", lambda: "café", "report.csv", "text/csv")
    assert given["on_click"] == "ignore"
    button = files.add_deferred(given["data"], "text/csv", "where the button is", file_name="report.csv")
    address = files.execute_deferred(button)
    for _ in range(3):
        files.remove_orphaned_files()
    assert storage.get_file(Path(address).name).content.decode() == "café"
    monkeypatch.setattr(transfers, "FETCHED_WITHIN", 0.05)
    transfers.download("Report", lambda: "another", "report.csv", "text/csv")
    address = files.execute_deferred(
        files.add_deferred(given["data"], "text/csv", "another button", file_name="report.csv")
    )

    def forgotten():
        files.remove_orphaned_files()
        return Path(address).stem not in storage._files_by_id

    wait_for(forgotten)  # or each download would stay in the server's memory
