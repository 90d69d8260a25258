"""An ion before a metal is drawn by its image: E = -K q²/4d, periodic images included."""

import numpy as np
import torch
from scipy.optimize import minimize_scalar

from farfield.coulomb import Coulomb, Sources
from farfield.probe.finding import Check, Curve, NotApplicable, Plot, Verdict
from farfield.probe.law import RESPONSE, Law
from farfield.probe.stage import Stage
from farfield.probe.structures.metal import Surface, surface
from farfield.probe.subject import Floats, given
from farfield.system import System

STEP = 0.05
"""Å."""
TOLERANCE = 0.05


def judge(stage: Stage) -> Verdict:
    """The slope of the energy with height beyond the cutoff, over that of the ion and its mirror image.

    Half the energy of the ion, the image and all their periodic copies is that of the ion before a perfect conductor.
    Where the mirror stands is fitted, from 0.5 Å behind the outermost atoms to 2 Å before them.
    """
    metal = surface(stage)
    heights = metal.top + np.linspace(1.05, 1.5, 4 if stage.fast else 7) * stage.subject.cutoff
    seen = stage.see([metal.with_ion(z) for z in heights], "charges")
    charges = np.array([given(one.charges)[-1] for one in seen])
    if np.abs(charges).max() < 0.02:
        raise NotApplicable(f"{metal.name}: the ion carries no charge there")
    ends = stage.energies([metal.with_ion(z + side) for z in heights for side in (-STEP, STEP)]).reshape(-1, 2)
    found = (ends[:, 1] - ends[:, 0]) / (2 * STEP)

    def misfit(mirror: float) -> float:
        return float(np.square(found - _slopes(metal, heights - mirror, charges)).sum())

    mirror = float(minimize_scalar(misfit, bounds=(metal.top - 0.5, metal.top + 2.0), method="bounded").x)
    expected = _slopes(metal, heights - mirror, charges)
    ratios = found / expected
    ratio = float(ratios[np.abs(ratios - 1).argmax()])
    fault = (
        f"The ion is drawn to the metal with {ratio:.2f} times the force of its image charge: the metal's charges "
        "do not respond as a conductor's (too hard, too few, or screened by a cutoff)."
    )
    check = Check(f"{metal.name}: force over that of the image", 1.0, ratio, TOLERANCE, "", fault)
    x = tuple((heights - metal.top).tolist())
    curves = (Curve("image", x, tuple(expected.tolist()), "expected"), Curve("found", x, tuple(found.tolist())))
    said = f"An image charge, its mirror {mirror - metal.top:+.2f} Å from the outermost atoms."
    return Verdict((check,), said, Plot("height over the outermost atoms (Å)", "slope of the energy (eV/Å)", curves))


LAW = Law("image_charge", "Image charge at a metal", judge, RESPONSE)


def _slopes(metal: Surface, distance: Floats, charges: Floats) -> Floats:
    """eV/Å, of half the energy of charge and image and their copies, with the distance (Å) to the mirror."""
    frames = []
    for d in distance:
        frame = metal.slab[:2].copy()
        frame.positions = [[0, 0, d], [0, 0, -d]]
        frames.append(frame)
    system = System.from_ase(frames)
    pairs = torch.from_numpy(np.stack([charges, -charges], axis=1)).reshape(-1)
    sources = Sources(system.positions, system.system_index, charges=pairs)
    forces = Coulomb(error=1e-8).evaluate(system, sources=sources).forces
    # moving the charge moves the image too: two equal slopes, and half the energy
    slopes: Floats = -forces[::2, 2].numpy()
    return slopes
