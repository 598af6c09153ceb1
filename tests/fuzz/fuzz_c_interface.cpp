// libFuzzer on the C interface: any descriptor, any parameters, memory between unmapped pages.
//
// A call must give an error, which says something, or the right result. What is right say the formula, computed here
// in double (forward), and the scalar target, whose bits every pass must have on every target: a second copy of the
// library, loaded at run time and named by SN_FUZZ_JUDGE, that runs it.
#include "../native/guarded.h"
#include "../native/number.h"
#include "spatialnorm/spatialnorm.h"
#include <algorithm>
#include <cstdio>
#include <dlfcn.h>
#include <memory>
#include <vector>

namespace {

class Input {
    const uint8_t *at;
    size_t left;

  public:
    Input(const uint8_t *data, size_t size) : at(data), left(size) {}
    uint8_t byte() { return left ? (--left, *at++) : 0; }
    int64_t wide() {
        uint64_t value = 0;
        for (int k = 0; k < 8; ++k) value = value << 8 | byte();
        return int64_t(value);
    }
    // Mostly small, as most problems are; now and then anything.
    int64_t integer(int64_t small) {
        const uint8_t kind = byte();
        return kind == 255 ? wide() : kind >= 250 ? int64_t(int8_t(byte())) : 1 + kind % small;
    }
    double number() {
        const uint8_t kind = byte();
        if (kind < 250) return kind / 50.0;
        const int64_t bits = wide();
        double value;
        std::memcpy(&value, &bits, sizeof value);
        return value;
    }
};

struct Operand {
    int64_t shape[4], strides[4]; // in elements
    sn_dtype dtype;
    int64_t first = 0, bytes = 0; // where element 0 stands; what all elements span
    bool fits = false;            // in memory that this program gives
    std::unique_ptr<Guarded> memory;
    void *data = nullptr;

    sn_tensor tensor() const {
        sn_tensor t = {};
        std::copy(shape, shape + 4, t.shape), std::copy(strides, strides + 4, t.strides);
        t.dtype = dtype;
        return t;
    }
    int64_t itemsize() const { return dtype == SN_FLOAT64 ? 8 : dtype == SN_FLOAT32 ? 4 : 2; }

    void measure() {
        constexpr int64_t most = 1 << 20;
        first = 0, bytes = itemsize();
        for (int k = 0; k < 4; ++k) {
            int64_t reach;
            if (shape[k] == 0) continue;
            if (shape[k] < 0 || __builtin_mul_overflow(strides[k], shape[k] - 1, &reach) || reach > most ||
                reach < -most)
                return;
            reach *= itemsize();
            if (reach < 0) first -= reach;
            bytes += std::abs(reach);
        }
        fits = bytes <= most;
    }
    uint8_t *element(int64_t n, int64_t c, int64_t h, int64_t w) const {
        const int64_t at = n * strides[0] + c * strides[1] + h * strides[2] + w * strides[3];
        return static_cast<uint8_t *>(data) + at * itemsize();
    }
    double value(int64_t n, int64_t c, int64_t h, int64_t w) const { return load(element(n, c, h, w), dtype); }
};

void store(uint8_t *to, sn_dtype dtype, int value) { // value / 16, |value| <= 16: exact in every dtype
    const double wide = value / 16.0;
    const float single = float(wide);
    uint32_t word;
    std::memcpy(&word, &single, sizeof word);
    uint16_t half = uint16_t(word >> 16);
    if (dtype == SN_FLOAT16) // another bias and another number of bits
        half = value ? uint16_t((word >> 31 << 15) | (((word >> 23 & 255) - 112) << 10) | (word >> 13 & 1023)) : 0;
    if (dtype == SN_FLOAT64) std::memcpy(to, &wide, 8);
    else if (dtype == SN_FLOAT32) std::memcpy(to, &single, 4);
    else std::memcpy(to, &half, 2);
}

[[noreturn]] void report(const char *what) {
    std::fprintf(stderr, "WRONG: %s; last error: %s\n", what, sn_last_error());
    std::abort();
}

struct Problem {
    sn_spatial_params params;
    sn_pass pass;
    int n;
    Operand operands[5];

    double energy(const Operand &x, int64_t n, int64_t c, int64_t i, int64_t j) const {
        double sum = 0;
        over_window(x, i, j, [&](int64_t r, int64_t q) {
            const double value = x.value(n, c, r, q);
            sum += value * value;
        });
        return params.delta + params.alpha / (double(params.kernel_height) * double(params.kernel_width)) * sum;
    }
    template <class Use> void over_window(const Operand &x, int64_t i, int64_t j, Use use) const {
        const int64_t H = x.shape[2], W = x.shape[3], kh = params.kernel_height, kw = params.kernel_width;
        for (int64_t r = i - kh / 2; r <= i + (kh - 1) / 2; ++r)
            for (int64_t q = j - kw / 2; q <= j + (kw - 1) / 2; ++q) {
                if (params.edge == SN_EDGE_CLAMP)
                    use(std::min(std::max<int64_t>(r, 0), H - 1), std::min(std::max<int64_t>(q, 0), W - 1));
                else if (r >= 0 && r < H && q >= 0 && q < W) use(r, q);
            }
    }

