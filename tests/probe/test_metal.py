"""An ion before a metal whose charges really respond, and before one whose charges do not."""

from dataclasses import dataclass

import pytest
import torch

from farfield.prediction import Prediction
from farfield.probe import ModelSubject, scorecard
from farfield.response import equilibrate

STIFF = 1e4  # eV/e², of the ion


@dataclass(frozen=True)
class Metal:
    """Gold whose Gaussian charges equilibrate, chloride of -1 e, and no other force."""

    hardness: float  # eV/e², of gold, besides the Coulomb energy of its Gaussian
    gives: frozenset[str] = frozenset({"energy", "charges"})
    species: tuple[int, ...] = (17, 79)

    def __call__(self, system, /, *, want):
        gold = system.numbers == 79
        hardness = torch.where(gold, self.hardness, STIFF)
        found = equilibrate(system, torch.where(gold, 0.0, STIFF), hardness, widths=torch.where(gold, 0.9, 0.3))
        return Prediction(energy=found.energy, charges=found.charges)


def judged(hardness):
    subject = ModelSubject(Metal(hardness), "gold", reach=5.0, cutoff=5.0)
    image, screening = scorecard(subject, laws=["image_charge", "screening"], fast=True).findings
    return image, screening


def test_a_conductor_shows_the_image_and_lets_no_field_through():
    image, screening = judged(0.0)
    assert image.status == "pass"
    assert image.found == pytest.approx(1.0, abs=0.03)
    assert "Å from the outermost atoms" in image.explanation
    assert screening.status == "pass"
    assert screening.found == pytest.approx(0.0, abs=0.8)


def test_hard_charges_are_no_metal():
    image, screening = judged(400.0)
    assert (image.status, screening.status) == ("fail", "fail")
    assert "times the force of its image" in image.explanation
    assert screening.found == pytest.approx(-2.0, abs=0.3)  # in the middle of three layers
    assert "too hard" in screening.explanation
