"""A batch equals its members one by one."""

import numpy as np

from farfield.probe.finding import Check, NotApplicable, Verdict
from farfield.probe.law import CONSISTENCY, Law
from farfield.probe.measures.invariance import CHARGE, ENERGY, FORCE
from farfield.probe.measures.samples import taken
from farfield.probe.stage import Stage
from farfield.probe.subject import given


def judge(stage: Stage) -> Verdict:
    """Crystal, molecule and both turned round, together and alone."""
    if not stage.subject.batches:
        raise NotApplicable("an ASE calculator takes one structure at a time")
    frames, left_out = taken(stage)
    frames = [*frames, *reversed(frames)]
    want = stage.wants("forces", "charges")
    together = stage.see(frames, *want)
    alone = [stage.see([frame], *want)[0] for frame in frames]
    fault = "What else is in a batch changes a structure's {}: sums or averages run over the batch, not the structure."
    checks = []
    for frame, here, there in zip(frames, alone, together):
        word = frame.get_chemical_formula("metal")
        off = abs(there.energy - here.energy)
        spare = 1e-12 * abs(here.energy)
        checks.append(Check(f"{word}: energy", 0.0, off, ENERGY * len(frame) + spare, "eV", fault.format("energy")))
        forces = given(here.forces)
        size = FORCE * max(1.0, float(np.abs(forces).max()))
        off = float(np.abs(given(there.forces) - forces).max())
        checks.append(Check(f"{word}: forces", 0.0, off, size, "eV/Å", fault.format("forces")))
        if here.charges is not None:
            off = float(np.abs(given(there.charges) - here.charges).max())
            checks.append(Check(f"{word}: charges", 0.0, off, CHARGE, "e", fault.format("charges")))
    return Verdict(tuple(checks), "A batch equals its members one by one.", left_out=left_out)


LAW = Law("batch", "Batch is one by one", judge, CONSISTENCY)
