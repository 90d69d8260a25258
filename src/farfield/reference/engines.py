"""Engines by the word users type."""

import importlib
import sys
from pathlib import Path
from typing import Any

from farfield.errors import InputError
from farfield.reference.ase_calculator import ASEEngine
from farfield.reference.contract import Engine
from farfield.reference.pyscf import PySCFEngine
from farfield.reference.tblite import TBLiteEngine


def engine_named(name: str, options: dict[str, Any] | None = None) -> Engine:
    """``pyscf``, ``tblite`` or ``ase:module:Class`` (any ASE calculator, constructed without arguments).

    Raises:
        InputError: no such engine, or options it does not take.
    """
    options = options or {}
    if name == "pyscf":
        return PySCFEngine(**options)
    if options:
        raise InputError(f"--{' and --'.join(options)}: only for --engine pyscf, not for {name}")
    if name == "tblite":
        return TBLiteEngine()
    if name.startswith("ase:") and name.count(":") == 2:
        return calculator_named(name.removeprefix("ase:"))
    raise InputError(
        f"there is no engine {name!r}: choose pyscf, tblite or ase:module:Class, e.g. ase:ase.calculators.emt:EMT"
    )


def calculator_named(name: str) -> ASEEngine:
    """``module:Class``, any ASE calculator that is constructed without arguments.

    Found among what is installed, in PYTHONPATH, and last in the current folder, where users keep their own.

    Raises:
        InputError: no such module or class.
    """
    module, colon, calculator = name.partition(":")
    if not (module and colon and calculator):
        raise InputError(f"{name!r} names no calculator: write module:Class, e.g. ase.calculators.emt:EMT")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # worker processes inherit it
    try:
        getattr(importlib.import_module(module), calculator)
    except (ImportError, AttributeError) as failure:
        raise InputError(f"{name}: {failure}") from failure
    return ASEEngine(module, calculator)
