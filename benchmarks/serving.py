"""How many pictures other programs can have classified: the real server, 32 clients, every answer checked.

``python -m benchmarks.serving`` starts the dashboard's server with and without batching, side by side, on loopback, and asks
the network alone for comparison. ``--requests 20000`` is the long run, with hostile requests mixed in. Exit status 1: an
answer was wrong or lost, or a target was missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time

import numpy as np
import torch

from benchmarks.dashboard import server
from imgrec import models
from imgrec.data import open_dataset
from imgrec.images import to_png
from imgrec.predict import predictor
from imgrec.recipe import Recipe
from imgrec.runs import Run, create_run
from imgrec.weights import Passport, Preprocess, save_weights

CLIENTS, PICTURES = 32, 64
OF_NETWORK, OF_SINGLE = 0.7, 3.0  # targets: share of the bare network's rate; times the rate without batching
NETWORKS = {"densenet121": 112, "resnet18": 224, "mobilenet-v2": 64, "seed-cnn": 32}  # and the size of their pictures


def made_run(model: str, size: int) -> Run:
    """A run with random weights: as much work as a trained one."""
    classes = tuple(open_dataset("shapes:count=60").classes)
    run = create_run(Recipe(dataset="shapes", model=model, image_size=size))
    network = models.build(model, len(classes), 3, size, seed=0)
    save_weights(
        run.file("best.safetensors"), network.state_dict(),
        Passport(model, classes, Preprocess(size, 3, "crop", (0.5,) * 3, (0.25,) * 3)),
    )  # fmt: skip
    run.write("classes.json", {"classes": list(classes)})
    run.update(phase="finished")
    return run


def request(run: str, content: bytes, query: str = "&top=6", head: str = "") -> bytes:
    """A whole HTTP request with one picture."""
    body = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x.png"\r\n\r\n' + content + b"\r\n--b--\r\n"
    return (
        f"POST /api/predict?model={run}{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def hostile(run: str) -> list[tuple[bytes, int]]:
    """Requests that must be turned away, with the status each must get; 0: the client hangs up before its end."""
    good = request(run, to_png(np.zeros((9, 9, 3), np.uint8)))
    return [
        (request("../../etc/passwd", b"x"), 404),
        (request(run, b"x", "&top=0"), 422),
        (request(run, b"GIF89a" + os.urandom(300)), 200),  # an error in its place
        (good.replace(b'image"; f', b'other"; f'), 422),
        (b"GET /api/nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        (b"POST /api/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (good[: len(good) // 2], 0),
    ]


class Client:
    """One connection that is kept open, as programs do."""

    def __init__(self, port: int) -> None:
        self.port, self.reader, self.writer = port, None, None

    async def ask(self, content: bytes) -> tuple[int, bytes]:
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(content)
        head = await self.reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        body = await self.reader.readexactly(int(fields[b"content-length"]))
        return int(head.split(b" ", 2)[1]), body

    async def hang_up(self, content: bytes = b"") -> None:
        if content:
            await self.hang_up()
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
            self.writer.write(content)
            await self.writer.drain()
        if self.writer is not None:
            self.writer.close()
            self.writer = None


async def load(port: int, asked: list[tuple[bytes, np.ndarray]], count: int, bad: list[tuple[bytes, int]]) -> dict:
    """``count`` requests by CLIENTS clients, every answer compared; hostile ones are mixed in and not counted."""
    left, found = iter(range(count)), {"answered": 0, "wrong": 0, "lost": 0, "hostile": 0, "let in": 0}
    seconds: list[float] = []

    async def client(number: int) -> None:
        connection, draws = Client(port), random.Random(number)
        for turn in left:
            if bad and draws.random() < 0.1:
                content, status = draws.choice(bad)
                found["hostile"] += 1
                if status == 0:
                    await connection.hang_up(content)
                else:
                    other = Client(port)
                    said, _ = await other.ask(content)
                    found["let in"] += said != status
                    await other.hang_up()
            content, expected = asked[turn % len(asked)]
            began = time.perf_counter()
            try:
                status, body = await connection.ask(content)
            except (OSError, asyncio.IncompleteReadError):
                found["lost"] += 1
                await connection.hang_up()
                continue
            seconds.append(time.perf_counter() - began)
            rows = json.loads(body)["results"][0]["classes"] if status == 200 else []
            said = np.array([row["probability"] for row in rows])
            found["answered"] += 1
            found["wrong"] += len(said) != len(expected) or np.abs(said - expected).max() > 1e-4
        await connection.hang_up()

    began = time.perf_counter()
    await asyncio.gather(*map(client, range(CLIENTS)))
    took = time.perf_counter() - began
    return {**found, "rate": count / took, "median": statistics.median(seconds), "worst": max(seconds)}


def bare(run: Run, seen: np.ndarray, batch: int, seconds: float = 4.0) -> float:
    """Pictures per second of the network alone, at a batch size, its pictures in memory."""
    network = predictor(run.name)
    pictures = seen[np.arange(batch) % len(seen)]
    network.logits(pictures)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        network.logits(pictures)
        count += batch
    return count / (time.perf_counter() - began)


def measure(model: str, size: int, requests: int, with_hostile: bool) -> dict:
    run = made_run(model, size)
    dataset = open_dataset(f"shapes:size={min(size, 128)},count={PICTURES}")
    files = [to_png(picture) for picture in dataset.images[:PICTURES]]
    expected = predictor(run.name).classify((f"{i}.png", content) for i, content in enumerate(files))
    asked = [
        (request(run.name, content), np.sort(answer.probabilities)[::-1])
        for content, answer in zip(files, expected, strict=True)
    ]
    found = {"network": bare(run, np.stack([answer.seen for answer in expected]), CLIENTS)}
    found["network, one by one"] = bare(run, np.stack([answer.seen for answer in expected]), 1)
    for name, batch in (("batched", CLIENTS), ("single", 1)):
        with server(IMGREC_BATCH=str(batch)) as (host, _):
            port = int(host.partition(":")[2])
            asyncio.run(load(port, asked, 2 * CLIENTS, []))  # warm
            count = requests if batch > 1 else min(requests, 1000)
            bad = hostile(run.name) if with_hostile and batch > 1 else []
            found[name] = asyncio.run(load(port, asked, count, bad))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=1500)
    parser.add_argument("--network", choices=NETWORKS, action="append")
    options = parser.parse_args()
    missed = []
    with tempfile.TemporaryDirectory() as home:
        os.environ["IMGREC_HOME"] = home
        for model in options.network or NETWORKS:
            found = measure(model, NETWORKS[model], options.requests, options.requests >= 5000)
            batched, single = found["batched"], found["single"]
            share, times = batched["rate"] / found["network"], batched["rate"] / single["rate"]
            print(
                f"{model} at {NETWORKS[model]} px, {CLIENTS} clients: {batched['rate']:.0f}/s (median {batched['median'] * 1e3:.0f} ms), "
                f"{share:.2f} of the network alone ({found['network']:.0f}/s), {times:.1f} times as fast as without batching "
                f"({single['rate']:.0f}/s; the network alone one by one {found['network, one by one']:.0f}/s)"
            )
            print(f"  {batched}")
            missed += [f"{model}: answers wrong or lost"] * bool(batched["wrong"] + batched["lost"] + batched["let in"])
            missed += [f"{model}: {share:.2f} of the network"] * (share < OF_NETWORK)
            missed += [f"{model}: {times:.1f} times"] * (times < OF_SINGLE)
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return bool(missed)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    sys.exit(main())
