"""The REST interface answers like the command line, batches what comes together, and refuses in JSON."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import numpy as np
import pytest
from conftest import unavailable
from fastapi.testclient import TestClient
from pictures import picture

from imgrec import api
from imgrec.data import Edit, Item, edit, import_dataset, open_dataset
from imgrec.images import to_png
from imgrec.learner import fit


@pytest.fixture
def client():
    return TestClient(api.create_api())


@pytest.fixture(scope="module")
def second_run(full_workspace):
    """A copy of the trained run with other weights, in the same workspace."""
    import torch

    from imgrec.runs import Run
    from imgrec.weights import load_weights, save_weights

    home, name = full_workspace
    shutil.copytree(home / "runs" / name, home / "runs" / "second")
    run = Run(home / "runs" / "second")
    weights, passport = load_weights(run.file("best.safetensors"))
    torch.manual_seed(0)
    save_weights(run.file("best.safetensors"), {k: v + 0.1 * torch.randn_like(v) for k, v in weights.items()}, passport)
    yield run
    shutil.rmtree(run.path)


@pytest.fixture
def served():
    """The address of the interface on a real port of this machine."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(api.create_api(), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


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


def test_classes_are_called_as_their_data_set_calls_them_by_now(client, pictures):
    import_dataset([Item(f"{i}.png", picture(i), ("cat", "dog")[i % 2]) for i in range(40)], "pets")
    run = fit("pets", model="softmax-regression", epochs=1, device="cpu").run
    edit("pets", Edit("rename", value="hound", old="dog"))
    rows = {row["run"]: row for row in client.get("/models").json()}
    assert rows[run.name]["classes"] == ["cat", "hound"]
    for result in client.post(f"/predict?model={run.name}", files=pictures).json()["results"]:
        assert {row["name"] for row in result["classes"]} == {"cat", "hound"}


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
    small = TestClient(api.Gate(api.create_api(), 10_000))
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
    shutil.copytree(trained.path, tmp_path / "runs" / trained.name)
    monkeypatch.setenv("IMGREC_HOME", str(tmp_path))
    path = tmp_path / "runs" / trained.name / "best.safetensors"
    path.write_bytes(path.read_bytes()[:-50])
    answer = client.post(f"/predict?model={trained.name}", files=pictures)
    assert answer.status_code == 409
    assert "best.safetensors" in answer.json()["error"]


def test_an_error_that_nobody_thought_of_is_a_500_in_json(trained, pictures, monkeypatch):
    from imgrec.predict import Predictor

    def broken(self, seen):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(Predictor, "answer", broken)
    client = TestClient(api.create_api(), raise_server_exceptions=False)
    answer = client.post(f"/predict?model={trained.name}", files=pictures)
    assert answer.status_code == 500
    assert "out of memory" in answer.json()["error"]


def test_the_documentation_is_served_from_here(client):
    page = client.get("/docs").text
    assert "swagger" in page
    assert "https://" not in page.replace("https://fastapi", "")
    assert "/predict" in client.get("/openapi.json").json()["paths"]


class Slow:
    """A network that notes how many pictures it is asked about at once, and takes its time."""

    def __init__(self, seconds=0.05):
        self.batches, self.seconds = [], seconds

    def answer(self, seen):
        self.batches.append(len(seen))
        time.sleep(self.seconds)
        if "bad" in seen:
            raise RuntimeError("out of memory")
        return [f"answer to {picture}" for picture in seen]


def test_pictures_that_wait_together_share_a_forward_pass_and_each_gets_its_own_answer():
    from imgrec.serving import Batcher

    first, second, batcher = Slow(), Slow(), Batcher(batch=8)
    asked = [(network, f"{n}") for n in range(20) for network in (first, second)]
    futures = [batcher.submit(network, [picture])[0] for network, picture in asked]
    assert [future.result(5) for future in futures] == [f"answer to {picture}" for _, picture in asked]
    assert sum(first.batches) == sum(second.batches) == 20
    assert max(first.batches) <= 8
    assert len(first.batches) <= 5


def test_a_batch_that_fails_is_told_to_those_who_asked_and_the_next_is_answered():
    from imgrec.serving import Batcher

    network, batcher = Slow(0), Batcher()
    [bad] = batcher.submit(network, ["bad"])
    with pytest.raises(RuntimeError, match="out of memory"):
        bad.result(5)
    assert batcher.submit(network, ["1"])[0].result(5) == "answer to 1"


