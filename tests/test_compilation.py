"""Compiling is done once and said, where the package's folder can be written and where it cannot."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import farfield

LOOPS = """
from farfield.compiled import compiled

@compiled
def total(count):
    out = 0
    for k in range(count):
        out += k
    return out
"""
RUN = """
import contextlib, sys
import farfield.compilation
farfield.compilation.UNHEARD = 0.0
from farfield.cli.log import log_as_notices
with log_as_notices() if "heard" in sys.argv else contextlib.nullcontext():
    from farfield.toy.loops import total
    assert total(4) == 6
print(sum(total.stats.cache_hits.values()), total._cache.cache_path)
"""


@pytest.fixture
def copy(tmp_path):
    """The package as far as compiling needs it, with a loop of its own that takes less than a second."""
    source, there = Path(farfield.__file__).parent, tmp_path / "site" / "farfield"
    (there / "toy").mkdir(parents=True)
    (there / "cli").mkdir()
    for name in (
        "__init__.py",
        "errors.py",
        "notices.py",
        "compilation.py",
        "compiled.py",
        "cli/log.py",
        "cli/notices.py",
    ):
        shutil.copy(source / name, there / name)
    (there / "toy" / "loops.py").write_text(LOOPS)
    return there


def run(copy, *arguments):
    """Cache hits, the cache's folder, and what was said."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    environment |= {"PYTHONPATH": str(copy.parent), "XDG_CACHE_HOME": str(copy.parents[1] / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, env=environment, check=True
    )
    hits, folder = done.stdout.split()
    return int(hits), Path(folder), done.stderr


def test_compiling_is_said_on_the_command_line_and_only_where_it_is_done(copy):
    hits, folder, said = run(copy, "heard")
    assert (hits, folder) == (0, copy / "toy" / "__pycache__")
    assert said.startswith("note: compiling loops for this machine")
    hits, _, said = run(copy, "heard")
    assert (hits, said) == (1, "")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="where a user's cache lies is another variable's business")
def test_a_package_that_cannot_be_written_keeps_its_loops_in_the_users_cache(copy):
    (copy / "toy" / "__pycache__").write_text("")  # a folder that cannot be made, for root neither
    hits, folder, said = run(copy)
    assert (hits, said) == (0, "")  # a library is silent
    assert folder.is_relative_to(copy.parents[1] / "cache")
    assert run(copy)[:2] == (1, folder)
    shutil.rmtree(copy.parents[1] / "cache")
    (copy.parents[1] / "cache").write_text("")
    assert "NUMBA_CACHE_DIR" in run(copy, "heard")[2]
