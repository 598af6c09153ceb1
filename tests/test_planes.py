"""Many narrow planes are worked on several at a time: with the bits of one alone."""

import numpy as np
import pytest
from cases import EDGES, Case, cpu_only, each_dtype

LAYOUTS = {
    "rows": lambda a: a,
    "planes last but rows contiguous": lambda a: np.ascontiguousarray(a.swapaxes(0, -2)).swapaxes(0, -2),
    "every other plane": lambda a: np.repeat(a, 2, axis=0)[::2],
    "planes backwards": lambda a: np.ascontiguousarray(a[::-1])[::-1],
}


@cpu_only
@each_dtype
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("shape", [(16, 7, 7), (37, 5, 4), (33, 2, 9, 14), (3, 50, 33, 31), (18, 9, 3)], ids=str)
def test_stack_of_planes(shape, edge, layout, dtype):
    case = Case(shape, (5, 4), edge=edge)
    norm = case.norm("cpu")
    x, dy = LAYOUTS[layout](case.values(dtype, 1)), LAYOUTS[layout](case.values(dtype, 2))
    y, dx, jvp = norm(x), norm.gradient(dy, x), norm.jvp(x, dy)
    assert y.dtype == x.dtype
    for plane in np.ndindex(shape[:-2]):
        assert y[plane].tobytes() == norm(x[plane]).tobytes()
        assert dx[plane].tobytes() == norm.gradient(dy[plane], x[plane]).tobytes()
        assert jvp[plane].tobytes() == norm.jvp(x[plane], dy[plane]).tobytes()
    if edge == "zero":
        documented = case.but(gradient="documented").norm("cpu")
        dx_documented = documented.gradient(dy, x)
        for plane in np.ndindex(shape[:-2]):
            assert dx_documented[plane].tobytes() == documented.gradient(dy[plane], x[plane]).tobytes()
    for result, call in ((y, lambda a: norm(a, a)), (dx, lambda a: norm.gradient(dy, a, a))):
        a = x.copy()
        call(a)
        assert a.tobytes() == result.tobytes()
    sums = np.sum([norm.parameter_gradients(dy[p], x[p]) for p in np.ndindex(shape[:-2])], axis=0)
    np.testing.assert_allclose(norm.parameter_gradients(dy, x), sums, rtol=1e-5, atol=1e-6 * np.abs(sums).max())


@cpu_only
def test_nothing_beside_the_planes(device):
    memory = np.full((40, 9, 20), 7, "f4")
    x = np.ones((40, 9, 11), "f4")
    Case(x.shape, 3).norm(device)(x, memory[:, :, 4:15])
    assert (memory[:, :, :4] == 7).all()
    assert (memory[:, :, 15:] == 7).all()


@cpu_only
def test_runs_leave_nothing_behind(device):
    """What stays clear in a thread's memory from run to run of one plan: nothing of other runs is ever seen there."""
    cases = [
        Case((h, w), k, edge=edge)
        for h, w in ((2, 2), (9, 16), (20, 40), (8, 70))
        for k in (3, 5, (9, 4))
        for edge in EDGES
    ]
    norms = [case.norm(device) for case in cases]
    inputs = [(case.values("f4", 1), case.values("f4", 2)) for case in cases]
    first = [(norm(x).tobytes(), norm.gradient(dy, x).tobytes()) for norm, (x, dy) in zip(norms, inputs, strict=True)]
    order = np.random.default_rng(3).integers(len(cases), size=400)
    for i, poisoned in zip(order, order % 3 == 0, strict=True):
        x, dy = inputs[i]
        if poisoned:
            norms[i](np.full_like(x, np.nan))
            norms[i].gradient(np.full_like(x, np.inf), x)
        for _ in range(2):
            assert (norms[i](x).tobytes(), norms[i].gradient(dy, x).tobytes()) == first[i]
