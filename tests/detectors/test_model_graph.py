from __future__ import annotations

import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from landmark_ops.detectors.graph_check import check_graph
from landmark_ops.detectors.session import load_session
from landmark_ops.errors import InputError
from tests.detectors.tiny_onnx import onnx_bytes

POOL = helper.make_node("GlobalAveragePool", ["image"], ["pooled"])
FLAT = helper.make_node("Flatten", ["pooled"], ["mean"])


def outside(name: str = "weights") -> onnx.TensorProto:
    """A tensor whose values lie in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/elsewhere/weights.bin")
    return tensor


def subgraph(*nodes: onnx.NodeProto, **graph) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "inner", [], [helper.make_empty_tensor_value_info("inner")], **graph)


def with_model(change) -> bytes:
    model = onnx.ModelProto.FromString(onnx_bytes())
    change(model)
    return model.SerializeToString()


def hidden_in_subgraph() -> bytes:
    constant = helper.make_node("Constant", [], ["inner"], value=outside())
    branch = subgraph(constant)
    nested = subgraph(helper.make_node("If", ["flag"], ["inner"], then_branch=branch, else_branch=branch))
    return onnx_bytes(POOL, FLAT, helper.make_node("If", ["flag"], ["x"], then_branch=nested, else_branch=nested))


def hidden_in_function() -> bytes:
    constant = helper.make_node("Constant", [], ["y"], value=outside())
    function = helper.make_function("mine", "Weights", [], ["y"], [constant], [helper.make_opsetid("", 13)])
    return with_model(lambda model: model.functions.append(function))


def hidden_in_sparse() -> bytes:
    sparse = onnx.SparseTensorProto(values=outside(), dims=[100])
    return onnx_bytes(sparse_initializer=[sparse])


def hidden_in_training() -> bytes:
    return with_model(lambda model: model.training_info.add().algorithm.initializer.append(outside()))


def hidden_in_attribute_list() -> bytes:
    node = helper.make_node("Identity", ["pooled"], ["x"])
    node.attribute.add(name="several", type=onnx.AttributeProto.TENSORS).tensors.append(outside())
    return onnx_bytes(POOL, FLAT, node)


def location_without_flag() -> bytes:
    tensor = outside()
    tensor.ClearField("data_location")
    return onnx_bytes(initializer=[tensor])


HIDING = {
    "initializer": lambda: onnx_bytes(initializer=[outside()]),
    "constant": lambda: onnx_bytes(POOL, FLAT, helper.make_node("Constant", [], ["x"], value=outside())),
    "subgraph of a subgraph": hidden_in_subgraph,
    "subgraph initializer": lambda: onnx_bytes(
        POOL,
        FLAT,
        helper.make_node(
            "If",
            ["flag"],
            ["x"],
            then_branch=subgraph(initializer=[outside()]),
            else_branch=subgraph(),
        ),
    ),
    "function": hidden_in_function,
    "sparse": hidden_in_sparse,
    "training": hidden_in_training,
    "attribute list": hidden_in_attribute_list,
    "entry without flag": location_without_flag,
}


def huge(**fields) -> bytes:
    return onnx_bytes(initializer=[TensorProto(name="w", data_type=TensorProto.FLOAT, **fields)])


REFUSED = {
    "custom domain": (
        lambda: onnx_bytes(POOL, helper.make_node("Mine", ["pooled"], ["mean"], domain="my.ops")),
        "operator my.ops.Mine (node (unnamed)) is a custom one: only the domains '', 'ai.onnx', 'ai.onnx.ml' are run",
    ),
    "contrib operators": (
        lambda: onnx_bytes(POOL, FLAT, helper.make_node("EPContext", [], ["x"], domain="com.microsoft", name="n")),
        "operator com.microsoft.EPContext (node n) is a custom one",
    ),
    "custom in a subgraph": (
        lambda: onnx_bytes(
            POOL,
            FLAT,
            helper.make_node(
                "If",
                ["flag"],
                ["x"],
                then_branch=subgraph(helper.make_node("Mine", [], ["inner"], domain="my.ops")),
                else_branch=subgraph(),
            ),
        ),
        "operator my.ops.Mine",
    ),
    "unknown standard operator": (
        lambda: onnx_bytes(POOL, helper.make_node("Landmarks", ["pooled"], ["mean"])),
        "operator Landmarks (node (unnamed)) is none of the ONNX standard as onnx ",
    ),
    "dims beyond the data": (
        lambda: huge(dims=[2**40], raw_data=b"\0" * 16),
        "tensor w declares dims [1099511627776] and holds 16 values or bytes",
    ),
    "negative dims": (lambda: huge(dims=[-4, -4], float_data=[1.0] * 16), "tensor w declares dims [-4, -4]"),
    "huge input": (lambda: onnx_bytes(dims=(1, 3, 2**19, 2**19)), "image has dims [1, 3, 524288, 524288]: each has to"),
    "huge side": (lambda: onnx_bytes(dims=(1, 3, 2**40, 1)), "each has to be 1 to 1,048,576"),
    "zero side": (lambda: onnx_bytes(dims=("N", 3, 0, 8)), "image has dims [None, 3, 0, 8]"),
    "sparse weights": (
        lambda: onnx_bytes(sparse_initializer=[onnx.SparseTensorProto(dims=[2**40])]),
        "holds a sparse tensor of dims [1099511627776]",
    ),
    "no ONNX": (lambda: b"<!DOCTYPE html><html>Not Found</html>", "37 bytes that are no ONNX model"),
    "nothing in it": (lambda: onnx.ModelProto(ir_version=8).SerializeToString(), "an ONNX model without operators"),
    "truncated": (lambda: onnx_bytes()[:-5], "that are no ONNX model"),
    "ort format": (lambda: b"\x20\0\0\0ORTM" + b"\0" * 64, "is in onnxruntime's own format (.ort)"),
}


@pytest.fixture
def no_session(monkeypatch, nothing_loaded):
    """Making a session is an error: refusals have to come before."""

    def refuse(*args, **kwargs):
        raise AssertionError("a session was made of a file that should have been refused")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)


@pytest.fixture
def load(make_spec, tmp_path):
    """Load bytes as a user's own model."""

    def load(data, **changed):
        folder = tmp_path / "mine"
        (folder / "tiny").mkdir(parents=True, exist_ok=True)
        (folder / "tiny/tiny.onnx").write_bytes(data)
        return load_session(make_spec(data, folder=str(folder), **changed))

    return load


