// Element-wise operations: addition, and conversion to another dtype.
#include "elementwise.h"
#include "operation.h"
#include <cstdlib>

namespace sn {
namespace {

const Operands *add_operands(sn_pass pass) {
    static const Operands forward = {3, true, 0, {"a", "b", "out"}};
    return pass == SN_FORWARD ? &forward : nullptr;
}

const Operands *convert_operands(sn_pass pass) {
    static const Operands forward = {2, true, 0, {"x", "out"}, true};
    return pass == SN_FORWARD ? &forward : nullptr;
}

void validate(const sn_params *params, Problem &problem) { problem.params = *params; }

} // namespace

const Operation add_operation = {SN_ADD, "addition", sizeof(sn_params), add_operands, validate, true};
const Operation convert_operation = {SN_CONVERT, "conversion", sizeof(sn_params), convert_operands, validate, true};

Axes merge_axes(const Problem &problem) {
    const int output = problem.n_operands - 1;
    Axes all;
    all.n = 0;
    auto take = [&](int64_t size, auto stride) {
        if (size == 1) return;
        int at = all.n++;
        for (; at > 0 && std::llabs(all.stride[output][at - 1]) < std::llabs(stride(problem.operands[output])); --at) {
            all.size[at] = all.size[at - 1];
            for (int i = 0; i <= output; ++i) all.stride[i][at] = all.stride[i][at - 1];
        }
        all.size[at] = size;
        for (int i = 0; i <= output; ++i) all.stride[i][at] = stride(problem.operands[i]);
    };
    for (int k = 0; k < problem.n_batch; ++k) take(problem.batch[k], [k](const Layout &a) { return a.batch[k]; });
    take(problem.height, [](const Layout &a) { return a.height; });
    take(problem.width, [](const Layout &a) { return a.width; });

    Axes merged;
    merged.n = 0;
    for (int k = 0; k < all.n; ++k) {
        const int last = merged.n - 1;
        bool even = last >= 0;
        for (int i = 0; i <= output && even; ++i) even = merged.stride[i][last] == all.stride[i][k] * all.size[k];
        const int to = even ? last : merged.n++;
        merged.size[to] = even ? merged.size[to] * all.size[k] : all.size[k];
        for (int i = 0; i <= output; ++i) merged.stride[i][to] = all.stride[i][k];
    }
    return merged;
}

} // namespace sn
