"""Decoded photographs, kept: what a whole network is trained on, epoch after epoch.

pictures.py hands out photographs by number, decoded once and then read from store.py, a file of rows of equal length
with an index beside it; index.py writes and reads that index, and lists such files for those who clear up. warp.py cuts
and turns what was decoded: the one resampling between a kept picture and the one that is trained on.
"""

from retrain.pixels.index import FOLDER, KeptPixels, kept_pixels
from retrain.pixels.pictures import Pictures
from retrain.pixels.store import PixelStore

__all__ = ["FOLDER", "KeptPixels", "Pictures", "PixelStore", "kept_pixels"]
