"""Any farfield model as an ASE calculator."""

import copy
import difflib
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ase
import numpy as np
import torch
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.outputs import Properties, all_outputs
from ase.stress import full_3x3_to_voigt_6_stress

from farfield.conditions import check_conditions
from farfield.deploy.conditions import OverlookedConditions, conditions_of
from farfield.deploy.embedding import EmbeddingCharges
from farfield.errors import InputError
from farfield.field import along_lattice, dielectric_tensor
from farfield.geometry.kept import KeptNeighbors
from farfield.model import Model, contents, from_contents, load
from farfield.prediction import Prediction
from farfield.response import ChargeExtrapolation
from farfield.system import System


class FarfieldCalculator(Calculator):  # type: ignore[misc]
    """A trained model with ASE's names and units: energy, forces, stress (crystals), charges, dipole (molecules).

    Also ``polarization`` (crystals, e/Å², one branch of it), ``dielectric_tensor`` (crystals, at fixed atoms) and, only
    when asked for, ``born_effective_charges`` [atom, dipole axis, displacement axis]; ``results["energy_coulomb"]`` is
    the electrostatic part of the energy, eV, of models that have one.

    Total charge, spin and whatever else a system can be under are read from ``atoms.info``: ``charge`` (e), ``spin``
    (2S), ``external_field`` (V/Å), … whatever the training data called them: of another name there (``total_charge``,
    ``Q``) a ``FarfieldWarning`` tells, once of every kind. In a field the energy is F = E(R) - dipole·E; forces and
    stress are its slopes, at fixed voltage along the lattice vectors, but where charge flows through a whole crystal
    (``conservation: shift``, ``qeq``): forces along its lattice are then Born charges times the field, which conserve
    no energy, and stress in a field is refused.

    Neighbours are searched with a skin and reused until atoms or cell have moved too far. Where a model iterates on
    charges or dipoles (``qeq`` of many atoms, ``polarizable``), it starts from what the last steps foresee: results are
    the same to the tolerance of the iteration, in fewer steps.
    """

    implemented_properties = [  # noqa: RUF012  (ASE's way)
        "energy", "free_energy", "forces", "stress", "charges", "dipole", "polarization", "born_effective_charges",
        "dielectric_tensor", "external_charge_forces",
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

        ``external_field`` (3,) in V/Å acts on every structure; none may then have one of its own in ``info``. A
        ``Model`` is copied: what the caller holds keeps its type, its device and its mode.

        Raises:
            InputError: no such model, dtype or device, a negative skin, an option that there is not, a field that is no
                vector, or electrodes, which this version does not take.
        """
        _refuse(unknown)
        if electrodes is not None:
            raise InputError("electrodes are not supported by this version of farfield")
        if dtype not in (None, "float32", "float64"):
            raise InputError(f'dtype must be "float32" or "float64", not {dtype!r}')
        if not 0 <= skin < float("inf"):
            raise InputError(f"skin must be a length in Å, 0 or more, not {skin}")
        _check_device(device)
        super().__init__()
        self.model = _own_copy(model, None if dtype is None else getattr(torch, dtype), device)
        self.device, self.kept, self.ahead = str(device), KeptNeighbors(skin), ChargeExtrapolation(tight=True)
        self.conditions = {} if external_field is None else {"external_field": copy.deepcopy(external_field)}
        check_conditions(self.conditions, "FarfieldCalculator: ")
        self.embedding: EmbeddingCharges | None = None
        self.overlooked = OverlookedConditions(self.model, given=self.conditions)
        self._under: dict[str, Any] = {}
        self.identity = _identity(self.model, self.conditions)
        self.implemented_properties = [p for p in type(self).implemented_properties if p in self._given()]

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: Iterable[str] = ("energy",),
        system_changes: list[str] = all_changes,
    ) -> None:
        """Fill ``results``; forces (and stress of a crystal, if it has one) come with every call, as MD wants them.

        Raises:
            PropertyNotImplementedError: stress, polarization or dielectric tensor of what is no crystal, or the dipole
                of what is no molecule.
        """
        super().calculate(atoms, properties, system_changes)
        _refuse_elsewhere(properties, self.atoms)
        if "stress" in properties and "external_charges" in self._conditions(self.atoms):
            raise PropertyNotImplementedError(
                "stress: external charges would be strained with the cell, and ASE leaves them where they are; "
                "model(system, want={'stress'}) strains them"
            )
        self.overlooked.look(self.atoms)
        if not set(system_changes) <= {"positions", "cell"}:
            self.ahead = ChargeExtrapolation(tight=True)  # another system: the last steps say nothing of it
        self._under = self._conditions(self.atoms)  # ASE's copy of info shares its arrays
        found = self._predict(self.atoms, frozenset(properties))
        self.results = _results(found, self.atoms)
        if "dielectric_tensor" in self.implemented_properties and self.atoms.pbc.all():
            system = System.from_ase(self.atoms).to(self.device)
            answer = found.polarizability  # None where nothing but atoms answers to a field
            tensor = np.eye(3) if answer is None else _numpy(dielectric_tensor(answer, system)[0])
            self.results["dielectric_tensor"] = tensor

    def export_properties(self) -> Properties:
        """Results that ASE has a name for: all but ``energy_coulomb``."""
        return Properties({name: value for name, value in self.results.items() if name in all_outputs})

    def check_state(self, atoms: ase.Atoms, tol: float = 1e-15) -> list[str]:
        """ASE does not look at ``info``; a changed total charge, spin or other condition is another system."""
        changes: list[str] = super().check_state(atoms, tol)
        if self.atoms is not None and self._under != (now := self._conditions(atoms)):
            others = [{k: v for k, v in x.items() if k != "external_charges"} for x in (self._under, now)]
            changes.append("positions" if others[0] == others[1] else "initial_charges")  # they move as atoms do
        return changes

    def embed(self, charges: Any, **unknown: Any) -> EmbeddingCharges | None:
        """Surround whatever is calculated by point charges ``(sources,)``, e, as ``ase.calculators.qmmm`` asks.

        Their positions are set by ``set_positions``; ``get_forces`` gives the forces on them. None takes them away.

        Raises:
            InputError: a paradigm without charges, charges that are no numbers, or options: nothing is cut off.
        """
        if unknown:
            raise InputError(
                f"embed takes charges alone, not {', '.join(unknown)}: use ase.calculators.qmmm.Embedding()"
            )
        if charges is None:
            self.embedding = None
            return None
        if "external_charges" not in self.model.paradigm.takes:
            kind = self.model.config.paradigm.kind
            raise InputError(f"{kind} takes no external_charges, so that it cannot be embedded: take one with charges")
        self.embedding = EmbeddingCharges(charges)
        return self.embedding

    def _conditions(self, atoms: ase.Atoms) -> dict[str, Any]:
        found = conditions_of(atoms)
        return found if self.embedding is None else found | {"external_charges": self.embedding.rows.tolist()}

    def _predict(self, atoms: ase.Atoms, properties: frozenset[str]) -> Prediction:
        atoms = self._surrounded(atoms)
        system = System.from_ase(atoms).to(self.device)  # in all digits: the model knows how to round them
        want = {"energy", "forces", "charges", "dipole"} & self.model.gives
        one_slope = self.model.paradigm.dipole_is_single_valued or not along_lattice(system).any()
        outside = system.external_charges is not None
        if (atoms.pbc.all() and one_slope and not outside) or "stress" in properties:  # which says why there is none
            want.add("stress")
        if outside and one_slope:
            want |= {"external_charge_forces"} & self.model.gives
        if "born_effective_charges" in properties:
            want.add("born_charges")
        if "dielectric_tensor" in properties and self.model.paradigm.cells_polarize:
            want.add("polarizability")
        system = self.kept.attach(system, self.model.reach(system))
        iterated = self.model.paradigm.iterated_quantity
        start = None if iterated is None else self.ahead.guess(system.n_atoms)
        found: Prediction = self.model(system, want, start)
        if iterated is not None and (values := getattr(found, iterated)) is not None:
            self.ahead.keep(values)
        return found

    def _surrounded(self, atoms: ase.Atoms) -> ase.Atoms:
        """Put the atoms into the calculator's own field and embedding charges."""
        own = dict(self.conditions)
        if self.embedding is not None:
            own["external_charges"] = self.embedding.rows
        if not own:
            return atoms
        if twice := [name for name in own if atoms.info.get(name) is not None]:
            raise InputError(f"{twice[0]} is given twice, to the calculator and in atoms.info: take one away")
        placed = atoms.copy()
        placed.info |= own
        return placed

    def _given(self) -> set[str]:
        given = set(self.model.gives) | {"free_energy"}
        if "born_charges" in given:
            given.add("born_effective_charges")
            if "polarizability" not in given or self.model.paradigm.cells_polarize:
                given.add("dielectric_tensor")
        return given


def _results(found: Prediction, atoms: ase.Atoms) -> dict[str, Any]:
    """List the results of a structure, by ASE's names."""
    crystal, molecule = atoms.pbc.all(), not atoms.pbc.any()
    energy = float(found.energy[0])
    results: dict[str, Any] = {"energy": energy, "free_energy": energy}
    shown = {
        "forces": found.forces,
        "charges": found.charges,
        "external_charge_forces": found.external_charge_forces,
        "born_effective_charges": found.born_charges,
        "dipole": found.dipole[0] if molecule and found.dipole is not None else None,
        "polarization": found.polarization[0] if crystal and found.polarization is not None else None,
    }
    results |= {name: _numpy(value) for name, value in shown.items() if value is not None}
    if found.stress is not None and crystal:
        results["stress"] = full_3x3_to_voigt_6_stress(_numpy(found.stress[0]))
    if found.energy_coulomb is not None:
        results["energy_coulomb"] = float(found.energy_coulomb[0])
    return results


_OF_CRYSTALS, _OF_MOLECULES = ("stress", "polarization", "dielectric_tensor"), ("dipole",)
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
    """Built in float64 and cast once, so that constants are exact in the type asked for.

    Nothing is learned here: without gradients by the weights forces take a sixth less time.
    """
    if not isinstance(model, Model):
        own = load(model, dtype=dtype, device=device)
    else:
        own = from_contents(contents(model)).to(device=device, dtype=dtype or model.dtype).eval()
    return own.requires_grad_(False)


def _refuse_elsewhere(properties: Iterable[str], atoms: ase.Atoms) -> None:
    """Say which property means nothing in this structure: ASE's way for callers to do without.

    Raises:
        PropertyNotImplementedError: one is asked for.
    """
    axes = [axis for axis, periodic in zip("abc", atoms.pbc) if periodic]
    along = f"this structure is periodic along {' and '.join(axes)}" if axes else "this structure is not periodic"
    for name in properties:
        words = name.replace("_", " ")
        if name in _OF_CRYSTALS and len(axes) < 3:
            raise PropertyNotImplementedError(
                f"{words}: only crystals, periodic along three axes, have one, and {along} (pbc: {_letters(atoms)})"
            )
        if name in _OF_MOLECULES and axes:
            raise PropertyNotImplementedError(
                f"{words}: only molecules have one, and {along} (pbc: {_letters(atoms)}); crystals may have a "
                "polarization"
            )


def _letters(atoms: ase.Atoms) -> str:
    return " ".join("T" if periodic else "F" for periodic in atoms.pbc)


def _identity(model: Model, conditions: dict[str, Any]) -> str:
    """Equal for models that predict the same numbers: kind, a hash of configuration and weights, type, a field."""
    found = contents(model)
    constants = [found[name] for name in ("baseline", "offset", "isolated") if name == "baseline" or any(found[name])]
    sha = hashlib.sha256(repr([found["config"], found["species"], *constants]).encode())
    for name, values in found["weights"].items():
        sha.update(name.encode() + values.numpy().tobytes())
    said = [f"{model.config.paradigm.kind} #{sha.hexdigest()[:12]} in {found['dtype']}"]
    return ", ".join(said + [f"{name} {np.asarray(value).tolist()}" for name, value in conditions.items()])


def _numpy(tensor: torch.Tensor | None) -> np.ndarray[Any, Any]:
    if tensor is None:
        raise InputError("the model did not give what it promised")
    return tensor.detach().cpu().double().numpy()
