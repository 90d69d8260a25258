"""The house is easy to find one's way in: names that stand for one thing, folders that fit on a screen, docstrings."""

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import farfield

SRC = Path(farfield.__file__).parent
MODULES = sorted(SRC.rglob("*.py"))
MOST_MODULES = 18
WIDE = {"probe/laws"}
"""A law is a file, however many there are."""

FRAGMENTS = (
    "The same", "Of", "That", "Those", "As", "About", "What", "Which", "Whether", "How", "Where", "Who", "Whose", "Why",
    "Its", "Their",
)  # fmt: skip
"""Beginnings of first lines that say nothing by themselves, as in an editor's hover."""


@cache
def parsed(path):
    return list(ast.walk(ast.parse(path.read_text())))


def test_no_two_classes_share_a_name():
    counts = Counter(node.name for path in MODULES for node in parsed(path) if isinstance(node, ast.ClassDef))
    assert not {name: count for name, count in counts.items() if count > 1}


def test_folders_fit_on_a_screen():
    counts = Counter(path.parent.relative_to(SRC).as_posix() for path in MODULES if path.name != "__init__.py")
    assert not {folder: count for folder, count in counts.items() if count > MOST_MODULES and folder not in WIDE}


def test_docstrings_stand_alone():
    nodes = ast.Module, ast.ClassDef, ast.FunctionDef
    said = [
        (path.relative_to(SRC).as_posix(), ast.get_docstring(node) or "")
        for path in MODULES
        for node in parsed(path)
        if isinstance(node, nodes)
    ]
    assert not [(path, text) for path, text in said if text.startswith(tuple(f"{word} " for word in FRAGMENTS))]