    void check_forward() const {
        const Operand &x = operands[0], &y = operands[1];
        if (params.kernel_height > 40 || params.kernel_width > 40) return;
        const double step = y.dtype == SN_FLOAT64 ? 1e-12 : y.dtype == SN_FLOAT32 ? 1e-4 : 0.02;
        for (int64_t n = 0; n < x.shape[0]; ++n)
            for (int64_t c = 0; c < x.shape[1]; ++c)
                for (int64_t i = 0; i < x.shape[2]; ++i)
                    for (int64_t j = 0; j < x.shape[3]; ++j) {
                        const double T = energy(x, n, c, i, j);
                        const double want = x.value(n, c, i, j) * std::pow(T, -params.beta), got = y.value(n, c, i, j);
                        // Where T cancels or the result leaves the type's range, rounding decides.
                        if (!(T > 1e-3 && T < 1e3) || std::fabs(params.beta) > 20) continue;
                        if (std::fabs(want) > 1e4 || (want != 0 && std::fabs(want) < 1e-3)) continue;
                        if (!(std::fabs(got - want) <= step * std::max(1.0, std::fabs(want)))) report("forward");
                    }
    }
};

// The library's copy that runs the scalar target.
struct Judge {
    decltype(&sn_plan_create) create = nullptr;
    decltype(&sn_plan_run) run = nullptr;
    decltype(&sn_plan_destroy) destroy = nullptr;

