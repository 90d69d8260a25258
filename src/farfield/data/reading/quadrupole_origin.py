"""Quadrupoles that are about another place than is thought: a dipole tells them apart from those about the right one.

About a place c instead, a molecule without charge has the quadrupole Θ - 3/2 (c⊗d + d⊗c) + c·d. Of its five
components three follow c: the best c of every frame leaves √(2/5) of what is wrong for any other reason, and nearly
nothing where it is the place that is.
"""

from collections.abc import Iterator, Sequence

import ase
import numpy as np

from farfield.data.frame import Frame
from farfield.data.keys import Numbers
from farfield.notices import Notice

_FEWEST = 10
"""Frames below which this is chance."""
_LEFT = 0.4
"""Part of what is wrong about the centre of mass that may be left about other places before it is told."""
_NEUTRAL = 1e-3
"""e."""


def doubt_of_origin(frames: Sequence[Frame]) -> Iterator[Notice]:
    """Warn where quadrupoles of molecules fit their charges about other places only than the centre of mass."""
    compared = [_about(frame) for frame in frames if _tells(frame)]
    if len(compared) < _FEWEST:
        return
    wrong, left, off = (float(np.sqrt(np.mean(np.square(column)))) for column in zip(*compared))
    if left > _LEFT * wrong:
        return
    yield Notice(
        "warning",
        f"quadrupoles differ from those of the charges by {wrong:.2g} e·Å² (rms) about the centre of mass, and by "
        f"{left:.2g} about places {off:.2g} Å away: they were computed about something else. If that is where the "
        "positions are zero, quadrupole_origin: positions; if positions were moved afterwards, nobody can say: "
        "quadrupole: null",
    )


def _tells(frame: Frame) -> bool:
    """Tell whether a frame is a neutral molecule with charges, dipole and quadrupole."""
    labels, system = frame.labels, frame.system
    given = [labels.charges, labels.dipole, labels.quadrupole]
    known = all(label is not None and bool(label.isfinite().all()) for label in given)
    return known and not bool(system.periodic.any()) and abs(float(system.charge[0])) < _NEUTRAL


def _about(frame: Frame) -> tuple[float, float, float]:
    """Measure a quadrupole's error about the centre of mass and about the best place, e·Å², and how far that is, Å."""
    system, labels = frame.system, frame.labels
    assert labels.charges is not None
    assert labels.dipole is not None
    assert labels.quadrupole is not None
    charges, dipole, label = (x.double().numpy() for x in (labels.charges, labels.dipole[0], labels.quadrupole[0]))
    atoms = ase.Atoms(system.numbers.numpy(), system.positions.double().numpy())
    r = atoms.positions - atoms.get_center_of_mass()
    wrong = (label - _buckingham(np.einsum("i,ia,ib->ab", charges, r, r))).ravel()
    moves = np.stack([_buckingham(np.outer(e, dipole) + np.outer(dipole, e)).ravel() for e in np.eye(3)], 1)
    place = np.asarray(np.linalg.lstsq(moves, wrong, rcond=None)[0], dtype=np.float64)
    return _rms(wrong), _rms(wrong - moves @ place), float(np.sqrt(3) * _rms(place))


def _buckingham(moment: Numbers) -> Numbers:
    return np.asarray(1.5 * moment - 0.5 * np.trace(moment) * np.eye(3))


def _rms(values: Numbers) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
