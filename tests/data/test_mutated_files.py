"""Files broken as disks, scripts and people break them: read or refused in words, at once, and never a crash."""

import re
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farfield.data.check import check_file
from farfield.data.config import DataConfig
from farfield.data.read import read_frames
from farfield.errors import InputError

SECONDS = 2.0
"""Of processor time, for checking and reading one file."""
HEADER = "Properties=species:S:1:pos:R:3:forces:R:3"
WATER = f"""3
{HEADER} energy=-1.5 charge=0 spin=0 dipole="0.1 0.2 0.3"
O 0 0 0 0.1 0 0
H 0.96 0 0 -0.1 0 0
H -0.24 0.93 0 0 0 0
"""
CRYSTAL = f"""2
Lattice="4 0 0 0 4 0 0 0 4" {HEADER} energy=-7 stress="0.1 0 0 0 0.1 0 0 0 0.1" pbc="T T T"
Na 0 0 0 0.1 0 0
Cl 2 2 2 -0.1 0 0
"""
SLAB = """3
Lattice="3 0 0 0 3 0 0 0 20" Properties=species:S:1:pos:R:3:forces:R:3:q:R:1:move_mask:L:1 energy=-9.5 pbc="T T F"
Na 0 0 5 0.1 0 0 0.9 T
Cl 1.5 1.5 5 -0.1 0 0 -0.9 T
Ar 0 0 9 0 0 0 0.0 F
"""
NEP = """2
lattice="6 0 0 1 6 0 0 2 6" properties=species:S:1:pos:R:3:force:R:3 Energy=-7 virial="1 0 0 0 1 0 0 0 1" config=bulk
Na 0 0 0 0.1 0 0
Cl 2 2 2 -0.1 0 0
"""
KINDS = (WATER, CRYSTAL, SLAB, NEP)

LINE_END = re.compile("(?<=\n)")
TOKENS = (
    "nan", "inf", "-inf", "1e308", "-1e308", "-0", "1e-320", "9999999999", "1000000000", "********", "", "None", "T",
    "-0.81D+01", "1.0-100", "0", "0.001", "é", "\u2028", "\0", "\r", "=", '"', "'", "{", "[", "\\", "_JSON {", "1_0",
    "O", "Lattice=", 'Lattice="0.001 0 0 0 0.001 0 0 0 0.001"', 'Lattice="1e8 0 0 1e8 1e-3 0 0 0 5"', 'pbc="T F T"',
    'Lattice="9 0 0 9 1e-4 0 0 0 9"', 'Lattice="5 5 5"', "energy=-3", "virial=1", 'stress="1 2 3 4 5 6"',
    "Properties=species:S:1", "Properties=a:Q:x", "energy:R:1", "energy=_JSON[[1],2]", "dipole=x", "charge=nan",
    "pbc=maybe", "free_energy=no", 'energy="1 2"', "external_field=1", "fragment_charges=0", "magmom=T", "charges=2",
    "spin=1e400", 'stress="1 a"',
)  # fmt: skip