def test_a_parameter_that_does_not_exist_is_named(client, trained, pictures):
    answer = client.post(f"/predict?model={trained.name}&tops=3", files=pictures)
    assert answer.status_code == 422
    assert answer.json()["error"] == "There is no parameter 'tops'; there are model, top."


def test_a_full_server_says_503_and_when_to_come_back(client, trained, pictures, monkeypatch):
    from imgrec import serving
    from imgrec.predict import Predictor

    begun, go_on, answer = threading.Event(), threading.Event(), Predictor.answer

    def held(self, seen):
        begun.set()
        assert go_on.wait(20)
        return answer(self, seen)

    monkeypatch.setattr(Predictor, "answer", held)
    monkeypatch.setattr(serving, "WAITING", 4)
    client = TestClient(api.create_api())
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.post, f"/predict?model={trained.name}", files=pictures)
        assert begun.wait(20)
        refused = client.post(f"/predict?model={trained.name}", files=pictures)
        assert "imgrec_pictures_waiting 3.0" in client.get("/metrics").text
        go_on.set()
        assert waiting.result(20).status_code == 200
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert "waiting" in refused.json()["error"]
    assert client.post(f"/predict?model={trained.name}", files=pictures).status_code == 200


def test_a_picture_that_waits_too_long_is_given_up(trained, pictures, monkeypatch):
    from imgrec import serving
    from imgrec.predict import Predictor

    monkeypatch.setattr(serving, "TIMEOUT", 0.1)
    monkeypatch.setattr(Predictor, "answer", lambda self, seen: time.sleep(0.5) or [])
    answer = TestClient(api.create_api()).post(f"/predict?model={trained.name}", files=pictures)
    assert answer.status_code == 503
    assert "retry-after" in answer.headers


def test_too_many_requests_at_once_are_turned_away_unread(trained, pictures):
    answer = TestClient(api.Gate(api.create_api(), places=0)).post(f"/predict?model={trained.name}", files=pictures)
    assert answer.status_code == 503
    assert "retry-after" in answer.headers


def beginning(served):
    """A connection that has sent the head of a request and the first byte of its body."""
    host, port = served.split(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    connection.sendall(
        b"POST /predict?model=x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n-'
    )
    return connection


def test_requests_that_never_end_shut_nobody_out(monkeypatch):
    async def endless():
        yield b"-"
        await asyncio.sleep(1000)

    async def ask():
        gate = api.Gate(api.create_api(), places=4)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://x", timeout=60) as client:

            def begin():
                form = {"content-type": "multipart/form-data; boundary=b"}
                call = client.post("/predict?model=x", content=endless(), headers=form)
                return asyncio.create_task(call)

            slow = [begin() for _ in range(4)]
            while gate.places:
                await asyncio.sleep(0.01)
            assert (await client.get("/models")).status_code == 503
            assert (await client.get("/health")).status_code == 200
            for call in slow:
                call.cancel()
            await asyncio.gather(*slow, return_exceptions=True)
            monkeypatch.setattr(api, "PAUSE", 0.1)
            for answer in await asyncio.wait_for(asyncio.gather(*(begin() for _ in range(4))), 60):
                assert answer.status_code == 408
                assert "too slowly" in answer.json()["error"]
            assert (await client.get("/models")).status_code == 200

    with ThreadPoolExecutor(1) as apart:  # where no browser of other tests has an event loop
        apart.submit(asyncio.run, ask()).result()


def test_a_body_that_trickles_in_has_an_end_too(served, monkeypatch):
    monkeypatch.setattr(api, "BODY", 1.0)
    with beginning(served) as connection:
        connection.settimeout(0.2)
        answer, end = b"", time.monotonic() + 60
        while not answer and time.monotonic() < end:
            with suppress(TimeoutError):
                connection.sendall(b"-")
                answer = connection.recv(10_000)
    assert b" 408 " in answer


def test_one_address_takes_half_of_the_places_at_most(trained):
    async def asked(gate, address):
        said = []

        async def send(message):
            said.append(message.get("status"))

        scope = {"type": "http", "path": "/models", "headers": [], "client": (address, 1), "method": "GET"}
        await gate(scope, None, send)
        return said[0]

    async def ask():
        inside, go_on = [], asyncio.Event()

        async def app(scope, receive, send):
            inside.append(scope["client"][0])
            await go_on.wait()
            await send({"status": 200})

        gate = api.Gate(app, places=4)
        first = [asyncio.create_task(asked(gate, "10.0.0.1")) for _ in range(2)]
        await asyncio.sleep(0)
        assert await asked(gate, "10.0.0.1") == 503
        other = asyncio.create_task(asked(gate, "10.0.0.2"))
        await asyncio.sleep(0)
        assert inside == ["10.0.0.1", "10.0.0.1", "10.0.0.2"]
        go_on.set()
        assert await asyncio.gather(*first, other) == [200, 200, 200]
        assert await asked(gate, "10.0.0.1") == 200
        assert not gate.taken
        proxy = [asyncio.create_task(asked(gate, "127.0.0.1")) for _ in range(4)]
        assert await asyncio.gather(*proxy) == [200] * 4

    with ThreadPoolExecutor(1) as apart:  # where no browser of other tests has an event loop
        apart.submit(asyncio.run, ask()).result()


def test_a_text_where_a_file_must_be_is_named(client, trained):
    answer = client.post(f"/predict?model={trained.name}", data={"image": "hello"}, files={"other": b"x"})
    assert answer.status_code == 422
    assert answer.json() == {"error": "image must be a file."}


def test_with_a_token_only_who_has_it_is_answered(client, trained, pictures, monkeypatch):
    monkeypatch.setenv("IMGREC_TOKEN", "s3cret")
    for path in ("/models", "/metrics"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"authorization": "Bearer wrong"}).status_code == 401
        assert client.get(path, headers={"authorization": "Bearer s3cret"}).status_code == 200
    refused = client.post(f"/predict?model={trained.name}", files=pictures)
    assert refused.status_code == 401
    assert list(refused.json()) == ["error"]
    assert client.get("/health").status_code == client.get("/docs").status_code == 200


