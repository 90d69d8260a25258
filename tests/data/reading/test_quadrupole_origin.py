"""Quadrupoles about another place than the centre of mass are told by charges and dipoles."""

import ase
import numpy as np
import pytest
import torch

from farfield.data.frame import Frame, Labels
from farfield.data.reading.doubts import doubts_of_labels
from farfield.system import System


def buckingham(charges, r):
    second = np.einsum("i,ia,ib->ab", charges, r, r)
    return 1.5 * second - 0.5 * np.trace(second) * np.eye(3)


def frame(rng, *, away, atoms=8):
    """A neutral molecule whose quadrupole, of charges other than the labels by 5 %, is about a place so far away, Å."""
    charges, places = rng.normal(size=atoms), 3 * rng.normal(size=(atoms, 3))
    charges -= charges.mean()
    system = System.from_ase(ase.Atoms([6] * atoms, places))
    r = places - places.mean(0) - away * rng.normal(size=3) / np.sqrt(3)
    seen = charges + 0.05 * rng.normal(size=atoms)
    seen -= seen.mean()
    values = {"charges": charges, "dipole": (charges @ places)[None], "quadrupole": buckingham(seen, r)[None]}
    return Frame(system, Labels(**{name: torch.from_numpy(value) for name, value in values.items()}))


def said(away, frames=30):
    rng = np.random.default_rng(1)
    told = doubts_of_labels([frame(rng, away=away) for _ in range(frames)])
    return [notice.message for notice in told if "quadrupole" in notice.message]


def test_another_origin_is_said():
    (message,) = said(1.0)
    assert "quadrupole_origin: positions" in message
    away = float(message.split(" Å away")[0].split()[-1])
    assert away == pytest.approx(1.0, rel=0.3)


def test_the_right_one_is_not():
    assert not said(0.0)
    assert not said(1.0, frames=5)
