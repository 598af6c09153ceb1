"""The names, defaults and habits of the public objects."""

import copy
import inspect
import itertools
import pickle
import weakref

import numpy as np
import pytest
from cases import DEVICE, Case, normwise

import spatialnorm as sn
from spatialnorm import SpatialNorm, _core, reference

OBJECTS = [
    SpatialNorm(),
    SpatialNorm(3),
    SpatialNorm((3, 4), alpha=1e-4, beta=0.75, delta=2),
    SpatialNorm(7, alpha=0, beta=-0.5, delta=-1.5, axes=(1, 2), edge="clamp"),
    SpatialNorm(7, gradient="documented", device="cpu"),
    SpatialNorm(2, 1 / 3, 1e-300, 1e300),
    SpatialNorm(5, device=sn.devices()[0]),
]

each_object = pytest.mark.parametrize("norm", OBJECTS, ids=repr)


def test_public_names():
    assert set(sn.__all__) >= {
        "spatial_norm",
        "spatial_norm_gradient",
        "SpatialNorm",
        "convert",
        "devices",
        "Device",
        "empty",
        "empty_like",
        "get_include",
        "get_num_threads",
        "halo",
        "set_num_threads",
        "show_config",
    }
    for name in sn.__all__:
        item = getattr(sn, name)
        assert item.__doc__, name
        if inspect.isfunction(item):
            assert "Returns\n" in item.__doc__ or inspect.signature(item).return_annotation in (None, "None"), name
    assert sn.__version__ == _core.version()


def test_defaults_are_those_of_the_framework():
    norm = SpatialNorm()
    assert (norm.kernel_size, norm.alpha, norm.beta, norm.delta) == ((5, 5), 1.0, 5.0, 1.0)
    assert (norm.axes, norm.edge, norm.gradient_formula, norm.device) == ((-2, -1), "zero", "exact", "auto")
    for function in (sn.spatial_norm, sn.spatial_norm_gradient):
        found = {k: p.default for k, p in inspect.signature(function).parameters.items()}
        assert (found["kernel_size"], found["alpha"], found["beta"], found["delta"]) == (5, 1.0, 5.0, 1.0)
        assert (found["axes"], found["edge"], found["out"], found["device"]) == ((-2, -1), "zero", None, "auto")


def test_signatures():
    assert list(inspect.signature(SpatialNorm(3).gradient).parameters) == ["grad_y", "x", "out"]
    assert list(inspect.signature(SpatialNorm(3).jvp).parameters) == ["x", "dx", "out"]
    assert list(inspect.signature(SpatialNorm(3).parameter_gradients).parameters) == ["grad_y", "x"]
    for method in ("__call__", "gradient", "jvp", "parameter_gradients"):
        assert "Parameters\n" in getattr(SpatialNorm, method).__doc__


@each_object
def test_repr_evaluates(norm):
    assert eval(repr(norm), {"SpatialNorm": SpatialNorm, "Device": sn.Device}) == norm


@each_object
def test_copies(norm):
    for other in (*(pickle.loads(pickle.dumps(norm, p)) for p in range(6)), copy.copy(norm), copy.deepcopy(norm)):
        assert type(other) is SpatialNorm
        assert other == norm
        assert hash(other) == hash(norm)
        assert repr(other) == repr(norm)
    x = Case().values("f4")
    assert pickle.loads(pickle.dumps(norm))(x).tobytes() == norm(x).tobytes()


def test_pickle_names_the_public_class():
    assert b"_core" not in pickle.dumps(SpatialNorm(3))


def test_equality_and_hash():
    assert len(set(OBJECTS)) == len(OBJECTS)
    assert SpatialNorm(3) == SpatialNorm((3, 3), 1, 5, 1.0)
    assert SpatialNorm(3) != SpatialNorm(4)
    assert SpatialNorm(3) != 3
    for a, b in itertools.pairwise(OBJECTS):
        assert a != b


