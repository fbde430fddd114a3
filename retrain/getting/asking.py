"""What is done with one address when its turn comes: robots.txt, the request, and the look at what came."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from urllib.parse import urljoin

from retrain.errors import ImageError
from retrain.getting.addresses import Address, RefusedError, parse_url
from retrain.getting.client import Client, TryAgainError
from retrain.getting.contents import suffix_of
from retrain.getting.lists import Wanted
from retrain.getting.manifest import FAILED, KEPT, REFUSED
from retrain.getting.robots import Rules

_MAX_HOPS = 5
# A site that fails so often in a row is left alone for this run: it is down, or wants nothing to do with us.
_MAX_FAULTS = 9


@dataclass(frozen=True)
class Job:
    """One request that is to be made.

    Args:
        wanted: what for.
        address: that is asked.
        tries: how often that was tried and failed.
        hops: how often servers sent us on.
    """

    wanted: Wanted
    address: Address
    tries: int = 0
    hops: int = 0


@dataclass(frozen=True)
class Finding:
    """What came of an address in the end.

    Args:
        wanted: what was asked for.
        status: KEPT (a picture came), REFUSED or FAILED.
        reason: why not.
        data: the picture.
        suffix: of its format.
        final_url: where it came from.
    """

    wanted: Wanted
    status: str
    reason: str = ""
    data: bytes = b""
    suffix: str = ""
    final_url: str = ""


@dataclass
class Asker:
    """Makes requests; for many threads, of which never two ask one site at once (see turns.py).

    Args:
        client: that asks.
        rules: of the sites.
        max_bytes: of a picture.
        max_pixels: of a picture.
        tries: how often an address is asked at most.
        backoff_s: pause before the second try, doubled before each further one.
        max_wait_s: a server that wants more is not waited for.
    """

    client: Client
    rules: Rules
    max_bytes: int
    max_pixels: int
    tries: int
    backoff_s: float
    max_wait_s: float
    _faults: Counter[str] = field(default_factory=Counter)

    def ask(self, job: Job) -> tuple[Finding | Job, float]:
        """Make one request.

        Args:
            job: whose turn it is.

        Returns:
            What came of it, or the request that is to be made next; and the seconds for which the site is to be left
            alone, beyond the usual pause.
        """
        site = job.address.site
        if self._faults[site] >= _MAX_FAULTS:
            return Finding(job.wanted, FAILED, f"{site} failed {_MAX_FAULTS} times in a row and was left alone"), 0.0
        try:
            gap_s = self.rules.check(job.address)
            found = self._request(job)
        except TryAgainError as error:
            self._faults[site] += 1
            return self._again(job, error)
        except RefusedError as error:
            return Finding(job.wanted, REFUSED, str(error)), 0.0
        self._faults[site] = 0
        return found, gap_s

    def _request(self, job: Job) -> Finding | Job:
        answer = self.client.get(job.address, self.max_bytes, time.time())
        if answer.location:
            return self._sent_on(job, answer.location)
        if answer.status != 200:
            return Finding(job.wanted, REFUSED, f"status {answer.status}")
        try:
            suffix = suffix_of(answer.data, self.max_pixels)
        except ImageError as error:
            return Finding(job.wanted, REFUSED, str(error))
        return Finding(job.wanted, KEPT, data=answer.data, suffix=suffix, final_url=job.address.url)

    def _sent_on(self, job: Job, location: str) -> Job:
        if job.hops == _MAX_HOPS:
            raise RefusedError(f"sent on more than {_MAX_HOPS} times")
        try:
            address = parse_url(urljoin(job.address.url, location.strip().replace(" ", "%20")), self.client.policy)
        except (RefusedError, ValueError) as error:
            raise RefusedError(f"sent on to an address that is not asked: {error}") from error
        if job.address.scheme == "https" and address.scheme != "https":
            raise RefusedError("sent on from https:// to http://")
        return replace(job, address=address, hops=job.hops + 1)

    def _again(self, job: Job, error: TryAgainError) -> tuple[Finding | Job, float]:
        if error.after_s > self.max_wait_s:
            return Finding(job.wanted, FAILED, f"{error}; wants {error.after_s:.0f} s of rest"), 0.0
        # Half of the pause is drawn, so that the tries of many machines do not come at once.
        pause_s = max(error.after_s, self.backoff_s * 2**job.tries * random.uniform(0.5, 1.5))
        if job.tries + 1 >= self.tries:
            return Finding(job.wanted, FAILED, f"{error}; tried {self.tries} times"), error.after_s
        return replace(job, tries=job.tries + 1), pause_s
