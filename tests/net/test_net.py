"""Numbers do not change where nothing but the house was rearranged.

This is the one place where the library is held to its own recorded output. It says nothing about whether the numbers
are right (the other tests do); it says that moving, renaming and tidying left every one of them where it was. A change
that means to change numbers records them anew: ``python tests/net/record.py``. What stands in ``models/`` is for ever:
models that somebody trained must load.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).parent))
import record

RECORDED = record.recorded()
EXACT = 1e-12
"""Relative to the largest of an answer's numbers, or to 1 where they are small."""


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def test_every_case_is_recorded():
    assert RECORDED.keys() == record.CASES.keys()


def slow(name):
    """Training of what is no paradigm's usual variant."""
    return name.startswith("training/") and "," in name


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if slow(n) else n for n in record.CASES])
def test_numbers_stay(name):
    answers, row = record.CASES[name](), RECORDED[name]
    assert len(record.flattened(answers)) == len(row)
    ends = np.cumsum([value.numel() for value in answers.values()])
    for (answer, value), then in zip(answers.items(), np.split(row, ends[:-1])):
        now = value.detach().double().flatten().numpy()
        largest = max(np.abs(then[np.isfinite(then)]).max(initial=0.0), 1.0)
        np.testing.assert_allclose(now, then, rtol=EXACT, atol=EXACT * largest, err_msg=answer)
