import gc
import threading
import warnings

import numpy as np
import pytest

import edgeopt

litert = pytest.importorskip("ai_edge_litert.interpreter")


def ready(path, **options):
    interpreter = edgeopt.Interpreter(path, **options)
    interpreter.allocate_tensors()
    return interpreter


def assert_same_details(ours, theirs):
    assert list(ours) == list(theirs)
    for key, value in theirs.items():
        if key == "quantization_parameters":
            assert list(ours[key]) == list(value)
            for part, expected in value.items():
                np.testing.assert_array_equal(ours[key][part], expected, err_msg=part)
                if isinstance(expected, np.ndarray):
                    assert ours[key][part].dtype == expected.dtype, part
        elif isinstance(value, np.ndarray):
            np.testing.assert_array_equal(ours[key], value, err_msg=key)
            assert ours[key].dtype == value.dtype, key
        else:
            assert ours[key] == value, key


def test_details_are_those_of_litert(digits_path):
    ours, theirs = edgeopt.Interpreter(digits_path), litert.Interpreter(str(digits_path))
    for compiled in (False, True):
        if compiled:
            ours.allocate_tensors()
            theirs.allocate_tensors()
        pairs = [(ours.get_input_details(), theirs.get_input_details())]
        pairs += [(ours.get_output_details(), theirs.get_output_details())]
        for mine, yours in pairs:
            assert len(mine) == len(yours)
            for one, other in zip(mine, yours):
                assert_same_details(one, other)
    assert ours.num_subgraphs() == theirs.num_subgraphs()
    assert ours.get_signature_list() == theirs.get_signature_list()


def test_results_are_those_of_litert(digits_path, images):
    ours, theirs = ready(digits_path), litert.Interpreter(str(digits_path))
    theirs.allocate_tensors()
    index, output = ours.get_input_details()[0]["index"], ours.get_output_details()[0]["index"]
    for image in images[:20]:
        for interpreter in (ours, theirs):
            interpreter.set_tensor(index, image[np.newaxis])
            interpreter.invoke()
        np.testing.assert_allclose(ours.get_tensor(output), theirs.get_tensor(output), atol=1e-5)


def test_model_content_and_threads_give_the_same(digits_path, images):
    data = digits_path.read_bytes()
    results = []
    for content in (data, bytearray(data), memoryview(data)):
        for threads in (1, 2):
            interpreter = edgeopt.Interpreter(model_content=content, num_threads=threads)
            interpreter.allocate_tensors()
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images[:1])
            interpreter.invoke()
            results.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    for result in results:
        np.testing.assert_array_equal(result, results[0])


def test_a_borrowed_model_outlives_its_python_bytes(digits_path, images):
    interpreter = edgeopt.Interpreter(model_content=bytes(bytearray(digits_path.read_bytes())))
    gc.collect()
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images[:1])
    interpreter.invoke()
    assert interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).sum() == pytest.approx(1, abs=1e-5)


def test_batches_by_resizing(digits_path, images, labels):
    interpreter = edgeopt.Interpreter(digits_path)
    detail = interpreter.get_input_details()[0]
    half = len(images) // 2
    interpreter.resize_tensor_input(detail["index"], images[half:].shape, strict=True)
    assert interpreter.get_input_details()[0]["shape"].tolist() == list(images[half:].shape)
    with pytest.raises(RuntimeError, match="allocate_tensors"):
        interpreter.invoke()
    interpreter.allocate_tensors()
    interpreter.set_tensor(detail["index"], images[half:])
    interpreter.invoke()
    scores = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert (scores.argmax(1) == labels[half:]).mean() > 0.95


def test_a_strict_resize_keeps_fixed_dimensions(digits_path):
    interpreter = edgeopt.Interpreter(digits_path)
    index = interpreter.get_input_details()[0]["index"]
    with pytest.raises(RuntimeError, match="shape_signature"):
        interpreter.resize_tensor_input(index, [1, 9, 8, 1], strict=True)
    with pytest.raises(RuntimeError):
        interpreter.resize_tensor_input(index, [-1, 8, 8, 1])
    with pytest.raises(RuntimeError):
        interpreter.resize_tensor_input(99, [1, 8, 8, 1])
    interpreter.allocate_tensors()


def test_views_are_the_tensors(digits_path, images):
    interpreter = ready(digits_path)
    pixels = interpreter.tensor(interpreter.get_input_details()[0]["index"])
    scores = interpreter.tensor(interpreter.get_output_details()[0]["index"])
    assert pixels().ctypes.data == pixels().ctypes.data
    pixels()[...] = images[:1]
    interpreter.invoke()
    first = scores().copy()
    pixels()[...] = images[1:2]
    held = scores()
    interpreter.invoke()  # with a view held: it shows the new values
    assert not np.array_equal(held, first)


