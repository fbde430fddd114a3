"""What every test may rely on: nothing that a test does to the process outlives it."""

import contextlib
import os
import random
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

# Helpers are imported as `support`, whichever way pytest imports the tests.
sys.path.insert(0, str(Path(__file__).parent))
# An assertion of a helper says what it got, as one of a test does; pytest rewrites those of test modules alone.
pytest.register_assert_rewrite(
    *sorted(
        path.stem for path in Path(__file__).parent.rglob("*.py") if not path.stem.startswith(("test_", "conftest"))
    )
)


@pytest.fixture(autouse=True)
def _process_is_restored():
    environment, cwd = dict(os.environ), Path.cwd()
    states = random.getstate(), np.random.get_state()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    random.setstate(states[0])
    np.random.set_state(states[1])
    for number, handler in handlers.items():
        with contextlib.suppress(TypeError):  # a handler that was not set from Python cannot be put back
            signal.signal(number, handler)
