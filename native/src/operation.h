// An operation definition: one operation's rules. It touches no element.
#pragma once
#include "problem.h"

namespace sn {

struct Operands {
    int n;             // the last one is the output
    bool image_output; // the output has the inputs' shape and dtype; else `values` float64
    int64_t values;
    const char *names[max_operands]; // as the user knows them
};

struct Operation {
    sn_operation id;
    const char *name;
    uint32_t params_size;
    // Operands of a pass, or nullptr if the operation has no such pass.
    const Operands *(*operands)(sn_pass pass);
    // Checks the parameters and copies them into the problem, whose sizes are known by then.
    void (*validate)(const sn_params *params, Problem &problem);
};

const Operation *find_operation(sn_operation id); // nullptr if there is none

extern const Operation spatial_operation;

} // namespace sn