def test_a_view_outlives_its_interpreter(digits_path, images):
    interpreter = ready(digits_path)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images[:1])
    interpreter.invoke()
    scores = interpreter.tensor(interpreter.get_output_details()[0]["index"])()
    expected, part = scores.copy(), scores[:, 3:]
    del interpreter, scores
    gc.collect()
    churn = [np.random.default_rng(1).random(10_000) for _ in range(100)]  # would overwrite freed memory
    np.testing.assert_array_equal(part, expected[:, 3:])
    del churn


def test_shapes_stay_while_there_are_views(digits_path):
    interpreter = ready(digits_path)
    index = interpreter.get_input_details()[0]["index"]
    view = interpreter.tensor(index)()
    with pytest.raises(RuntimeError, match="view"):
        interpreter.resize_tensor_input(index, [2, 8, 8, 1])
    del view
    interpreter.resize_tensor_input(index, [2, 8, 8, 1])
    interpreter.allocate_tensors()
    assert interpreter.tensor(index)().shape == (2, 8, 8, 1)


def test_constants_are_read_only(digits_path):
    interpreter = ready(digits_path)
    constant = next(t.index for t in edgeopt.Model(digits_path).subgraphs[0].tensors if t.data is not None)
    assert not interpreter.tensor(constant)().flags.writeable
    with pytest.raises(ValueError, match="constant"):
        interpreter.set_tensor(constant, interpreter.get_tensor(constant))


def test_bound_arrays_are_used_in_place(digits_path, images):
    interpreter = ready(digits_path)
    index = interpreter.get_input_details()[0]["index"]
    output = interpreter.get_output_details()[0]["index"]
    pixels, scores = images[:1].copy(), np.zeros((1, 10), np.float32)
    assert interpreter.bind_input(index, pixels) is True
    assert interpreter.bind_output(output, scores) is True
    interpreter.invoke()
    assert scores.sum() == pytest.approx(1, abs=1e-5)
    before = scores.copy()
    pixels[...] = images[1:2]
    interpreter.invoke()
    assert not np.array_equal(scores, before)
    interpreter.bind_input(index, None)
    interpreter.bind_output(output, None)
    with pytest.raises(ValueError):
        interpreter.bind_input(index, np.zeros((1, 8, 8, 1), np.float64))
    with pytest.raises(ValueError):
        interpreter.bind_input(index, np.zeros((1, 8, 8, 2), np.float32)[..., :1])


def test_intermediate_tensors_only_where_kept(digits_path, images):
    middle = edgeopt.Model(digits_path).subgraphs[0].operators[0].outputs[0]
    with pytest.raises(ValueError, match="preserve_all"):
        ready(digits_path).get_tensor(middle)
    kept = ready(digits_path, experimental_preserve_all_tensors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = litert.Interpreter(str(digits_path), experimental_preserve_all_tensors=True)
    theirs.allocate_tensors()
    for interpreter in (kept, theirs):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images[:1])
        interpreter.invoke()
    np.testing.assert_allclose(kept.get_tensor(middle), theirs.get_tensor(middle), atol=1e-4)


def test_signature_runner(digits_path, images):
    interpreter = edgeopt.Interpreter(digits_path)
    runner = interpreter.get_signature_runner()
    theirs = litert.Interpreter(str(digits_path)).get_signature_runner()
    assert list(runner.get_input_details()) == list(theirs.get_input_details())
    for batch in (1, 5, 2):
        ours = runner(input=images[:batch])
        expected = theirs(input=images[:batch])
        assert list(ours) == list(expected)
        np.testing.assert_allclose(ours["output"], expected["output"], atol=1e-5)
    with pytest.raises(ValueError, match="input"):
        runner(wrong=images[:1])
    with pytest.raises(ValueError):
        interpreter.get_signature_runner("wrong")


@pytest.mark.parametrize(
    "call, kind",
    [
        (lambda i: i.get_tensor(99), ValueError),
        (lambda i: i.set_tensor(99, 0), ValueError),
        (lambda i: i.set_tensor(0, np.zeros((1, 8, 8, 1))), ValueError),
        (lambda i: i.set_tensor(0, np.zeros((1, 8, 8), np.float32)), ValueError),
        (lambda i: i.set_tensor(0, np.zeros((2, 8, 8, 1), np.float32)), ValueError),
        (lambda i: i.tensor(-1)(), ValueError),
        (lambda i: i.get_tensor_details(3), ValueError),
    ],
)
def test_wrong_calls_raise_what_litert_raises(digits_path, call, kind):
    with pytest.raises(kind) as caught:
        call(ready(digits_path))
    assert isinstance(caught.value, edgeopt.Error)
    assert caught.value.status != edgeopt.Status.OK
    assert len(str(caught.value)) > 10


