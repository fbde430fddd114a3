"""``python -m retrain studio``: the run folder in a browser."""

from __future__ import annotations

import argparse
import ipaddress
import re
import secrets
import socket
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from retrain.commandline import Parser
from retrain.commands.common import command_parser, read_flags
from retrain.config import RunConfig
from retrain.console import Console, printable
from retrain.errors import UsageError

_DESCRIPTION = """\
Open a page in your browser over the photographs and the model: see the mistakes, correct a label, and watch the numbers
move; add photographs, train, try the model, take it along.

    python -m retrain studio                                over the last run of this folder
    python -m retrain studio --image_dir tf_files/cluster_photos

Photographs are moved on your disk as you move them on the page; every change can be taken back. The page is for this
machine only, unless --host says otherwise: then it wants the token that is printed. Ctrl-C ends it."""
_GRAPH = RunConfig().output_graph
PORT = 8700


def studio(words: Sequence[str], console: Console) -> int:
    """Serve the studio until it is ended."""
    given = read_flags(_parser(), words)
    problems = _problems(given)
    if problems:
        raise UsageError(problems)
    try:
        from retrain.studio import app, guard, serving, workshop
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("starlette", "uvicorn", "h11", "jinja2", "python_multipart", "multipart"):
            raise
        raise UsageError(
            f"the studio needs the extra web, of which {missing} is not installed; run: "
            "python -m pip install 'retrain-photos[web]'"
        ) from error
    config = workshop.config_of(given.graph, given.image_dir)
    if not Path(config.image_dir).is_dir():
        raise UsageError(
            f"expected --image_dir to be a folder on this machine, got {printable(config.image_dir)}; make it, or "
            "check the spelling"
        )
    taken = serving.bind(given.host, given.port)
    port = taken.getsockname()[1]
    token = given.token or ("" if is_loopback(given.host) else secrets.token_urlsafe(32))
    names = names_of(given.host)
    address = f"http://{f'[{names[0]}]' if ':' in names[0] else names[0]}:{port}"
    hosts = guard.LOOPBACK_HOSTS | {name.lower() for name in (*names, *(given.allow_host or ()))}
    made = app.make_app(config, guard.Access(hosts, token), app.Options(given.allow_urls, address))

    def ready() -> None:
        entry = f"{address}/?token={token}" if token else address
        console.line(f"The studio is open at {entry} (Ctrl-C ends it)")
        if given.open_browser:
            webbrowser.open(entry)

    serving.serve(made, taken, ready)
    console.line("The studio is closed; nothing is lost.")
    return 0


def names_of(host: str) -> list[str]:
    """List the names that a browser may know the studio by.

    Args:
        host: where it listens, name or number.

    Returns:
        That one; of all addresses at once (0.0.0.0) this machine's name and numbers, as far as it knows them.
    """
    try:
        is_every = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        is_every = False
    if not is_every:
        return [host]
    name = socket.gethostname()
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # no table knows the name; --allow_host can say more
        found = []
    return [name, host, *dict.fromkeys(str(one[4][0]).partition("%")[0] for one in found)]


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address.

    Args:
        host: name or number.

    Returns:
        Whether it is localhost or a number of the loopback network.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _parser() -> Parser:
    parser = command_parser("studio", _DESCRIPTION)
    add = parser.add_argument
    add("--image_dir", default="", metavar="DIR", help="the photographs (default: those of the last run)")
    add("--graph", default=_GRAPH, metavar="FILE", help=f"the run's model, there or to be made (default: {_GRAPH})")
    add("--host", default="127.0.0.1", metavar="NAME", help="where to listen (default: 127.0.0.1, this machine only)")
    add("--port", type=_port, default=PORT, metavar="N", help=f"0: any that is free (default: {PORT})")
    add("--allow_host", action="append", metavar="NAME", help="a further name that the studio is known by")
    add(
        "--token", default="", metavar="TEXT", help="what askers must bring (default: none on this machine, else drawn)"
    )
    add("--allow_urls", action="store_true", default=False, help="let the page name a photograph by its address")
    add("--no_browser", dest="open_browser", action="store_false", default=True, help="do not open a browser")
    return parser


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65_535:
        raise argparse.ArgumentTypeError(f"expected 0 to 65535, got {text}")
    return value


def _problems(given: argparse.Namespace) -> list[str]:
    problems = []
    if given.token and len(given.token) < 16:
        problems.append(
            f"expected --token to be of 16 characters or more, got {len(given.token)}; leave it away to draw one"
        )
    if not re.fullmatch(r"[A-Za-z0-9._~-]*", given.token, re.ASCII):
        problems.append("expected --token to be of letters, digits and . _ ~ -, as addresses and cookies can hold them")
    if not given.host:
        problems.append("expected --host to be a name or number, got nothing")
    return problems
