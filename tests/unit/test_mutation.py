"""The mutants that score these tests are other programs, and only in what runs."""

import ast

import pytest

from scripts.mutation.operators import mutants_of

SOURCE = '''
"""A module."""
from typing import cast
LIMIT = 3

def plain(a: int, b: "str" = "x") -> int:
    """Say."""
    found: int = cast(int, a) + 1
    for one in (b, f"{a} of"):
        if not one and a >= 2:
            continue
        found -= len(one.split(",", 1))
    return found if a is not None else -1

class Kept:
    """A class."""
    size = 4

    @property
    def twice(self):
        return self.size * 2
'''


def changes(source):
    return [mutant.made()[1] for mutant in mutants_of(source)]


def test_every_mutant_is_another_program_that_compiles():
    before = ast.dump(ast.parse(SOURCE))
    texts = []
    for mutant in mutants_of(SOURCE):
        tree, said = mutant.made()
        compile(tree, "made", "exec")
        assert ast.dump(tree) != before, said
        assert ast.dump(mutant.tree) == before
        texts.append(ast.unparse(tree))
    assert len(set(texts)) == len(texts) > 20


def test_only_bodies_of_functions_are_changed_and_not_what_is_said_or_typed():
    for mutant in mutants_of(SOURCE):
        text = ast.unparse(mutant.made()[0])
        assert "LIMIT = 3" in text
        assert "size = 4" in text
        assert 'def plain(a: int, b: \'str\'=\'x\') -> int:\n    """Say."""' in text
        assert "f'{a} of'" in text or "None" in mutant.made()[1]
    assert {mutant.function for mutant in mutants_of(SOURCE)} == {"plain", "Kept.twice"}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("return a < 1", ["a < 1  ->  a <= 1", "1  ->  2"]),
        ("return not a", ["not a  ->  a"]),
        ("return -a", ["-a  ->  +a"]),
        ("return a and True", ["a and True  ->  a or True", "True  ->  False"]),
        ("return a.find(b)", ["a.find(b)  ->  a.find(None)", "a.find(b)  ->  a.rfind(b)"]),
        ("return a.split(b)", ["a.split(b)  ->  a.split(None)"]),
        ("a = None", ["a = None  ->  a = ''"]),
        ("a += b", ["a += b  ->  a -= b", "a += b  ->  a = b"]),
        ("return lambda: a", ["lambda: a  ->  lambda: None"]),
        ("return f(a, b=1)", [
            "f(a, b=1)  ->  f(None, b=1)", "f(a, b=1)  ->  f(a, b=None)", "f(a, b=1)  ->  f(b=1)", "f(a, b=1)  ->  f(a)",
            "1  ->  2",
        ]),
        ("return a if b else 'c'", [
            "a if b else 'c'  ->  a if False else 'c'", "a if b else 'c'  ->  a if True else 'c'", "'c'  ->  'XXcXX'",
        ]),
    ],
)  # fmt: skip
def test_what_is_changed(line, wanted):
    assert changes(f"def f(a, b):\n    {line}\n") == wanted


def test_lines_are_those_of_what_is_changed():
    source = "def f(a):\n    b = (\n        a +\n        1)\n    return b\n"
    assert [(mutant.lines, mutant.made()[1]) for mutant in mutants_of(source)] == [
        ((2, 4), "b = a + 1  ->  b = None"),
        ((3, 4), "a + 1  ->  a - 1"),
        ((4, 4), "1  ->  2"),
    ]
