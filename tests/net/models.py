"""What models of every paradigm say with weights that are set by hand, and how training moves them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.data import atomic_numbers
from scenes import SYMBOLS, batch, random, scene
from torch import Tensor

import farfield as ff
from farfield.data.frame import Labels
from farfield.model import Model, save
from farfield.system import System
from farfield.train.config import LossWeights
from farfield.train.loss import TrainingStep

Answers = dict[str, Tensor]
STORED = Path(__file__).parent / "models"
SMALL = {"channels": 2, "layers": 1, "radial": 3, "radial_hidden": 2, "correlation": 2}
KINDS = ("short_range", "charges", "latent", "qeq", "polarizable", "scf")
VARIANTS: dict[str, dict[str, Any]] = {
    "short_range": {"kind": "short_range"},
    "charges": {"kind": "charges"},
    "charges, points": {"kind": "charges", "width": 0.0, "conservation": "fixed"},
    "latent": {"kind": "latent"},
    "latent, bond": {"kind": "latent", "conservation": "bond"},
    "latent, fixed": {"kind": "latent", "conservation": "fixed"},
    "qeq": {"kind": "qeq"},
    "qeq, environment": {"kind": "qeq", "hardness_from": "environment", "width": 1.0},
    "qeq, 4g": {"kind": "qeq", "scheme": "4g"},
    "qeq, split charge": {"kind": "qeq", "transfer": "split_charge"},
    "qeq, split charge 4g": {"kind": "qeq", "transfer": "split_charge", "scheme": "4g"},
    "qeq, fragments": {"kind": "qeq", "transfer": "fragments"},
    "polarizable": {"kind": "polarizable"},
    "polarizable, bond": {"kind": "polarizable", "conservation": "bond", "polarizability": "anisotropic"},
    "polarizable, thole": {"kind": "polarizable", "damping": "thole", "start": 0.5},
    "polarizable, points": {"kind": "polarizable", "damping": "none", "start": 0.3, "permanent_dipoles": False},
    "polarizable, cg": {"kind": "polarizable", "solver": "cg"},
    "scf": {"kind": "scf", "tolerance": 1e-12},
    "scf, linear": {"kind": "scf", "channels": 0, "width": "covalent", "tolerance": 1e-12},
    "scf, readout": {"kind": "scf", "scheme": "readout", "tolerance": 1e-12},
    "scf, steps": {"kind": "scf", "steps": 3, "mixing": 0.3},
}
RECORDED = (
    "energy", "forces", "stress", "charges", "dipole", "dipoles", "energy_coulomb", "charge_residual", "born_charges",
    "polarizability", "polarization",
)  # fmt: skip
"""What is recorded of a prediction, in this order; whatever else there will be is no part of the net."""

FORMAL = {"H": 1.0, "O": -2.0, "Na": 1.0, "Cl": -1.0}


def cases() -> dict[str, Callable[[], Answers]]:
    """Every case by its name."""
    found: dict[str, Callable[[], Answers]] = {}
    for name in VARIANTS:
        found[f"model/{name}"] = lambda n=name: predictions(model_of(n))
        found[f"training/{name}"] = lambda n=name: losses(model_of(n))
    for kind in KINDS:
        found[f"stored/{kind}"] = lambda k=kind: predictions(ff.load(STORED / f"{k}.pt"))
    return found


def model_of(variant: str) -> Model:
    """A model whose weights depend on their names' order and their shapes alone."""
    model = ff.new_model(VARIANTS[variant], species=sorted(set(SYMBOLS)), backbone=SMALL).eval()
    stream = np.random.default_rng(5)
    weights = model.state_dict()
    for name, value in sorted(weights.items()):
        if name.endswith("scale"):
            value.fill_(1.0)
        elif name.endswith(("element_charge", "element_preference")):
            for symbol, charge in FORMAL.items():
                value[atomic_numbers[symbol]] = charge
        elif value.ndim > 1:
            size = 1.0 if name.startswith("backbone") else 0.2
            value.copy_(torch.from_numpy(size * stream.normal(size=tuple(value.shape))))
    model.load_state_dict(weights)
    return model


def systems(model: Model, names: Sequence[str] = ("molecule", "slab", "crystal"), **conditions: Any) -> System:
    """One batch of them, charged where the model takes that."""
    atoms = [scene(name, seed) for seed, name in enumerate(names)]
    for one in atoms:
        only = model.paradigm.only_charge(torch.from_numpy(one.numbers))
        one.info |= {"charge": 1.0 if only is None else only, **conditions}
        one.arrays["fragment"] = np.array([0, 0, 1, 1, 1, 0])
        one.info["fragment_charges"] = [one.info["charge"], 0.0]
    return batch(*atoms)


def predictions(model: Model) -> Answers:
    """Everything a model gives, without conditions and under those it takes."""
    found = _said(model, systems(model), "", model.gives)
    key = vars(model.config.paradigm).get
    if key("steps") is not None:  # takes none
        return found
    if "external_field" in model.paradigm.takes:
        within = systems(model, external_field=[0.05, -0.02, 0.1])
        found |= _said(model, within, "field: ", model.gives - {"stress"})
    if "fermi_level" in model.paradigm.takes and (key("transfer") or "free", key("scheme")) == ("free", "energy"):
        opened = systems(model, ["molecule"], fermi_level=-0.5)
        found |= _said(model, opened, "Fermi level: ", {"energy", "forces", "charges"})
    return found


def _said(model: Model, system: System, where: str, want: frozenset[str] | set[str]) -> Answers:
    said = model(system, frozenset(want) & set(RECORDED))
    return {f"{where}{name}": value for name in RECORDED if (value := getattr(said, name)) is not None}


def losses(model: Model) -> Answers:
    """The losses of three steps, and the sizes of the last gradients."""
    step = TrainingStep(model.train(), LossWeights(dipole=1.0, polarizability=1.0), 1.0, None)
    learned = [weight for weight in step.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(learned, 1e-5)
    system, found = systems(model, ["molecule", "crystal"]), []
    labels = Labels(
        energy=random(2), forces=random(12, 3), charges=0.3 * random(12), dipole=random(2, 3),
        born_charges=random(12, 3, 3), polarizability=0.1 * random(2, 3, 3),
    )  # fmt: skip
    for _ in range(3):
        optimizer.zero_grad()
        loss, _ = step(system, labels)
        loss.backward(inputs=learned)
        optimizer.step()
        found.append(loss.detach())
    sizes = [torch.zeros(()) if weight.grad is None else weight.grad.norm() for weight in learned]
    return {"losses": torch.stack(found), "gradients": torch.stack(sizes).double()}


def write_models() -> None:
    """Store a model of every kind that is not stored yet: one that is stays as it is."""
    for kind in KINDS:
        if not (path := STORED / f"{kind}.pt").exists():
            save(model_of(kind), path)
