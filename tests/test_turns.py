"""Pages are drawn one after the other, first come, first served, and a long one keeps nobody waiting."""

import threading
import time

import pytest
from conftest import wait_for

from pages.turns import Turns


def drawn(turns: Turns, name: str, done: list[str], until: threading.Event | None = None) -> threading.Thread:
    """A page that is drawn in a thread of its own, and notes when its turn begins and ends."""

    def draw() -> None:
        with turns.turn():
            done.append(f"{name} begins")
            if until:
                until.wait(10)
            done.append(f"{name} ends")

    thread = threading.Thread(target=draw)
    thread.start()
    return thread


def test_pages_are_drawn_one_after_the_other_in_the_order_they_were_asked_for():
    turns, done, leave = Turns(long=10), [], threading.Event()
    threads = [drawn(turns, "0", done, leave)]
    wait_for(lambda: done)
    for number in range(1, 5):
        threads.append(drawn(turns, str(number), done))
        wait_for(lambda number=number: len(turns.queue) == number)
    assert done == ["0 begins"]
    leave.set()
    for thread in threads:
        thread.join(10)
    assert done == [f"{number} {word}" for number in range(5) for word in ("begins", "ends")]


def test_a_long_page_keeps_nobody_waiting_and_its_end_takes_the_turn_from_nobody():
    turns, done, leave, stay = Turns(long=0.05), [], threading.Event(), threading.Event()
    long = drawn(turns, "long", done, leave)
    wait_for(lambda: done)
    other = drawn(turns, "other", done, stay)
    wait_for(lambda: "other begins" in done)
    turns.long = 10
    leave.set()
    long.join(10)
    third = drawn(turns, "third", done)
    time.sleep(0.2)
    assert done == ["long begins", "other begins", "long ends"]  # the third waits for the other
    stay.set()
    other.join(10)
    third.join(15)
    assert done[3:] == ["other ends", "third begins", "third ends"]


def test_a_page_that_breaks_off_gives_the_turn_back():
    turns, done = Turns(long=10), []
    with pytest.raises(ZeroDivisionError), turns.turn():
        1 / 0  # noqa: B018
    drawn(turns, "next", done).join(10)
    assert done == ["next begins", "next ends"]
