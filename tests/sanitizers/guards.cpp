// Every target's kernels on memory that ends at unmapped pages: one byte read or written outside is a crash, and the
// case that crashed is printed.
//
// The cases are every combination of pass, edge, dtype, layout of the inputs, width 1 ... 40 and window width; what
// else there is to choose (heights, planes, the other operands' layouts, threads, in place) is drawn from the case's
// number. Inputs cannot be written, the bytes between the output's elements must stay, and both ends of the memory are
// tried. The last line holds a hash of all results: it must be equal on all targets.
//
//     guards [DRAWS [STEP]]   DRAWS of the choices for each combination (1), of which every STEP-th is run (1)
//     guards short            with memory one byte too short: must end with FAILED and signal 11
//
// Exit status 0: all passed; 1: some failed; 77: this instruction set cannot run here.
#include "../native/guarded.h"
#include "../native/number.h"
#include "layouts.h"
#include "spatialnorm/spatialnorm.h"
#include <csignal>
#include <cstdio>
#include <memory>
#include <vector>

namespace {

constexpr int64_t widths = 40;
constexpr int64_t windows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 17, 33, 64, 100};
constexpr sn_dtype dtypes[] = {SN_FLOAT16, SN_BFLOAT16, SN_FLOAT32, SN_FLOAT64};
constexpr uint8_t poison = 0xff; // a NaN in every dtype

struct Variant {
    const char *name;
    sn_pass pass;
    sn_edge edge;
    sn_gradient gradient;
};
constexpr Variant variants[] = {
    {"spatial_forward zero", SN_FORWARD, SN_EDGE_ZERO, SN_GRADIENT_EXACT},
    {"spatial_forward clamp", SN_FORWARD, SN_EDGE_CLAMP, SN_GRADIENT_EXACT},
    {"spatial_gradient zero", SN_GRADIENT, SN_EDGE_ZERO, SN_GRADIENT_EXACT},
    {"spatial_gradient clamp", SN_GRADIENT, SN_EDGE_CLAMP, SN_GRADIENT_EXACT},
    {"spatial_gradient documented", SN_GRADIENT, SN_EDGE_ZERO, SN_GRADIENT_DOCUMENTED},
    {"spatial_jvp zero", SN_JVP, SN_EDGE_ZERO, SN_GRADIENT_EXACT},
    {"spatial_jvp clamp", SN_JVP, SN_EDGE_CLAMP, SN_GRADIENT_EXACT},
    {"spatial_parameter_gradients zero", SN_PARAMETER_GRADIENTS, SN_EDGE_ZERO, SN_GRADIENT_EXACT},
    {"spatial_parameter_gradients clamp", SN_PARAMETER_GRADIENTS, SN_EDGE_CLAMP, SN_GRADIENT_EXACT},
};

struct Random { // PCG's output of a 64-bit linear congruence
    uint64_t state;
    uint32_t next() {
        state = state * 6364136223846793005u + 1442695040888963407u;
        const uint32_t mixed = uint32_t(((state >> 18) ^ state) >> 27);
        const int turn = int(state >> 59);
        return mixed >> turn | mixed << (-turn & 31);
    }
    template <class T, size_t n> T pick(const T (&from)[n]) { return from[next() % n]; }
};

size_t missing = 0; // bytes by which every operand's memory is too short

char current[400] = "before the first case"; // for the handler

void crashed(int signal) {
    char text[480];
    const int n = std::snprintf(text, sizeof text, "FAILED %s: signal %d: %s\n", sn_isa(), signal, current);
    if (write(1, text, size_t(n)) < 0) _exit(3);
    _exit(1);
}

struct Case {
    Variant variant;
    sn_dtype dtype;
    int64_t shape[4], kernel_height, kernel_width;
    Layout layouts[3]; // of the operands; parameter gradients have two images
    int in_place, threads, images;
    double beta;
    uint32_t seed;

