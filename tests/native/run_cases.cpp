// Runs a table of cases through the public C interface, and prints the instruction set and one hash of all results.
//
// Each case runs with several numbers of threads, its buffers touching an unmapped page with their last and with
// their first byte in turn. Every run must give the expected values within the case's tolerance, the very bits of the
// first run, and leave the bytes around the output's elements as they were.
//
//     run_cases TABLE      exit status 0: all passed; 1: some failed; 77: this instruction set cannot run here
#include "guarded.h"
#include "number.h"
#include "table.h"
#include <cstdio>
#include <memory>

namespace {

struct Run {
    int threads;
    Side side;
};
const Run runs[] = {{1, Side::last}, {1, Side::first}, {2, Side::last}, {3, Side::first}, {7, Side::last}};

constexpr int unsupported = 77;
constexpr uint8_t poison = 0xff; // a NaN in every dtype

class Hash { // FNV-1a
    uint64_t state = 0xcbf29ce484222325u;

  public:
    void add(const uint8_t *p, int64_t n) {
        for (int64_t i = 0; i < n; ++i) state = (state ^ p[i]) * 0x100000001b3u;
    }
    uint64_t value() const { return state; }
};

// Offsets of a tensor's elements from the buffer's start, in bytes, in the order N, C, H, W.
std::vector<int64_t> element_offsets(const Operand &operand) {
    const sn_tensor &t = operand.tensor;
    std::vector<int64_t> offsets;
    for (int64_t n = 0; n < t.shape[0]; ++n)
        for (int64_t c = 0; c < t.shape[1]; ++c)
            for (int64_t h = 0; h < t.shape[2]; ++h)
                for (int64_t w = 0; w < t.shape[3]; ++w)
                    offsets.push_back(
                        (operand.first + n * t.strides[0] + c * t.strides[1] + h * t.strides[2] + w * t.strides[3]) *
                        itemsize(t.dtype));
    return offsets;
}

bool close(double got, double want, const Case &c, const Format &format) {
    if (std::isnan(want)) return std::isnan(got);
    if (std::isinf(got))
        return got == want || (std::fabs(want) >= format.largest && std::signbit(got) == std::signbit(want));
    return std::fabs(got - want) <= c.ulps * ulp(want, format) + c.absolute; // false if got is NaN
}

class Check {
    const Case &c;
    const Operand &output;
    const std::vector<int64_t> offsets;
    std::vector<uint8_t> first_result; // the output's elements after the first run

    bool fail(const Run &run, const char *what) const {
        std::printf("FAILED %s (%d threads): %s\n", c.name.c_str(), run.threads, what);
        return false;
    }

    bool values_are_right(const Run &run, const uint8_t *data) const {
        const sn_dtype dtype = output.tensor.dtype;
        const Format format = format_of(dtype);
        for (size_t i = 0; i < offsets.size(); ++i) {
            const double got = load(data + offsets[i], dtype), want = c.expected[i];
            if (close(got, want, c, format)) continue;
            char text[160];
            std::snprintf(text, sizeof text, "element %zu is %.17g, expected %.17g within %g ulp + %g", i, got, want,
                          c.ulps, c.absolute);
            return fail(run, text);
        }
        return true;
    }

    bool bits_are_those_of_the_first_run(const Run &run, const uint8_t *data) {
        const int64_t size = itemsize(output.tensor.dtype);
        std::vector<uint8_t> result;
        for (int64_t offset : offsets) result.insert(result.end(), data + offset, data + offset + size);
        if (first_result.empty()) first_result = result;
        return result == first_result || fail(run, "the bits differ from those of the first run");
    }

    bool nothing_else_was_written(const Run &run, const uint8_t *data, const std::vector<uint8_t> &before) const {
        std::vector<uint8_t> now(data, data + before.size());
        const size_t size = size_t(itemsize(output.tensor.dtype));
        for (int64_t offset : offsets) std::memcpy(&now[size_t(offset)], &before[size_t(offset)], size);
        return now == before || fail(run, "bytes outside the output's elements were written");
    }

    bool run_once(const Run &run) {
        std::vector<std::unique_ptr<Guarded>> buffers;
        std::vector<void *> data;
        std::vector<sn_tensor> tensors;
        for (const Operand &operand : c.operands) {
            const int64_t size = itemsize(operand.tensor.dtype);
            buffers.emplace_back(new Guarded(size_t(operand.length * size), run.side));
            Guarded &buffer = *buffers.back();
            if (operand.bytes.empty()) std::memset(buffer.data, poison, buffer.size);
            else std::memcpy(buffer.data, operand.bytes.data(), buffer.size);
            tensors.push_back(operand.tensor);
            data.push_back(buffer.data + operand.first * size);
        }
        uint8_t *written = buffers.back()->data;
        if (c.in_place >= 0) {
            data.back() = data[size_t(c.in_place)];
            written = buffers[size_t(c.in_place)]->data;
        }
        const std::vector<uint8_t> before(written, written + output.length * itemsize(output.tensor.dtype));

        const int n = int(data.size());
        sn_plan *plan = nullptr;
        if (sn_set_num_threads(run.threads) != SN_OK ||
            sn_plan_create(&c.params.header, c.pass, SN_DEVICE_CPU, tensors.data(), n, &plan) != SN_OK)
            return fail(run, sn_last_error());
        const sn_status status = sn_plan_run(plan, data.data(), n);
        sn_plan_destroy(plan);
        if (status != SN_OK) return fail(run, sn_last_error());
        return values_are_right(run, written) && bits_are_those_of_the_first_run(run, written) &&
               nothing_else_was_written(run, written, before);
    }

  public:
    explicit Check(const Case &c) : c(c), output(c.operands.back()), offsets(element_offsets(output)) {}

    bool passes() {
        for (const Run &run : runs)
            if (!run_once(run)) return false;
        return true;
    }

    // The sign and payload of a NaN are the processor's choice, so every NaN counts as the same.
    void add_result(Hash &hash) const {
        const int64_t size = itemsize(output.tensor.dtype);
        const uint8_t nan[8] = {poison, poison, poison, poison, poison, poison, poison, poison};
        for (size_t i = 0; i < first_result.size(); i += size_t(size)) {
            const uint8_t *p = &first_result[i];
            hash.add(std::isnan(load(p, output.tensor.dtype)) ? nan : p, size);
        }
    }
};

} // namespace

int main(int argc, char **argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: run_cases TABLE\n");
        return 2;
    }
    if (!*sn_isa()) {
        std::printf("%s\n", sn_last_error());
        return unsupported;
    }
    const std::vector<Case> cases = read_table(argv[1]);
    Hash hash;
    int failed = 0;
    for (const Case &c : cases) {
        Check check(c);
        if (!check.passes()) ++failed;
        check.add_result(hash);
    }
    std::printf("%s: %zu passed, %d failed, hash %016llx\n", sn_isa(), cases.size() - size_t(failed), failed,
                static_cast<unsigned long long>(hash.value()));
    return failed || cases.empty();
}
