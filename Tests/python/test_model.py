import gc
import os
import stat

import numpy as np
import pytest

import edgeopt


@pytest.fixture
def model(digits_path):
    return edgeopt.Model(digits_path)


def test_looking_at_a_model(model):
    [subgraph] = model.subgraphs
    kinds = [operator.name for operator in subgraph.operators]
    assert kinds == ["CONV_2D"] * 4 + ["MEAN", "FULLY_CONNECTED", "SOFTMAX"]
    assert "stride_w=2" in subgraph.operators[1].options
    [source] = model.inputs
    assert (source.type, source.shape, source.shape_signature) == ("FLOAT32", (1, 8, 8, 1), (-1, 8, 8, 1))
    assert [tensor.index for tensor in model.outputs] == list(subgraph.outputs)
    assert list(model.signatures) == ["serving_default"]
    weight = subgraph.tensors[subgraph.operators[0].inputs[1]]
    assert weight.data.shape == weight.shape and not weight.data.flags.writeable


def test_constants_outlive_the_model(digits_path):
    model = edgeopt.Model(digits_path)
    weight = model.subgraphs[0].tensors[model.subgraphs[0].operators[0].inputs[1]].data
    expected = weight.copy()
    del model
    gc.collect()
    np.testing.assert_array_equal(weight, expected)


def test_saving_and_loading(model, tmp_path):
    path = tmp_path / "copy.tflite"
    model.save(path)
    data = model.to_bytes()
    assert path.read_bytes() == data
    assert edgeopt.Model(data).to_bytes() == data
    with pytest.raises(edgeopt.FileError, match="missing"):
        model.save(tmp_path / "missing" / "copy.tflite")


def test_saving_leaves_links_and_devices_what_they_are(model, tmp_path):
    link, target = tmp_path / "link.tflite", tmp_path / "target.tflite"
    target.write_bytes(b"old")
    link.symlink_to(target)
    model.save(link)
    assert link.is_symlink() and target.read_bytes() == model.to_bytes()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(edgeopt.FileError, match="pipe: cannot be written"):
        model.save(pipe)
    with pytest.raises(edgeopt.FileError, match="pipe: cannot be read"):
        edgeopt.Model(pipe)
    # Making a device takes rights that tests may not have.
    try:
        os.mknod(tmp_path / "full", stat.S_IFCHR | 0o600, os.makedev(1, 7))
        open(tmp_path / "full", "rb").close()
    except PermissionError:
        return
    with pytest.raises(edgeopt.FileError, match="No space left"):
        model.save(tmp_path / "full")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "link.tflite", "pipe", "target.tflite"]


def test_editing_names_and_signatures(model):
    source, result = model.inputs[0].index, model.outputs[0].index
    model.description = "digits"
    model.rename_tensor(source, "picture")
    model.set_signature("classify", {"picture": source}, {"scores": result})
    model.remove_signature("serving_default")
    again = edgeopt.Model(model.to_bytes())
    assert again.description == "digits"
    assert again.inputs[0].name == "picture"
    assert again.signatures == {"classify": edgeopt.Signature("classify", 0, {"picture": source}, {"scores": result})}
    runner = edgeopt.Interpreter(again).get_signature_runner("classify")
    assert runner(picture=np.zeros((1, 8, 8, 1), np.float32))["scores"].shape == (1, 10)


def test_editing_metadata(model):
    before = len(model.metadata)
    model.metadata["note"] = b"\0\1\2"
    assert edgeopt.Model(model.to_bytes()).metadata["note"] == b"\0\1\2"
    assert len(model.metadata) == before + 1
    del model.metadata["note"]
    assert "note" not in model.metadata
    with pytest.raises(KeyError):
        del model.metadata["note"]


def test_wrong_edits_change_nothing(model):
    before = model.to_bytes()
    with pytest.raises(edgeopt.ArgumentError):
        model.rename_tensor(999, "x")
    with pytest.raises(edgeopt.ArgumentError):
        model.set_signature("bad", {"a": 999}, {})
    with pytest.raises(edgeopt.ArgumentError):
        model.remove_signature("not there")
    assert model.to_bytes() == before


def test_an_interpreter_keeps_the_model_it_was_made_from(model):
    interpreter = edgeopt.Interpreter(model)
    model.rename_tensor(model.inputs[0].index, "other")
    assert interpreter.get_input_details()[0]["name"] != "other"
