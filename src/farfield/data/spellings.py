"""The names under which files carry labels and conditions, and conditions that go by another name than the one read."""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

USUAL: dict[str, tuple[str, ...]] = {
    "energy": ("energy", "REF_energy", "dft_energy", "total_energy", "free_energy", "E", "energies", "tot_energy",
               "potential_energy", "etot", "toten", "e_tot", "e_total", "e_pot", "epot", "PotEng", "pe", "e_0_energy",
               "e_wo_entrp",
               "e_fr_energy", "total_free_energy", "uncorrected_total_energy", "corrected_total_energy",
               "corrected_energy", "ePBE0+MBD", "ePBE0", "U0"),
    "forces": ("forces", "REF_forces", "dft_forces", "force", "F", "total_forces", "tot_forces", "atomic_forces", "frc",
               "totFOR", "pbe0FOR"),
    "stress": ("stress", "REF_stress", "dft_stress", "stresses", "stress_tensor", "total_stress", "cauchy_stress",
               "virial_stress"),
    "virial": ("virial", "REF_virial", "dft_virial", "virials", "virial_tensor", "total_virial"),
    "charges": ("charges", "mbis_charges", "q_mbis", "q_ref", "hirshfeld_charges", "q_mulliken", "mulliken_charges",
                "bader_charges", "cm5_charges", "ddec_charges", "ddec6_charges", "npa_charges", "nbo_charges",
                "resp_charges", "esp_charges", "chelpg_charges", "loewdin_charges", "lowdin_charges", "i_pi_charges",
                "mbis_charge", "q_hirshfeld", "q_bader", "q_cm5", "q_ddec", "q_npa", "q_nbo", "q_resp", "q_esp",
                "partial_charges", "atomic_charges", "atom_charges", "charge", "q", "qs", "hCHG"),
    "dipoles": ("dipoles", "mbis_dipoles", "atomic_dipoles", "atom_dipoles", "hirshfeld_dipoles", "ddec6_dipoles",
                "ddec_dipoles", "mbis_dipole", "iao_dipoles", "local_dipoles"),
    "quadrupoles": ("quadrupoles", "mbis_quadrupoles", "atomic_quadrupoles", "atom_quadrupoles",
                    "hirshfeld_quadrupoles", "ddec6_quadrupoles", "ddec_quadrupoles", "mbis_quadrupole"),
    "wannier_displacement": ("wannier_displacement", "wannier_displacements", "wannier_centroid_displacement",
                             "wannier_centroids_displacement", "wannier_vector", "wc_displacement", "atomic_dipole"),
    "dipole": ("dipole", "REF_dipole", "dft_dipole", "mu", "dipoles", "dipole_moment", "total_dipole", "tot_dipole",
               "molecular_dipole", "vDIP"),
    "quadrupole": ("quadrupole", "REF_quadrupole", "dft_quadrupole", "scf_quadrupole", "quadrupole_moment",
                   "total_quadrupole", "molecular_quadrupole", "quadrupoles"),
    "polarization": ("polarization", "REF_polarization", "polarisation", "total_polarization", "berry_polarization"),
    "potential": ("potential", "esp", "electrostatic_potential", "esp_values", "grid_esp", "mep"),
    "born_charges": ("born_charges", "born_effective_charges", "apt", "REF_born_charges", "bec", "becs", "apts",
                     "zstar", "z_star", "atomic_polar_tensors", "born"),
    "polarizability": ("polarizability", "REF_polarizability", "alpha", "polarizability_tensor", "polarisability",
                       "total_polarizability"),
    "total_charge": ("charge", "total_charge", "Q", "net_charge", "tot_charge", "charge_total", "q_total", "qtot",
                     "q_tot", "system_charge", "molecular_charge", "mol_charge", "molecule_charge", "chg", "tot_chg",
                     "total_chg", "charge_state", "formal_charge"),
    "spin": ("spin", "uhf", "total_spin", "unpaired_electrons", "n_unpaired", "n_unpaired_electrons",
             "num_unpaired_electrons", "number_of_unpaired_electrons", "unpaired", "spin_multiplicity", "multiplicity",
             "mult", "spin_mult"),
    "external_field": ("external_field", "efield", "electric_field", "e_field", "applied_field"),
    "displacement_field": ("displacement_field", "d_field", "dfield"),
    "electrode_potentials": ("electrode_potentials", "electrode_potential"),
    "fermi_level": ("fermi_level", "fermi_energy", "efermi", "e_fermi"),
    "group": ("group", "label", "pair", "config_type"),
    "distance": ("distance", "separation"),
}  # fmt: skip
"""Names in use for each key of the configuration, the likeliest first."""

