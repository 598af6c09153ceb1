// A plan: a kernel chosen for one problem on one device. Immutable once made.
#pragma once
#include "problem.h"
#include <cstdlib>

struct sn_plan {
    sn::Problem problem;

    explicit sn_plan(const sn::Problem &p) : problem(p) {}
    virtual ~sn_plan() = default;
    sn_plan(const sn_plan &) = delete;
    sn_plan &operator=(const sn_plan &) = delete;

    // Bit i of in_place: input i is the output. Nothing is written if this throws.
    virtual void run(void *const *data, unsigned in_place) const = 0;
};
