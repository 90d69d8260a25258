"""The names under which files carry labels and conditions, and conditions that go by another name than the one read."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

USUAL: dict[str, tuple[str, ...]] = {
    "energy": ("energy", "REF_energy", "dft_energy", "total_energy", "free_energy", "E"),
    "forces": ("forces", "REF_forces", "dft_forces", "force"),
    "stress": ("stress", "REF_stress", "dft_stress"),
    "virial": ("virial", "REF_virial", "dft_virial"),
    "charges": ("charges", "mbis_charges", "q_mbis", "q_ref", "hirshfeld_charges", "q_mulliken"),
    "dipole": ("dipole", "REF_dipole", "dft_dipole", "mu"),
    "polarization": ("polarization", "REF_polarization"),
    "born_charges": ("born_charges", "born_effective_charges", "apt", "REF_born_charges", "bec"),
    "polarizability": ("polarizability", "REF_polarizability", "alpha"),
    "total_charge": ("charge", "total_charge", "Q", "net_charge", "tot_charge", "charge_total", "q_total", "qtot",
                     "system_charge", "molecular_charge", "mol_charge"),
    "spin": ("spin", "uhf", "total_spin", "unpaired_electrons", "n_unpaired", "spin_multiplicity", "multiplicity",
             "mult"),
    "external_field": ("external_field", "efield", "electric_field", "e_field", "applied_field"),
    "displacement_field": ("displacement_field", "d_field", "dfield"),
    "electrode_potentials": ("electrode_potentials", "electrode_potential"),
    "fermi_level": ("fermi_level", "fermi_energy", "efermi", "e_fermi"),
    "group": ("group", "label", "pair", "config_type"),
    "distance": ("distance", "separation"),
}  # fmt: skip
"""Names in use for each key of the configuration, the likeliest first."""

_SOURCES = frozenset({"ref", "reference", "dft", "qm", "true", "target", "scf"})
"""Words around a name that say where a number is from, not what it is."""


def spells(key: str, name: str) -> bool:
    """Whether ``key`` of a file is one of the usual names of ``name``, in any case, with or without REF, dft and such.

    ``spells("E_REF", "energy")`` and ``spells("Total-Charge", "total_charge")`` are true.
    """
    return _bare(key) in {_bare(usual) for usual in USUAL[name]}


def is_multiplicity(key: str) -> bool:
    """Whether a spin by that name is 2S + 1, not 2S."""
    return "mult" in key.lower()


def overlooked(infos: Sequence[Mapping[str, Any]], keys: Mapping[str, str]) -> list[str]:
    """Conditions that files state under another name than the one read, and that are not what is taken instead.

    Args:
        infos: ``atoms.info`` of every frame.
        keys: condition → key it is read from, for instance ``{"total_charge": "charge", "spin": "spin"}``.

    Returns:
        A sentence for each, with values and frames; none where the key that is read is there.
    """
    said = []
    for name, key in keys.items():
        if any(info.get(key) is not None for info in infos):
            continue
        for other in dict.fromkeys(k for info in infos for k in info if k != key and spells(k, name)):
            given = [info[other] for info in infos if info.get(other) is not None]
            if strange := [value for value in given if not _means_nothing(value, other)]:
                taken = "none" if "field" in name or "level" in name or "potential" in name else "0"
                said.append(
                    f'info has "{other}", {_shown(strange[0])} in {len(strange)} of {len(infos)} frames; '
                    f'{name} is read from "{key}", which is not there, and taken as {taken}'
                )
    return said


def _bare(key: str) -> str:
    words = [word for word in re.split(r"[^a-z0-9+]+", key.lower()) if word]
    return "".join(word for word in words if word not in _SOURCES) or key.lower()


def _means_nothing(value: Any, key: str) -> bool:
    """Whether leaving it away changes nothing: no charge, no unpaired electron, no field."""
    try:
        return bool((np.asarray(value, dtype=np.float64) == float(is_multiplicity(key))).all())
    except (TypeError, ValueError):
        return False


def _shown(value: Any) -> str:
    return " ".join(f"{x:g}" for x in np.ravel(value)) if np.asarray(value).dtype.kind in "iuf" else str(value)[:40]
