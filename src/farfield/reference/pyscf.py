"""Density-functional labels from PySCF: range-separated hybrids with D3, all derivatives analytic."""

from dataclasses import dataclass, field
from typing import Any

import ase
import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from farfield.errors import ConvergenceError, InputError
from farfield.reference.contract import Fragment, Label, fragments_of
from farfield.reference.partition import mbis_charges
from farfield.units import BOHR, DEBYE, HARTREE


@dataclass(frozen=True)
class PySCFEngine:
    """Closed-shell Kohn-Sham with density fitting.

    Where an array ``fragment`` and ``info["fragment_charges"]`` are given, every fragment is first solved on its own
    with its own charge and the sum of their densities is where the whole starts: this is what keeps a pair of ions
    ionic far apart. Their energies are returned as ``fragment_energies``.
    """

    functional: str = "wb97x-d3bj"
    basis: str = "def2-svpd"
    grid_level: int = 3
    tolerance: float = 1e-9  # hartree
    provides: frozenset[str] = field(default=frozenset({"energy", "forces", "charges", "dipole"}), init=False)

    @property
    def description(self) -> str:
        """Method, program and version."""
        import pyscf

        return (
            f"PySCF {pyscf.__version__} RKS {self.functional}/{self.basis}, density fitting, grid level "
            f"{self.grid_level} with grid response, converged to {self.tolerance:g} hartree, MBIS charges"
        )

    def label(self, atoms: ase.Atoms) -> Label:
        """Energy, forces, MBIS charges and dipole (about the origin) of a molecule."""
        if atoms.pbc.any():
            raise InputError("the pyscf engine labels molecules; this frame is periodic. Use ase:module:Class instead")
        whole, parts = fragments_of(atoms)
        guess, energies = None, None
        if parts:
            solved = [self._solve(part) for part in parts]
            energies = np.array([mean_field.e_tot * HARTREE for mean_field in solved])
            guess = self._side_by_side(atoms, parts, [mean_field.make_rdm1() for mean_field in solved])
        mean_field = self._solve(whole, guess)
        gradient = mean_field.nuc_grad_method()
        gradient.grid_response = True  # without it net forces of 8 meV/Å were seen
        return Label(
            energy=float(mean_field.e_tot * HARTREE),
            forces=-gradient.kernel() * HARTREE / BOHR,
            charges=_mbis(mean_field),
            scheme="mbis",
            dipole=np.asarray(mean_field.dip_moment(unit="Debye", verbose=0)) * DEBYE,
            fragment_energies=energies,
        )

    def _solve(self, part: Fragment, guess: NDArray[np.float64] | None = None) -> Any:
        try:
            from pyscf import dft, gto
        except ImportError as missing:
            raise InputError("the pyscf engine needs PySCF: pip install 'farfield[label]'") from missing
        molecule = gto.M(
            atom=list(zip(part.symbols, part.positions, strict=True)),
            basis=self.basis, charge=part.charge, spin=0, unit="Angstrom", verbose=0,
        )  # fmt: skip
        mean_field = dft.RKS(molecule, xc=self.functional).density_fit()
        mean_field.grids.level = self.grid_level
        mean_field.conv_tol = self.tolerance
        mean_field.kernel(dm0=guess)
        if not mean_field.converged:
            mean_field = mean_field.newton()
            mean_field.kernel(dm0=mean_field.make_rdm1() if guess is None else guess)
        if not mean_field.converged:
            raise ConvergenceError(f"{self.functional} did not converge in {mean_field.max_cycle} cycles")
        return mean_field

    def _side_by_side(
        self, atoms: ase.Atoms, parts: list[Fragment], densities: list[NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Block-diagonal density of the fragments, in the order of the atoms of the whole."""
        order = np.concatenate([part.indices for part in parts])
        if (order != np.arange(len(atoms))).any():
            raise InputError("the atoms of each fragment must stand together and in order in the frame")
        return np.asarray(scipy.linalg.block_diag(*densities))


def _mbis(mean_field: Any) -> NDArray[np.float64]:
    molecule, grids = mean_field.mol, mean_field.grids
    orbitals = mean_field._numint.eval_ao(molecule, grids.coords)
    density = mean_field._numint.eval_rho(molecule, orbitals, mean_field.make_rdm1())
    numbers = np.array([ase.data.atomic_numbers[molecule.atom_pure_symbol(i)] for i in range(molecule.natm)])
    return mbis_charges(
        density, grids.weights, grids.coords, molecule.atom_coords(), numbers,
        nuclear_charges=molecule.atom_charges().astype(float), total_charge=molecule.charge,
    )  # fmt: skip
