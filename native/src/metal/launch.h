// Launch arithmetic: from a problem to the kernels that solve it, with their parameters, buffers and grids.
// Plain C++, so that it is tested on machines without Metal.
#pragma once
#include "elementwise_params.h"
#include "problem.h"
#include "spatial_params.h"
#include <vector>

namespace sn {

// What stands at one buffer index of a kernel. Operands are those of the problem; scratch is one buffer.
struct Binding {
    enum Kind : int32_t { operand, scratch };
    Kind kind;
    int32_t index;  // of the operand
    int64_t offset; // bytes, added to the operand's element 0 or to the start of scratch
};

constexpr int max_bindings = 5;

struct Dispatch {
    char kernel[64]; // the function's name in the library
    int32_t n_bindings;
    Binding bindings[max_bindings]; // buffers 0 .. n_bindings - 1; the parameters are buffer n_bindings
    union {
        SpatialParams params;
        ElementwiseParams elementwise;
    };
    uint32_t groups, threads; // one-dimensional: threadgroups, threads of each
};

// The dispatches run one after another, each when the one before it is complete. There are none for an empty
// problem; its parameter gradients are zero.
struct Launch {
    std::vector<Dispatch> dispatches;
    int64_t scratch_bytes = 0;
    int64_t result_offset = 0; // parameter gradients: three floats in scratch
};

// Which kernels: the fastest that take the problem, or those of one design, for tests.
enum class Design : int32_t { automatic, plain, general, simd, strip, interleaved, small, planes, columns };

struct LaunchOptions {
    Design design = Design::automatic;
    bool aligned = false;        // every operand starts at a multiple of 16 bytes
    int64_t concurrency = 65536; // threads of 128 registers that the device runs at a time
    int64_t groups_at_once = 0;  // threadgroups of this kernel that it runs at a time, where that is known
    // For measurements, 0 otherwise: columns of a thread, rows of a step, columns of a threadgroup;
    // channels of a thread, threads side by side.
    int32_t tile[5] = {0, 0, 0, 0, 0};
    int64_t scratch_limit = 64ll << 20; // bytes; one plane (or one group of interleaved planes) may exceed it
};

// Throws sn::Error where Metal kernels cannot take the problem or the design cannot.
Launch make_launch(const Problem &problem, const LaunchOptions &options);

} // namespace sn
