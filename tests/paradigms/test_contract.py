"""CHECKS × CASES: what every room passes. A new room adds lines to CASES, nothing else."""

import pytest
import torch

import farfield as ff
from farfield.paradigms.registry import PARADIGMS
from farfield.testing import CHECKS, check_paradigm

TIGHT = {"coulomb_error": 1e-9}  # so that finite differences across cells see the energy, not the truncation
CASES = {
    "short_range": {"kind": "short_range"},
    "charges": {"kind": "charges", **TIGHT},
    "charges-points": {"kind": "charges", "width": 0.0, **TIGHT},
    "charges-bond": {"kind": "charges", "conservation": "bond", **TIGHT},
    "charges-fixed": {"kind": "charges", "conservation": "fixed", **TIGHT},
    "multipoles": {"kind": "multipoles", **TIGHT},
    "multipoles-charges": {"kind": "multipoles", "order": 0, **TIGHT},
    "multipoles-dipoles": {"kind": "multipoles", "order": 1, "width": 0.0, **TIGHT},
    "multipoles-bond": {"kind": "multipoles", "conservation": "bond", **TIGHT},
    "latent": {"kind": "latent", **TIGHT},
    "latent-bond": {"kind": "latent", "conservation": "bond", **TIGHT},
    "latent-fixed": {"kind": "latent", "conservation": "fixed", **TIGHT},
    "latent-dipoles": {"kind": "latent", "order": 1, "conservation": "bond", **TIGHT},
    "latent-quadrupoles": {"kind": "latent", "order": 2, "conservation": "bond", **TIGHT},
    "polarizable": {"kind": "polarizable", **TIGHT},
    "polarizable-bond": {"kind": "polarizable", "conservation": "bond", "polarizability": "anisotropic", **TIGHT},
    "polarizable-thole": {"kind": "polarizable", "conservation": "bond", "damping": "thole", **TIGHT},
    "polarizable-points": {
        **{"kind": "polarizable", "conservation": "fixed", "permanent_dipoles": False, "damping": "none", "start": 0.3},
        **TIGHT,
    },
    "polarizable-cg": {"kind": "polarizable", "solver": "cg", **TIGHT},
    "qeq": {"kind": "qeq", **TIGHT},
    "qeq-one-width": {"kind": "qeq", "width": 1.0, "hardness_from": "environment", **TIGHT},
    "qeq-4g": {"kind": "qeq", "scheme": "4g", **TIGHT},
    "qeq-split-charge": {"kind": "qeq", "transfer": "split_charge", **TIGHT},
    "qeq-split-charge-4g": {"kind": "qeq", "transfer": "split_charge", "scheme": "4g", **TIGHT},
    "polarization": {"kind": "polarization"},
    "scf": {"kind": "scf", "tolerance": 1e-11, **TIGHT},
    "scf-linear": {"kind": "scf", "channels": 0, "width": "covalent", "tolerance": 1e-11, **TIGHT},
    "scf-readout": {"kind": "scf", "scheme": "readout", "tolerance": 1e-11, **TIGHT},
    "ewald_mp": {"kind": "ewald_mp", "error": 1e-9},
    "ewald_mp-vectors": {"kind": "ewald_mp", "order": 1, "coulomb": True, "error": 1e-10, "channels": 4},
    "ewald_mp-last": {"kind": "ewald_mp", "order": 1, "every_layer": False, "error": 1e-9},
    "ewald_mp-per-wave": {"kind": "ewald_mp", "filter": "per_wave", "error": 1e-9},
    "wannier": {"kind": "wannier", **TIGHT},
    "wannier-narrow": {"kind": "wannier", "width": 0.4, "electrons": {"O": 8, "Cl": 8, "Na": 8}, **TIGHT},
    "lode": {"kind": "lode", **TIGHT},
    "lode-elements": {"kind": "lode", "sources": "elements", "near": "removed", "order": 1, **TIGHT},
    "lode-every-layer": {"kind": "lode", "every_layer": True, "conservation": "bond", "order": 1, **TIGHT},
    "lode-density": {"kind": "lode", "potential": "density", "order": 3, "widths": (1.0, 3.0), **TIGHT},
    "attention": {"kind": "attention"},
    "attention-tensors": {"kind": "attention", "order": 2, "nodes": 2, "heads": 3, "keys": 1},
    "scf-steps": {"kind": "scf", "steps": 3, "mixing": 0.3, "channels": 0, **TIGHT},
}


def model_of(name):
    return ff.new_model(CASES[name], species=["H", "O", "Na", "Cl"], seed=1, backbone={"channels": 8}).eval()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", CASES)
def test_contract(name, check):
    model = model_of(name)
    if check.__name__ in model.paradigm.breaks:  # and needs to say so
        with pytest.raises(AssertionError):
            check(model)
    else:
        check(model)


def test_every_registered_paradigm_is_tried():
    assert {case["kind"] for case in CASES.values()} == set(PARADIGMS)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda p: -p.energy * 0.0 + p.energy + 0.01 * torch.rand(1), "check_"),
        (lambda p: p.energy.float().double() * (1 + 1e-5 * torch.rand(1)), "check_"),
    ],
)
def test_a_noisy_model_is_caught(broken, said, monkeypatch):
    from dataclasses import replace

    from farfield.paradigms.short_range.model import ShortRange

    honest = ShortRange.forward

    def dishonest(self, system, features):
        prediction = honest(self, system, features)
        return replace(prediction, energy=broken(prediction))

    model = model_of("short_range")
    monkeypatch.setattr(ShortRange, "forward", dishonest)
    with pytest.raises(AssertionError, match=said):
        check_paradigm(model)


def test_charges_that_ignore_their_surroundings_in_the_forces_are_caught(monkeypatch):
    """The classic fault: charges detached from the positions, energies fine, forces wrong."""
    from dataclasses import replace

    from farfield.paradigms.shared.charge_conservation import ConservedCharges

    honest = ConservedCharges.forward

    def detached(self, system, features):
        found = honest(self, system, features)
        return replace(found, charges=found.charges.detach())

    model = model_of("latent")
    monkeypatch.setattr(ConservedCharges, "forward", detached)
    with pytest.raises(AssertionError, match="check_forces_are_the_slope"):
        check_paradigm(model)


def test_equilibrated_charges_minimise_the_functional():
    """Chemical potentials are equal, and any neutral change of the charges costs energy."""
    from farfield.coulomb import Coulomb
    from farfield.testing.structures import molecule

    model = model_of("qeq")
    system, room = molecule(model), model.paradigm
    features = model.backbone(system)
    charges = room(system, features).charges.detach()
    hardness, widths = room.log_hardness[system.numbers].exp(), room.widths[system.numbers]
    matrix = Coulomb(error=1e-9).matrix(system, widths)[0] + torch.diag(hardness)
    own = torch.diagonal(Coulomb(error=1e-9).matrix(system, widths)[0])
    preferred = room.element_preference[system.numbers] + room.preference(features)
    potential = matrix @ charges - (hardness + own) * preferred
    torch.testing.assert_close(potential, potential.mean().expand_as(potential), rtol=1e-8, atol=1e-8)
