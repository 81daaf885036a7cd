"""Formats that are not read: each is called by its name, with the way out, by every command alike."""

from __future__ import annotations

import re

import pytest
import torch

import wwopt
from wwopt.sources import resolve
from wwopt.sources.candidates import expand
from wwopt.weights import open_weights

FILES = {
    "model.safetensors": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4380\n", "git lfs pull"),
    "pytorch_model.bin": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4380\n", "git lfs pull"),
    "page.pt": (b"<!DOCTYPE html>\n<html><title>Sign in</title>", "a web page"),
    "late.pt": (b"\n <html lang='en'>", "a web page"),
    "a.tflite": (b"\x1c\0\0\0TFL3" + bytes(64), "tf2onnx.convert --tflite"),
    "nameless": (b"\x1c\0\0\0TFL3" + bytes(64), "TensorFlow Lite"),
    "flax_model.msgpack": (b"\x81\xa6params" + bytes(64), "flax.serialization.msgpack_restore"),
    "many.msgpack": (b"\xde\x00\x20\xa6params" + bytes(64), "Flax"),
    "a.mlmodel": (b"\x08\x05\x12\x00", "Core ML"),
    "a.pb": (b"\x0a\x10", "tf2onnx.convert --graphdef"),
    "a.pte": (b"\x1c\0\0\0ET12" + bytes(9), "ExecuTorch"),
    "a.engine": (b"ptrt" + bytes(9), "TensorRT"),
    "a.ort": (b"\x1c\0\0\0ORTM" + bytes(9), "ONNX Runtime"),
    "a.pdparams": (b"\x80\x04", "paddle.load"),
    "model.ckpt.data-00000-of-00001": (bytes(40), "tensorflow.train.load_checkpoint"),
    "ggml.bin": (b"tjgg" + bytes(40), "convert_llama_ggml_to_gguf"),
    "a.npy": (b"\x93NUMPY\x01\x00", "numpy.load"),
    "a.tar": (bytes(257) + b"ustar" + bytes(60), "Unpack it"),
    "a.pt.gz": (b"\x1f\x8b\x08", "Unpack it"),
}
FOLDERS = {
    "saved": (["saved_model.pb", "variables/variables.index"], "tf2onnx.convert --saved-model"),
    "checkpoint": (["checkpoint", "ckpt-1.index", "ckpt-1.data-00000-of-00001"], "load_checkpoint"),
    "orbax": (["_CHECKPOINT_METADATA", "default/_METADATA"], "orbax.checkpoint.StandardCheckpointer"),
    "steps of orbax": (["1000/_CHECKPOINT_METADATA", "1000/default/manifest.ocdbt"], "orbax.checkpoint"),
    "net.mlpackage": (["Manifest.json", "Data/com.apple.CoreML/model.mlmodel"], "Core ML"),
    "deepspeed": (["latest", "global_step10/mp_rank_00_model_states.pt"], "deepspeed.utils.zero_to_fp32"),
    "stage 3": (["zero_pp_rank_0_mp_rank_00_model_states.pt"], "deepspeed.utils.zero_to_fp32"),
    "megatron": (["latest_checkpointed_iteration.txt", "iter_0000010/mp_rank_00/a.pt"], "tools/checkpoint/convert.py"),
    "one step": (["mp_rank_00/model_optim_rng.pt", "mp_rank_01/model_optim_rng.pt"], "tools/checkpoint/convert.py"),
    "llama": (["params.json", "consolidated.00.pth", "consolidated.01.pth"], "convert_llama_weights_to_hf"),
    "vllm": (["model-rank-0-part-0.safetensors", "model-rank-1-part-0.safetensors"], "tensor parallelism"),
    "deepseek": (["model0-mp2.safetensors", "model1-mp2.safetensors"], "tensor parallelism"),
    "tensorrt-llm": (["config.txt", "rank0.safetensors", "rank1.safetensors"], "tensor parallelism"),
    "distributed": ([".metadata", "__0_0.distcp"], "dcp_to_torch"),
    "fsdp": (["pytorch_model_fsdp_0/.metadata", "pytorch_model_fsdp_0/__0_0.distcp"], "dcp_to_torch"),
    "only a file": (["a.tflite"], "tf2onnx.convert --tflite"),
}


@pytest.mark.parametrize("name", FILES)
def test_file_is_called_by_its_name(tmp_path, name):
    """A file of another format says what it is and how to get one that is read, instead of being called damaged."""
    content, words = FILES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(words)) as raised:
        open_weights(tmp_path / name)
    assert str(raised.value).startswith(f"{tmp_path / name} is ")
    with pytest.raises(ValueError, match=re.escape(words)):
        wwopt.rank([tmp_path / name, tmp_path / name])


@pytest.mark.parametrize("name", FOLDERS)
def test_folder_is_called_by_its_name(tmp_path, name):
    """A folder of another program, or of parts, says how to convert or join it; `rank` does not rank the parts."""
    files, words = FOLDERS[name]
    for file in files:
        (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name / file).touch()
    with pytest.raises(ValueError, match=re.escape(words)):
        open_weights(tmp_path / name)
    (candidate,) = expand([tmp_path / name])
    assert candidate.source is None
    assert words in candidate.fault


def test_one_consolidated_file_is_a_model(tmp_path):
    """A model that tensor parallelism has not divided is read, whatever its file is called."""
    torch.save({"layers.0.attention.wq.weight": torch.ones(60, 60)}, tmp_path / "consolidated.00.pth")
    assert [matrix.name for matrix in open_weights(tmp_path).matrices] == ["layers.0.attention.wq"]


def test_pickles_are_not_mistaken(tmp_path):
    """A file of torch whose first bytes could begin a mapping of msgpack is read."""
    torch.save({"a.weight": torch.ones(60, 60)}, tmp_path / "old.msg", _use_new_zipfile_serialization=False)
    assert len(open_weights(tmp_path / "old.msg").matrices) == 1


class Detector(torch.nn.Module):
    """A network as those that are trained with an average of their weights."""

    def __init__(self):
        super().__init__()
        self.model = torch.nn.Sequential(torch.nn.Linear(70, 60))


@pytest.mark.parametrize("average", ["ema", "model_ema"])
def test_average_of_the_weights_stands_for_the_model(tmp_path, average):
    """While it trains, YOLO keeps the average of the weights and no model: ``{"model": None, "ema": module}``."""
    content = {"epoch": 3, "model": None, average: Detector(), "optimizer": None, "train_args": {}}
    torch.save(content, tmp_path / "last.pt")
    for source in (tmp_path / "last.pt", content):
        assert [matrix.name for matrix in open_weights(source).matrices] == ["model.0"]
    both = content | {"model": torch.nn.Linear(60, 60)}
    assert [matrix.name for matrix in open_weights(both).matrices] == ["weight"]


def test_resolving_reads_no_format(tmp_path):
    """What a source is, is told before its format."""
    (tmp_path / "a.tflite").write_bytes(FILES["a.tflite"][0])
    assert resolve(tmp_path / "a.tflite").value == tmp_path / "a.tflite"