@pytest.mark.parametrize("where", HIDING)
def test_external_data_is_refused_wherever_it_hides(where, load, no_session):
    with pytest.raises(
        InputError, match=r"model tiny: tensor weights lies in another file \(/elsewhere/weights.bin\): external"
    ):
        load(HIDING[where]())


@pytest.mark.parametrize("what", REFUSED)
def test_refused_before_a_session_exists(what, load, no_session):
    make, message = REFUSED[what]
    with pytest.raises(InputError) as caught:
        load(make())
    assert message in str(caught.value)
    assert str(caught.value).startswith("model tiny: ")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"input": {"name": "x", "width": 8, "height": 8}}, "the spec's input is 'x', the file's 'image'"),
        ({"input": {"width": 9, "height": 8}}, "axis 3 of the file's input is 8, the spec says 9"),
        ({"input": {}}, "axis 2 of the file's input is 8, the spec says any"),
        ({"input": {"layout": "NHWC", "width": 8, "height": 8}}, "axis 1 of the file's input is 3, the spec says 8"),
        ({"input": {"width": 8, "height": 8, "dtype": "uint8"}}, "the spec's input is uint8, the file's has ONNX"),
        ({"outputs": ["median"]}, "the file has no output 'median': its outputs are mean"),
    ],
)
def test_a_spec_that_does_not_fit_the_file(load, no_session, changed, message):
    with pytest.raises(InputError) as caught:
        load(onnx_bytes(), **changed)
    assert message in str(caught.value)


def test_a_fixed_batch_has_to_be_declared(load, no_session):
    with pytest.raises(InputError, match="axis 0 of the file's input is 1, the spec says any"):
        load(onnx_bytes(dims=(1, 3, 8, 8)))


def test_one_image_goes_in(load, no_session):
    def second_input(model):
        model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))

    with pytest.raises(InputError, match=r"the file has 2 inputs \(image, more\): it has to take one image tensor"):
        load(with_model(second_input))


def test_functions_of_the_file_itself_are_fine():
    function = helper.make_function(
        "mine", "Flat", ["x"], ["y"], [helper.make_node("Flatten", ["x"], ["y"])], [helper.make_opsetid("", 13)]
    )
    model = onnx.ModelProto.FromString(onnx_bytes(POOL, helper.make_node("Flat", ["pooled"], ["mean"], domain="mine")))
    model.functions.append(function)
    graph = check_graph(model.SerializeToString(), "model")
    assert [port.name for port in graph.inputs + graph.outputs] == ["image", "mean"]
    assert graph.inputs[0].dims == (None, 3, 8, 8)


def test_what_onnxruntime_cannot_load_is_the_files_fault(load, nothing_loaded):
    mismatch = [helper.make_node("MatMul", ["image", "w"], ["mean"])]
    weights = helper.make_tensor("w", TensorProto.FLOAT, [5, 5], [0.0] * 25)
    with pytest.raises(InputError, match=r"model tiny: onnxruntime [\d.]+ cannot load it: "):
        load(onnx_bytes(*mismatch, initializer=[weights]))


def test_real_models_pass(shared):
    files = sorted((shared / "models").glob("*/*.onnx"))
    assert len(files) == 19
    for path in files:
        assert len(check_graph(path.read_bytes(), path.name).inputs) == 1
