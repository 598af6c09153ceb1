// An operation definition: one operation's rules. It touches no element.
#pragma once
#include "problem.h"

namespace sn {

struct Operands {
    int n;             // the last one is the output
    bool image_output; // the output has the inputs' shape, and their dtype unless `converts`; else `values` float64
    int64_t values;
    const char *names[max_operands]; // as the user knows them
    bool converts = false;           // the output has a dtype of its own
};

struct Operation {
    sn_operation id;
    const char *name;
    uint32_t params_size;
    // Operands of a pass, or nullptr if the operation has no such pass.
    const Operands *(*operands)(sn_pass pass);
    // Checks the parameters and copies them into the problem, whose sizes are known by then.
    void (*validate)(const sn_params *params, Problem &problem);
    // An element of the output depends on the same element of each input, and on nothing else.
    bool elementwise;
};

const Operation *find_operation(sn_operation id); // nullptr if there is none

extern const Operation spatial_operation, add_operation, convert_operation;

} // namespace sn
