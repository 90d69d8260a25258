"""Rods of salt with a chlorine atom on one end, and with or without a sodium atom on the other.

Two by two ions wide and 2 to 8 long. Sodium gives its electron to the chlorine, through the whole rod. Every rod comes
twice, with every ion that both have in the same place and a total charge of zero: within its cutoff nothing tells an
atom near the chlorine which of the two it lives in.

    python structures.py                                                  # near.xyz, far.xyz
    farfield label near.xyz --engine tblite && farfield label far.xyz --engine tblite
"""

import ase
import ase.io
import numpy as np

LATTICE, CHLORINE, SODIUM = 2.8, 2.65, 2.6  # Å between ions, of the atoms from their ends
RATTLE = (0.03, 0.06, 0.09)  # Å
NEAR = {2: 60, 3: 60, 4: 60}  # length in ions → rods, to learn from
FAR = {3: 6, 4: 6, 5: 8, 6: 8, 7: 8, 8: 6}  # to be judged by


def rod(length: int) -> ase.Atoms:
    """The chlorine first, the sodium last, the ions between in layers."""
    grid = np.array([(x, y, z) for z in range(length) for x in range(2) for y in range(2)])
    ions = ase.Atoms(np.where(grid.sum(1) % 2 == 0, "Na", "Cl"), grid * LATTICE)
    last = (0, 0) if length % 2 == 0 else (0, 1)  # column whose last ion is a chloride, across from the chlorine
    chlorine = ase.Atoms("Cl", [[0, 0, -CHLORINE]])
    sodium = ase.Atoms("Na", [[last[0] * LATTICE, last[1] * LATTICE, (length - 1) * LATTICE + SODIUM]])
    return chlorine + ions + sodium


def twins(length: int, rng: np.random.Generator) -> list[ase.Atoms]:
    """The same shaken rod with and without sodium."""
    full = rod(length)
    full.positions += rng.normal(scale=rng.choice(RATTLE), size=full.positions.shape)
    bare = full[:-1]
    full.info = {"group": "with sodium", "charge": 0, "spin": 0}
    bare.info = {"group": "without", "charge": 0, "spin": 1}
    for atoms in (full, bare):
        atoms.info |= {"length": length, "distance": round(full.get_distance(0, -1), 4)}
    return [full, bare]


def main() -> None:
    """Write ``near.xyz`` and ``far.xyz``."""
    for name, counts, seed in (("near", NEAR, 1), ("far", FAR, 3)):
        rng = np.random.default_rng(seed)
        frames = [atoms for length, count in counts.items() for _ in range(count) for atoms in twins(length, rng)]
        ase.io.write(f"{name}.xyz", frames, format="extxyz")


if __name__ == "__main__":
    main()
