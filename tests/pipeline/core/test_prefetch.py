"""Prefetching: order, reuse of buffers, advice, errors, and termination of the thread."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.prefetch import prefetch


def load(request: int, buffer: np.ndarray) -> np.ndarray:
    buffer[...] = request
    return buffer


def ring(sets: int) -> list[np.ndarray]:
    return [np.full(1000, -1) for _ in range(sets)]


def prefetch_threads() -> int:
    return sum(thread.name == "prefetch" for thread in threading.enumerate())


@pytest.mark.parametrize("sets", [2, 3, 7])
def test_batches_are_in_order_and_unchanged_until_the_next_request(sets: int) -> None:
    buffers = ring(sets)
    for expected, batch in enumerate(prefetch(range(200), load, buffers)):
        assert any(batch is buffer for buffer in buffers)
        for _ in range(3):
            assert np.all(batch == expected)
    assert expected == 199
    assert prefetch_threads() == 0


def test_no_requests_give_no_batches() -> None:
    assert list(prefetch([], load, ring(2))) == []


@pytest.mark.parametrize("ahead", [0, 1, 4])
def test_advice_precedes_loading_by_the_given_number_of_requests(ahead: int) -> None:
    events: list[tuple[str, int]] = []

    def recorded(request: int, buffer: np.ndarray) -> int:
        events.append(("load", request))
        return int(load(request, buffer)[0])

    advised = prefetch(
        range(9), recorded, ring(2), advise=lambda r: events.append(("advise", r)), ahead=ahead
    )
    assert list(advised) == list(range(9))
    for request in range(9):
        before = events[: events.index(("load", request))]
        last = min(request + ahead, 8)
        assert [r for what, r in before if what == "advise"] == list(range(last + 1))


def test_an_error_of_load_is_raised_after_the_batches_before_it() -> None:
    def failing(request: int, buffer: np.ndarray) -> int:
        if request == 3:
            raise ValueError("unit 'bonn/v0': row 7")
        return int(load(request, buffer)[0])

    seen = []
    with pytest.raises(ValueError, match="unit 'bonn/v0': row 7"):
        seen.extend(prefetch(range(9), failing, ring(2)))
    assert prefetch_threads() == 0


def test_an_error_of_the_requests_is_raised() -> None:
    def requests() -> Iterator[int]:
        yield 0
        raise RuntimeError("no more clips")

    batches = prefetch(requests(), load, ring(2), ahead=0)
    assert next(batches)[0] == 0
    with pytest.raises(RuntimeError, match="no more clips"):
        next(batches)


def test_closing_the_generator_stops_the_thread() -> None:
    batches = prefetch(iter(range(10**9)), load, ring(3))
    assert next(batches)[0] == 0
    assert prefetch_threads() == 1
    batches.close()
    assert prefetch_threads() == 0


def test_closing_an_unused_generator_starts_no_thread() -> None:
    prefetch(range(3), load, ring(2)).close()
    assert prefetch_threads() == 0


def test_a_single_set_of_buffers_raises_an_error() -> None:
    with pytest.raises(ValueError, match="at least 2 sets of buffers, got 1"):
        prefetch(range(3), load, ring(1))


def test_the_thread_uses_one_openmp_thread_and_the_caller_keeps_its_count() -> None:
    # In a subprocess, because torch reads the thread count at its first use in a thread.
    program = """
import os, torch
from pipeline.core.prefetch import prefetch

def load(request, buffer):
    return buffer.copy_(torch.full((2_000_000,), request, dtype=torch.float16))

def threads():
    return len(os.listdir("/proc/self/task"))

torch.set_num_threads(3)
before = threads()
batches = prefetch(range(10**9), load, [torch.empty(2_000_000) for _ in range(2)])
for _ in range(3):  # The thread is alive: there is always another batch to load.
    next(batches)
    print(threads() - before, torch.get_num_threads())
batches.close()
"""
    command = [sys.executable, "-c", program]
    root = Path(__file__).resolve().parents[3]
    run = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    assert run.stdout == "1 3\n" * 3
