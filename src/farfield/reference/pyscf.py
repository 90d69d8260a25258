"""Density-functional labels from PySCF: range-separated hybrids with D3, all derivatives analytic."""

import warnings
from dataclasses import dataclass, field
from typing import Any

import ase
import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from farfield.errors import ConvergenceError, InputError
from farfield.reference.contract import Label, Subsystem, fragments_of
from farfield.reference.partition import mbis_charges
from farfield.units import BOHR, DEBYE, HARTREE

Density = NDArray[np.float64]  # (functions, functions), or (2, functions, functions) of both spins


@dataclass(frozen=True)
class PySCFEngine:
    """Kohn-Sham with density fitting; unrestricted where ``info["spin"]`` (2S) is not 0.

    Where an array ``fragment`` and ``info["fragment_charges"]`` are given, every fragment is first solved on its own
    with its own charge and spin (``info["fragment_spins"]``) and the sum of their densities is where the whole starts:
    this is what keeps a pair of ions ionic far apart, and two radicals, ``[1, -1]``, from sharing their electrons.
    Their energies are returned as ``fragment_energies``.
    """

    functional: str = "wb97x-d3bj"
    basis: str = "def2-svpd"
    grid_level: int = 3
    tolerance: float = 1e-9  # hartree
    provides: frozenset[str] = field(default=frozenset({"energy", "forces", "charges", "dipole"}), init=False)

    @property
    def description(self) -> str:
        """Method, program and version."""
        return (
            f"PySCF {_program().__version__} RKS (UKS where spin is not 0) {self.functional}/{self.basis}, density "
            f"fitting, grid level {self.grid_level} with grid response, converged to {self.tolerance:g} hartree, "
            "MBIS charges"
        )

    def check(self, elements: frozenset[str]) -> None:
        """Raise InputError without PySCF, for an unknown functional, or a basis that has none of ``elements``."""
        from ase.data import atomic_numbers

        known = sorted(elements - set(self._without_basis(elements)))
        if not known:
            raise InputError(f"PySCF has no basis set {self.basis!r} for {', '.join(sorted(elements))}: try def2-svpd")
        atom = Subsystem(np.arange(1), known[:1], np.zeros((1, 3)), 0, atomic_numbers[known[0]] % 2)
        try:
            mean_field = self._mean_field(atom, unrestricted=True)
            mean_field.get_dispersion()  # pyscf-dispersion may be missing
        except Exception as failure:  # KeyError, NotImplementedError, ValueError: each parser has its own
            raise InputError(
                f"PySCF does not take the functional {self.functional!r}: {failure}. Try wb97x-d3bj"
            ) from failure

    def label(self, atoms: ase.Atoms) -> Label:
        """Energy, forces, MBIS charges and dipole (about the origin) of a molecule."""
        if atoms.pbc.any():
            raise InputError("the pyscf engine labels molecules; this frame is periodic. Use ase:module:Class instead")
        whole, parts = fragments_of(atoms)
        for part in (whole, *parts):
            self._check_part(part)
        guess, energies = None, None
        if parts:
            solved = [self._solve(part) for part in parts]
            energies = np.array([mean_field.e_tot * HARTREE for mean_field in solved])
            guess = _side_by_side(parts, [mean_field.make_rdm1() for mean_field in solved])
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

    def _check_part(self, part: Subsystem) -> None:
        part.check_spin()
        if missing := self._without_basis(frozenset(part.symbols)):
            raise InputError(f"the basis set {self.basis} has no {' and no '.join(missing)}")

    def _without_basis(self, elements: frozenset[str]) -> list[str]:
        """List the elements that the basis set lacks."""
        return sorted(element for element in elements if not _has_basis(self.basis, element))

    def _solve(self, part: Subsystem, guess: Density | None = None) -> Any:
        # a singlet of two radicals is open-shell too: its guess says so by having both spins
        unrestricted = part.spin != 0 or (guess is not None and guess.ndim == 3)
        mean_field = self._mean_field(part, unrestricted=unrestricted)
        mean_field.kernel(dm0=guess)
        if not mean_field.converged:
            mean_field = mean_field.newton()
            mean_field.kernel(dm0=mean_field.make_rdm1() if guess is None else guess)
        if not mean_field.converged:
            raise ConvergenceError(f"{self.functional} did not converge in {mean_field.max_cycle} cycles")
        return mean_field

    def _mean_field(self, part: Subsystem, *, unrestricted: bool) -> Any:
        program = _program()
        molecule = program.gto.M(
            atom=list(zip(part.symbols, part.positions, strict=True)),
            basis=self.basis, charge=part.charge, spin=abs(part.spin), unit="Angstrom", verbose=0,
        )  # fmt: skip
        method = program.dft.UKS if unrestricted else program.dft.RKS
        mean_field = method(molecule, xc=self.functional).density_fit()
        mean_field.grids.level = self.grid_level
        mean_field.conv_tol = self.tolerance
        if mean_field.chkfile:  # nobody reads it; left open, it outlives the calculation
            mean_field._chkfile.close()
            mean_field.chkfile = None
        return mean_field


def _program() -> Any:
    """PySCF, or in words that it is missing."""
    try:
        import pyscf
        import pyscf.dft
        import pyscf.gto
    except ImportError as missing:
        raise InputError("the pyscf engine needs PySCF: pip install 'farfield[label]'") from missing
    return pyscf


def _has_basis(basis: str, element: str) -> bool:
    program = _program()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it advertises another package before it raises
            return bool(program.gto.basis.load(basis, element))
    except (RuntimeError, KeyError):  # BasisNotFoundError is a RuntimeError
        return False


def _side_by_side(parts: list[Subsystem], densities: list[Density]) -> Density:
    """Block-diagonal density of the fragments, in the order of the atoms of the whole; of both spins if any is open."""
    order = np.concatenate([part.indices for part in parts])
    if (np.diff(order) != 1).any():
        raise InputError("the atoms of each fragment must stand together and in order in the frame")
    if all(density.ndim == 2 for density in densities):
        return np.asarray(scipy.linalg.block_diag(*densities))
    spins = [_both_spins(part, density) for part, density in zip(parts, densities, strict=True)]
    return np.stack([scipy.linalg.block_diag(*(spin[k] for spin in spins)) for k in range(2)])


def _both_spins(part: Subsystem, density: Density) -> Density:
    if density.ndim == 2:
        return np.stack([density / 2, density / 2])
    return density[::-1] if part.spin < 0 else density  # solved with its unpaired electrons up


def _mbis(mean_field: Any) -> NDArray[np.float64]:
    molecule, grids = mean_field.mol, mean_field.grids
    matrix = mean_field.make_rdm1()
    orbitals = mean_field._numint.eval_ao(molecule, grids.coords)
    density = mean_field._numint.eval_rho(molecule, orbitals, matrix.sum(0) if matrix.ndim == 3 else matrix)
    numbers = np.array([ase.data.atomic_numbers[molecule.atom_pure_symbol(i)] for i in range(molecule.natm)])
    return mbis_charges(
        density, grids.weights, grids.coords, molecule.atom_coords(), numbers,
        nuclear_charges=molecule.atom_charges().astype(float), total_charge=molecule.charge,
    )  # fmt: skip
