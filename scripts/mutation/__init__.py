"""How many small faults the unit tests notice, in the rooms that goal R29 names.

    python -m scripts.mutation                         every mutant of every room; some hours
    python -m scripts.mutation --sample 300 --seed 0   at most 300 a room, drawn by the seed; about an hour
    python -m scripts.mutation fsio config             these rooms

Each room is done in a copy of the tree, in a process of its own: the tests that are about the room run once, to see
which lines each of them reaches (worker.py); then for each mutant (operators.py, mutmut's list) a fork of that process
changes the one function in place and runs the tests that reach the line, until one fails.

mutmut 3.8 itself was tried: it passes over decorated functions, among them every context manager of fsio; it hands the
names of tests to pytest as words of a command line, which fails for some of ours; and it does not begin where one test
of hundreds fails, or looks at the sources. Module-level tables and default values are not mutated, as by mutmut.
"""
