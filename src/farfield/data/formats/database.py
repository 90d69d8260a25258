"""ASE's databases: sqlite, json, lmdb."""

from collections.abc import Iterator
from pathlib import Path

import ase
import ase.db

from farfield.data.formats.remarks import Remarks
from farfield.errors import InputError


def rows(path: Path, remarks: Remarks) -> Iterator[ase.Atoms]:
    """Read row after row. ASE's own reader drops key-value pairs and data; here they become ``info``.

    Raises:
        InputError: the database or one of its rows cannot be read.
    """
    try:
        with ase.db.connect(str(path)) as database:
            for row in database.select():
                try:
                    atoms = row.toatoms()
                    atoms.info = {**row.key_value_pairs, **row.data}
                except Exception as failure:  # as below
                    remarks.leave_out(_failed(f"{path}, row {row.id}", failure))
                else:
                    yield atoms
    except InputError:
        raise
    except Exception as failure:  # sqlite, json and lmdb each have their own
        raise _failed(f"the database {path}", failure) from failure


def _failed(what: str, failure: Exception) -> InputError:
    return InputError(f"cannot read {what}: {type(failure).__name__}: {failure}")
