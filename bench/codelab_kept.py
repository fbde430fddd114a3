"""Run a script of TensorFlow 1 on today's TensorFlow: ``python codelab_kept.py SCRIPT WORD ...``.

How a person keeps the codelab's label_image.py alive: ``import tensorflow`` gives it tensorflow.compat.v1, where
GraphDef, Session and read_file are still, and graphs are not run as they are built.
"""

import runpy
import sys


def main() -> None:
    """Give the script the old names, and run it as if it had been started itself."""
    import tensorflow.compat.v1 as old

    old.disable_v2_behavior()
    sys.modules["tensorflow"] = old
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
