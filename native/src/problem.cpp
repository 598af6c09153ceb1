#include "error.h"
#include "operation.h"
#include "overlap.h"
#include <algorithm>
#include <cstdio>
#include <cstring>

namespace sn {

int64_t itemsize(sn_dtype dtype) {
    switch (dtype) {
    case SN_FLOAT16:
    case SN_BFLOAT16: return 2;
    case SN_FLOAT32: return 4;
    case SN_FLOAT64: return 8;
    }
    return 0;
}

const char *dtype_name(sn_dtype dtype) {
    switch (dtype) {
    case SN_FLOAT16: return "float16";
    case SN_BFLOAT16: return "bfloat16";
    case SN_FLOAT32: return "float32";
    case SN_FLOAT64: return "float64";
    }
    return "unknown";
}

namespace {

// a * b, or an error that names what overflowed.
int64_t times(int64_t a, int64_t b, const char *what) {
    int64_t product;
    if (__builtin_mul_overflow(a, b, &product)) fail(SN_INVALID_ARGUMENT, "%s does not fit 64 bits", what);
    return product;
}
int64_t plus(int64_t a, int64_t b, const char *what) {
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum)) fail(SN_INVALID_ARGUMENT, "%s does not fit 64 bits", what);
    return sum;
}

struct Text {
    char chars[160];
};
Text shape_text(const sn_array &a) {
    Text text;
    char *at = text.chars, *end = text.chars + sizeof text.chars - 8;
    *at++ = '(';
    for (int k = 0; k < a.ndim; ++k) {
        if (at > end - 24) {
            at += std::snprintf(at, size_t(end - at), "...");
            break;
        }
        at += std::snprintf(at, size_t(end - at), k ? ", %lld" : "%lld", (long long)a.shape[k]);
    }
    std::snprintf(at, 8, a.ndim == 1 ? ",)" : ")");
    return text;
}

void check_dtypes(const Operands &rules, const sn_array *operands, int n_images) {
    const int alike = rules.converts ? n_images - 1 : n_images;
    for (int i = 0; i < n_images; ++i)
        if (!itemsize(operands[i].dtype))
            fail(SN_INVALID_TYPE, "%s must be float16, bfloat16, float32 or float64, not dtype code %d", rules.names[i],
                 int(operands[i].dtype));
    for (int i = 1; i < alike; ++i)
        if (operands[i].dtype != operands[0].dtype)
            fail(SN_INVALID_TYPE, "%s and %s must have one dtype, but are %s and %s", rules.names[0], rules.names[i],
                 dtype_name(operands[0].dtype), dtype_name(operands[i].dtype));
}

void check_shapes(const Operands &rules, const sn_array *operands, int n_images) {
    const sn_array &x = operands[0];
    if (x.ndim < 2)
        fail(SN_INVALID_ARGUMENT, "%s must have at least 2 axes, but its shape is %s", rules.names[0],
             shape_text(x).chars);
    if (x.ndim > max_axes)
        fail(SN_INVALID_ARGUMENT, "%s must have at most %d axes, not %d", rules.names[0], max_axes, int(x.ndim));
    for (int k = 0; k < x.ndim; ++k)
        if (x.shape[k] < 0)
            fail(SN_INVALID_ARGUMENT, "%s must have no negative size, but its shape is %s", rules.names[0],
                 shape_text(x).chars);
    for (int i = 1; i < n_images; ++i) {
        const sn_array &a = operands[i];
        if (a.ndim != x.ndim || std::memcmp(a.shape, x.shape, sizeof(int64_t) * size_t(x.ndim)) != 0)
            fail(SN_INVALID_ARGUMENT, "%s and %s must have one shape, but are %s and %s", rules.names[0],
                 rules.names[i], shape_text(x).chars, shape_text(a).chars);
    }
}