def test_prometheus_is_told_of_requests_and_batches(client, trained, pictures):
    client.post(f"/predict?model={trained.name}", files=pictures)
    client.get("/predict")
    client.get("/" + "x" * 500)
    said = client.get("/metrics").text
    assert 'imgrec_requests_total{path="/predict",status="200"} 1.0' in said
    assert 'imgrec_requests_total{path="/predict",status="405"} 1.0' in said
    assert 'imgrec_requests_total{path="other",status="404"} 1.0' in said
    assert "xxx" not in said
    assert "imgrec_batch_pictures_sum 3.0" in said


def test_several_runs_answer_together(client, trained, pictures, second_run):
    from imgrec.predict import predictor

    names = f"{trained.name},{second_run.name}"
    body = client.post(f"/predict?model={names}&top=10", files=pictures).json()
    images = open_dataset("digits").images[:3]
    mean = (predictor(trained.name).probabilities(images) + predictor(second_run.name).probabilities(images)) / 2
    for result, row in zip(body["results"], mean, strict=True):
        theirs = {c["name"]: c["probability"] for c in result["classes"]}
        assert np.allclose([theirs[name] for name in "0123456789"], row, atol=1e-6)
    other = client.post(f"/predict?model={trained.name},shapes-seed-cnn", files=pictures)
    assert other.status_code == 422
    assert "different classes" in other.json()["error"]
    missing = client.post(f"/predict?model={trained.name},nothing", files=pictures)
    assert missing.status_code == 404
    assert "different classes" in other.json()["error"]


@pytest.mark.parametrize("language", list(api.EXAMPLES))
def test_the_examples_of_the_description_run(language, trained, served, tmp_path):
    """As they stand, but for the port."""
    program = {"sh": "bash", "python": sys.executable, "javascript": "node"}[language]
    if language == "javascript" and not shutil.which("node"):
        unavailable("the example in JavaScript needs Node.js")
    (tmp_path / "photo.jpg").write_bytes(to_png(open_dataset("digits").images[0]))
    script = tmp_path / f"example{'.mjs' if language == 'javascript' else ''}"
    script.write_text(api.EXAMPLES[language].replace("localhost:8501/api", served))
    done = subprocess.run([program, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    if language == "sh":
        assert json.loads(done.stdout)["results"][0]["classes"][0]["name"] == "0"
    else:
        assert done.stdout.split()[0] == "0"
    assert (
        api.EXAMPLES[language]
        in TestClient(api.create_api()).get("/openapi.json").json()["paths"]["/predict"]["post"]["description"]
    )
