"""Load batches ahead of time in a background thread, into a ring of reused buffers.

Worker processes would make batches of this size 7 to 10 times slower, because each batch is copied
twice into new memory pages. A thread is enough, because reading releases Python's global lock.
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
    """Yield the batches of all requests in order, loaded ahead by one thread.

    A batch uses the buffers that it was loaded into. It is valid until the next batch is requested.
    Closing the generator, or leaving its loop by an exception, stops the thread.

    Args:
        requests: One request per batch; consumed in the thread.
        load: Fills the buffers for a request and returns the batch; called in the thread.
        ring: At least two sets of buffers. The caller uses one while the thread fills the others.
        advise: Tells the operating system that a request will be loaded soon; called in the thread.
        ahead: Number of requests by which ``advise`` precedes ``load``.

    Raises:
        ValueError: If the ring has fewer than two sets of buffers.
        Exception: Any exception of ``requests``, ``load`` or ``advise``, after the batches before
            it were yielded.
    """
    if len(ring) < 2:
        raise ValueError(f"prefetch: expected at least 2 sets of buffers, got {len(ring)}")
    return _batches_of(_Prefetcher(requests, load, ring, advise, ahead))


def _batches_of(prefetcher: "_Prefetcher[Request, Buffers, Batch]") -> Generator[Batch, None, None]:
    _initialize_thread_count()
    thread = threading.Thread(target=prefetcher.run, name="prefetch", daemon=True)
    thread.start()
    try:
        yield from prefetcher.batches()
    finally:
        prefetcher.stop()
        thread.join()


class _End:
    """Marks the end of the batches."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Prefetcher(Generic[Request, Buffers, Batch]):
    """Both sides of the ring: ``run`` is the producer thread, ``batches`` the consumer."""

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
        """Load batches until the requests end, an error occurs, or the caller stops."""
        _limit_to_one_thread()
        failure: BaseException | None = None
        try:
            for request in self._advised():
                buffers = self._free.get()
                if self._stopped.is_set():
                    break
                self._full.put((self._load(request, buffers), buffers))
        except BaseException as error:
            failure = error
        self._full.put(_End(failure))

    def _advised(self) -> Iterator[Request]:
        """Yield the requests, each after ``advise`` was called for the following ones."""
        waiting: deque[Request] = deque()
        for request in self._requests:
            self._advise(request)
            waiting.append(request)
            if len(waiting) > self._ahead:
                yield waiting.popleft()
        yield from waiting

    def batches(self) -> Iterator[Batch]:
        """Yield batches; release the buffers of a batch when the next one is requested."""
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
        """Stop the thread before its next batch, also while it waits for buffers."""
        self._stopped.set()
        self._free.put(self._spare)


def _initialize_thread_count() -> None:
    """Make torch read the caller's thread count before the prefetch thread changes the default.

    torch reads the count at its first use in a thread.
    """
    # torch is not imported here, so that callers without torch do not pay for the import.
    if torch := sys.modules.get("torch"):
        torch.get_num_threads()


def _limit_to_one_thread() -> None:
    """Limit this thread to one OpenMP thread, which avoids oversubscription.

    With more OpenMP threads than cores, threads sleep between operations instead of spinning, and
    a training step of a head takes 25 % longer.
    """
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
