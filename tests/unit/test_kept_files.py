import numpy as np
import pytest

from retrain import fsio
from retrain.commands.cache import cache
from retrain.console import Console
from retrain.errors import CacheError, UsageError
from retrain.images import InputSpec
from retrain.pixels import FOLDER, PixelStore, kept_pixels

SPEC = InputSpec(8, 6, 127.5, 127.5)


@pytest.fixture
def kept(tmp_path):
    """A folder with three decoded photographs; the file's path."""
    digests = [bytes([number]) * 32 for number in range(3)]
    store = PixelStore(tmp_path / FOLDER, SPEC, digests, 1 << 20)
    store.put(digests, [np.zeros((8, 6, 3), np.uint8)] * 3)
    store.close()
    return kept_pixels(tmp_path / FOLDER)[0]


@pytest.fixture
def said(capsys):
    """Runs the command; gives what it printed."""

    def run(*words):
        cache(words, Console())
        return capsys.readouterr().out

    return run


def test_decoded_photographs_are_listed_and_deleted_by_name(kept, tmp_path, said):
    home = f"--bottleneck_dir={tmp_path}"
    listed = said("stats", home)
    assert "3 decoded photographs of 6 x 8 pixels for --train" in listed
    assert f"cache prune --delete_cache {kept.path.name}" in listed
    assert "would free about" in said("prune", home, "--dry_run", "--delete_cache", kept.path.name)
    assert kept.path.exists()
    said("prune", home, "--delete_cache", kept.path.name)
    assert not kept.path.exists()
    assert not kept.index_path.exists()
    assert kept_pixels(tmp_path / FOLDER) == []


def test_what_a_training_has_open_is_not_deleted_under_it(kept, tmp_path, said):
    with fsio.locked(kept.path), pytest.raises(CacheError, match="try again when no network is being trained"):
        said("prune", f"--bottleneck_dir={tmp_path}", "--delete_cache", kept.path.name)
    assert kept.path.exists()


def test_a_name_that_is_none_is_refused_with_the_nearest(kept, tmp_path, said):
    with pytest.raises(UsageError, match=f"did you mean {kept.path.name}"):
        said("prune", f"--bottleneck_dir={tmp_path}", "--delete_cache", kept.path.name[:-1])