    void describe() const {
        std::snprintf(current, sizeof current,
                      "%s dtype %d shape %lld %lld %lld %lld window %lld %lld layouts %s %s %s in_place %d threads %d "
                      "beta %g seed %u",
                      variant.name, int(dtype), (long long)shape[0], (long long)shape[1], (long long)shape[2],
                      (long long)shape[3], (long long)kernel_height, (long long)kernel_width, layout_name(layouts[0]),
                      layout_name(layouts[1]), images == 3 ? layout_name(layouts[2]) : "-", in_place, threads, beta,
                      seed);
    }
};

Case make_case(const Variant &variant, sn_dtype dtype, Layout layout, int64_t width, int64_t window, uint64_t number) {
    static const int64_t heights[] = {1, 2, 3, 5, 7, 8, 9, 16, 21}, batches[] = {1, 1, 2};
    static const int64_t planes[] = {1, 1, 2, 3, 5, 16, 17, 33};
    static const double betas[] = {0.75, 0.5, 5, 0.3, 1};
    Random random{number * 0x9e3779b97f4a7c15u + 1};
    random.next();
    Case c = {};
    c.variant = variant;
    c.dtype = dtype;
    c.shape[0] = random.pick(batches), c.shape[1] = random.pick(planes), c.shape[2] = random.pick(heights);
    c.shape[3] = width;
    c.kernel_width = window, c.kernel_height = random.pick(windows);
    c.images = variant.pass == SN_FORWARD || variant.pass == SN_PARAMETER_GRADIENTS ? 2 : 3;
    for (Layout &l : c.layouts) l = Layout(random.next() % (n_layouts - 1)); // broadcast is for inputs only
    c.layouts[0] = layout;
    c.in_place = -1;
    if (variant.pass != SN_PARAMETER_GRADIENTS && layout != Layout::broadcast && random.next() % 4 == 0) {
        c.in_place = int(random.next() % uint32_t(c.images - 1));
        c.layouts[c.images - 1] = c.layouts[c.in_place];
    }
    c.threads = random.next() % 8 == 0 ? 3 : 1;
    c.beta = random.pick(betas);
    c.seed = random.next();
    return c;
}

// A value between -1 and 1, the same on every machine.
void store_value(uint8_t *to, sn_dtype dtype, Random &random) {
    const int value = int(random.next() >> 23) - 256; // 9 bits: exact in all types but bfloat16, which drops some
    const double wide = value / 256.0;
    const float single = float(wide);
    uint32_t word;
    std::memcpy(&word, &single, sizeof word);
    uint16_t half = uint16_t(word >> 16);
    switch (dtype) {
    case SN_FLOAT16: // a power of two: exponents alone
        half = uint16_t((word >> 31 << 15) | (10 + random.next() % 5) << 10 | (random.next() & 1023));
        [[fallthrough]];
    case SN_BFLOAT16: std::memcpy(to, &half, 2); break;
    case SN_FLOAT32: std::memcpy(to, &single, 4); break;
    case SN_FLOAT64: std::memcpy(to, &wide, 8); break;
    }
}

class Runner {
    uint64_t hash = 0xcbf29ce484222325u; // FNV-1a
    long failed = 0;

    void fail(const char *what) {
        if (++failed <= 20) std::printf("FAILED %s: %s\n", current, what);
    }

    void add(const uint8_t *element, sn_dtype dtype) {
        // A NaN's sign and payload are the processor's choice.
        const bool nan = std::isnan(load(element, dtype));
        const size_t size = itemsize(dtype);
        for (size_t i = 0; i < size; ++i) hash = (hash ^ (nan ? poison : element[i])) * 0x100000001b3u;
    }

