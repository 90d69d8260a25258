"""Names of keys: what a key could be a label of, and what it is not although it sounds like it."""

import re

from farfield.data.spellings import names_a_method, preference, words

_SOUNDS = {
    "energy": r"energ(y|ies)|eng|e",
    "forces": r"forces?|forc|frc|for|gradients?|grad",
    "stress": r"stress(es)?|pressure",
    "virial": r"virials?",
    "charges": r"charges?|chg|q",
    "wannier_displacement": r"wannier|wc",
    "dipole": r"dipoles?|dip",
    "polarization": r"polari[sz]ations?",
    "born_charges": r"born|becs?|apts?|zstar",
    "polarizability": r"polari[sz]abilit(y|ies)",
    "total_charge": r"charges?|q",
    "spin": r"spins?|multiplicity|mult|uhf",
}
"""Words that make a key sound like a quantity."""
_NOT_A_REFERENCE = {
    r"pred\w*|mace|nequip|allegro|nep|chgnet|m3gnet|sevennet|mattersim|orb|uma|mlips?|mlp|mlff|ml|nnp?|model|farfield|"
    r"classical|ff|lammps|student": "a prediction, not a reference",
    r"sigma|std|stddev|stdev|var|variance|err|errors?|unc\w*|rmse|mae|mad|diff\w*|delta|residuals?|dev|deviation|"
    r"committee|ensemble|max|maximum|min|rms|norm": "an error or a spread",
    r"weights?|regulari[sz]ation|mask|flag|scale|shift|units?|cutoff|threshold|tol\w*|method|level|id|idx|index|version|"
    r"source": "says how to use another key",
}
_NOT_THE_TOTAL = {
    r"inter|interact\w*|int|bind\w*|adsor\w*|ads|binding|ie": "an energy of interaction, not the total",
    r"form|formation|atomi[sz]ation|cohesive|coh|hull|above|relative|rel|reaction|eat|ef": "a relative energy",
    r"per|peratom|pa|atom": "an energy per atom, not the total",
    r"kin|kinetic|ekin|ke|total_md|thermal|conserved": "an energy of motion",
    r"fermi|efermi|homo|lumo|gap|band|orbital|orb|ionization|affinity|excitation|excited": "an electronic level",
    r"zpe|zero|zpve|enthalpy|entropy|gibbs|h|g|vib\w*|thermo\w*|correction|corr|solv\w*|strain|reorg\w*|one|two|xc|"
    r"exchange|correlation|nuc\w*|repulsion|rep|coul\w*|electrostat\w*|elec|es|vdw|disp\w*|d3|d4|mbd|ts|lj|bond|angle|"
    r"dihedral|long|short|lr|sr|baseline|isolated|reference_atoms|e0s?|ext|external|spring|bias|restraint|"
    r"surface|frag\w*|fragment": "a part of the energy",
}  # fmt: skip
_NOT_THE_ATOMS = {
    r"initial|init|guess|start": "what a calculation started from",
    r"formal|integer|oxidation": "formal charges",
    r"nuclear|core|valence|nuc|zval|number": "charges of nuclei",
    r"born|effective|total|net|tot|system|molecular|mol|molecule|frag\w*|fragment": "no charges of atoms",
}

_DISPERSION = frozenset({"d3", "d4", "mbd", "vdw", "ts", "disp"})


def unfit(key: str, target: str) -> str:
    """Say why a key that sounds like a target is none; empty where nothing speaks against it."""
    if preference(key, target) is not None and not (target == "charges" and "initial" in words(key)):
        return ""
    kinds = dict(_NOT_A_REFERENCE)
    kinds |= {"energy": _NOT_THE_TOTAL, "charges": _NOT_THE_ATOMS}.get(target, {})
    if target == "forces":
        kinds |= {r"gradients?|grad": "a gradient, which is minus the forces"}
    if target == "stress":
        kinds |= {r"pressure": "a pressure, which is minus the stress"}
    if target == "wannier_displacement":
        kinds |= {r"centers?|centres?|centroids?|positions?|coords?|places?": "where centroids are, not how far off"}
    if target == "energy" and re.fullmatch(r"energy[A-Z]", key):
        return "the energy of a fragment"
    found = words(key)
    if any(names_a_method(word) for word in found):  # a functional and its dispersion are a total energy
        found = [word for word in found if word not in _DISPERSION]
    return next((why for pattern, why in kinds.items() if any(re.fullmatch(pattern, word) for word in found)), "")


def sounds_like(key: str, target: str) -> bool:
    """Tell whether the name has a word of the target in it, or is one of its usual names."""
    if preference(key, target) is not None:
        return True
    pattern = _SOUNDS.get(target, rf"{target.removesuffix('s')}s?")
    return any(re.fullmatch(pattern, word) for word in words(key))


def is_free_energy(key: str) -> bool:
    """Tell whether an energy by that name is what forces are the slope of where electrons are smeared out."""
    return "free" in words(key) or {"e", "fr"} <= set(words(key))
