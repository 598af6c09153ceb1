// Spatial normalization: y = x * T^-beta, T = delta + alpha / N * sum of x^2 over a window of N samples.
#include "error.h"
#include "operation.h"
#include <cmath>
#include <cstring>

namespace sn {
namespace {

const Operands *operands(sn_pass pass) {
    static const Operands forward = {2, true, 0, {"x", "out"}};
    static const Operands gradient = {3, true, 0, {"grad_y", "x", "out"}};
    static const Operands jvp = {3, true, 0, {"x", "dx", "out"}};
    static const Operands parameter_gradients = {3, false, 3, {"grad_y", "x", "out"}};
    switch (pass) {
    case SN_FORWARD: return &forward;
    case SN_GRADIENT: return &gradient;
    case SN_JVP: return &jvp;
    case SN_PARAMETER_GRADIENTS: return &parameter_gradients;
    }
    return nullptr;
}

void check_finite(const char *name, double value) {
    if (!std::isfinite(value)) fail(SN_INVALID_ARGUMENT, "%s must be a finite number, not %g", name, value);
}

void validate(const sn_params *params, Problem &problem) {
    sn_spatial_params p;
    std::memcpy(&p, params, sizeof p);
    if (p.kernel_height < 1 || p.kernel_width < 1)
        fail(SN_INVALID_ARGUMENT, "kernel_size must be at least 1 in both directions, not (%lld, %lld)",
             (long long)p.kernel_height, (long long)p.kernel_width);
    // N = kernel_height * kernel_width must be exact in a double; no image comes near this.
    constexpr int64_t most = int64_t(1) << 26;
    if (p.kernel_height > most || p.kernel_width > most)
        fail(SN_INVALID_ARGUMENT, "kernel_size must be at most %lld in both directions, not (%lld, %lld)",
             (long long)most, (long long)p.kernel_height, (long long)p.kernel_width);
    check_finite("alpha", p.alpha);
    check_finite("beta", p.beta);
    check_finite("delta", p.delta);
    if (p.alpha < 0) fail(SN_INVALID_ARGUMENT, "alpha must not be negative, but is %g", p.alpha);
    if (p.edge != SN_EDGE_ZERO && p.edge != SN_EDGE_CLAMP)
        fail(SN_INVALID_ARGUMENT, "edge must be SN_EDGE_ZERO or SN_EDGE_CLAMP, not %d", int(p.edge));
    if (p.gradient != SN_GRADIENT_EXACT && p.gradient != SN_GRADIENT_DOCUMENTED)
        fail(SN_INVALID_ARGUMENT, "gradient must be SN_GRADIENT_EXACT or SN_GRADIENT_DOCUMENTED, not %d",
             int(p.gradient));
    if (p.gradient == SN_GRADIENT_DOCUMENTED && p.edge != SN_EDGE_ZERO)
        fail(SN_INVALID_ARGUMENT, "gradient=\"documented\" is defined for edge=\"zero\" only, not for edge=\"clamp\"");
    problem.spatial = p;
}

} // namespace

const Operation spatial_operation = {SN_SPATIAL, "spatial normalization", sizeof(sn_spatial_params), operands, validate,
                                     false};

} // namespace sn
