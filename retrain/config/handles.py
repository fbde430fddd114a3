"""What ``--tfhub_module`` may name: a folder, an archive, or the address ("handle") of a module; syntax only."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar")
# Words of an address that say nothing of the model.
_BOILERPLATE = {"models", "frameworks", "tensorflow2", "variations", "versions"}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_KAGGLE = ("www.kaggle.com", "kaggle.com")
_MAX_ADDRESS = 2000


def is_handle(module: str) -> bool:
    """Tell an address from a path.

    Args:
        module: what was given as ``--tfhub_module``.

    Returns:
        Whether it is an address, be it a good one or not.
    """
    return "://" in module


def may_be_fetched(address: str) -> bool:
    """Say whether an address is one that modules are fetched from.

    Args:
        address: of a module, or one that a server sent us on to.

    Returns:
        Whether it is https, or http on this machine, and names no user.
    """
    parts = _split(address)
    if parts is None or not parts.hostname or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def module_problem(module: str) -> str:
    """Say what is wrong with a ``--tfhub_module``, without asking the network or opening a file.

    Args:
        module: what was given.

    Returns:
        A sentence, or nothing.
    """
    if is_handle(module):
        return _handle_problem(module)
    if os.path.isdir(module):  # noqa: PTH112 - false, not an error, for a name too long
        return _folder_problem(Path(module))
    if os.path.isfile(module) and module.endswith(ARCHIVE_SUFFIXES):  # noqa: PTH113
        return ""
    hint = ""
    if module.split("/", 1)[0].lower() in ("tfhub.dev", *_KAGGLE):
        hint = f"; an address begins with https://, as in https://{module}"
    return (
        "expected --tfhub_module to be a folder with a saved_model.pb, a "
        f"{', '.join(ARCHIVE_SUFFIXES)} file or an https:// address, got {module!r}{hint or '; check the spelling'}"
    )


def module_name(module: str) -> str:
    """Name a module after its path or address.

    Args:
        module: what was given as ``--tfhub_module``.

    Returns:
        Letters, digits, '.', '_' and '-', at most 60 of them.
    """
    parts = _split(module) if is_handle(module) else None
    path = parts.path if parts is not None else str(Path(os.path.abspath(module)).name)
    for suffix in ARCHIVE_SUFFIXES:
        path = path.removesuffix(suffix)
    words = [word for word in path.split("/") if word and word.lower() not in _BOILERPLATE]
    return re.sub(r"[^A-Za-z0-9._-]", "_", "_".join(words[-4:]))[-60:].lstrip("._-") or "module"


def _split(address: str) -> SplitResult | None:
    try:
        return urlsplit(address)
    except ValueError:
        return None


def _folder_problem(folder: Path) -> str:
    if (folder / "saved_model.pb").is_file() or (folder / "tfhub_module.pb").is_file():
        return ""
    return (
        f"expected --tfhub_module to be a folder with a saved_model.pb, got {str(folder)!r}, which has none; "
        "give the folder that tf.saved_model.save or model.export wrote"
    )


def _handle_problem(module: str) -> str:
    parts = _split(module)
    if parts is None or len(module) > _MAX_ADDRESS or any(c.isspace() or not c.isprintable() for c in module):
        return f"expected --tfhub_module to be an address, got {module[:200]!r}, which is none; check the spelling"
    if not may_be_fetched(module):
        return (
            "expected --tfhub_module to be an https:// address without a user in it, got "
            f"{module!r}; what comes over an open line could be anybody's program"
        )
    if len([word for word in parts.path.split("/") if word]) < 1:
        return f"expected --tfhub_module to name a module, got only its server, {module!r}; copy the whole address"
    return _kaggle_problem(module, parts) if parts.hostname in _KAGGLE else ""


def _kaggle_problem(module: str, parts: SplitResult) -> str:
    words = [word for word in parts.path.split("/") if word]
    wanted = "https://www.kaggle.com/models/OWNER/MODEL/frameworks/tensorFlow2/variations/VARIATION/versions/N"
    if words[0] != "models" or len(words) < 5:
        return f"expected --tfhub_module to be of the form {wanted}, got {module!r}; copy the whole address"
    framework = words[4] if words[3].lower() == "frameworks" and len(words) > 5 else words[3]
    if framework.lower() != "tensorflow2":
        return (
            f"expected --tfhub_module to be of Kaggle's framework tensorFlow2, got {framework} in {module!r}; "
            "choose TensorFlow 2 on the model's page"
        )
    return ""