@each_object
def test_immutable(norm):
    for name in ("alpha", "kernel_size", "gradient", "arguments", "anything"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(norm, name, 1)
    with pytest.raises((AttributeError, TypeError)):
        del norm.arguments


def test_arguments_convert():
    norm = SpatialNorm(np.int32(3), alpha=np.float32(0.5), beta=np.array(2.0), delta=True, axes=[np.int8(0), 1])
    assert [type(v) for v in (norm.alpha, norm.beta, norm.delta)] == [float] * 3
    assert norm.axes == (0, 1)
    assert repr(norm) == "SpatialNorm(3, alpha=0.5, beta=2.0, delta=1.0, axes=(0, 1))"


def test_weak_references():
    norm = SpatialNorm(3)
    assert weakref.ref(norm)() is norm


def test_subclass():
    class Mine(SpatialNorm):
        """With an attribute, and a call of its own."""

        def __call__(self, x, out=None):
            return super().__call__(x, out)

    x = Case().values("f4")
    mine = Mine(3, device=DEVICE)
    mine.note = "mine"
    assert mine(x).tobytes() == SpatialNorm(3, device=DEVICE)(x).tobytes()
    assert mine.gradient(x, x).tobytes() == SpatialNorm(3, device=DEVICE).gradient(x, x).tobytes()
    assert mine != SpatialNorm(3, device=DEVICE)


def test_explicit_call():
    """`__call__` by its name, unbound, through map and partial."""
    import functools

    norm, x = SpatialNorm(3, device=DEVICE), Case().values("f4")
    expected = norm(x).tobytes()
    out = np.empty_like(x)
    for result in (
        norm.__call__(x),
        SpatialNorm.__call__(norm, x),
        next(map(norm, [x])),
        functools.partial(norm, out=out)(x),
        norm(*[x]),
        norm(*(x, out)),
    ):
        assert result.tobytes() == expected


def test_same_object_over_many_shapes():
    """Plans come and go; results stay."""
    norm = SpatialNorm(3, alpha=0.3, beta=0.75, device=DEVICE)
    for _ in range(2):
        for n in range(1, 30):
            x = Case(shape=(n, 31 - n)).values("f4")
            assert normwise(norm(x), reference.spatial_forward(x, 3, 0.3, 0.75)) < 1e-6


# Devices and configuration ------------------------------------------------------------------------------------


def test_devices():
    found = sn.devices()
    assert next(d.kind for d in found) == "cpu"
    assert found[0].available
    assert found[0].description == _core.isa()
    metal = [d for d in found if d.kind == "metal"]
    assert metal
    assert metal[0].description  # where it cannot run, the reason
    assert hash(found[0]) == hash(sn.devices()[0])
    with pytest.raises(AttributeError):
        found[0].name = "other"


def test_device_by_object():
    x = Case().values("f4")
    assert SpatialNorm(3, device=sn.devices()[0])(x).tobytes() == SpatialNorm(3, device="cpu")(x).tobytes()


def test_show_config(capsys):
    assert sn.show_config() is None
    text = capsys.readouterr().out
    for word in (sn.__version__, _core.isa(), "threads", "device 'cpu'", "device 'metal'", np.__version__):
        assert word in text


def test_include():
    from pathlib import Path

    assert (Path(sn.get_include()) / "spatialnorm" / "spatialnorm.h").is_file()


# halo ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, (5, 2), (1, 7), (8, 3)], ids=str)
@pytest.mark.parametrize("gradient", [False, True])
def test_halo_is_enough_and_no_more(kernel_size, gradient):
    """A tile with its halo gives the whole image's samples; each row and column of the halo matters."""
    case = Case(shape=(40, 40), kernel_size=kernel_size, alpha=1.0, beta=1.0)
    norm = case.norm(DEVICE)
    x, grad_y = case.values("f4", 1), case.values("f4", 2)
    (up, down), (left, right) = sn.halo(kernel_size, gradient)

    def run(margins):
        u, d, a, b = margins
        part = np.s_[15 - u : 25 + d, 15 - a : 25 + b]
        y = norm.gradient(grad_y[part], x[part]) if gradient else norm(x[part])
        return y[u : u + 10, a : a + 10]

    whole = (norm.gradient(grad_y, x) if gradient else norm(x))[15:25, 15:25]
    exact = (up, down, left, right)
    np.testing.assert_allclose(run(exact), whole, rtol=1e-5, atol=1e-6)
    for side in range(4):
        if exact[side]:
            less = [n - (k == side) for k, n in enumerate(exact)]
            assert np.abs(run(less) - whole).max() > 1e-4


def test_halo_is_what_pad_takes():
    assert sn.halo(5) == ((2, 2), (2, 2))
    assert sn.halo((4, 1)) == ((2, 1), (0, 0))
    assert sn.halo((4, 1), gradient=True) == ((3, 3), (0, 0))
    assert np.pad(np.zeros((3, 3)), sn.halo(3)).shape == (5, 5)
