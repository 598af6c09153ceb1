"""A few thousand random problems, the same ones in every run."""

import numpy as np
import pytest
from cases import DTYPES, EDGES, LAYOUTS, Blank, Case, assert_derivative, assert_forward, lay_out

import spatialnorm as sn

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is not installed")
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

ALL = [dtype for dtype in DTYPES if isinstance(dtype, np.dtype)]


def examples(n):
    return settings(
        max_examples=n,
        derandomize=True,  # the same examples in every run
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@st.composite
def problems(draw, largest=24):
    """Any number of axes, any two of them spatial, any window."""
    shape = tuple(draw(st.lists(st.integers(0, largest // 2), max_size=2)))
    shape += tuple(draw(st.lists(st.integers(1, largest), min_size=2, max_size=2)))
    axes = tuple(draw(st.permutations(range(-len(shape), 0)))[:2])
    window = st.one_of(st.integers(1, 12), st.integers(1, 100))
    case = Case(
        shape=shape,
        kernel_size=(draw(window), draw(window)),
        alpha=draw(st.sampled_from([0.0, 1e-4, 0.3, 1.0, 2.5])),
        beta=draw(st.sampled_from([-0.5, 0.0, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0])),
        delta=draw(st.sampled_from([0.5, 1.0, 3.0])),
        axes=axes,
        edge=draw(st.sampled_from(EDGES)),
    )
    return case, draw(st.sampled_from(ALL)), draw(st.integers(0, 2**31))


layouts = st.sampled_from(sorted(LAYOUTS))


@examples(1000)
@given(problems(), layouts, layouts)
def test_forward(device, problem, layout, out_layout):
    case, dtype, seed = problem
    x, out = lay_out(case.values(dtype, seed), layout), Blank(case.shape, dtype, out_layout)
    assert case.norm(device)(x, out.view) is out.view
    assert_forward(out.view, case.forward(x), case.beta)
    out.assert_only_written()


@examples(800)
@given(problems(), layouts, layouts, layouts, st.booleans())
def test_gradient(device, problem, layout, grad_layout, out_layout, documented):
    case, dtype, seed = problem
    if documented:
        case = case.but(gradient="documented", edge="zero")
    x = lay_out(case.values(dtype, seed), layout)
    grad_y = lay_out(case.values(dtype, seed + 1), grad_layout)
    out = Blank(case.shape, dtype, out_layout)
    case.norm(device).gradient(grad_y, x, out.view)
    assert_derivative(out.view, case.vjp(grad_y, x))
    out.assert_only_written()


@examples(500)
@given(problems(), layouts, layouts)
def test_jvp(device, problem, layout, out_layout):
    case, dtype, seed = problem
    x, dx = lay_out(case.values(dtype, seed), layout), case.values(dtype, seed + 1)
    out = Blank(case.shape, dtype, out_layout)
    case.norm(device).jvp(x, dx, out.view)
    assert_derivative(out.view, case.jvp(x, dx))
    out.assert_only_written()


@examples(500)
@given(problems(), layouts, st.integers(0, 4))
def test_in_place(device, problem, layout, which):
    case, dtype, seed = problem
    norm = case.norm(device)
    x, g = case.values(dtype, seed), case.values(dtype, seed + 1)
    a, b = lay_out(x, layout), lay_out(g, layout)
    call, operands, out = [
        (norm, (a,), a),
        (norm.gradient, (b, a), a),
        (norm.gradient, (b, a), b),
        (norm.jvp, (a, b), a),
        (norm.jvp, (a, b), b),
    ][which]
    expected = call(*operands)
    call(*operands, out)
    assert np.ascontiguousarray(out).tobytes() == expected.tobytes()


@examples(400)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(-9, 9),
    st.integers(-9, 9),
    st.integers(0, 99),
    st.integers(-9, 9),
    st.integers(-9, 9),
    st.integers(0, 99),
)
def test_overlap_is_refused_exactly_when_it_is_there(device, height, width, a0, a1, a, b0, b1, b):
    """Any two strided views of one block: right where they share no byte or are one, refused elsewhere."""
    block = np.zeros(200, np.float32)

    def view(start, s0, s1):
        low = start + min(0, s0 * (height - 1)) + min(0, s1 * (width - 1))
        high = start + max(0, s0 * (height - 1)) + max(0, s1 * (width - 1))
        hypothesis.assume(low >= 0 and high < block.size)
        return np.lib.stride_tricks.as_strided(block[start:], (height, width), (4 * s0, 4 * s1), writeable=True)

    x, out = view(a, a0, a1), view(b, b0, b1)
    cells = [
        [(s + i * s0 + j * s1) for i in range(height) for j in range(width)] for s, s0, s1 in ((a, a0, a1), (b, b0, b1))
    ]
    block[:] = np.random.default_rng(a).normal(size=block.size)
    before, expected = block.copy(), sn.spatial_norm(x.copy(), 3)
    repeats = len(set(cells[1])) < len(cells[1])
    shared = bool(set(cells[0]) & set(cells[1])) and cells[0] != cells[1]
    if repeats or shared:
        with pytest.raises(ValueError, match="out must"):
            sn.spatial_norm(x, 3, out=out, device=device)
        assert block.tobytes() == before.tobytes()
    else:
        sn.spatial_norm(x, 3, out=out, device=device)
        # Only the CPU promises equal bits for every layout.
        np.testing.assert_allclose(out, expected, rtol=0 if device == "cpu" else 1e-6)
        untouched = np.ones(block.size, bool)
        untouched[cells[1]] = False
        assert block[untouched].tobytes() == before[untouched].tobytes()


@examples(400)
@given(
    st.one_of(st.integers(), st.floats(), st.text(max_size=3), st.none(), st.tuples(st.integers(), st.integers())),
    st.one_of(st.floats(), st.text(max_size=2), st.none(), st.complex_numbers()),
    st.one_of(st.floats(), st.integers()),
)
def test_any_arguments(device, kernel_size, alpha, delta):
    """An object or one of the two errors, never anything else."""
    try:
        norm = sn.SpatialNorm(kernel_size, alpha, 0.75, delta, device=device)
    except (TypeError, ValueError) as error:
        message = str(error)
    else:
        message = "alpha"
        assert norm.alpha >= 0
        assert norm(np.ones((3, 3), "f4")).shape == (3, 3)
    assert any(name in message for name in ("kernel_size", "alpha", "delta"))