def test_wrong_models_and_options(tmp_path, digits_path):
    with pytest.raises(ValueError, match="nope.tflite"):
        edgeopt.Interpreter(tmp_path / "nope.tflite")
    with pytest.raises(edgeopt.ModelError):
        edgeopt.Interpreter(model_content=b"this is not a model")
    with pytest.raises(edgeopt.ModelError):
        edgeopt.Interpreter(model_content=b"")
    for wrong in ({"num_threads": 0}, {"num_threads": "2"}, {"experimental_op_resolver_type": 7}):
        with pytest.raises(ValueError):
            edgeopt.Interpreter(digits_path, **wrong)
    with pytest.raises(ValueError):
        edgeopt.Interpreter()
    with pytest.raises(edgeopt.StateError):
        edgeopt.Interpreter(digits_path).invoke()


def test_reference_arithmetic_is_accepted_from_both_libraries(digits_path, images):
    for kind in (edgeopt.OpResolverType.BUILTIN_REF, litert.OpResolverType.BUILTIN_REF):
        interpreter = ready(digits_path, experimental_op_resolver_type=kind)
        interpreter.set_tensor(0, images[:1])
        interpreter.invoke()


def test_interpreters_of_one_model_in_many_threads(digits_path, images):
    model = edgeopt.Model(digits_path)
    results = [None] * 4

    def work(number):
        interpreter = ready(model)
        output = interpreter.get_output_details()[0]["index"]
        rows = []
        for image in images[:50]:
            interpreter.set_tensor(0, image[np.newaxis])
            interpreter.invoke()
            rows.append(interpreter.get_tensor(output))
        results[number] = np.concatenate(rows)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_operators_are_reported_and_timed(digits_path):
    interpreter = ready(digits_path)
    interpreter.set_profile(True)
    for _ in range(3):
        interpreter.invoke()
    reports = interpreter.operators()
    names = [operator.name for operator in edgeopt.Model(digits_path).subgraphs[0].operators]
    assert [report.name for report in reports] == names
    convolution = reports[0]
    assert convolution.runner == "CPU" and convolution.kernel
    assert convolution.calls == 3 and convolution.nanoseconds > 0
    assert interpreter.arena_size > 0


def test_cancel_ends_the_next_invoke(digits_path):
    interpreter = ready(digits_path)
    interpreter.cancel()
    with pytest.raises(edgeopt.CancelledError):
        interpreter.invoke()
    interpreter.invoke()


def test_autotune_agrees(digits_path, images, tmp_path):
    plain = ready(digits_path)
    index, output = plain.get_input_details()[0]["index"], plain.get_output_details()[0]["index"]
    for _ in range(2):  # the second time the choices come from the file
        tuned = ready(digits_path, autotune=True, weight_cache=tmp_path / "weights")
        for interpreter in (plain, tuned):
            interpreter.set_tensor(index, images[:1])
            interpreter.invoke()
        np.testing.assert_allclose(tuned.get_tensor(output), plain.get_tensor(output), atol=1e-5)


def test_threads_do_not_show_in_bfloat16():
    graph = edgeopt.Graph(seed=3)
    x = graph.conv(graph.input(14, 14, 512), 96, 1)
    x = graph.conv(x, 640, 3)
    x = graph.conv(x, 64, 1)
    # Images between these are bfloat16 too.
    y = graph.conv(graph.depthwise_conv(graph.conv(x, 97, 1), 3, padding="same"), 48, 1)
    halves = [graph.max_pool(y, 3, 2), graph.conv(y, 33, 3, 2, padding="valid")]
    y = graph.operator("CONCATENATION", halves, (1, 6, 6, 81), {0: np.int32(3)})
    y = graph.conv(graph.average_pool(graph.conv(y, 80, 1), 3, 1, padding="same"), 32, 1)
    graph.dense(graph.mean(y, (1, 2)), 40)
    content, image = graph.to_bytes(), np.random.default_rng(3).standard_normal((1, 14, 14, 512)).astype(np.float32)

    def run(threads, precision):
        interpreter = edgeopt.Interpreter(model_content=content, num_threads=threads, precision=precision)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    for precision in ("bfloat16", "float32"):
        one = run(1, precision)
        for threads in (2, 3, 5):
            np.testing.assert_array_equal(one, run(threads, precision))
    exact = run(1, "float32")
    assert np.abs(run(1, "bfloat16") - exact).max() < 0.03 * np.abs(exact).max()