void check_axes(int ndim, int axis_height, int axis_width) {
    if (axis_height < 0 || axis_height >= ndim || axis_width < 0 || axis_width >= ndim || axis_height == axis_width)
        fail(SN_INVALID_ARGUMENT, "axes must be two different axes of an array of %d, not (%d, %d)", ndim, axis_height,
             axis_width);
}

// The bytes that an operand spans; an overflow here would be one in every kernel.
void measure(Layout &layout, const sn_array &a) {
    bool empty = false;
    for (int k = 0; k < a.ndim; ++k) empty |= a.shape[k] == 0;
    layout.first = layout.last = 0;
    if (empty) return;
    char what[64];
    std::snprintf(what, sizeof what, "the memory that %s spans", layout.name);
    for (int k = 0; k < a.ndim; ++k) {
        const int64_t step = times(a.strides[k], a.shape[k] - 1, what);
        int64_t &end = step < 0 ? layout.first : layout.last;
        end = plus(end, step, what);
    }
    layout.last = plus(layout.last, itemsize(a.dtype), what);
    // Kernels look a few rows past either end before they clip.
    times(plus(layout.last, times(layout.first, -1, what), what), 4, what);
}

Strided strided(const Problem &problem, const Layout &layout) {
    Strided s;
    s.n = 0;
    auto add = [&](int64_t shape, int64_t stride) { s.shape[s.n] = shape, s.stride[s.n++] = stride; };
    for (int k = 0; k < problem.n_batch; ++k) add(problem.batch[k], layout.batch[k]);
    add(problem.height, layout.height);
    add(problem.width, layout.width);
    s.size = itemsize(layout.dtype);
    return s;
}

// Batch axes: those of size 1 are dropped, the others sorted by the first operand's strides (so that any
// order of the axes in memory gives one problem) and merged where all operands step through both evenly.
void merge_batch(const sn_array *operands, int axis_height, int axis_width, Problem &problem) {
    const sn_array &x = operands[0];
    int axes[max_axes], n = 0;
    for (int k = 0; k < x.ndim; ++k)
        if (k != axis_height && k != axis_width && x.shape[k] != 1) axes[n++] = k;
    auto length = [&](int k) { return x.strides[k] < 0 ? -x.strides[k] : x.strides[k]; };
    std::stable_sort(axes, axes + n, [&](int a, int b) { return length(a) > length(b); });
    problem.n_batch = 0;
    for (int j = 0; j < n; ++j) {
        const int k = axes[j], last = problem.n_batch - 1;
        bool merge = last >= 0;
        for (int i = 0; i < problem.n_images && merge; ++i)
            merge = problem.operands[i].batch[last] == operands[i].strides[k] * x.shape[k];
        const int to = merge ? last : problem.n_batch++;
        problem.batch[to] = merge ? problem.batch[to] * x.shape[k] : x.shape[k];
        for (int i = 0; i < problem.n_images; ++i) problem.operands[i].batch[to] = operands[i].strides[k];
    }
}

void check_values_output(const Operands &rules, const sn_array &out) {
    const char *name = rules.names[rules.n - 1];
    if (out.dtype != SN_FLOAT64) fail(SN_INVALID_TYPE, "%s must be float64, not %s", name, dtype_name(out.dtype));
    int64_t count = 1;
    for (int k = 0; k < out.ndim; ++k) {
        if (out.shape[k] < 0 || (out.shape[k] > 1 && out.strides[k] != 8)) count = -1;
        if (count >= 0) count = times(count, out.shape[k], "the size of out");
    }
    if (count != rules.values)
        fail(SN_INVALID_ARGUMENT, "%s must hold %lld values side by side, but its shape is %s", name,
             (long long)rules.values, shape_text(out).chars);
}

} // namespace

