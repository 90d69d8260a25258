"""The only thing that loss, calculator, report and probe see of a model."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """Quantities that a model predicts of a batch; ``None`` where it has nothing to say or was not asked."""

    energy: Tensor  # (systems,) eV, float64 with the baseline; in a field F = E - d·E, at a Fermi level Ω = E + E_F Σq
    forces: Tensor | None = None  # (atoms, 3) eV/Å
    external_charge_forces: Tensor | None = None  # (sources, 3) eV/Å, on charges that are no atoms
    stress: Tensor | None = None  # (systems, 3, 3) eV/Å³, in a field at fixed E·a
    charges: Tensor | None = None  # (atoms,) e
    ion_charges: Tensor | None = None  # (atoms,) e, what a cell's dipole gains per Å of a wrapped atom; None: charges
    dipole: Tensor | None = None  # (systems, 3) e·Å about the origin; nan where periodic (rooms: of the cell)
    dipoles: Tensor | None = None  # (atoms, 3) e·Å, of atoms, beside what their charges make
    energy_coulomb: Tensor | None = None  # (systems,) eV, the electrostatic part of energy
    charge_residual: Tensor | None = None  # (systems,) e, total charge less the sum of what atoms would carry unasked
    born_charges: Tensor | None = None  # (atoms, 3, 3) e, [i, a, b] = ∂d_a/∂R_ib = ∂F_ib/∂E_a
    polarizability: Tensor | None = (
        None  # (systems, 3, 3) e²·Å²/V, ∂d_a/∂E_b at fixed atoms, of cells where they polarize
    )
    raman_tensors: Tensor | None = None  # (atoms, 3, 3, 3) e²·Å/V, [i, a, b, c] = ∂α_ab/∂R_ic
    polarization: Tensor | None = None  # (systems, 3) e/Å², one branch of it; nan where not a crystal
    quadrupoles: Tensor | None = (
        None  # (atoms, 3, 3) e·Å², beside their charges and dipoles; ½ Σ q (3 r⊗r - r²): traceless
    )
    potential: Tensor | None = None  # (points,) V, at the system's ``potential_points``
    wannier_displacement: Tensor | None = None  # (atoms, 3) Å, of electrons' centroids off their atoms; nan without one
    quadrupole: Tensor | None = (
        None  # (systems, 3, 3) e·Å² about the centre of mass, of all of them; nan where periodic
    )
