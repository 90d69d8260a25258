"""Answers as they were, and as they are. ``python tests/net/record.py`` records them anew: after a change that means to
change numbers, and only then; the models in ``models/`` are never written twice.
"""

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.append(str(Path(__file__).parent))
import electrostatics
import models

PATH = Path(__file__).parent / "answers.npz"
CASES: dict[str, Callable[[], dict[str, torch.Tensor]]] = {**electrostatics.cases(), **models.cases()}


def flattened(answers: dict[str, torch.Tensor]) -> np.ndarray:
    """All answers of a case in one row."""
    return np.concatenate([value.detach().double().flatten().numpy() for value in answers.values()])


def write() -> None:
    """Record all of them."""
    models.write_models()
    rows = {name: flattened(answer()) for name, answer in CASES.items()}
    np.savez_compressed(PATH, **{name.replace("/", ":"): row for name, row in rows.items()})


def recorded() -> dict[str, np.ndarray]:
    """What was recorded."""
    with np.load(PATH) as file:
        return {name.replace(":", "/"): file[name] for name in file.files}


if __name__ == "__main__":
    torch.set_num_threads(1)
    write()
    print(f"{len(CASES)} cases, {PATH.stat().st_size} bytes, {len(zipfile.ZipFile(PATH).namelist())} rows")
