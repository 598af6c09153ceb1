"""JAX: jit of separable window sums; the gradient is its own vector-Jacobian product, jitted."""

from benchmarks.peers import Peer, python_job


class Jax(Peer):
    compiles = True

    def __init__(self, threads):
        import jax

        jax.config.update("jax_platforms", "cpu")
        self.jax, self.version = jax, jax.__version__

    def open(self, case, x, dy):
        jax, k = self.jax, case.kernel_size
        if case.dtype != "float32":
            return {}
        before, after = k // 2, (k - 1) // 2

        def window_sum(a, window, padding):
            return jax.lax.reduce_window(a, 0.0, jax.lax.add, window, (1, 1, 1, 1), padding)

        def norm(x):
            s = window_sum(x * x, (1, 1, k, 1), ((0, 0), (0, 0), (before, after), (0, 0)))
            s = window_sum(s, (1, 1, 1, k), ((0, 0), (0, 0), (0, 0), (before, after)))
            return x * (case.delta + case.alpha / k**2 * s) ** -case.beta

        names = {
            "x": jax.numpy.asarray(x),
            "dy": jax.numpy.asarray(dy),
            "forward": jax.jit(norm),
            "gradient": jax.jit(lambda dy, x: jax.vjp(norm, x)[1](dy)[0]),
        }
        return {
            "forward": python_job("forward(x).block_until_ready()", names, "forward"),
            "gradient": python_job("gradient(dy, x).block_until_ready()", names, "gradient"),
        }
