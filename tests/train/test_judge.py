"""What of the training data a model is judged on."""

import torch

from farfield.config import validated
from farfield.data.config import DataConfig
from farfield.data.frame import Frame, Labels
from farfield.data.splits import load_splits
from farfield.system import System
from farfield.train.judge import fragments_of, smallest


def test_every_kind_of_fragment_once_with_its_charge():
    config = validated(DataConfig, {"train": "embedded:charged_pairs_near"}, "data")
    frames = load_splits(config).train
    found = {atoms.get_chemical_formula(): atoms.info["charge"] for atoms in fragments_of(frames)}
    assert found == {"K": 1, "Cl": -1, "CN": -1, "H2O": 0, "CHO2": -1, "H4N": 1}
    (molecule,) = smallest(frames)
    assert len(molecule) >= 6


def test_crystals_and_molecules_of_six_atoms_or_the_largest_below():
    def frame(atoms: int, *, periodic: bool) -> Frame:
        system = System(
            torch.full((atoms,), 11), torch.rand(atoms, 3).double(), 9 * torch.eye(3).double()[None],
            torch.full((1, 3), periodic), torch.zeros(atoms, dtype=torch.int64), torch.ones(1).double(), torch.zeros(1),
        )  # fmt: skip
        return Frame(system, Labels())

    frames = [frame(n, periodic=True) for n in (2, 20, 8)] + [frame(n, periodic=False) for n in (1, 4, 3)]
    crystal, molecule = smallest(frames)
    assert (len(crystal), len(molecule)) == (8, 4)
    assert crystal.pbc.all()
    assert crystal.info["charge"] == 1
    assert not molecule.pbc.any()
