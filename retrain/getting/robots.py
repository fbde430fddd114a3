"""What a site's robots.txt allows (RFC 9309), asked once a site and read by protego, which knows ``*`` and ``$``."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from retrain.getting.addresses import Address, RefusedError, parse_url
from retrain.getting.client import Client, TryAgainError

if TYPE_CHECKING:
    from protego import Protego

_MAX_BYTES = 512 * 1024
_MAX_HOPS = 5


@dataclass
class Rules:
    """What the sites allow; two threads never ask about one site at once, see turns.py.

    Args:
        client: that asks.
        name: of this tool, as a robots.txt would call it.
        max_gap_s: a site that wants more seconds between two requests is not asked.
    """

    client: Client
    name: str
    max_gap_s: float
    _known: dict[str, Protego] = field(default_factory=dict)

    def check(self, address: Address) -> float:
        """See that a site allows an address.

        Args:
            address: that is to be asked.

        Returns:
            Seconds that the site wants between two requests; 0 where it does not say.

        Raises:
            RefusedError: it does not allow it.
            TryAgainError: its rules cannot be had for now, which counts as a no.
        """
        if address.site not in self._known:
            self._known[address.site] = self._read(address)
        rules = self._known[address.site]
        if not rules.can_fetch(address.url, self.name):
            raise RefusedError(f"robots.txt of {address.site} does not allow it")
        gap_s = float(rules.crawl_delay(self.name) or 0)
        if gap_s > self.max_gap_s:
            raise RefusedError(f"robots.txt of {address.site} wants {gap_s:g} s between requests")
        return gap_s

    def _read(self, address: Address) -> Protego:
        from protego import Protego

        return Protego.parse(self._text(address))

    def _text(self, address: Address) -> str:
        place = address._replace(target="/robots.txt")
        for _ in range(_MAX_HOPS + 1):
            try:
                answer = self.client.get(place, _MAX_BYTES, time.time())
            except TryAgainError as error:
                raise TryAgainError(f"robots.txt of {address.site}: {error}", error.after_s) from error
            except RefusedError as error:
                raise RefusedError(f"robots.txt of {address.site}: {error}") from error
            if not answer.location:
                # A site without rules allows everything.
                return answer.data.decode("utf-8-sig", errors="replace") if answer.status == 200 else ""
            place = parse_url(urljoin(place.url, answer.location), self.client.policy)
        raise RefusedError(f"robots.txt of {address.site} is sent on more than {_MAX_HOPS} times")
