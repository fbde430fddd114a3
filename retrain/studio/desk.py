"""What all routes share: the workshop, the run that may be going on, the model on the disk, threads with a queue."""

from __future__ import annotations

from retrain.config import RunConfig
from retrain.images.sky import sky_of
from retrain.studio.confirming import Rejected
from retrain.studio.events import Events
from retrain.studio.models import Models
from retrain.studio.pictures import Pictures
from retrain.studio.queueing import Turns
from retrain.studio.training import Trainer
from retrain.studio.workshop import Workshop

# Thumbnails: cheap, and a page that scrolls asks for dozens at a time.
_PICTURES_WAITING = 400


class Desk:
    """Everything that lives as long as the studio.

    Args:
        config: of the run folder.
        address: that the studio is known by.
        allow_urls: whether it fetches photographs from addresses.
        wants_token: whether who asks must bring the token.
    """

    def __init__(self, config: RunConfig, address: str, *, allow_urls: bool, wants_token: bool = False) -> None:
        self.address, self.allow_urls, self.wants_token = address, allow_urls, wants_token
        self.events = Events()
        self.workshop = Workshop(config, self.events)
        self.trainer = Trainer(self.events, self._take)
        self.models = Models(config.output_graph)
        self.pictures = Pictures(sky_of(config))
        self.rejected = Rejected(config.output_graph)
        self.turns = Turns(at_once=2, waiting=16)
        self.picture_turns = Turns(at_once=2, waiting=_PICTURES_WAITING)
        self.long_turns = Turns(at_once=1, waiting=1, timeout_s=3600.0)
        # Changes of the folder, one after the other.
        self.changes = Turns(at_once=1, waiting=16, timeout_s=120.0)

    def _take(self, config: RunConfig) -> None:
        self.workshop.take(config)

    def open(self) -> None:
        """Look at the folder for the first time."""
        self.workshop.look_again()

    def close(self) -> None:
        """End what goes on."""
        self.trainer.close()
        self.workshop.close()
        for turns in (self.turns, self.picture_turns, self.long_turns, self.changes):
            turns.close()
