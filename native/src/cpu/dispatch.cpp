#include "dispatch.h"
#include "error.h"
#include "made_once.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#if defined(__x86_64__)
#  include <cpuid.h>
#endif

namespace sn {
namespace cpu {
namespace {

#if defined(__x86_64__)
// Asks the processor itself: __builtin_cpu_supports needs a run-time library that not every toolchain has.
struct Cpuid {
    unsigned a = 0, b = 0, c = 0, d = 0;
    explicit Cpuid(unsigned leaf) { __get_cpuid_count(leaf, 0, &a, &b, &c, &d); }
};
// Whether the operating system saves the registers whose bits `mask` has.
bool saves(unsigned mask) {
    if (!(Cpuid(1).c & bit_OSXSAVE)) return false;
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & mask) == mask;
}
#endif

bool always() { return true; }
#if defined(SN_HAVE_AVX2)
bool has_avx2() {
    const unsigned c = Cpuid(1).c;
    return saves(0x6) && (c & bit_FMA) && (c & bit_F16C) && (Cpuid(7).b & bit_AVX2);
}
#endif
#if defined(SN_HAVE_AVX512)
bool has_avx512() {
    constexpr unsigned all = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL | bit_AVX512CD;
    return has_avx2() && saves(0xe6) && (Cpuid(7).b & all) == all;
}
#endif

struct Candidate {
    const Target *target;
    bool (*runs)();
};
const Candidate candidates[] = {
// best first
#if defined(SN_HAVE_AVX512)
    {&avx512::target, has_avx512},
#endif
#if defined(SN_HAVE_AVX2)
    {&avx2::target, has_avx2},
#endif
#if defined(SN_HAVE_NEON)
    {&neon::target, always},
#endif
    {&scalar::target, always},
};

struct Choice {
    const Target *target;
    char problem[160];

    Choice() : target(nullptr), problem("") {
        const char *wanted = std::getenv("SPATIALNORM_ISA");
        if (wanted && !*wanted) wanted = nullptr;
        bool known = !wanted;
        for (const char *name : {"scalar", "avx2", "avx512", "neon"}) known |= wanted && !std::strcmp(wanted, name);
        for (const Candidate &candidate : candidates)
            if (!target && (!wanted || !std::strcmp(wanted, candidate.target->name)) && candidate.runs())
                target = candidate.target;
        if (!target)
            std::snprintf(problem, sizeof problem,
                          known ? "SPATIALNORM_ISA=%.40s cannot run: this processor or build does not have it"
                                : "SPATIALNORM_ISA must be scalar, avx2, avx512 or neon, not %.40s",
                          wanted);
    }
};

} // namespace

const Target &target() {
    const Choice &choice = made_once<Choice>();
    if (!choice.target) fail(SN_UNSUPPORTED, "%s", choice.problem);
    return *choice.target;
}

} // namespace cpu
} // namespace sn
