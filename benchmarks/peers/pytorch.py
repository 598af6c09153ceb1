"""PyTorch: the composition that users write, eager and compiled, and kinder forms of it, compiled.

A gradient by autograd is timed as the backward pass alone, from what a forward pass saved.
"""

from benchmarks.peers import Peer, python_job


class Eager(Peer):
    """x * (delta + alpha * avg_pool2d(x^2))^-beta."""

    slow = True
    compiled = False
    separable = False

    def __init__(self, threads):
        import torch

        torch.set_num_threads(threads)
        self.torch, self.version = torch, torch.__version__
        self.case, self.built = None, {}
        if self.compiled:
            import torch._functorch.config
            import torch._inductor.config

            torch._inductor.config.compile_threads = 1
            torch._functorch.config.donated_buffer = False  # the backward pass is run again and again

    def norm(self, case):
        """Return the function of x; odd windows only (an even one would need a padded copy)."""
        pool, k, half = self.torch.nn.functional.avg_pool2d, case.kernel_size, case.kernel_size // 2

        def mean(a):
            if not self.separable:
                return pool(a, k, 1, half)
            return pool(pool(a, (k, 1), 1, (half, 0)), (1, k), 1, (0, half))

        return lambda x: x * (case.delta + case.alpha * mean(x * x)) ** -case.beta

    def build(self, case, name, function):
        """Return the function to call; compiled once for a case, however often the case is opened."""
        if not self.compiled:
            return function
        if case != self.case:
            self.torch._dynamo.reset()  # else the compiler gives up on a function after eight shapes
            self.case, self.built = case, {}
        if name not in self.built:
            self.built[name] = self.torch.compile(function, fullgraph=True, dynamic=False)
        return self.built[name]

    def open(self, case, x, dy):
        if case.kernel_size % 2 == 0 or case.dtype != "float32":
            return {}
        torch, norm = self.torch, self.build(case, "norm", self.norm(case))
        leaf = torch.from_numpy(x).requires_grad_()
        names = {"norm": norm, "x": torch.from_numpy(x), "dy": torch.from_numpy(dy), "leaf": leaf}
        names |= {"grad": torch.autograd.grad, "y": norm(leaf)}
        return {
            "forward": python_job("norm(x)", names, "forward"),
            "gradient": python_job("grad(y, leaf, dy, retain_graph=True)[0]", names, "gradient"),
        }


class CompiledComposite(Eager):
    compiled = compiles = True

    def trial(self, case, x, dy):
        self.compiled = False
        try:
            return super().open(case, x, dy)
        finally:
            self.compiled = True


class CompiledSeparable(CompiledComposite):
    slow = False
    separable = True


class CompiledClosedForm(CompiledSeparable):
    """The gradient's formula written out, so that the compiler sees all of it at once."""

    def open(self, case, x, dy):
        if case.kernel_size % 2 == 0 or case.dtype != "float32":
            return {}
        torch, k, half = self.torch, case.kernel_size, case.kernel_size // 2
        pool = torch.nn.functional.avg_pool2d

        def mean(a):
            return pool(pool(a, (k, 1), 1, (half, 0)), (1, k), 1, (0, half))

        def gradient(dy, x):
            t = case.delta + case.alpha * mean(x * x)
            q = t**-case.beta
            return dy * q - 2 * case.alpha * case.beta * x * mean(dy * x * q / t)

        names = {"x": torch.from_numpy(x), "dy": torch.from_numpy(dy)}
        names["forward"] = self.build(case, "norm", self.norm(case))
        names["gradient"] = self.build(case, "gradient", gradient)
        return {
            "forward": python_job("forward(x)", names, "forward"),
            "gradient": python_job("gradient(dy, x)", names, "gradient"),
        }
