// A plan: a kernel chosen for one problem on one device. Immutable once made.
#pragma once
#include "problem.h"
#include <cstdlib>

namespace sn { struct PlanRun; } // namespace sn

struct sn_plan {
    sn::Problem problem;

    explicit sn_plan(const sn::Problem &p) : problem(p) {}
    virtual ~sn_plan() = default;
    sn_plan(const sn_plan &) = delete;
    sn_plan &operator=(const sn_plan &) = delete;

    // Bit i of in_place: input i is the output. Nothing is written if this throws.
    virtual void run(void *const *data, unsigned in_place) const = 0;

    // What plans must have in common to run as one; nullptr: nothing.
    virtual const void *sequence() const { return nullptr; }
    // Runs such plans in order. Called on the first of them.
    virtual void run_sequence(const sn::PlanRun *runs, int n) const;
};

namespace sn {

// One run, checked.
struct PlanRun {
    const sn_plan *plan;
    void *const *data;
    unsigned in_place;
};

} // namespace sn

inline void sn_plan::run_sequence(const sn::PlanRun *runs, int n) const {
    for (int i = 0; i < n; ++i) runs[i].plan->run(runs[i].data, runs[i].in_place);
}