    void run_once(const Case &c, Side side) {
        std::unique_ptr<Guarded> memory[3];
        Placed placed[3];
        sn_array arrays[3];
        void *data[3];
        Random random{c.seed};
        const int last = c.images - 1;
        const bool sums = c.variant.pass == SN_PARAMETER_GRADIENTS;
        const int inputs = sums ? 2 : last;
        for (int i = 0; i < c.images; ++i) {
            placed[i] = place(c.layouts[i], c.shape, int64_t(itemsize(c.dtype)));
            arrays[i] = {nullptr, c.shape, placed[i].strides, 4, c.dtype};
            if (i >= inputs && c.in_place >= 0) continue;
            memory[i].reset(new Guarded(size_t(placed[i].bytes) - missing, side));
            std::memset(memory[i]->data, poison, memory[i]->size);
            data[i] = memory[i]->data + placed[i].first;
            if (i >= inputs || missing) continue;
            for_each_element(c.shape, placed[i],
                             [&](int64_t at) { store_value(memory[i]->data + at, c.dtype, random); });
            if (i != c.in_place) memory[i]->protect();
        }
        const int64_t three = 3, eight = 8;
        Guarded values(24, side);
        if (sums) arrays[2] = {nullptr, &three, &eight, 1, SN_FLOAT64}, data[2] = values.data;
        if (c.in_place >= 0) data[last] = data[c.in_place];
        uint8_t *const written = sums ? values.data : memory[c.in_place >= 0 ? c.in_place : last]->data;

        sn_spatial_params params = SN_SPATIAL_PARAMS_INIT;
        params.kernel_height = c.kernel_height, params.kernel_width = c.kernel_width;
        params.beta = c.beta;
        params.edge = c.variant.edge, params.gradient = c.variant.gradient;
        sn_plan *plan = nullptr;
        sn_status status = sn_set_num_threads(c.threads);
        if (status == SN_OK)
            status = sn_plan_create_nd(&params.header, c.variant.pass, SN_DEVICE_CPU, arrays, sums ? 3 : c.images, 2, 3,
                                       &plan);
        if (status == SN_OK) status = sn_plan_run(plan, data, sums ? 3 : c.images);
        sn_plan_destroy(plan);
        if (status != SN_OK) return fail(sn_last_error());
        if (sums) {
            for (int k = 0; k < 3; ++k) add(written + 8 * k, SN_FLOAT64);
            return;
        }
        for_each_element(c.shape, placed[last], [&](int64_t at) {
            add(written + at, c.dtype);
            std::memset(written + at, poison, itemsize(c.dtype));
        });
        for (int64_t i = 0; i < placed[last].bytes; ++i)
            if (written[i] != poison) return fail("bytes between the output's elements were written");
    }

  public:
    long done = 0;

    void run(const Case &c) {
        c.describe();
        for (Side side : {Side::first, Side::last}) run_once(c, side), ++done;
    }

    int report() const {
        std::printf("%s: %ld runs, %ld failed, hash %016llx\n", sn_isa(), done, failed, (unsigned long long)hash);
        return failed || !done;
    }
};

} // namespace

int main(int argc, char **argv) {
    if (!*sn_isa()) {
        std::printf("%s\n", sn_last_error());
        return 77;
    }
    missing = argc > 1 && !std::strcmp(argv[1], "short");
    const int draws = argc > 1 && !missing ? std::atoi(argv[1]) : 1;
    const uint64_t step = argc > 2 ? uint64_t(std::atoi(argv[2])) : 1;
    std::signal(SIGSEGV, crashed);
    std::signal(SIGBUS, crashed);
    std::signal(SIGFPE, crashed);
    Runner runner;
    uint64_t number = 0;
    for (int draw = 0; draw < draws; ++draw)
        for (const Variant &variant : variants)
            for (sn_dtype dtype : dtypes)
                for (int layout = 0; layout < n_layouts; ++layout)
                    for (int64_t width = 1; width <= widths; ++width)
                        for (int64_t window : windows)
                            if (++number % step == 0)
                                runner.run(make_case(variant, dtype, Layout(layout), width, window, number));
    return runner.report();
}
