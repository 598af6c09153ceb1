#include "launch_elementwise.h"
#include "error.h"
#include "launch_choice.h"
#include "operation.h"
#include "ops/elementwise.h"
#include <algorithm>
#include <cstdio>
#include <limits>

namespace sn {
namespace {

int64_t in_elements(const Layout &layout, int64_t bytes) {
    const int64_t size = itemsize(layout.dtype);
    if (bytes % size)
        fail(SN_UNSUPPORTED, "the strides of %s must be multiples of its itemsize %lld on device \"metal\", not %lld",
             layout.name, (long long)size, (long long)bytes);
    return bytes / size;
}

} // namespace

Launch make_elementwise_launch(const Problem &problem) {
    Launch launch;
    if (problem.elements == 0) return launch;
    const Axes axes = merge_axes(problem);
    const int output = problem.n_operands - 1, outer = std::max(0, axes.n - ELEMENTWISE_AXES);
    Dispatch d = {};
    if (problem.operation->id == SN_ADD)
        std::snprintf(d.kernel, sizeof d.kernel, "elementwise_add_%s", type_name(problem.dtype));
    else
        std::snprintf(d.kernel, sizeof d.kernel, "elementwise_convert_%s_%s", type_name(problem.dtype),
                      type_name(problem.operands[output].dtype));
    d.n_bindings = problem.n_operands;
    for (int i = 0; i <= output; ++i) d.bindings[i] = {Binding::operand, i, problem.operands[i].first};
    d.elementwise = {};
    ElementwiseParams &p = d.elementwise;
    int64_t times = 1; // dispatches, of the axes that a kernel does not step through
    for (int k = 0; k < outer; ++k) times *= axes.size[k];
    p.elements = problem.elements / times;
    for (int k = 0; k < ELEMENTWISE_AXES; ++k) {
        const int from = axes.n - ELEMENTWISE_AXES + k;
        p.size[k] = from < 0 ? 1 : axes.size[from];
        for (int i = 0; i <= output; ++i)
            p.stride[i][k] = from < 0 ? 0 : in_elements(problem.operands[i], axes.stride[i][from]);
    }
    const int64_t groups = ceil_div(p.elements, ELEMENTWISE_THREADS);
    if (groups > std::numeric_limits<uint32_t>::max())
        fail(SN_UNSUPPORTED, "the elements of %s must be below 2^40 on device \"metal\", not %lld",
             problem.operands[0].name, (long long)p.elements);
    d.groups = uint32_t(groups);
    d.threads = ELEMENTWISE_THREADS;
    for (int64_t time = 0; time < times; ++time) {
        int64_t index = time;
        for (int i = 0; i <= output; ++i) p.origin[i] = in_elements(problem.operands[i], -problem.operands[i].first);
        for (int k = outer - 1; k >= 0; --k) {
            const int64_t at = index % axes.size[k];
            index /= axes.size[k];
            for (int i = 0; i <= output; ++i) p.origin[i] += at * in_elements(problem.operands[i], axes.stride[i][k]);
        }
        launch.dispatches.push_back(d);
    }
    return launch;
}

} // namespace sn
