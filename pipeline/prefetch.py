"""One thread that reads batches ahead into a ring of reused buffers.

Worker processes would make batches of this size seven to ten times dearer: each one is copied
twice and its pages are new. A thread costs nothing, because reading leaves Python's lock.
"""

import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar

Request = TypeVar("Request")
Buffers = TypeVar("Buffers")
Batch = TypeVar("Batch")


def prefetch(
    requests: Iterable[Request],
    load: Callable[[Request, Buffers], Batch],
    ring: Sequence[Buffers],
    *,
    advise: Callable[[Request], None] = lambda _: None,
    ahead: int = 3,
) -> Generator[Batch, None, None]:
    """Yield the batches of all requests, in their order, loaded ahead by one thread.

    A batch lives in the buffers that it was loaded into: it is valid until the next one is asked
    for. Closing the generator, or leaving its loop by an exception, ends the thread.

    Args:
        requests: What to load, batch by batch; consumed in the thread.
        load: Fills the buffers for a request and returns the batch; called in the thread.
        ring: At least two sets of buffers; one is with the caller, the others are being filled.
        advise: Tells the system that a request will be loaded soon; called in the thread.
        ahead: How many requests before its loading a request is advised.

    Raises:
        ValueError: If the ring has fewer than two sets.
        Exception: What ``requests``, ``load`` or ``advise`` raised, once the batches before it
            were yielded.
    """
    if len(ring) < 2:
        raise ValueError(f"prefetch: expected at least 2 sets of buffers, got {len(ring)}")
    return _batches_of(_Reader(requests, load, ring, advise, ahead))


def _batches_of(reader: "_Reader[Request, Buffers, Batch]") -> Generator[Batch, None, None]:
    _keep_number_of_threads()
    thread = threading.Thread(target=reader.run, name="prefetch", daemon=True)
    thread.start()
    try:
        yield from reader.batches()
    finally:
        reader.stop()
        thread.join()


class _End:
    """Comes after the last batch."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Reader(Generic[Request, Buffers, Batch]):
    """The two ends of the ring: ``run`` in the thread, ``batches`` with the caller."""

    def __init__(
        self,
        requests: Iterable[Request],
        load: Callable[[Request, Buffers], Batch],
        ring: Sequence[Buffers],
        advise: Callable[[Request], None],
        ahead: int,
    ) -> None:
        self._requests = requests
        self._load = load
        self._advise = advise
        self._ahead = ahead
        self._stopped = threading.Event()
        self._free: SimpleQueue[Buffers] = SimpleQueue()
        self._full: SimpleQueue[tuple[Batch, Buffers] | _End] = SimpleQueue()
        self._spare = ring[0]
        for buffers in ring:
            self._free.put(buffers)

    def run(self) -> None:
        """Load batch after batch until the requests end, one fails, or the caller stops."""
        _stay_one_thread()
        fault: BaseException | None = None
        try:
            for request in self._advised():
                buffers = self._free.get()
                if self._stopped.is_set():
                    break
                self._full.put((self._load(request, buffers), buffers))
        except BaseException as error:
            fault = error
        self._full.put(_End(fault))

    def _advised(self) -> Iterator[Request]:
        waiting: deque[Request] = deque()
        for request in self._requests:
            self._advise(request)
            waiting.append(request)
            if len(waiting) > self._ahead:
                yield waiting.popleft()
        yield from waiting

    def batches(self) -> Iterator[Batch]:
        """Yield batches and give their buffers back when the next one is asked for."""
        while True:
            item = self._full.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            batch, buffers = item
            yield batch
            self._free.put(buffers)

    def stop(self) -> None:
        """Make the thread end before its next batch; it may be waiting for buffers."""
        self._stopped.set()
        self._free.put(self._spare)


def _keep_number_of_threads() -> None:
    """Make torch note this thread's number of threads, which else it asks for at its first use.

    By then the reader would have changed what it is told.
    """
    # Never imported here: a caller that needs no torch must not pay for it.
    if torch := sys.modules.get("torch"):
        torch.get_num_threads()


def _stay_one_thread() -> None:
    """Keep torch from starting helpers of its own for this thread, idle beside the caller's.

    OpenMP counts them: with more of them than cores, every helper sleeps between two operations
    instead of waiting for the next, and a head's training step takes a quarter longer.
    """
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
