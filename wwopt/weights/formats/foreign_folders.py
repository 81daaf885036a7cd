"""Folders that are not read: checkpoints of other programs and parts of matrices, with the command that joins them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wwopt.weights.formats.foreign import MAPPING, way_out

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["refuse_foreign_content", "refuse_foreign_folder"]

DISTRIBUTED = (
    "is a distributed checkpoint, which is pickled. Turn it into one file: "
    "`python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE`."
)
DEEPSPEED = (
    "is a checkpoint of DeepSpeed, whose ZeRO keeps the parameters in parts. Join them: "
    "`python -m deepspeed.utils.zero_to_fp32 FOLDER OUTPUT`, where FOLDER is the one with the file `latest`."
)
MEGATRON = (
    "is a checkpoint of Megatron, which may keep each matrix in parts. Join them with Megatron-LM's "
    "`python tools/checkpoint/convert.py --model-type GPT --loader core --saver core --target-tensor-parallel-size 1 "
    "--target-pipeline-parallel-size 1 --load-dir FOLDER --save-dir OUTPUT`, "
    "or give the path of `model_optim_rng.pt` where there is only one."
)
SAVED_MODEL = (
    "is a SavedModel of TensorFlow. Convert it to ONNX: "
    "`python -m tf2onnx.convert --saved-model FOLDER --output model.onnx`."
)
TF_CHECKPOINT = (
    "is a checkpoint of TensorFlow. Read each tensor with `tensorflow.train.load_checkpoint(FOLDER).get_tensor(NAME)`, "
    f"{MAPPING}."
)
ORBAX = (
    "is a checkpoint of Orbax. Read it with `orbax.checkpoint.StandardCheckpointer().restore(FOLDER)`, "
    "which takes an absolute path, and give `wwopt.analyze` what it returns."
)
CORE_ML = (
    "is a package of Core ML. Analyse the model that it was converted from, or read the values with "
    f"`coremltools.optimize.coreml.get_weights_metadata(coremltools.models.MLModel(FOLDER))`, {MAPPING}."
)
LLAMA = (
    " Join them with transformers 4: "
    "`python -m transformers.models.llama.convert_llama_weights_to_hf --input_dir FOLDER --output_dir OUTPUT`."
)
MARKS = {  # files and folders of which any tells a format
    "saved_model.pb": SAVED_MODEL,
    "saved_model.pbtxt": SAVED_MODEL,
    "_CHECKPOINT_METADATA": ORBAX,
    "manifest.ocdbt": ORBAX,
    "_sharding": ORBAX,
    "default/_METADATA": ORBAX,
    "default/manifest.ocdbt": ORBAX,
    "Data/com.apple.CoreML": CORE_ML,
    "latest_checkpointed_iteration.txt": MEGATRON,
    "mp_rank_00/model_optim_rng.pt": MEGATRON,
    "mp_rank_00_000/model_optim_rng.pt": MEGATRON,
    "zero_to_fp32.py": DEEPSPEED,
}
NAMES = (  # of files, of which any tells a format
    (re.compile(r"(zero_pp_rank|bf16_zero_pp_rank|mp_rank|layer_\d+-model)_.*_states\.pt"), DEEPSPEED),
    (re.compile(r".*\.data-\d{5}-of-\d{5}"), TF_CHECKPOINT),
)
PARTS = {  # of each matrix, one for each process of tensor parallelism
    re.compile(r"consolidated\.\d+\.(pth|pt|safetensors)"): LLAMA,
    re.compile(r"model-rank-\d+-part-\d+\.safetensors"): "",
    re.compile(r"model\d+-mp\d+\.safetensors"): "",
    re.compile(r".*mp_rank_\d+.*\.(pt|pth|bin|safetensors)"): "",
    re.compile(r".*[._-]tp(_rank)?[._-]?\d+([._-]\w+)?\.(pt|pth|bin|safetensors)"): "",
    re.compile(r"rank[._-]?\d+\.safetensors"): "",
}
STEP = re.compile(r"\d+|global_step\d+|iter_\d+|pytorch_model_fsdp_\d+")
JOIN = " Save the whole model with the program that wrote them."


def refuse_foreign_folder(folder: Path) -> None:
    """Raise where a folder is a checkpoint of a kind that is known, but not read.

    Raises
    ------
    ValueError
        Naming the kind, and the command that converts it or joins its parts.
    """
    for one in (folder, *_steps(folder)):
        names = [path.name for path in one.iterdir()]
        if ".metadata" in names and any(name.endswith(".distcp") for name in names):
            raise ValueError(f"{one} {DISTRIBUTED}")
        known = next((what for name, what in MARKS.items() if (one / name).exists()), None)
        known = known or next((what for pattern, what in NAMES if any(map(pattern.fullmatch, names))), None)
        if known is not None:
            raise ValueError(f"{folder} {known}")
    entries = sorted(path.name for path in folder.iterdir())
    for pattern, join in PARTS.items():
        parts = [name for name in entries if pattern.fullmatch(name)]
        if len(parts) > 1:
            raise ValueError(
                f"{folder} holds parts of matrices, as tensor parallelism keeps them: {', '.join(parts[:2])}"
                f"{', ...' if len(parts) > 2 else ''}.{join or JOIN}"
            )


def refuse_foreign_content(folder: Path, paths: Iterable[Path]) -> None:
    """Raise where a folder holds a file of a format that is known, but not read.

    Raises
    ------
    ValueError
        Naming the first such file, its format and the way out.
    """
    for path in sorted(paths):
        reason = way_out(path) if path.is_file() else None
        if reason is not None:
            raise ValueError(f"{folder} must hold a checkpoint, but {path.name} is {reason}")


def _steps(folder: Path) -> list[Path]:
    """Subfolders of a step each, as Orbax, DeepSpeed, Megatron and FSDP name them."""
    return [path for path in sorted(folder.iterdir()) if STEP.fullmatch(path.name) and path.is_dir()]
