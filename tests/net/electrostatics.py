"""What the solver says of charges, dipoles and quadrupoles, points and Gaussians, whatever the periodicity."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product

import ase
import torch
from scenes import AXES, batch, random, scene
from torch import Tensor

from farfield.coulomb import Coulomb, Dispersion, PairScaling, Shells, Solver, Sources, shell_energy
from farfield.coulomb.padding import Padding
from farfield.system import System

Answers = dict[str, Tensor]
RANKS = ("charges", "dipoles", "quadrupoles")
WIDTHS = {"points": None, "gaussians": 0.6, "unlike": torch.linspace(0.4, 0.9, 6).double()}


def cases() -> dict[str, Callable[[], Answers]]:
    """Every case by its name."""
    found: dict[str, Callable[[], Answers]] = {}
    for name, scene_of, method, rank, kind in _combinations():
        found[name] = lambda s=scene_of, m=method, r=rank, k=kind: moments(s, m, r, k)
    for place in AXES:
        for kind in WIDTHS:
            found[f"operators/{place}/{kind}"] = lambda p=place, k=kind: operators(p, k)
    found["mesh/interaction"] = lambda: interaction(batch(scene("crystal")), Coulomb(method="mesh"), 0.6)
    found["batch"] = mixed
    found["vacuum"] = vacuum
    found["scaled pairs"] = scaled
    found["steps"] = steps
    found["shells"] = shells
    found["dispersion"] = dispersion
    return found


def _combinations() -> Iterator[tuple[str, str, str, int, str]]:
    methods = {"molecule": ("direct",), "wire": ("ewald",), "slab": ("ewald", "mesh"), "crystal": ("ewald", "mesh")}
    for place, rank, kind in product(AXES, range(len(RANKS)), WIDTHS):
        for method in methods[place]:
            if method != "mesh" or kind != "unlike":
                yield f"{place}/{method}/{RANKS[rank]}/{kind}", place, method, rank, kind


def _given(rank: int, count: int = 6) -> Answers:
    tensor = random(count, 3, 3, seed=3)
    tensor = tensor + tensor.transpose(1, 2)
    tensor = tensor - tensor.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * torch.eye(3)
    all_three = {"charges": random(count), "dipoles": 0.3 * random(count, 3, seed=2), "quadrupoles": 0.2 * tensor}
    return dict(list(all_three.items())[: rank + 1])


def moments(place: str, method: str, rank: int, kind: str) -> Answers:
    """``evaluate``, ``energy`` with first and second derivatives, ``potential_at``."""
    system, coulomb, given = batch(scene(place)), Coulomb(error=1e-6, method=method), _given(rank)
    found = dict(vars(coulomb.evaluate(system, **given, widths=WIDTHS[kind])))
    variables = [x.clone().requires_grad_() for x in (system.positions, system.cell, *given.values())]
    positions, cell, *moved = variables
    bent = replace(system, positions=positions, cell=cell)
    energy = coulomb.energy(bent, **dict(zip(given, moved)), widths=WIDTHS[kind])
    slopes = torch.autograd.grad(energy.sum(), variables, create_graph=True, materialize_grads=True)
    along = torch.stack([(slope * random(*slope.shape, seed=7)).sum() for slope in slopes]).sum()
    second = torch.autograd.grad(along, variables, materialize_grads=True)
    found |= {f"first derivative {k}": slope for k, slope in enumerate(slopes)}
    found |= {f"second derivative {k}": (x * random(*x.shape, seed=8)).sum() for k, x in enumerate(second)}
    sources = Sources(system.positions, system.system_index, **given, widths=WIDTHS[kind])
    found["potential_at"] = coulomb.potential_at(system, sources, system.positions[:3] + 1.1)
    return found


def operators(place: str, kind: str) -> Answers:
    """The Coulomb matrix in all its forms."""
    system, coulomb, widths = batch(scene(place)), Coulomb(error=1e-6), WIDTHS[kind]
    found = {"matrix": coulomb.matrix(system, widths)[0], "operator": coulomb.operator(system, widths)(random(6))}
    found |= interaction(system, coulomb, widths)
    curvature = coulomb.curvature(system, random(6), widths)
    if curvature is not None:
        grad_charges, grad_positions = curvature.hessian_vector(
            torch.ones(1).double(), random(6, seed=4), random(6, 3, seed=5)
        )
        found |= {"curvature by charges": grad_charges, "curvature by positions": grad_positions}
    return found


def interaction(system: System, coulomb: Coulomb, widths: Tensor | float | None) -> Answers:
    """Charges and dipoles to potentials and fields, and the matrix of the dipoles."""
    prepared = coulomb.interaction(system, widths)
    potential, field = prepared(random(6), random(6, 3, seed=2))
    with torch.no_grad():
        alone = prepared(None, random(6, 3, seed=2))[1]
    matrix = prepared.dipole_matrix(Padding.of(system))
    return {"potential": potential, "field": field, "without graph": alone} | (
        {} if matrix is None else {"dipoles": matrix}
    )


def mixed() -> Answers:
    """All periodicities and two sizes in one batch, two channels."""
    places = [scene(name, seed) for seed, name in enumerate(AXES)]
    system = batch(*places, places[-1].repeat((2, 1, 1)))
    charges = random(system.n_atoms, 2)
    found = dict(vars(Coulomb().evaluate(system, charges=charges, widths=0.5)))
    found["matrix"] = Coulomb().padded_matrix(system, 0.5)[0]
    found["with dipoles"] = Coulomb().energy(system, charges=charges, dipoles=random(system.n_atoms, 2, 3))
    return found


def vacuum() -> Answers:
    """A sphere of cells in vacuum."""
    system, coulomb = batch(scene("crystal")), Coulomb(boundary="vacuum")
    charges = random(6)
    charges = charges - charges.mean()
    found = dict(vars(coulomb.evaluate(system, charges=charges)))
    found |= {
        f"with dipoles: {k}": x
        for k, x in vars(coulomb.evaluate(system, charges=charges, dipoles=random(6, 3))).items()
    }
    found["matrix"] = coulomb.matrix(system)[0]
    found["operator"] = coulomb.operator(system)(charges)
    found["potential"], found["field"] = coulomb.interaction(system)(charges, random(6, 3))
    sources = Sources(system.positions, system.system_index, charges=charges)
    found["potential_at"] = coulomb.potential_at(system, sources, system.positions[:2] + 1.1)
    return found


def scaled() -> Answers:
    """Exclusions and damping."""
    found = {}
    for name in ("molecule", "crystal"):
        system = batch(scene(name))
        pairs = PairScaling(torch.tensor([0, 2]), torch.tensor([1, 3]), lambda squared: torch.exp(-squared / 9))
        for rank in (0, 1, 2):
            result = Coulomb().evaluate(system, **_given(rank), pairs=pairs)
            found |= {f"{name} {rank} {key}": value for key, value in vars(result).items()}
        potential, field = Coulomb().interaction(system, pairs=pairs)(random(6), random(6, 3))
        found |= {f"{name} potential": potential, f"{name} field": field}
    return found


def steps() -> Answers:
    """A plan and neighbours that are kept."""
    solver, atoms, found = Solver(Coulomb()), scene("crystal"), {}
    for step in range(3):
        atoms.positions[0] += 0.05
        found |= {f"{step} {key}": x for key, x in vars(solver.evaluate(batch(atoms), charges=random(6))).items()}
    return found


def shells() -> Answers:
    """Gaussian shells up to l = 3."""
    found = {}
    for name in AXES:
        system = batch(scene(name))
        shells = Shells(system.positions, system.system_index, random(6, 16), torch.linspace(0.6, 1.0, 6).double())
        found[name] = shell_energy(system, shells)
    return found


def dispersion() -> Answers:
    """1/r⁶ of a crystal and a molecule."""
    system = batch(scene("crystal"), scene("molecule"), ase.Atoms("Ne2", [[0, 0, 0], [0, 0, 3.0]]))
    positions = system.positions.clone().requires_grad_()
    energy = Dispersion().energy(system.with_positions(positions), 5 + random(system.n_atoms))
    (slope,) = torch.autograd.grad(energy.sum(), positions)
    return {"energy": energy, "slope": slope}
