import ase
import ase.build
import ase.io
import numpy as np
import pytest
from ase.calculators.lj import LennardJones

TINY = {
    "model": {"paradigm": {"kind": "short_range"}, "backbone": {"channels": 4, "layers": 1, "cutoff": 4.0}},
    "train": {"epochs": 3, "batch_size": 2, "checkpoint_seconds": 0.0, "threads": 1},
}


@pytest.fixture
def argon(tmp_path):
    """Twelve small clusters with Lennard-Jones energies and forces: a real surface, learned in seconds."""
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(12):
        atoms = ase.Atoms("Ar4", 2.7 * np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]]) * 1.0)
        atoms.positions += rng.normal(scale=0.1, size=(4, 3))
        atoms.calc = LennardJones(sigma=3.4, epsilon=0.5, rc=12.0)
        frame = atoms.copy()
        frame.info["energy"] = atoms.get_potential_energy()
        frame.arrays["forces"] = atoms.get_forces()
        frames.append(frame)
    path = tmp_path / "argon.xyz"
    ase.io.write(path, frames, format="extxyz")
    return path


@pytest.fixture
def tiny(argon):
    """The smallest configuration that trains, as a plain dict."""
    import copy

    return {"data": {"train": str(argon)}, **copy.deepcopy(TINY)}