void validate(const sn_params *params, sn_pass pass, const sn_array *operands, int n_operands, int axis_height,
              int axis_width, Problem &problem) {
    if (!params) fail(SN_INVALID_ARGUMENT, "params must not be NULL");
    const Operation *operation = find_operation(params->operation);
    if (!operation)
        fail(SN_INVALID_ARGUMENT, "params names operation %d, which does not exist", int(params->operation));
    if (params->size != operation->params_size)
        fail(SN_INVALID_ARGUMENT, "params.size must be %u for %s, not %u", operation->params_size, operation->name,
             params->size);
    const Operands *rules = operation->operands(pass);
    if (!rules) fail(SN_INVALID_ARGUMENT, "%s has no pass %d", operation->name, int(pass));
    if (n_operands != rules->n)
        fail(SN_INVALID_ARGUMENT, "pass %d of %s takes %d operands, not %d", int(pass), operation->name, rules->n,
             n_operands);
    if (!operands) fail(SN_INVALID_ARGUMENT, "operands must not be NULL");

    problem.operation = operation;
    problem.pass = pass;
    problem.n_operands = n_operands;
    problem.n_images = rules->image_output ? n_operands : n_operands - 1;
    check_dtypes(*rules, operands, problem.n_images);
    check_shapes(*rules, operands, problem.n_images);
    const sn_array &x = operands[0];
    check_axes(x.ndim, axis_height, axis_width);

    problem.dtype = x.dtype;
    problem.height = x.shape[axis_height];
    problem.width = x.shape[axis_width];
    problem.elements = itemsize(x.dtype); // in bytes until the products are known to fit
    bool empty = false;
    for (int k = 0; k < x.ndim; ++k) {
        empty |= x.shape[k] == 0;
        problem.elements = times(problem.elements, std::max<int64_t>(x.shape[k], 1), "the size of x");
    }
    problem.elements = empty ? 0 : problem.elements / itemsize(x.dtype);
    problem.planes = empty ? 0 : problem.elements / (problem.height * problem.width);
    for (int i = 0; i < problem.n_operands; ++i) {
        Layout &layout = problem.operands[i];
        layout.name = rules->names[i];
        layout.dtype = operands[i].dtype;
        measure(layout, operands[i]);
        if (i >= problem.n_images) continue;
        layout.height = operands[i].strides[axis_height];
        layout.width = operands[i].strides[axis_width];
    }
    problem.n_batch = 0;
    if (!empty) merge_batch(operands, axis_height, axis_width, problem);
    operation->validate(params, problem);

    if (!rules->image_output) return check_values_output(*rules, operands[n_operands - 1]);
    const Layout &out = problem.operands[n_operands - 1];
    if (!empty && overlaps_itself(strided(problem, out)))
        fail(SN_INVALID_ARGUMENT, "%s must not hold one sample at several indices (it is broadcast or overlaps itself)",
             out.name);
}

unsigned check_overlap(const Problem &problem, void *const *data) {
    if (problem.elements == 0) return 0;
    const int last = problem.n_operands - 1;
    const Layout &out = problem.operands[last];
    const char *const q = static_cast<const char *>(data[last]);
    unsigned in_place = 0;
    for (int i = 0; i < last; ++i) {
        const Layout &in = problem.operands[i];
        const char *const p = static_cast<const char *>(data[i]);
        if (apart(in, p, out, q)) continue;
        if (last < problem.n_images) {
            bool same = p == q && itemsize(in.dtype) == itemsize(out.dtype) &&
                        (problem.height == 1 || in.height == out.height) &&
                        (problem.width == 1 || in.width == out.width);
            for (int k = 0; k < problem.n_batch && same; ++k) same = in.batch[k] == out.batch[k];
            if (same) {
                in_place |= 1u << i;
                continue;
            }
            if (!overlap(strided(problem, in), p, strided(problem, out), q)) continue;
            if (itemsize(in.dtype) != itemsize(out.dtype))
                fail(SN_INVALID_ARGUMENT, "%s must share no memory with %s, since their dtypes are %s and %s", out.name,
                     in.name, dtype_name(out.dtype), dtype_name(in.dtype));
        }
        fail(SN_INVALID_ARGUMENT, "%s must be %s itself or share no memory with it, but the two overlap in part",
             out.name, in.name);
    }
    return in_place;
}

} // namespace sn
