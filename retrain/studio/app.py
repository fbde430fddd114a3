"""Which address is answered by what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from retrain import __version__
from retrain.config import RunConfig
from retrain.studio.answers import Handler, answering, refusal
from retrain.studio.api import Api
from retrain.studio.data_routes import DataRoutes
from retrain.studio.desk import Desk
from retrain.studio.guard import Access, Full, Guard, TooLarge
from retrain.studio.model_routes import ModelRoutes

HERE = Path(__file__).parent
# Address, template, name in the menu.
PAGES = (
    ("/", "data", "Data"),
    ("/train", "train", "Train"),
    ("/review", "review", "Review"),
    ("/try", "try", "Try"),
    ("/use", "use", "Use"),
)


@dataclass(frozen=True)
class Options:
    """What the studio may do.

    Args:
        allow_urls: whether it fetches a photograph from an address that a page names.
        address: that it is known by, "http://127.0.0.1:8700".
    """

    allow_urls: bool = False
    address: str = "http://127.0.0.1:8700"


def make_app(config: RunConfig, access: Access, options: Options) -> ASGIApp:
    """Put the studio together.

    Args:
        config: of the run folder.
        access: who may ask.
        options: what it may do.

    Returns:
        An ASGI application, the guard around it.
    """
    desk = Desk(config, options.address, allow_urls=options.allow_urls, wants_token=bool(access.token))
    api, data, model = Api(desk.models, desk.turns), DataRoutes(desk), ModelRoutes(desk)
    named = (("classify", api.classify, "POST"), ("model", api.model, "GET"), ("health", api.health, "GET"))
    routes = [Route(path, _page(template), methods=["GET"]) for path, template, _ in PAGES]
    routes += [
        Route(f"{start}/{name}", answering(handler), methods=[method])
        for start in ("/api", "/api/v1")
        for name, handler, method in named
    ]
    routes.append(Route("/api/openapi.json", answering(api.document), methods=["GET"]))
    routes += [
        Route(f"/studio/{path}", answering(handler), methods=[method])
        for path, method, handler in (*data.table(), *model.table())
    ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        desk.open()
        yield
        desk.close()

    files = Mount("/static", StaticFiles(directory=HERE / "static"))
    errors = {HTTPException: _refused, TooLarge: _refused, Full: _refused}
    return Guard(Starlette(routes=[*routes, files], lifespan=lifespan, exception_handlers=errors), access)


async def _refused(request: Request, error: Exception) -> Response:
    """Answer what no handler answers: an address that there is none of, a method that it does not take."""
    return refusal(error)


def _page(template: str) -> Handler:
    """Make the handler of a page; what it shows, its scripts ask for."""
    pages = Environment(loader=FileSystemLoader(HERE / "pages"), autoescape=True, undefined=StrictUndefined)

    async def handle(request: Request) -> Response:
        html = pages.get_template(f"{template}.html").render(pages=PAGES, here=template, version=__version__)
        return HTMLResponse(html, headers={"cache-control": "no-store"})

    return handle
