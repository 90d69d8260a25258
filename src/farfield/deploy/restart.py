"""Trajectories to restart from: whose they are, and how much of them is whole."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase.io.trajectory import Trajectory

from farfield.atomic_write import write_atomically
from farfield.conditions import CONDITIONS
from farfield.deploy.constraints import described
from farfield.errors import InputError

WRITER = "farfield md"
MAGIC = b"- of UlmASE-Trajectory"
_STEP_UP = 42  # the index of an ASE trajectory grows by this factor whenever it is full


def fingerprint(atoms: ase.Atoms, options: dict[str, Any], model: str) -> dict[str, Any]:
    """Describe what makes a run this run and no other, as plain JSON types; long arrays as hashes.

    ``options`` are those that change the physics, ``model`` names what gives the forces.
    """
    return {
        "atoms": atoms.get_chemical_formula(),
        "positions": digest(atoms.numbers, atoms.positions),
        "velocities": digest(atoms.get_momenta()),
        "masses": digest(atoms.get_masses()),
        "cell": atoms.cell.array.tolist(),
        "pbc": atoms.pbc.tolist(),
        "charge": _plain(atoms.info.get("charge", 0)),
        "spin": _plain(atoms.info.get("spin", 0)),
        **{name: _plain(atoms.info[name]) for name in CONDITIONS if atoms.info.get(name) is not None},
        **_fragments(atoms),
        **_surroundings(atoms),
        **_constraints(atoms),
        **options,
        "model": model,
    }


def _fragments(atoms: ase.Atoms) -> dict[str, Any]:
    if "fragment" not in atoms.arrays or "fragment_charges" not in atoms.info:
        return {}
    return {"fragments": digest(atoms.arrays["fragment"], np.asarray(atoms.info["fragment_charges"]))}


def _surroundings(atoms: ase.Atoms) -> dict[str, Any]:
    """Name external charges and electrodes, as hashes."""
    found = {"external_charges": atoms.info.get("external_charges"), "electrode": atoms.arrays.get("electrode")}
    return {name: digest(np.asarray(value)) for name, value in found.items() if value is not None}


def _constraints(atoms: ase.Atoms) -> dict[str, Any]:
    """Name the constraints, with a hash of what they hold."""
    if not atoms.constraints:
        return {}
    names = sorted({type(constraint).__name__ for constraint in atoms.constraints})
    sha = hashlib.sha256("\n".join(described(atoms)).encode())
    return {"constraints": f"{', '.join(names)} #{sha.hexdigest()[:12]}"}


def digest(*arrays: np.ndarray[Any, Any]) -> str:
    """A short name for numbers: equal where they are equal to the last bit."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update((np.asarray(array, dtype=np.float64) + 0.0).tobytes())  # -0 and 0 are one number
    return f"#{sha.hexdigest()[:12]}"


def _plain(value: Any) -> Any:
    return np.asarray(value).item() if np.size(value) == 1 else np.asarray(value).tolist()


def log_of(out: Path) -> Path:
    """The table beside a trajectory."""
    return out.with_suffix(".csv")


def identity_of(out: Path) -> Path:
    """The fingerprint beside a trajectory."""
    return out.with_suffix(".json")


def check_claim(out: Path, run: dict[str, Any]) -> None:
    """Nothing at ``out`` or beside it belongs to anybody but this run.

    Raises:
        InputError: it does, or nobody can tell; what differs is listed.
    """
    if out in (log_of(out), identity_of(out)):
        raise InputError(f"{out} is where the {out.suffix[1:]} beside the trajectory goes: name it like md.traj")
    before = _recorded(identity_of(out))
    if before is None:
        for path in (out, log_of(out)):
            if _has_content(path):
                raise InputError(
                    f"{path} is there already, and no {identity_of(out).name} says which run it is of: "
                    "choose another --out"
                )
        return
    names = [name for name in {**before, **run} if before.get(name) != run.get(name)]
    if names and (_has_content(out) or _has_content(log_of(out))):
        differ = "; ".join(f"{name} was {before.get(name)}, is {run.get(name)}" for name in names)
        raise InputError(f"{out} is of another run: {differ}. To keep it, choose another --out")


def claim(out: Path, run: dict[str, Any]) -> None:
    """Write the fingerprint beside the trajectory, before its first frame."""
    content = json.dumps({"written_by": WRITER, "run": run}, indent=1, ensure_ascii=False)
    write_atomically(identity_of(out), content.encode())


def _recorded(path: Path) -> dict[str, Any] | None:
    """The fingerprint there; None where there is none."""
    if not _has_content(path):
        return None
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("written_by") != WRITER or not isinstance(found.get("run"), dict):
        raise InputError(f"{path} is there already and is not from {WRITER}: choose another --out")
    run: dict[str, Any] = found["run"]
    return run


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def whole_frames(out: Path) -> int:
    """Count the frames that can be read; what a kill or a full disk tore at the end of the file is cut off.

    Raises:
        InputError: the file holds something else than frames of ours.
    """
    if not _has_content(out):
        return 0
    if not _is_whole(out):
        content = out.read_bytes()
        if content[: len(MAGIC)] != MAGIC[: len(content)]:
            raise InputError(f"{out} is there but is no trajectory: remove it, or choose another --out")
        mended = _mended(out, content)
        write_atomically(out, mended)
        if not mended:
            return 0
    with Trajectory(str(out)) as frames:
        return len(frames)


def _is_whole(out: Path) -> bool:
    """The index is there in full, and so is the last frame (frames come in order)."""
    try:
        _, items, index = (int(n) for n in np.fromfile(out, "<i8", 3, offset=len(MAGIC) + 2))
        if index + 8 * _capacity(items) > out.stat().st_size:
            return False
        with Trajectory(str(out)) as frames:
            return not len(frames) or "step" in frames[-1].info
    except Exception:  # ASE has no error of its own for torn files
        return False


def _mended(out: Path, content: bytes) -> bytes:
    """The frames that are whole under a new index. The old index may be torn too, so they are looked for."""
    found: dict[int, tuple[int, int]] = {}  # step: where its description begins and ends
    for brace in re.finditer(rb'\{"', content):
        begin = brace.start() - 8
        size = int.from_bytes(content[max(begin, 0) : brace.start()], "little", signed=True)
        frame = _description(content[brace.start() : brace.start() + size], size)
        if frame is None:
            continue
        if "step" not in frame.get("info", {}):
            raise InputError(f"{out} holds frames that {WRITER} did not write: choose another --out")
        found[frame["info"]["step"]] = (begin, brace.start() + size)
    if not found:
        return b""
    offsets = np.zeros(_capacity(len(found)), dtype="<i8")
    offsets[: len(found)] = [begin for begin, _ in found.values()]
    end = max(end for _, end in found.values())
    kept = content[:end].ljust(-(-end // 8) * 8, b"#")
    header = np.array(
        [len(found), len(kept)], dtype="<i8"
    )  # after the magic and the version: frames, where the index is
    return kept[:32] + header.tobytes() + kept[48:] + offsets.tobytes()


def _description(text: bytes, size: int) -> dict[str, Any] | None:
    """Every frame ends in a JSON object, with its length before it; its arrays lie before that."""
    if size < 2 or len(text) != size or not text.endswith(b"}"):
        return None
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError:
        return None
    return found


def _capacity(items: int) -> int:
    capacity = 1
    while capacity < items:
        capacity *= _STEP_UP
    return capacity
