"""A fragment as the long range sees it: its charges, and the dipole that they do not account for."""

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from farfield.probe.stage import Stage
from farfield.probe.structures.fragments import Fragment
from farfield.probe.subject import Floats, Refused, given
from farfield.units import COULOMB

HALF_LENGTH = 0.01
"""Å, of the pair of charges that stands for a dipole."""


@dataclass(frozen=True, eq=False)
class Body:
    """Point charges about the fragment's centre."""

    positions: Floats  # (points, 3) Å
    charges: Floats  # (points,) e


def body(fragment: Fragment, charges: Floats, spare: Floats) -> Body:
    """The atoms, and a dipole ``spare`` (e·Å) at the centre as a short pair of charges."""
    size = float(np.linalg.norm(spare))
    if size == 0:
        return Body(fragment.atoms.positions, charges)
    ends = np.outer([1, -1], HALF_LENGTH * spare / size)
    pair = np.array([1, -1]) * size / (2 * HALF_LENGTH)
    return Body(np.concatenate([fragment.atoms.positions, ends]), np.concatenate([charges, pair]))


def between(first: Body, second: Body, distance: float) -> float:
    """Coulomb energy (eV) of two bodies with their centres ``distance`` Å apart along x."""
    apart = first.positions[:, None] - (second.positions + np.array([distance, 0, 0]))[None]
    return float(COULOMB * (np.outer(first.charges, second.charges) / np.linalg.norm(apart, axis=2)).sum())


def spare_dipole(stage: Stage, fragment: Fragment, charge: float) -> Floats:
    """Find the part of a fragment's dipole (e·Å) that its charges do not make: of atoms, bonds or centres of charge.

    ``charge`` (e) is what it carries where it is judged: a model may hand some of it over, and dipoles go with it.
    """
    if not {"charges", "dipole"} <= stage.subject.gives or len(fragment.atoms) == 1:
        return np.zeros(3)
    alone = replace(fragment, charge=charge).alone
    with suppress(Refused):
        seen = stage.see([alone], "charges", "dipole")[0]
        if seen.dipole is not None:
            spare: Floats = seen.dipole - given(seen.charges) @ alone.positions
            return np.where(np.abs(spare) < 1e-9, 0.0, spare)
    return np.zeros(3)
