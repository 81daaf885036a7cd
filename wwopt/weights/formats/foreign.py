"""Formats that are not read: files known by their first bytes or suffix, with the way to a format that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["refuse_foreign", "way_out"]

HEAD = 512  # bytes that tell a format
KEYS = (*range(0xA1, 0xC0), 0xD9, 0xDA)  # first bytes of a text in msgpack, such as a mapping's first key


class _Format(NamedTuple):
    """A format: what a sentence calls a file of it, and the way out."""

    name: str
    way_out: str


MAPPING = "then give `wwopt.analyze` the mapping of names to arrays"
LFS = _Format("a pointer of Git LFS, not the file itself", "Run `git lfs pull` in the repository.")
PAGE = _Format("a web page", "The download went wrong: look at the page, often it asks for a login.")
FLAX = _Format(
    "a msgpack file of Flax",
    f'Read it with `flax.serialization.msgpack_restore(open(FILE, "rb").read())`, {MAPPING}.',
)
TFLITE = _Format(
    "a model of TensorFlow Lite",
    "Convert it to ONNX: `python -m tf2onnx.convert --tflite FILE --output model.onnx`.",
)
FROZEN = _Format(
    "a graph of TensorFlow",
    "Convert it to ONNX: `python -m tf2onnx.convert --graphdef FILE --output model.onnx --inputs X:0 --outputs Y:0`, "
    "or its folder, of a SavedModel: `python -m tf2onnx.convert --saved-model FOLDER --output model.onnx`.",
)
TF_CHECKPOINT = _Format(
    "a checkpoint of TensorFlow",
    f"Read each tensor with `tensorflow.train.load_checkpoint(PREFIX).get_tensor(NAME)`, {MAPPING}.",
)
CORE_ML = _Format(
    "a model of Core ML",
    "Analyse the model that it was converted from, or read the values with "
    f"`coremltools.optimize.coreml.get_weights_metadata(coremltools.models.MLModel(FILE))`, {MAPPING}.",
)
EXECUTORCH = _Format("a program of ExecuTorch", "Analyse the module or the state dict that it was exported from.")
TENSORRT = _Format("an engine of TensorRT", "Analyse the ONNX file or the checkpoint that it was built from.")
GGML = _Format("a GGML file from before GGUF", "Convert it with llama.cpp's `convert_llama_ggml_to_gguf.py`.")
PADDLE = _Format("a checkpoint of PaddlePaddle", f"Read it with `paddle.load(FILE)`, {MAPPING}.")
OPENVINO = _Format("the weights of an OpenVINO model", "Analyse the model that it was converted from.")
NUMPY = _Format("a single NumPy array", 'Give `wwopt.analyze` a mapping: `{"layer": numpy.load(FILE)}`.')
ORT = _Format("a model of ONNX Runtime in its own format", "Analyse the ONNX file that it was converted from.")
TAR = _Format("a tar archive", "Unpack it (`tar -xf FILE`) and give the checkpoint inside.")
COMPRESSED = _Format("a compressed file", "Unpack it (`gunzip`, `tar -xf`, `unzstd`, ...) and give what is inside.")

STARTS = {
    b"version https://git-lfs": LFS,
    b"<!doctype html": PAGE,
    b"<html": PAGE,
    b"ptrt": TENSORRT,
    **dict.fromkeys((b"lmgg", b"fmgg", b"tjgg", b"algg"), GGML),
    b"\x93numpy": NUMPY,
    **dict.fromkeys((b"\x1f\x8b", b"bzh", b"\xfd7zxz\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c"), COMPRESSED),
}
AT_FOUR = {b"TFL3": TFLITE, b"ET12": EXECUTORCH, b"ORTM": ORT}
SUFFIXES = {
    ".msgpack": FLAX,
    ".tflite": TFLITE,
    ".pb": FROZEN,
    ".mlmodel": CORE_ML,
    ".pte": EXECUTORCH,
    ".engine": TENSORRT,
    ".pdparams": PADDLE,
    ".ort": ORT,
}


def refuse_foreign(path: Path) -> None:
    """Raise where a file is of a format that is known, but not read.

    Raises
    ------
    ValueError
        Naming the format and the way out.
    """
    reason = way_out(path)
    if reason is not None:
        raise ValueError(f"{path} is {reason}")


def way_out(path: Path) -> str | None:
    """Name the format of a file that is not read, and the way out; None where it is no such file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp(), "model.bin")
    >>> _ = file.write_bytes(b"version https://git-lfs.github.com/spec/v1")
    >>> way_out(file)
    'a pointer of Git LFS, not the file itself. Run `git lfs pull` in the repository.'
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    found = _format(path, head)
    return None if found is None else f"{found.name}. {found.way_out}"


def _format(path: Path, head: bytes) -> _Format | None:
    begins = head.lstrip().lower()
    known = next((form for start, form in STARTS.items() if begins.startswith(start)), AT_FOUR.get(head[4:8]))
    if known is not None:
        return known
    if head[257:262] == b"ustar":
        return TAR
    if _is_msgpack(head):
        return FLAX
    if ".data-0" in path.name or (path.suffix == ".index" and head[:1] == b"\0"):
        return TF_CHECKPOINT
    if path.suffix == ".bin" and path.with_suffix(".xml").is_file() and head[:2] not in (b"PK", b"\x80\x02"):
        return OPENVINO
    return SUFFIXES.get(path.suffix.lower())


def _is_msgpack(head: bytes) -> bool:
    """Whether a file begins as a mapping with texts as keys does in msgpack; a pickle begins with 0x80."""
    size = {0xDE: 3, 0xDF: 5}.get(head[0], 1 if 0x81 <= head[0] <= 0x8F else 0) if head else 0
    return size > 0 and head[size : size + 1] != b"" and head[size] in KEYS
