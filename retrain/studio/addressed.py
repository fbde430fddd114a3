"""A photograph named by its address: off unless asked for, and then only from the public web.

https alone, the name resolved once and that very number connected to, public numbers only, nowhere sent on to: a page
must not make this machine ask what only this machine can reach (OWASP, "Server-side request forgery").
"""

from __future__ import annotations

import time

from retrain.errors import UsageError
from retrain.getting.addresses import Policy, RefusedError, parse_url
from retrain.getting.client import Client, TryAgainError, library_problem
from retrain.studio.editing import LIMITS

TIMEOUT_S = 10.0


def fetch(url: str, policy: Policy | None = None) -> bytes:
    """Get a photograph.

    Args:
        url: that a page named.
        policy: what may be connected to; None: the public web.

    Returns:
        Its bytes.

    Raises:
        UsageError: the address is none that may be asked, or there was no answer.
    """
    missing = library_problem()
    if missing:
        raise UsageError(missing)
    allowed = policy or Policy()
    try:
        client = Client(allowed, "retrain studio", timeout_s=TIMEOUT_S, total_s=TIMEOUT_S)
        answer = client.get(parse_url(url, allowed), LIMITS.max_bytes, time.time())
    except (RefusedError, TryAgainError) as error:
        raise UsageError(f"the address was not asked, or did not answer: {error}") from error
    if answer.location:
        raise UsageError(f"the address sends on to {answer.location[:200]}; give that one")
    if answer.status != 200 or not answer.data:
        raise UsageError(f"the address answered {answer.status}, without a photograph")
    return answer.data
