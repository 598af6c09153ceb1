// One target: every kernel, made from the vector types F32 and F64 of SN_TARGET's vec/ header, which the
// including file has read before.
#include "cpu/spatial.h"
#include "cpu/target.h"
#include <cstring>
#include <type_traits>
#include <utility>

namespace sn {
namespace cpu {
namespace SN_TARGET {
namespace {

#include "rows.inl"
#include "twice.inl"
#include "power.inl"
#include "vertical.inl"
#include "window.inl"
#include "batch.inl"
#include "spatial_forward.inl"
#include "spatial_gradient.inl"
#include "spatial_products.inl"
#include "spatial_parameters.inl"

// Calls kernel<V, N> with N the number of polynomial terms that the table has, or the next greater choice.
#define SN_BY_TERMS(name, table, A, B, C)                          \
    [](const SpatialJob<typename V::T> &job, const Piece &piece) { \
        const int terms = job.table->terms;                        \
        if (terms <= A) name<V, A>(job, piece);                    \
        else if (terms <= B) name<V, B>(job, piece);               \
        else if (terms <= C) name<V, C>(job, piece);               \
        else name<V, max_terms>(job, piece);                       \
    }

template <class V> void forward_float(const SpatialJob<float> &job, const Piece &piece) {
    if (job.power->careful) return spatial_forward<V, 4, true>(job, piece);
    SN_BY_TERMS(spatial_forward, power, 4, 5, 6)(job, piece);
}

template <class V>
void load_row(const SpatialJob<typename V::T> &job, int input, const char *base, int64_t row, typename V::T *to) {
    Convert<V>::load(job, job.in[input], base + row * job.in[input].height, 0, job.L, to);
}

template <class V> constexpr SpatialKernels<typename V::T> kernels() {
    if constexpr (sizeof(typename V::T) == 4)
        return {forward_float<V>,
                SN_BY_TERMS(spatial_gradient, power_plus, 5, 6, 6),
                spatial_gradient_documented<V, max_terms>,
                SN_BY_TERMS(spatial_jvp, power_plus, 6, 6, 6),
                spatial_parameter_gradients<V, max_terms>,
                load_row<V>};
    else
        return {SN_BY_TERMS(spatial_forward, power, 10, 12, 12), SN_BY_TERMS(spatial_gradient, power_plus, 10, 12, 12),
                spatial_gradient_documented<V, max_terms>,       spatial_jvp<V, max_terms>,
                spatial_parameter_gradients<V, max_terms>,       load_row<V>};
}

#define SN_NAME2(x) #x
#define SN_NAME(x) SN_NAME2(x)
} // namespace

extern const Target target = {SN_NAME(SN_TARGET), kernels<F32>(), kernels<F64>()};

} // namespace SN_TARGET
} // namespace cpu
} // namespace sn