_SOURCES = frozenset({"ref", "reference", "dft", "qm", "true", "target", "scf", "label", "labels", "calc", "calculated",
                      "vasp", "cp2k", "orca", "psi4", "qe", "aims", "castep", "gaussian", "pyscf", "abacus", "siesta",
                      "turbomole", "ase", "gpaw"})  # fmt: skip
"""Words around a name that say where a number is from, not what it is."""
_METHOD = re.compile(
    r"lda|pbe0?|pbesol|revpbe0?|rpbe|pw91|r2?scan0?|b3lyp|blyp|w?b97[a-z0-9]*|m06[a-z0-9]*|hse|hse0\d|hf|r?mp2|ri|dlpno|"
    r"ccsdt?|cbs|fci|xtb|g?fn\d|gfn\d?xtb|dftb\d?|def2|[dtq]zv?p*|t?svpd?|tzvpp?d?|avtz|avqz|rhf|uhf|uks|rks|hybrid|gga"
)
"""Words that say how it was calculated."""
_UNITS: dict[str, tuple[str, ...]] = {
    "eV": ("ev",),
    "meV": ("mev",),
    "hartree": ("hartree", "ha", "eh", "au", "hartrees"),
    "rydberg": ("ry", "rydberg"),
    "kcal/mol": ("kcal", "kcalmol", "kcalpermol"),
    "kJ/mol": ("kj", "kjmol", "kjpermol"),
    "GPa": ("gpa",),
    "kbar": ("kbar", "kb"),
    "debye": ("debye",),
}
_UNIT_WORDS = {word: unit for unit, words in _UNITS.items() for word in words}
_QUANTITY = re.compile(r"(energ(?:y|ies)|forces?|stress(?:es)?|virials?|charges?|dipoles?)")


def spells(key: str, name: str) -> bool:
    """Tell whether ``key`` of a file is a usual name of ``name``, in any case, with or without REF, PBE, eV, ….

    ``spells("E_REF", "energy")``, ``spells("TotEnergy", "energy")`` and ``spells("Total-Charge", "total_charge")`` are
    true.
    """
    return preference(key, name) is not None


def preference(key: str, name: str) -> int | None:
    """Place of ``key`` among the usual names of ``name``, the likeliest first; None if it is none of them."""
    if key in USUAL[name]:
        return USUAL[name].index(key)
    bare = _bare_usual(name)
    return len(bare) + bare.index(_bare(key)) if _bare(key) in bare else None


def words(key: str) -> list[str]:
    """The words of a key, in lower case: ``["tot", "energy"]`` of TotEnergy, tot-energy, TOTENERGY and tot_energy."""
    apart = re.sub(
        r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z])",
        " ",
        key.replace("GPa", "gpa").replace("(t)", "t").replace("(T)", "t"),
    ).lower()
    return [word for word in re.split(r"[^a-z0-9]+", _QUANTITY.sub(r" \1 ", apart)) if word]


def names_a_method(word: str) -> bool:
    """Tell whether a word of a key says how it was calculated, as pbe and wb97x do."""
    return _METHOD.fullmatch(word) is not None


def unit_in_name(key: str, units: Collection[str]) -> str | None:
    """The one of ``units`` that a key names behind the quantity, as ``energy_hartree`` does; None without one."""
    return next((u for word in words(key)[1:] if (u := _UNIT_WORDS.get(word)) in units), None)


def is_multiplicity(key: str) -> bool:
    """Tell whether a spin by that name is 2S + 1, not 2S."""
    return "mult" in key.lower()


