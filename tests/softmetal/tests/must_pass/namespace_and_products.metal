#include <metal_stdlib>
using namespace metal;

// Products must not be read as pointer declarations.
namespace detail {
struct Window { int top, bottom; };
constant float SCALE = 0.5;
float area(Window w, float a, float b) { return float(w.bottom - w.top) * a * b * SCALE; }
} // namespace detail

kernel void k(device float* out [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    detail::Window w = {1, 3};
    float a = 2, b = 3;
    float c = a * b;
    uint m = i & 3, n = (i * m) & (i + m);
    out[i] = detail::area(w, a * c, b) + float(m * n);
}
