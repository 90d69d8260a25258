"""Files of trained models, before anything is read of them."""

from pathlib import Path

from farfield.errors import InputError


def existing_model(path: Path | str) -> Path:
    """The path of a model, if there is a file.

    Raises:
        InputError: there is none.
    """
    path = Path(path)
    if path.is_file():
        return path
    inside = path / "model.pt"
    raise InputError(f"there is no model at {path}" + (f"; did you mean {inside}?" if inside.is_file() else ""))


def name_of(model: Path) -> str:
    """Call a model as its file, or as its run folder where the file is what training wrote there."""
    return (model.parent.name if model.stem == "model" else "") or model.stem
