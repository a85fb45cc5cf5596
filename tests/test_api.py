"""The REST interface answers like the command line, and refuses in JSON."""

import numpy as np
import pytest
from fastapi.testclient import TestClient

from imgrec import api
from imgrec.data import open_dataset
from imgrec.images import to_png


@pytest.fixture
def client():
    return TestClient(api.create_api())


@pytest.fixture
def pictures():
    return [
        ("image", (f"{i}.png", to_png(picture), "image/png"))
        for i, picture in enumerate(open_dataset("digits").images[:3])
    ]


def test_health_answers_without_torch(client):
    assert client.get("/health").json()["status"] == "ok"


def test_models_are_the_usable_runs_with_their_classes(client, trained):
    rows = {row["run"]: row for row in client.get("/models").json()}
    assert rows[trained.name]["classes"] == list("0123456789")
    assert rows[trained.name]["status"] == "finished"


def test_each_picture_gets_its_likeliest_classes(client, trained, pictures):
    from imgrec.predict import predictor

    answer = client.post(f"/predict?model={trained.name}&top=10", files=pictures)
    assert answer.status_code == 200
    body = answer.json()
    assert body["model"] == trained.name
    ours = predictor(trained.name).probabilities(open_dataset("digits").images[:3])
    for result, row in zip(body["results"], ours, strict=True):
        assert sum(c["probability"] for c in result["classes"]) == pytest.approx(1, abs=1e-5)
        theirs = {c["name"]: c["probability"] for c in result["classes"]}
        assert np.allclose([theirs[name] for name in "0123456789"], row, atol=1e-6)


def test_a_bad_file_gets_an_error_in_its_place_and_the_others_are_answered(client, trained, pictures):
    files = [pictures[0], ("image", ("evil<b>.png", b"text", "image/png")), pictures[1]]
    results = client.post(f"/predict?model={trained.name}", files=files).json()["results"]
    assert ["error" in result for result in results] == [False, True, False]
    assert len(results[0]["classes"]) == 5


@pytest.mark.parametrize(
    "query",
    ["", "?model=nothing", "?model=../../etc", "?model={run}&top=0", "?model={run}&top=x", "?model={run}&top=9999"],
)
def test_a_request_that_cannot_be_served_gets_4xx_and_an_error(client, trained, pictures, query):
    answer = client.post("/predict" + query.replace("{run}", trained.name), files=pictures)
    assert 400 <= answer.status_code < 500
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize(
    "call", [("get", "/predict"), ("get", "/nothing"), ("post", "/predict?model=x"), ("delete", "/models")]
)
def test_wrong_paths_and_methods_get_an_error_too(client, call):
    answer = getattr(client, call[0])(call[1])
    assert 400 <= answer.status_code < 500
    assert list(answer.json()) == ["error"]


def test_the_size_of_a_request_is_bounded_whether_or_not_it_says_so(client, trained, monkeypatch):
    small = TestClient(api.BodyLimit(api.create_api(), 10_000))
    files = [("image", ("big.png", b"x" * 50_000, "image/png"))]
    honest = small.post(f"/predict?model={trained.name}", files=files)
    assert honest.status_code == 413
    assert "error" in honest.json()

    def chunks():
        yield b'--b\r\nContent-Disposition: form-data; name="image"; filename="x.png"\r\n\r\n'
        for _ in range(50):
            yield b"x" * 1000

    silent = small.post(
        f"/predict?model={trained.name}", content=chunks(), headers={"content-type": "multipart/form-data; boundary=b"}
    )
    assert silent.status_code == 413
    assert "error" in silent.json()


def test_the_number_of_pictures_is_bounded(client, trained, pictures):
    answer = client.post(f"/predict?model={trained.name}", files=pictures * 30)
    assert answer.status_code == 413


def test_damaged_weights_are_a_4xx_not_a_crash(client, trained, tmp_path, monkeypatch, pictures):
    import shutil

    shutil.copytree(trained.path, tmp_path / "runs" / trained.name)
    monkeypatch.setenv("IMGREC_HOME", str(tmp_path))
    path = tmp_path / "runs" / trained.name / "best.safetensors"
    path.write_bytes(path.read_bytes()[:-50])
    answer = client.post(f"/predict?model={trained.name}", files=pictures)
    assert answer.status_code == 409
    assert "best.safetensors" in answer.json()["error"]


def test_the_documentation_is_served_from_here(client):
    page = client.get("/docs").text
    assert "swagger" in page
    assert "https://" not in page.replace("https://fastapi", "")
    assert "/predict" in client.get("/openapi.json").json()["paths"]
