"""Work done by a pool of threads, its answers in order, and never more of it begun than is wanted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


def in_order(
    do: Callable[[_Item], _Answer], items: Iterable[_Item], threads: int, in_flight: int, *, wait: bool = True
) -> Iterator[_Answer]:
    """Do something with each item, several at a time.

    Args:
        do: called from the threads.
        items: read as their answers are fetched, never all at once.
        threads: how many.
        in_flight: items begun or done and not yet fetched, 1 or more.
        wait: when the caller stops asking, wait for what is under way.

    Yields:
        The answers, in the order of the items.
    """
    from concurrent.futures import Future, ThreadPoolExecutor  # 4 ms that a single photograph need not pay

    waiting: deque[Future[_Answer]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            waiting.append(pool.submit(do, item))
            del item  # a picture of many megabytes, perhaps
            if len(waiting) >= in_flight:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=wait, cancel_futures=True)
