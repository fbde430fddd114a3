"""The long tests of reliability: each part until its figure of docs/reliability.md is reached, not until CI is bored.

    python -m scripts.soak                 all parts, one after another; goes on where it was stopped
    python -m scripts.soak kills images    these parts
    python -m scripts.soak --list          what parts there are, and about how long each takes

A part is a module here with ``GOALS`` (the names of the goals it measures), ``ABOUT_MINUTES``, and
``run(place, seed, tell) -> dict``: figures by name, written to ``bench/results/soak-DATE.json`` as each part ends. What
it drives lies in tests/faults and tests/hostile, where CI runs the same with smaller numbers.
"""
