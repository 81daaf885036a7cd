"""Folders of folders: pipelines, modules, variants, and the cache of the Hugging Face hub."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

import wwopt
from wwopt.sources.candidates import expand
from wwopt.weights import open_weights


def weight(seed=0, dtype=torch.float32):
    return torch.randn(60, 70, generator=torch.Generator().manual_seed(seed)).to(dtype)


def save(path, name="a.weight", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: weight(**options)}, path)


def names(source):
    return [matrix.name for matrix in open_weights(source).matrices]


def test_sentence_transformers(tmp_path):
    """The dense layers behind a transformer lie in subfolders, and are layers of the model."""
    save(tmp_path / "model.safetensors", "encoder.q.weight")
    save(tmp_path / "2_Dense" / "model.safetensors", "linear.weight", seed=1)
    (tmp_path / "3_Dense").mkdir()
    torch.save({"linear.weight": weight(2)}, tmp_path / "3_Dense" / "pytorch_model.bin")
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text("{}")
    paths = ["", "1_Pooling", "2_Dense", "3_Dense"]
    (tmp_path / "modules.json").write_text(json.dumps([{"path": path} for path in paths]))
    assert names(tmp_path) == ["encoder.q", "2_Dense.linear", "3_Dense.linear"]


def test_transformer_in_a_subfolder(tmp_path):
    """Older versions keep the transformer in a subfolder, too: its names are those of the model."""
    save(tmp_path / "0_Transformer" / "model.safetensors", "encoder.q.weight")
    (tmp_path / "modules.json").write_text('[{"path": "0_Transformer"}, {"path": "1_Pooling"}]')
    assert names(tmp_path) == ["encoder.q"]


@pytest.mark.parametrize("content", ["{", "[3]", '[{"path": "../other"}]', '[{"path": "/etc"}]', "[" * 5000])
def test_damaged_list_of_modules(tmp_path, content):
    """A list of modules that is damaged, or that points elsewhere, is named."""
    save(tmp_path / "model.safetensors")
    (tmp_path / "modules.json").write_text(content)
    with pytest.raises(ValueError, match=r"modules\.json"):
        open_weights(tmp_path)


@pytest.fixture
def pipeline(tmp_path):
    """A pipeline of diffusers with two networks."""
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    save(tmp_path / "unet" / "diffusion_pytorch_model.safetensors")
    save(tmp_path / "text_encoder" / "model.safetensors", "fc.weight", seed=1)
    return tmp_path


def test_pipeline(pipeline):
    """The networks of a pipeline lie in subfolders, whose names come before those of their layers."""
    assert names(pipeline) == ["text_encoder.fc", "unet.a"]
    assert [candidate.name for candidate in expand([pipeline])] == [pipeline.name]


def test_pipeline_without_weights(tmp_path):
    """A pipeline whose subfolders were not downloaded says so."""
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(ValueError, match="no subfolder with weights"):
        open_weights(tmp_path)


@pytest.mark.parametrize("copy", ["fp16.safetensors", "non_ema.safetensors"])
def test_variants(pipeline, copy):
    """Of a network and its half-precision copy the network is read; where there is only the copy, that."""
    folder = pipeline / "unet"
    save(folder / f"diffusion_pytorch_model.{copy}", "b.weight")
    assert names(folder) == ["a"]
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    assert names(folder) == ["b"]


def test_safetensors_come_before_pickles(pipeline):
    """Where both formats lie side by side, each is whole: the one without pickles is read."""
    torch.save({"c.weight": weight()}, pipeline / "unet" / "diffusion_pytorch_model.bin")
    assert names(pipeline / "unet") == ["a"]


def test_variant_in_shards(tmp_path):
    """A variant in shards has an index of its own, and the shards are no second model."""
    for index, kind in (("", ""), (".fp16", ".fp16")):
        weight_map = {}
        for shard in (1, 2):
            file = f"diffusion_pytorch_model{kind}-{shard:05}-of-00002.safetensors"
            save(tmp_path / file, f"{shard}{kind[1:]}.weight")
            weight_map[f"{shard}{kind[1:]}.weight"] = file
        path = tmp_path / f"diffusion_pytorch_model.safetensors.index{index}.json"
        path.write_text(json.dumps({"weight_map": weight_map}))
    assert names(tmp_path) == ["1", "2"]
    (tmp_path / "diffusion_pytorch_model.safetensors.index.json").unlink()
    assert names(tmp_path) == ["1fp16", "2fp16"]


@pytest.fixture
def cached(tmp_path):
    """A model in the cache of the hub: blobs, and snapshots of links to them."""
    repository = tmp_path / "models--org--name"
    for revision in ("aaa", "bbb"):
        save(repository / "blobs" / revision, f"{revision}.weight")
        (repository / "snapshots" / revision).mkdir(parents=True)
        (repository / "snapshots" / revision / "model.safetensors").symlink_to(f"../../blobs/{revision}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("bbb")
    return repository


def test_cached_model(cached):
    """The folder of a cached model, and that of its snapshots, are its main revision; `rank` sees one network."""
    assert names(cached) == names(cached / "snapshots") == ["bbb"]
    assert names(cached / "snapshots" / "aaa") == ["aaa"]
    assert len(expand([cached])) == 1
    assert wwopt.analyze(cached).details["name"].tolist() == ["bbb"]


def test_cached_revisions(cached):
    """Of several revisions none of which is the main one, the user says which."""
    (cached / "refs" / "main").unlink()
    with pytest.raises(ValueError, match=r"found aaa, bbb\. Give the path of a revision"):
        open_weights(cached)


def test_link_to_nothing(cached):
    """An interrupted download leaves links to files that are not there."""
    (cached / "blobs" / "bbb").unlink()
    with pytest.raises(ValueError, match=r"model\.safetensors is a link to a file that is missing; download"):
        open_weights(cached)