    Judge() {
        const char *const path = std::getenv("SN_FUZZ_JUDGE");
        void *const library = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
        if (!library) report("SN_FUZZ_JUDGE must name a copy of the library");
        create = reinterpret_cast<decltype(create)>(dlsym(library, "sn_plan_create"));
        run = reinterpret_cast<decltype(run)>(dlsym(library, "sn_plan_run"));
        destroy = reinterpret_cast<decltype(destroy)>(dlsym(library, "sn_plan_destroy"));
        const auto isa = reinterpret_cast<decltype(&sn_isa)>(dlsym(library, "sn_isa"));
        setenv("SPATIALNORM_ISA", "scalar", 1);
        if (std::strcmp(isa(), "scalar")) report("the judge must run the scalar target");
        unsetenv("SPATIALNORM_ISA");
        if (reinterpret_cast<void *>(run) == reinterpret_cast<void *>(&sn_plan_run)) report("the judge is no copy");
    }
    static const Judge &get() {
        static const Judge judge;
        return judge;
    }
};

// The bits of two results, of which every NaN counts as one.
bool equal_bits(const Operand &o, const uint8_t *a, const uint8_t *b) {
    for (int64_t at = 0; at < o.bytes; at += o.itemsize())
        if (std::memcmp(a + at, b + at, size_t(o.itemsize())) &&
            !(std::isnan(load(a + at, o.dtype)) && std::isnan(load(b + at, o.dtype))))
            return false;
    return true;
}

bool empty(const Operand &x) {
    return std::any_of(x.shape, x.shape + 4, [](int64_t n) { return n == 0; });
}

void read(Input &in, Problem &p) {
    p.params = SN_SPATIAL_PARAMS_INIT;
    p.pass = sn_pass(in.byte() % 5);
    if (in.byte() == 255) p.params.header.size = uint32_t(in.wide());
    if (in.byte() == 255) p.params.header.operation = sn_operation(in.byte());
    p.params.kernel_height = in.integer(12), p.params.kernel_width = in.integer(20);
    p.params.alpha = in.number(), p.params.beta = in.number(), p.params.delta = in.number();
    p.params.edge = sn_edge(in.byte() % 3 == 2 ? in.byte() : in.byte() % 2);
    p.params.gradient = sn_gradient(in.byte() % 4 == 3 ? in.byte() % 3 : 0);
    p.n = p.pass == SN_FORWARD ? 2 : 3;
    const uint8_t number = in.byte();
    if (number > 250) p.n = number - 251;
    const sn_dtype dtype = sn_dtype(1 + in.byte() % 4);
    int64_t shape[4];
    for (int k = 0; k < 4; ++k) shape[k] = in.integer(k < 2 ? 20 : 48);
    for (int i = 0; i < p.n; ++i) {
        Operand &o = p.operands[i];
        const uint8_t change = in.byte();
        o.dtype = change == 255 ? sn_dtype(in.byte() % 6) : dtype;
        std::copy(shape, shape + 4, o.shape);
        if (p.pass == SN_PARAMETER_GRADIENTS && i == 2) {
            o.dtype = SN_FLOAT64;
            o.shape[0] = o.shape[1] = o.shape[2] = 1, o.shape[3] = 3;
        }
        if (change == 254) o.shape[in.byte() % 4] = in.integer(48);
        const uint8_t layout = in.byte();
        const int64_t gap = layout & 64 ? in.byte() % 9 : 0;
        const int orders[4][4] = {{0, 1, 2, 3}, {0, 2, 3, 1}, {0, 1, 3, 2}, {2, 1, 3, 0}};
        uint64_t step = 1;
        for (int k = 3; k >= 0; --k) {
            const int axis = orders[layout % 4][k];
            o.strides[axis] = int64_t(layout & (8 << (k & 1)) ? -step : step);
            step = step * uint64_t(o.shape[axis]) + uint64_t(k == 3 ? gap : 0);
        }
        if (layout & 128) o.strides[in.byte() % 4] = in.integer(60) - 1;
        o.measure();
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    Input in(bytes, size);
    Problem p;
    read(in, p);
    sn_tensor tensors[5];
    for (int i = 0; i < p.n; ++i) tensors[i] = p.operands[i].tensor();
    sn_plan *plan = nullptr;
    sn_set_num_threads(1 + in.byte() % 3);
    const sn_status status = sn_plan_create(&p.params.header, p.pass, SN_DEVICE_CPU, tensors, p.n, &plan);
    if (status != SN_OK) {
        if (plan || !*sn_last_error() || status == SN_INTERNAL_ERROR) report("sn_plan_create");
        return 0;
    }
    const uint8_t choice = in.byte();
    const Side side = choice & 1 ? Side::first : Side::last;
    const Operand &last = p.operands[p.n - 1];
    const bool in_place = choice >= 192 && p.pass != SN_PARAMETER_GRADIENTS &&
                          !std::memcmp(last.strides, p.operands[0].strides, sizeof last.strides);
    bool fits = true;
    for (int i = 0; i < p.n; ++i) fits &= p.operands[i].fits;
    if (!fits) { // a plan for more memory than is given here
        sn_plan_destroy(plan);
        return 0;
    }
    uint32_t seed = in.byte();
    void *data[5];
    for (int i = 0; i < p.n; ++i) {
        Operand &o = p.operands[i];
        const bool output = i == p.n - 1;
        o.memory.reset(new Guarded(size_t(o.bytes), side));
        std::memset(o.memory->data, 0, o.memory->size);
        o.data = o.memory->data + o.first;
        if (!output && !empty(o)) {
            for (int64_t n = 0; n < o.shape[0]; ++n)
                for (int64_t c = 0; c < o.shape[1]; ++c)
                    for (int64_t h = 0; h < o.shape[2]; ++h)
                        for (int64_t w = 0; w < o.shape[3]; ++w) {
                            seed = seed * 1664525u + 1013904223u;
                            store(o.element(n, c, h, w), o.dtype, int(seed >> 27) - 16);
                        }
            if (!(in_place && i == 0)) o.memory->protect();
        }
        data[i] = o.data;
    }
    // The scalar target's result first, out of place and by one thread.
    const Judge &judge = Judge::get();
    sn_plan *scalar = nullptr;
    if (judge.create(&p.params.header, p.pass, SN_DEVICE_CPU, tensors, p.n, &scalar) != SN_OK)
        report("the scalar target has no such plan");
    if (judge.run(scalar, data, p.n) != SN_OK) report("the scalar target does not run");
    judge.destroy(scalar);
    const uint8_t *const result = last.memory->data;
    const std::vector<uint8_t> expected(result, result + last.bytes);
    std::memset(last.memory->data, 0, last.memory->size);
    if (in_place) data[p.n - 1] = data[0];
    if (choice == 7) data[seed % unsigned(p.n)] = nullptr;
    if (choice == 9 && p.n > 1) data[p.n - 1] = static_cast<uint8_t *>(data[0]) + 1; // overlaps in part
    const sn_status ran = sn_plan_run(plan, data, p.n);
    sn_plan_destroy(plan);
    if (ran != SN_OK) {
        if (ran != SN_INVALID_ARGUMENT || !*sn_last_error()) report("sn_plan_run");
        return 0;
    }
    if (!equal_bits(last, in_place ? p.operands[0].memory->data : result, expected.data())) report("the bits differ");
    if (p.pass == SN_FORWARD && !in_place && choice != 7 && choice != 9 && !empty(last)) p.check_forward();
    return 0;
}

#if defined(SN_FUZZ_ALONE)
// Without libFuzzer: each argument is a file with one input.
int main(int argc, char **argv) {
    (void)Judge::get(); // before the tested copy chooses
    if (const char *const isa = std::getenv("SN_FUZZ_ISA")) setenv("SPATIALNORM_ISA", isa, 1);
    if (!*sn_isa()) return 77;
    for (int i = 1; i < argc; ++i) {
        FILE *const file = std::fopen(argv[i], "rb");
        if (!file) return 2;
        std::vector<uint8_t> bytes(1 << 16);
        bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file));
        std::fclose(file);
        LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    }
    std::printf("%d inputs\n", argc - 1);
    return argc < 2;
}
#endif
