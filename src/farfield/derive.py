"""The only place where an energy becomes forces and stress, a dipole Born charges, polarizability, Raman tensors.

In a field the energy of a model is F(E) = E(R) - d·E, so that its slopes are forces and stress in that field. Where
charge flows between the cells of a crystal, the dipole d = Σ q R is not single-valued, and its slope depends on where
atoms are wrapped to. What has a value then is Z_i = q_i 1 + Σ_j (R_j + L_ij - R_i) ⊗ ∂q_j/∂R_i along the shortest
vectors from i to images of j: the slope of Σ q R, and Σ_j L_ij ⊗ ∂q_j/∂R_i besides (as Σ_j ∂q_j/∂R_i = 0), one backward
pass an atom. Forces in a field get Z·E: dF/dE = ∂d/∂R, but they are no slope of an energy then. (Where charges
answer to a field across a slab or wire, as those of ``qeq``, Z depends on it, and this holds to first order in it.)
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from farfield.field import along_lattice, polarization_of
from farfield.geometry.images import NearestImages
from farfield.prediction import Prediction
from farfield.system import System

DERIVED = frozenset({"forces", "external_charge_forces", "stress", "born_charges", "polarizability", "raman_tensors"})


def with_derivatives(
    predict: Callable[[System], Prediction],
    system: System,
    want: frozenset[str],
    *,
    single_valued: bool,  # whether the dipole of a crystal is, but for e × lattice vectors
    cells_polarize: bool = False,  # whether the polarizability of what is periodic means something
    create_graph: bool,
) -> Prediction:
    """The prediction with its forces -dF/dR, its stress (1/V) dF/dε and what else ``want`` names of ``DERIVED``.

    Gradients flow on to ``system.positions`` if they require it. ``create_graph`` keeps what is derived
    differentiable, as training on it needs. Stress, at fixed voltage E·a along every lattice vector, is nan where a
    system is not periodic along three axes; polarizability is nan where it is periodic along any, unless cells
    polarize.
    """
    if not want & DERIVED:
        return _shown(predict(system), system, single_valued)
    with torch.enable_grad():
        variables = _Variables.of(system, want)
        prediction = predict(variables.moved)
        between = None
        if not single_valued and _flow_matters(system, want):
            between = _between_cells(_given(prediction.charges), variables.positions, system, create_graph)
        # what keeps the graph comes first, so that the last pass through it can free it
        derived = _of_dipole(prediction, variables, want, between, create_graph)
        if not cells_polarize:
            derived = _of_molecules(derived, system)
        derived |= _of_energy(prediction, variables, want, between, create_graph)
    out = _shown(replace(prediction, **derived), system, single_valued)
    return out if create_graph else _detached(out)


@dataclass(frozen=True)
class _Variables:
    """Variables to differentiate by, and the system made of them."""

    system: System  # as it was given
    moved: System
    positions: Tensor
    strain: Tensor | None
    field: Tensor | None
    external: Tensor | None  # positions of external charges

    @classmethod
    def of(cls, system: System, want: frozenset[str]) -> "_Variables":
        positions, strain, field = _leaf(system.positions), None, system.external_field
        if want & {"polarizability", "raman_tensors"}:
            field = _leaf(torch.zeros_like(system.cell[:, 0]) if field is None else field)
        moved, external = replace(system, positions=positions, external_field=field), None
        if system.external_charges is not None and "external_charge_forces" in want:
            external = _leaf(system.external_charges.positions)
            moved = replace(moved, external_charges=system.external_charges.with_positions(external))
        if "stress" in want:
            strain = torch.zeros_like(system.cell).requires_grad_()
            moved = moved.strained(strain)
        return cls(system, moved, positions, strain, field, external)


def _leaf(tensor: Tensor) -> Tensor:
    return tensor if tensor.requires_grad else tensor.detach().requires_grad_()


def _of_energy(
    prediction: Prediction, at: _Variables, want: frozenset[str], between: Tensor | None, create_graph: bool
) -> dict[str, Tensor]:
    """Forces and stress."""
    wanted = {"forces": at.positions, "external_charge_forces": at.external, "stress": at.strain}
    wrt = {name: variable for name, variable in wanted.items() if name in want and variable is not None}
    if not wrt:
        return {}
    found = dict(zip(wrt, _slopes(prediction.energy, list(wrt.values()), create_graph)))
    for name in found.keys() - {"stress"}:
        found[name] = -found[name]
    if "forces" in found and between is not None and at.field is not None:
        found["forces"] = found["forces"] + torch.einsum("iab,ia->ib", between, at.field[at.system.system_index])
    if "stress" in found:
        found["stress"] = _stress(found["stress"], at.system)
    return found


def _of_dipole(
    prediction: Prediction, at: _Variables, want: frozenset[str], between: Tensor | None, create_graph: bool
) -> dict[str, Tensor]:
    """Born charges, polarizability and its slopes."""
    found = {}
    if "born_charges" in want:
        own = _jacobian(_given(prediction.dipole), at.positions, create_graph)
        found["born_charges"] = own if between is None else own + between
    if at.field is not None and want & {"polarizability", "raman_tensors"}:
        raman = "raman_tensors" in want
        polarizability = _jacobian(_given(prediction.dipole), at.field, create_graph or raman)
        if raman:
            rows = [_jacobian(polarizability[:, a], at.positions, create_graph) for a in range(3)]
            found["raman_tensors"] = torch.stack(rows, 1)
        if "polarizability" in want:
            found["polarizability"] = polarizability
    return found


def _of_molecules(derived: dict[str, Tensor], system: System) -> dict[str, Tensor]:
    """With nan for polarizabilities, and their slopes, of what is periodic."""
    periodic = system.periodic.any(1)
    rows = {"polarizability": periodic, "raman_tensors": periodic[system.system_index]}
    for name in rows.keys() & derived.keys():
        derived[name] = derived[name].masked_fill(rows[name].reshape(-1, *[1] * (derived[name].ndim - 1)), torch.nan)
    return derived


def _flow_matters(system: System, want: frozenset[str]) -> bool:
    if "born_charges" in want:
        return bool(system.periodic.any())
    return "forces" in want and bool(along_lattice(system).any())


def _between_cells(charges: Tensor, positions: Tensor, system: System, create_graph: bool) -> Tensor:
    """Σ_j L_ij ⊗ ∂q_j/∂R_i ``(atoms, 3, 3)``; the k-th atoms of all systems in one backward pass."""
    images, sizes = NearestImages(system), system.atoms_per_system
    first, total = sizes.cumsum(0) - sizes, charges.new_zeros(len(charges), 3, 3)
    for k in range(int(sizes.max())):
        there = k < sizes
        atom = first + k * there
        (slope,) = _slopes(charges[atom[there]], [positions], create_graph, keep=True)
        step = images.of(atom[system.system_index]) * there[system.system_index, None]
        total = total + step.unsqueeze(2) * slope.unsqueeze(1)
    return total


def _jacobian(vectors: Tensor, variable: Tensor, create_graph: bool) -> Tensor:
    """∂v_a/∂x_b ``(rows of x, 3, 3)`` of a vector ``(systems, 3)`` in rows that belong to one system each."""
    rows = [_slopes(vectors[:, a], [variable], create_graph, keep=True)[0] for a in range(3)]
    return torch.stack(rows, 1)


def _slopes(values: Tensor, wrt: list[Tensor], create_graph: bool, *, keep: bool = False) -> list[Tensor]:
    """Differentiate the sum of values; zeros where they do not depend on it, as with one atom alone."""
    if not values.requires_grad:
        return [torch.zeros_like(x) for x in wrt]
    found = torch.autograd.grad(
        values.sum(), wrt, create_graph=create_graph, retain_graph=create_graph or keep, allow_unused=True
    )
    return [torch.zeros_like(x) if slope is None else slope for x, slope in zip(wrt, found)]


def _stress(slope: Tensor, system: System) -> Tensor:
    crystal = system.periodic.all(1)
    volume = torch.where(crystal, system.volume(), 1.0)  # not 0: its gradient would be nan even where nobody looks
    stress = 0.5 * (slope + slope.transpose(1, 2)) / volume[:, None, None]
    return torch.where(crystal[:, None, None], stress, torch.nan)


def _shown(prediction: Prediction, system: System, single_valued: bool) -> Prediction:
    """Turn dipoles of cells into dipoles of molecules and polarizations of crystals."""
    if prediction.dipole is None:
        return prediction
    polarization = polarization_of(prediction.dipole, system) if single_valued else None
    dipole = torch.where(system.periodic.any(1, keepdim=True), torch.nan, prediction.dipole)
    return replace(prediction, dipole=dipole, polarization=polarization)


def _given(value: Tensor | None) -> Tensor:
    assert value is not None, "a room that gives born_charges gives charges and a dipole"
    return value


def _detached(prediction: Prediction) -> Prediction:
    return Prediction(**{k: v.detach() if isinstance(v, Tensor) else v for k, v in vars(prediction).items()})