def overlooked(
    infos: Sequence[Mapping[str, Any]],
    keys: Mapping[str, str],
    *,
    multiplicity: bool | None = None,
    configured: bool = False,
) -> list[str]:
    """Find conditions that files state under another name than the one read, and that are not what is taken.

    Args:
        infos: ``atoms.info`` of every frame.
        keys: condition → key it is read from, for instance ``{"total_charge": "charge", "spin": "spin"}``.
        multiplicity: whether the spin that is read is 2S + 1; by its name where that is not told.
        configured: whether a configuration can name another key, which the sentences then say.

    Returns:
        A sentence for each, with values and frames.
    """
    said = []
    for name, key in keys.items():
        for other in dict.fromkeys(k for info in infos for k in info if k != key and _states(str(k), name)):
            doubled = is_multiplicity(key) if multiplicity is None else multiplicity
            apart = [info for info in infos if _contradicts(info, name, (key, doubled), other)]
            if apart:
                reads = _to_type(name, other, multiplicity=multiplicity) if configured else ""
                said.append(f"{_sentence(apart, len(infos), name, key, other)}{reads}")
    return said


def _states(other: str, name: str) -> bool:
    """Tell whether a key states a condition; Fermi levels under other names are what a calculation has found."""
    return spells(other, name) and (name != "fermi_level" or _bare(other) == _bare(name))


def _contradicts(info: Mapping[str, Any], name: str, read: tuple[str, bool], other: str) -> bool:
    """Tell whether ``other`` says something else than what is ``read``: key, and whether it is 2S + 1."""
    if info.get(other) is None or (name in ("total_charge", "spin") and np.size(info[other]) != 1):
        return False
    key, doubled = read
    spin, absent = name == "spin", info.get(key) is None
    stated = _numbers(info[other], less=float(spin and is_multiplicity(other)))
    taken = np.zeros(1) if absent else _numbers(info[key], less=float(spin and doubled))
    if stated is None or taken is None:
        return absent
    return not (absent or stated.shape == taken.shape) or not np.allclose(stated, taken, rtol=1e-3, atol=1e-6)


def _numbers(value: Any, *, less: float) -> NDArray[np.float64] | None:
    """Flat, and ``less`` by 1 where 2S + 1 is given for 2S; None where it holds no numbers."""
    try:
        return np.ravel(np.asarray(value, dtype=np.float64)) - less
    except (TypeError, ValueError):
        return None


def _sentence(apart: Sequence[Mapping[str, Any]], frames: int, name: str, key: str, other: str) -> str:
    """Say what ``other`` is in the frames that are ``apart``, and what is taken instead."""
    has = f'info has "{other}", {_shown(apart[0][other])} in {len(apart)} of {frames} frames'
    if (read := apart[0].get(key)) is not None:
        return f'{has}, where "{key}", which is read, is {_shown(read)}'
    taken = "none" if "field" in name or "level" in name or "potential" in name else "0"
    return f'{has}; {name} is read from "{key}", which is not there, and taken as {taken}'


def _to_type(name: str, other: str, *, multiplicity: bool | None) -> str:
    unit = "multiplicity" if is_multiplicity(other) else "unpaired"
    also = f", spin_unit: {unit}" if name == "spin" and is_multiplicity(other) != bool(multiplicity) else ""
    return f"; to read it, data: {name}: {other}{also}"


@cache
def _bare_usual(name: str) -> tuple[str, ...]:
    return tuple(_bare(usual) for usual in USUAL[name])


@cache
def _bare(key: str) -> str:
    """Without the words that say where it is from, how it was calculated and in what unit."""
    found = words(key)
    kept = [word for word in found if word not in _SOURCES and not names_a_method(word)]
    if len(kept) > 1:
        kept = [kept[0], *(word for word in kept[1:] if word not in _UNIT_WORDS and word != "mol")]
    return "".join(kept) or "".join(found)


def _shown(value: Any) -> str:
    return " ".join(f"{x:g}" for x in np.ravel(value)) if np.asarray(value).dtype.kind in "iuf" else str(value)[:40]