@st.composite
def mutated(draw):
    """Bytes of a sound file after a few mutations."""
    text = "".join(text * 2 for text in draw(st.sampled_from(((WATER,), (CRYSTAL,), (SLAB,), (NEP,), KINDS))))
    for _ in range(draw(st.integers(1, 3))):
        text = draw(st.sampled_from((lines, words, columns, numbers, cut)))(draw, text)
    raw = draw(st.sampled_from(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")))
    data = text.encode(raw, "replace")
    for _ in range(draw(st.sampled_from((0, 0, 0, 1)))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=8)) + data[at:]
    return data


def lines(draw, text):
    parts = LINE_END.split(text)
    a, b = (draw(st.integers(0, len(parts) - 1)) for _ in range(2))
    what = draw(st.sampled_from(("delete", "double", "swap", "shuffle", "blank")))
    if what == "delete":
        del parts[a]
    elif what == "double":
        parts.insert(b, parts[a])
    elif what == "blank":
        parts.insert(a, "\n")
    elif what == "swap":
        parts[a], parts[b] = parts[b], parts[a]
    else:
        parts[a] = " ".join(draw(st.permutations(parts[a].split()))) + "\n"
    return "".join(parts)


def words(draw, text):
    """Another word where one stood: in the header more often than among the atoms."""
    spans = [m.span() for m in re.finditer(r'[^\s="]+', text)]
    start, end = draw(st.sampled_from(spans)) if spans else (0, 0)
    return text[:start] + draw(st.sampled_from(TOKENS)) + text[end:]


def columns(draw, text):
    """A column dropped or two swapped, in every line of atoms."""
    a, b, drop = draw(st.integers(0, 7)), draw(st.integers(0, 7)), draw(st.booleans())
    changed = []
    for line in LINE_END.split(text):
        parts = line.split()
        if "=" not in line and len(parts) > max(a, b):
            parts[a], parts[b] = parts[b], parts[a]
            line = " ".join(parts[: -1 if drop else None]) + "\n"
        changed.append(line)
    return "".join(changed)


def numbers(draw, text):
    """Every number of a frame's cell or positions times something."""
    factor = draw(st.sampled_from((0.0, 1e-3, 0.1, -1.0, 10.0, 1e5, 1e12, 1e300)))
    pattern = draw(st.sampled_from((r'(?<=attice=")[^"]*', r"(?m)(?<=^Na )\S+", r"(?m)(?<=^O )\S+ \S+ \S+")))
    return re.sub(pattern, lambda m: " ".join(_times(word, factor) for word in m[0].split()), text)


def cut(draw, text):
    return text[: draw(st.integers(0, len(text)))]


def _times(word, factor):
    try:
        return f"{float(word) * factor!r}"
    except ValueError:
        return word


def outcome(path, data):
    """Check a file and read it as the check proposes; only an InputError may come of it, and that soon."""
    path.write_bytes(data)
    begun = time.process_time()
    report = check_file(path)
    try:
        config = report.config or {"train": str(path), "energy": "energy"}
        read_frames(path, DataConfig(**config))
        found = "read"
    except InputError:
        found = "refused"
    assert time.process_time() - begun < SECONDS
    return found


def run(tmp_path, examples):
    path, counts = tmp_path / "mutated.xyz", Counter()
    for kind in KINDS:  # compiles what must be
        assert outcome(path, (kind * 6).encode()) == "read"

    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(mutated())
    def holds(data):
        counts[outcome(path, data)] += 1

    holds()
    print(f"{sum(counts.values())} mutated files: {dict(counts)}")
    assert counts["read"] > examples // 20  # mutations that leave nothing sound would test little
    assert counts["refused"] > examples // 20


def test_mutated_files(tmp_path):
    run(tmp_path, 200)


@pytest.mark.slow
def test_many_mutated_files(tmp_path):
    run(tmp_path, 2000)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n\n",
        bytes(range(256)) * 8,
        np.arange(1000.0).tobytes(),
        b"1000000000\nenergy=1\nH 0 0 0\n",
        b"999999999999999999\nenergy=1\nH 0 0 0\n",
        b"9" * 6000,
        b"1\n" + b'"' * 5000,
        b"1\nenergy=_JSON " + b"[" * 5000 + b"\nH 0 0 0\n",
        b"1\nProperties=species:S:1:pos:R:3:f:R:999999999 energy=1\nH 0 0 0\n",
        b"\xff\xfe1\x00",
        b"\xff\xfe\x00\x00\x01",
        b"\x1f\x8b broken",
        WATER.encode("utf-16-le"),
    ],
)
def test_what_is_no_file_of_structures(tmp_path, data):
    for name in ("mutated.xyz", "mutated.txt", "mutated"):
        assert outcome(tmp_path / name, data) == "refused"
