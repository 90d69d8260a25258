"""ASE calculators of a few ions, right or wrong in one way at a time."""

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from farfield.units import COULOMB

HARD, RANGE = 1000.0, 0.3  # eV, Å of the repulsion


class Ions(Calculator):
    """Charges of ±1 e that repel when they touch; molecules only."""

    implemented_properties = ("energy", "forces", "charges")
    sign = 1.0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if atoms.pbc.any():
            raise ValueError("molecules only")
        charges = np.where(atoms.numbers == 11, 1.0, -1.0)
        apart = atoms.positions[:, None] - atoms.positions[None]
        eye = np.eye(len(atoms))
        distance = np.linalg.norm(apart, axis=2) + eye
        coulomb = self.sign * COULOMB * np.outer(charges, charges) / distance * (1 - eye)
        touch = HARD * np.exp(-distance / RANGE) * (1 - eye)
        pull = (coulomb / distance + touch / RANGE) / distance
        self.fill(0.5 * (coulomb + touch).sum(), (pull[..., None] * apart).sum(1), charges)

    def fill(self, energy, forces, charges):
        self.results = {"energy": energy, "forces": forces, "charges": charges}


class Markup(Ions):
    """Words that look like markup."""

    def calculate(self, *args, **options):
        raise RuntimeError("cannot open [/tmp/weights] [a, b] :smile:")


class Rows(Ions):
    """Forces of one atom only."""

    def fill(self, energy, forces, charges):
        super().fill(energy, forces[:1], charges)


class Nan(Ions):
    """No energy."""

    def fill(self, energy, forces, charges):
        super().fill(float("nan"), forces, charges)


class Nothing(Ions):
    """Zero everywhere, of crystals too."""

    implemented_properties = ("energy", "forces", "stress", "charges")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        Calculator.calculate(self, atoms, properties, system_changes)
        self.results = {
            "energy": 0.0, "forces": np.zeros((len(atoms), 3)), "stress": np.zeros(6), "charges": np.zeros(len(atoms)),
        }  # fmt: skip


class Crash(Ions):
    """Gives up on everything."""

    def calculate(self, *args, **options):
        raise RuntimeError("out of memory")


class Single(Ions):
    """Energies in single precision, deep below zero as all-electron ones are."""

    depth = 20.0  # eV per atom
    wrong = 1.0  # of the forces

    def fill(self, energy, forces, charges):
        energy = float(np.float32(energy) - np.float32(self.depth * len(forces)))
        super().fill(energy, self.wrong * forces.astype(np.float32), charges)


class Ripple(Ions):
    """An energy that rises and falls by 2 meV as everything moves, as over a coarse mesh."""

    def fill(self, energy, forces, charges):
        mesh = 2e-3 * np.sin(2 * np.pi * self.atoms.positions[:, 0].mean() / 0.7)
        super().fill(energy + mesh, forces, charges)


class Silent(Ions):
    """The same, and it does not tell its charges."""

    implemented_properties = ("energy", "forces")


class Held(Ions):
    """It looks at what holds the atoms, as programs do that write it into their input, and has two energies."""

    implemented_properties = (*Ions.implemented_properties, "free_energy")

    def fill(self, energy, forces, charges):
        for constraint in self.atoms.constraints:
            constraint.adjust_forces(self.atoms, forces)
        super().fill(0.9 * energy, forces, charges)
        self.results["free_energy"] = energy
