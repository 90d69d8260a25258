"""Any farfield model as an ASE calculator."""

import difflib
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ase
import numpy as np
import torch
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from farfield.errors import InputError
from farfield.geometry.kept import KeptNeighbors
from farfield.model import Model, contents, from_contents, load
from farfield.prediction import Prediction
from farfield.system import System


class FarfieldCalculator(Calculator):  # type: ignore[misc]
    """Energy, forces, stress, charges and dipole of a trained model, with ASE's names and units.

    Total charge and spin are read from ``atoms.info["charge"]`` and ``atoms.info["spin"]``. Neighbours are searched
    with a skin and reused until atoms or cell have moved too far.
    """

    implemented_properties = [  # noqa: RUF012  (ASE's way)
        "energy", "free_energy", "forces", "stress", "charges", "dipole",
    ]  # fmt: skip

    def __init__(
        self,
        model: str | Path | Model,
        *,
        device: str = "cpu",
        dtype: str | None = None,
        skin: float = 1.0,
        external_field: Any = None,
        electrodes: Any = None,
        **unknown: Any,
    ) -> None:
        """``dtype`` is "float32" or "float64", the type the model was trained in where absent; ``skin`` in Å.

        A ``Model`` is copied: what the caller holds keeps its type, its device and its mode.

        Raises:
            InputError: no such model, dtype or device, a negative skin, an option that there is not, or a field or
                electrodes, which this version does not take.
        """
        _refuse(unknown)
        if external_field is not None or electrodes is not None:
            raise InputError("external_field and electrodes are not supported by this version of farfield")
        if dtype not in (None, "float32", "float64"):
            raise InputError(f'dtype must be "float32" or "float64", not {dtype!r}')
        if not 0 <= skin < float("inf"):
            raise InputError(f"skin must be a length in Å, 0 or more, not {skin}")
        _check_device(device)
        super().__init__()
        self.model = _own_copy(model, None if dtype is None else getattr(torch, dtype), device)
        self.device, self.kept = str(device), KeptNeighbors(skin)
        self.identity = _identity(self.model)
        self.implemented_properties = [p for p in type(self).implemented_properties if p in self._given()]

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: Iterable[str] = ("energy",),
        system_changes: list[str] = all_changes,
    ) -> None:
        """Fill ``results``; forces (and stress of a crystal) come with every call, as MD wants them."""
        super().calculate(atoms, properties, system_changes)
        found = self._predict(self.atoms, stress=bool(self.atoms.pbc.all()))
        energy = float(found.energy[0])
        self.results = {"energy": energy, "free_energy": energy, "forces": _numpy(found.forces)}
        if found.stress is not None:
            self.results["stress"] = full_3x3_to_voigt_6_stress(_numpy(found.stress[0]))
        if found.charges is not None:
            self.results["charges"] = _numpy(found.charges)
        if found.dipole is not None and not self.atoms.pbc.any():
            self.results["dipole"] = _numpy(found.dipole[0])

    def check_state(self, atoms: ase.Atoms, tol: float = 1e-15) -> list[str]:
        """ASE does not look at ``info``; a changed total charge or spin is another system."""
        changes: list[str] = super().check_state(atoms, tol)
        if self.atoms is not None and any(
            self.atoms.info.get(k, 0) != atoms.info.get(k, 0) for k in ("charge", "spin")
        ):
            changes.append("initial_charges")
        return changes

    def _predict(self, atoms: ase.Atoms, *, stress: bool) -> Prediction:
        system = System.from_ase(atoms)
        if (system.positions.dtype, self.device) != (self.model.dtype, "cpu"):
            system = system.to(self.device, self.model.dtype)
        want = {"energy", "forces", "charges", "dipole"} & self.model.gives
        system = self.kept.attach(system, self.model.reach(system))
        found: Prediction = self.model(system, want | ({"stress"} if stress else set()))
        return found

    def _given(self) -> set[str]:
        return set(self.model.gives) | {"free_energy"}


_OPTIONS = ("device", "dtype", "skin", "external_field", "electrodes")


def _refuse(unknown: dict[str, Any]) -> None:
    for name in unknown:
        near = difflib.get_close_matches(name, _OPTIONS, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(_OPTIONS)}"
        raise InputError(f"FarfieldCalculator has no option {name!r}: {hint}")


def _check_device(device: str) -> None:
    try:
        torch.zeros(1, device=device)
    except (AssertionError, RuntimeError, NotImplementedError) as failure:  # torch has one for every way of lacking it
        reason = str(failure).partition("\n")[0]
        raise InputError(f'there is no device {device!r} here ({reason}); device = "cpu" always works') from failure


def _own_copy(model: str | Path | Model, dtype: torch.dtype | None, device: str) -> Model:
    """Built in float64 and cast once, so that constants are exact in the type asked for."""
    if not isinstance(model, Model):
        return load(model, dtype=dtype, device=device)
    return from_contents(contents(model)).to(device=device, dtype=dtype or model.dtype).eval()


def _identity(model: Model) -> str:
    """Equal for models that predict the same numbers: kind, a hash of configuration and weights, type."""
    found = contents(model)
    sha = hashlib.sha256(repr([found["config"], found["species"], found["baseline"]]).encode())
    for name, values in found["weights"].items():
        sha.update(name.encode() + values.numpy().tobytes())
    return f"{model.config.paradigm.kind} #{sha.hexdigest()[:12]} in {found['dtype']}"


def _numpy(tensor: torch.Tensor | None) -> np.ndarray[Any, Any]:
    if tensor is None:
        raise InputError("the model did not give what it promised")
    return tensor.detach().cpu().double().numpy()
