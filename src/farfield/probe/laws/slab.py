"""A thick slab is bulk inside, and knows nothing of the cell's third vector."""

import math

import numpy as np

from farfield.probe.finding import Check, Curve, Plot, Verdict
from farfield.probe.law import SMOOTHNESS, Law
from farfield.probe.stage import Stage

TOLERANCE = 1e-3
"""eV per pair of ions."""


def judge(stage: Stage) -> Verdict:
    """Rock salt (100): what one more layer costs against the bulk; and one slab with room and with little above it."""
    salt = stage.rock_salt()
    thickest = math.ceil(2 * stage.subject.reach / salt.bond) + 2
    layers = sorted({max(3, thickest // 2), thickest - 1, thickest, thickest + 1})
    slabs = [salt.slab(n) for n in layers]
    bulk = float(stage.energies([salt.conventional()])[0]) / 4
    energy = stage.energies(slabs)
    step = float(energy[-1] - energy[-2])
    spare = 6 * stage.noise(slabs[-1])
    fault = (
        f"One more layer of a slab of {layers[-1]} costs {step - bulk:+.4f} eV per pair more than the bulk: two and "
        "three periodic axes are not summed alike (images across the vacuum), or charge is spread over all atoms."
    )
    checks = [Check(f"{salt.formula}: energy of a layer against the bulk", bulk, step, TOLERANCE + spare, "eV", fault)]
    near = slabs[0].copy()
    near.cell[2] = [0.7, -0.4, near.cell[2, 2] - 12]
    off = float(stage.energies([near])[0] - energy[0])
    fault = (
        "The energy of a slab depends on the cell's third vector, along which it is not periodic: "
        "it is summed in three dimensions, images and all."
    )
    what = f"{salt.formula} slab: change with the cell's third vector"
    checks.append(Check(what, 0.0, off, TOLERANCE + spare, "eV", fault))
    surface = (energy - np.array(layers) * bulk) / 2
    curve = Curve("found", tuple(map(float, layers)), tuple(surface.tolist()))
    plot = Plot("layers", "surface energy (eV in the cell of a layer)", (curve,))
    return Verdict(tuple(checks), "A thick slab is bulk inside; its energy knows only its periodic axes.", plot)


LAW = Law("slab", "Slab against bulk", judge, SMOOTHNESS)
