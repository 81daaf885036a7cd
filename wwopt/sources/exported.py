"""Exported programs (``.pt2``) that can be run: read only after everything in them that could act has been checked."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["read_program"]

LARGEST_GRAPH = 100_000_000  # bytes of its JSON
GRAPH, WEIGHTS, CONSTANTS = "models/model.json", "data/weights/", "data/constants/"
CONFIGS = {WEIGHTS: "model_weights_config.json", CONSTANTS: "model_constants_config.json"}
SAMPLES = "data/sample_inputs/"
# fmt: off
OPERATORS = re.compile(r"torch\.ops\.(aten|prims)\.\w+\.\w+|math\.(ceil|floor|sqrt|trunc)|torch\.sym_\w+|_operator\.("
                       r"add|and_|eq|floordiv|ge|getitem|gt|le|lt|mod|mul|ne|neg|not_|or_|pos|pow|sub|truediv)")
# fmt: on
FILES = re.compile(r"torch\.ops\.aten\.(from_file|save|load)\b")  # operators that open files
WORDS = re.compile(r"[suz]\d+|Symbol|Integer|Float|Rational|True|False|integer|positive|nonnegative|negative|real|"
                   r"Add|Mul|Pow|Mod|PythonMod|Max|Min|Eq|Ne|Lt|Le|Gt|Ge|And|Or|Not|FloorDiv|CleanDiv|"
                   r"IntTrueDiv|FloatTrueDiv|CeilToInt|FloorToInt|TruncToInt|ModularIndexing|Identity")  # fmt: skip
EXPRESSION = re.compile(r"[\w\s+\-*/(),'=<>]*")


def read_program(path: Path) -> Any:
    """Read a program that ``torch.export.save`` wrote, as a module.

    ``torch.export.load`` runs what it finds in pickles, evaluates sizes as code, and calls whatever the graph names. So
    the file is refused if it holds a pickle of anything but tensors, a size that is no plain arithmetic, or a call of
    anything but PyTorch's operators on tensors.

    Parameters
    ----------
    path : Path
        Of the file.

    Returns
    -------
    torch.nn.Module
        Takes batches of any size, also where it was exported with one.

    Raises
    ------
    ValueError
        The file is damaged, or holds something that is not run.
    """
    import torch  # noqa: PLC0415  (heavy)

    content = path.read_bytes()
    try:
        _check(content)
        program = torch.export.load(io.BytesIO(content))
        module = program.module(check_guards=False)  # guards would be code of the file
    except Exception as error:  # what is damaged can break anywhere
        raise ValueError(f"{path.name} cannot be run: {error}") from error
    size = _fixed_batch(program)
    return module if size is None else _in_batches(module, size)


def _check(content: bytes) -> None:
    """Refuse what `torch.export.load` would run."""
    import torch  # noqa: PLC0415  (heavy)

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [name.partition("/")[2] for name in archive.namelist()]
        members = dict(zip(names, archive.namelist(), strict=True))
        if len(members) < len(names) or GRAPH not in members:
            raise ValueError("it is no archive of one program by torch.export.save of PyTorch 2.8 or later")
        if any("aotinductor" in name for name in names):
            raise ValueError("it holds compiled code")
        for folder, config in CONFIGS.items():
            _check_tensors(json.loads(_read(archive, members[folder + config])), [*names], folder)
        for name in names:
            if name.startswith(SAMPLES) and name.endswith(".pt"):
                torch.load(io.BytesIO(_read(archive, members[name])), weights_only=True)
        _check_graph(json.loads(_read(archive, members[GRAPH])))


def _read(archive: zipfile.ZipFile, member: str) -> bytes:
    if archive.getinfo(member).file_size > LARGEST_GRAPH:
        raise ValueError(f"{member} is larger than {LARGEST_GRAPH} bytes")
    return archive.read(member)


def _check_tensors(config: dict[str, Any], names: list[str], folder: str) -> None:
    if f"{folder}model.pt" in names:
        raise ValueError("its tensors are pickled: export it again with PyTorch 2.9 or later")
    for name, entry in config["config"].items():
        if entry["use_pickle"] or not re.fullmatch(r"(weight|tensor)_\d+", entry["path_name"]):
            raise ValueError(f"{name} is pickled")


def _check_graph(graph: object) -> None:
    for key, value in _strings(graph):
        if key == "target" and (not OPERATORS.fullmatch(value) or FILES.match(value)):
            raise ValueError(f"it calls {value[:80]}, which is no operator on tensors")
        if key == "expr_str" and not _is_arithmetic(value):
            raise ValueError(f"it computes a size by {value[:80]!r}")


def _is_arithmetic(expression: str) -> bool:
    words = re.findall(r"[^\W\d]\w*", expression)
    return bool(EXPRESSION.fullmatch(expression)) and all(WORDS.fullmatch(word) for word in words)


def _strings(node: object) -> Iterator[tuple[str, str]]:
    """Keys and values of all strings in a tree."""
    stack = [node]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            yield from ((key, value) for key, value in one.items() if isinstance(value, str))
            stack += one.values()
        elif isinstance(one, list):
            stack += one


def _fixed_batch(program: Any) -> int | None:
    """Number of inputs in the batch that a program was exported for; None where it takes any."""
    users = set(program.graph_signature.user_inputs)
    given = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in users]
    sizes = [value.shape[0] for value in given if getattr(value, "ndim", 0)]
    fixed = {size for size in sizes if isinstance(size, int)}
    return fixed.pop() if len(fixed) == 1 else None


def _in_batches(module: Any, size: int) -> Any:
    """A module that gives another one its inputs in batches of one size, the last of them filled up."""
    import torch  # noqa: PLC0415  (heavy)

    class FixedBatches(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *args: torch.Tensor, **kwargs: torch.Tensor) -> torch.Tensor:
            from wwopt.response.outputs import output_tensor  # noqa: PLC0415  (loads torch)

            count, parts = len((*args, *kwargs.values())[0]), []
            for start in range(0, count, size):
                places = torch.arange(start, start + size).clamp(max=count - 1)
                output = self.module(*(one[places] for one in args), **{k: one[places] for k, one in kwargs.items()})
                found = output_tensor(output, size)
                if found is None:
                    raise ValueError("its output is no tensor of floats with a row for each input")
                parts.append(found)
            return torch.cat(parts)[:count]

    return FixedBatches()
