"""Unit tests run in milliseconds: here, importing TensorFlow is an ImportError."""

import sys

import pytest
from hypothesis import settings

# The same examples each time; a busy machine is no failure.
settings.register_profile("unit", deadline=None, derandomize=True)
settings.load_profile("unit")


@pytest.fixture(autouse=True)
def _no_tensorflow(monkeypatch):
    for name in ("tensorflow", "keras"):
        monkeypatch.setitem(sys.modules, name, None)
