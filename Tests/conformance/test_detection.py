"""TFLite_Detection_PostProcess on random boxes, against LiteRT."""

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

import capi
from operators import F32, U8
from test_recurrent import litert

BOXES, CLASSES = 60, 5
OPTIONS = {
    "max_detections": 12, "max_classes_per_detection": 1, "num_classes": CLASSES, "nms_score_threshold": 0.2,
    "nms_iou_threshold": 0.5, "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0,
}  # fmt: skip
FORMS = {
    "fast": {}, "fast, three classes": {"max_classes_per_detection": 3}, "regular": {"use_regular_nms": True},
    "regular, few of a class": {"use_regular_nms": True, "detections_per_class": 2, "max_detections": 7},
    "nothing": {"nms_score_threshold": 2.0}, "more than there are": {"max_detections": 100},
    "more classes than there are": {"max_classes_per_detection": 8},
}  # fmt: skip


def content(type_, background, options):
    graph, model, code, operator = schema.SubGraphT(), schema.ModelT(), schema.OperatorCodeT(), schema.OperatorT()
    model.version, model.buffers, graph.tensors = 3, [schema.BufferT()], []
    # The boxes' second last dimension may be longer: key points follow.
    forms = [((1, BOXES, 6), (0.5, 120)), ((1, BOXES, CLASSES + background), (1 / 256, 0)), ((BOXES, 4), (1 / 200, 7))]
    for shape, (scale, zero) in [*forms, *[((), (0, 0))] * 4]:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = f"t{len(graph.tensors)}", list(shape), 0
        tensor.type = type_ if shape else F32
        if tensor.type == U8:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero]
        graph.tensors.append(tensor)
    graph.inputs = operator.inputs = [0, 1, 2]
    graph.outputs = operator.outputs = [3, 4, 5, 6]
    operator.opcodeIndex, operator.customOptions = 0, np.frombuffer(flexbuffers.Dumps(options), np.uint8)
    code.customCode, code.builtinCode, code.deprecatedBuiltinCode, code.version = "TFLite_Detection_PostProcess", 32, 32, 1
    graph.operators, model.operatorCodes, model.subgraphs = [operator], [code], [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("background", [0, 1])
@pytest.mark.parametrize("type_", [F32, U8], ids=["float32", "uint8"])
def test_detections(type_, background, form, tmp_path):
    options = {**OPTIONS, **FORMS[form]}
    model = content(type_, background, options)
    (tmp_path / "model.tflite").write_bytes(model)
    theirs, ours = litert(model), capi.Interpreter(tmp_path / "model.tflite", capi.FAST)
    random = np.random.default_rng(3)
    for _ in range(5):
        if type_ == F32:
            values = [
                random.normal(0, 3, (1, BOXES, 6)), random.uniform(0, 1, (1, BOXES, CLASSES + background)),
                np.concatenate([random.uniform(0, 1, (BOXES, 2)), random.uniform(0.1, 0.4, (BOXES, 2))], 1),
            ]  # fmt: skip
            values = [v.astype(np.float32) for v in values]
        else:
            # Scores without equals: their order is nobody's promise.
            scores = random.permutation(BOXES * (CLASSES + background)).reshape(1, BOXES, -1) % 256
            values = [random.integers(100, 140, (1, BOXES, 6)), scores, random.integers(20, 120, (BOXES, 4))]
            values = [v.astype(np.uint8) for v in values]
        for index, value in enumerate(values):
            theirs.set_tensor(theirs.get_input_details()[index]["index"], value)
            ours.view("input", index)[...] = value
        theirs.invoke()
        ours.invoke()
        expected = [theirs.get_tensor(details["index"]) for details in theirs.get_output_details()]
        found = [ours.view("output", index) for index in range(4)]
        count = int(expected[3][0])
        assert found[3][0] == count and [f.shape for f in found] == [e.shape for e in expected]
        assert (count == 0) == (form == "nothing")
        # LiteRT leaves what is beyond as it was.
        given = min(options["max_classes_per_detection"], CLASSES)
        width = options["max_classes_per_detection"]
        rows = [k * width + c for k in range(count) for c in range(given)] if "use_regular_nms" not in options else range(count)
        rows = list(rows)
        for f, e in zip(found[:3], expected[:3]):
            np.testing.assert_allclose(f[0, rows], e[0, rows], rtol=1e-5, atol=1e-6)
        rest = sorted(set(range(found[1].shape[1])) - set(rows))
        assert not any(f[0, rest].any() for f in found[:3])


WRONG = [
    {"nms_iou_threshold": 0.0}, {"max_detections": -1}, {"num_classes": 9}, {"max_detections": 1 << 19,
     "max_classes_per_detection": 1 << 19}, {"max_classes_per_detection": 0},
]  # fmt: skip


@pytest.mark.parametrize("options", WRONG)
def test_wrong_options_are_refused(options, tmp_path):
    (tmp_path / "model.tflite").write_bytes(content(F32, 0, {**OPTIONS, **options}))
    with pytest.raises(capi.EdgeOptError, match="TFLite_Detection_PostProcess"):
        capi.Interpreter(tmp_path / "model.tflite", capi.FAST)
