"""The run folder: its configuration, its log, and the refusal to mix two runs in one."""

import csv
import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from farfield.atomic_write import write_atomically
from farfield.config import to_plain, validated
from farfield.data.splits import Splits
from farfield.errors import InputError
from farfield.train.config import RunConfig

CONFIG, LOG, SPLITS = "config.yaml", "log.csv", "splits.json"
_FREE = {"train.threads", "train.device", "train.checkpoint_seconds", "train.tensorboard", "compare", "probe", "out"}
"""Keys that may change between two sittings of one run: they do not change what is computed."""
_MEANT = {"data.energy_unit": "eV", "data.stress_unit": "eV/angstrom^3"}
"""What keys mean that are absent, and what earlier versions wrote down for them."""


def claim_folder(folder: Path, config: dict[str, Any], splits: Splits) -> None:
    """Create the run folder and write down configuration and splits; or find that it is this run's already.

    Raises:
        InputError: the folder cannot be written, or holds a run of another configuration or of other data.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise InputError(
            f"cannot create the run folder {folder}: {failure.strerror}. Choose another --out"
        ) from failure
    if os.environ.get("LOCAL_RANK", "0") == "0":  # only the first of several processes writes here
        for torn in folder.glob(".*.tmp"):  # left by a kill in the middle of a write
            torn.unlink(missing_ok=True)
    record = {"fingerprint": fingerprint(splits), "splits": splits.described()}
    if (folder / CONFIG).exists():
        _compare_configuration(folder, config)
    if (folder / SPLITS).exists() and _read(folder / SPLITS).get("fingerprint") != record["fingerprint"]:
        raise InputError(
            f"the data of the run in {folder} have changed since it started: choose another --out, or remove the folder"
        )
    write_atomically(folder / CONFIG, yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode())
    write_atomically(folder / SPLITS, json.dumps(record, indent=1, ensure_ascii=False).encode())


def fingerprint(splits: Splits) -> str:
    """A hash of every structure and label, in order."""
    digest = hashlib.sha256()
    for name, frames in splits.named().items():
        digest.update(name.encode())
        for frame in frames:
            system, labels = frame.system, frame.labels
            for tensor in (
                system.numbers,
                system.positions,
                system.cell,
                system.charge,
                system.spin,
                *system.conditions.values(),
                *(x for x in (system.fragment, system.fragment_charges, system.electrode) if x is not None),
                *(() if system.external_charges is None else vars(system.external_charges).values()),
                *(() if system.potential_points is None else (system.potential_points.positions,)),
                *vars(labels).values(),
            ):
                digest.update(b"-" if tensor is None else np.ascontiguousarray(tensor.numpy()).tobytes())
    return digest.hexdigest()


def _compare_configuration(folder: Path, config: dict[str, Any]) -> None:
    before, now = (_flat(plain) for plain in (_in_full(_read(folder / CONFIG)), config))
    changed = sorted(k for k in before.keys() | now.keys() if k not in _FREE and before.get(k) != now.get(k))
    if changed == ["train.epochs"] and _extends(folder, before["train.epochs"], now["train.epochs"]):
        return
    if changed:
        lines = "\n".join(f"  {k}: was {before.get(k)}, is {now.get(k)}" for k in changed[:10])
        raise InputError(
            f"{folder} holds a run of another configuration:\n{lines}\nChoose another --out, or remove the folder"
            + (". A run can be given more epochs once it has ended" if changed == ["train.epochs"] else "")
        )


def _extends(folder: Path, before: int, now: int) -> bool:
    """Tell whether a run that has ended is asked for more epochs."""
    log = folder / LOG
    done = len(log.read_text().splitlines()) - 1 if log.exists() else 0
    return now > before and done >= before


def _in_full(plain: dict[str, Any]) -> dict[str, Any]:
    """A configuration that an earlier version wrote down, with the keys that have come since."""
    try:
        return to_plain(validated(RunConfig, plain, ""))
    except InputError:  # with keys that have gone since: compared as it stands
        return plain


def _read(path: Path) -> dict[str, Any]:
    """A file of the run folder; JSON is YAML too."""
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as failure:
        raise InputError(
            f"{path} is damaged ({type(failure).__name__}): remove the run folder to start anew"
        ) from failure
    return found if isinstance(found, dict) else {}


def write_log(folder: Path, history: list[dict[str, float]]) -> None:
    """``log.csv``: a row an epoch."""
    if not history:
        return
    text = io.StringIO()
    columns = list(dict.fromkeys(key for row in history for key in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.8g}" for k, v in row.items()} for row in history)
    write_atomically(folder / LOG, text.getvalue().encode())


def board(folder: Path) -> Any:
    """A TensorBoard writer in ``folder/tensorboard``.

    Raises:
        InputError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as missing:
        raise InputError("train.tensorboard needs TensorBoard: pip install 'farfield[tensorboard]'") from missing
    return SummaryWriter(str(folder / "tensorboard"), flush_secs=10)


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys → values; a unit left open is the one it means."""
    out: dict[str, Any] = {}
    for key, value in config.items():
        name = prefix + key
        out |= (
            _flat(value, f"{name}.")
            if isinstance(value, dict)
            else {name: _MEANT.get(name) if value is None else value}
        )
    return out
