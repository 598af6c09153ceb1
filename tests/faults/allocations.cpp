// Every allocation of the core fails once: alone, and with all that follow it. Each failure happens in a process of its
// own that has not used the library before. The call must report SN_OUT_OF_MEMORY (or succeed without the memory),
// leave the output as it was, leak nothing, and work when it is made again.
//
// Then threads are refused: all of them, and all but one. The result must be the same.
#include "interposed.h"
#include "spatialnorm/spatialnorm.h"
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr int64_t height = 300, width = 400; // enough for three threads
constexpr int64_t elements = height * width;
constexpr uint8_t untouched = 0xa5;

struct Scenario {
    const char *name;
    sn_pass pass;
    sn_dtype dtype;
    bool in_place, sequence; // the output is the first input; by sn_plans_run
};
constexpr Scenario scenarios[] = {
    {"spatial_forward", SN_FORWARD, SN_FLOAT32, false, false},
    {"spatial_forward in place", SN_FORWARD, SN_FLOAT32, true, false},
    {"spatial_forward float64", SN_FORWARD, SN_FLOAT64, false, false},
    {"spatial_gradient", SN_GRADIENT, SN_FLOAT32, false, false},
    {"spatial_gradient float16 in place", SN_GRADIENT, SN_FLOAT16, true, false},
    {"spatial_jvp", SN_JVP, SN_FLOAT32, false, false},
    {"spatial_parameter_gradients", SN_PARAMETER_GRADIENTS, SN_FLOAT32, false, false},
    {"sn_plans_run", SN_FORWARD, SN_FLOAT32, false, true},
};

// Memory of the cases is the system's, so that the interposed functions see the library's calls only.
struct Shared {     // with the processes of the failures
    uint64_t right; // hash of the result
    long live;      // blocks after three good rounds
    char message[200];
};
Shared *shared;
uint8_t *operands[3];
constexpr size_t operand_bytes = size_t(elements) * 8;

void *map(size_t bytes) {
    void *const p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) _exit(4);
    return p;
}

size_t itemsize(sn_dtype dtype) { return dtype == SN_FLOAT64 ? 8 : dtype == SN_FLOAT32 ? 4 : 2; }

void fill(const Scenario &s) {
    for (int k = 0; k < 2; ++k)
        for (int64_t i = 0; i < elements; ++i) {
            const int value = int((i * 37 + k * 11) % 101) - 50;
            if (s.dtype == SN_FLOAT64) reinterpret_cast<double *>(operands[k])[i] = value / 64.0;
            else if (s.dtype == SN_FLOAT32) reinterpret_cast<float *>(operands[k])[i] = float(value) / 64;
            else reinterpret_cast<uint16_t *>(operands[k])[i] = uint16_t(0x3000 + (value + 50) * 16);
        }
    std::memset(operands[2], untouched, operand_bytes);
}

int n_operands(const Scenario &s) { return s.pass == SN_FORWARD ? 2 : 3; }
uint8_t *output(const Scenario &s) { return s.in_place ? operands[0] : operands[2]; }
size_t output_bytes(const Scenario &s) {
    return s.pass == SN_PARAMETER_GRADIENTS ? 24 : size_t(elements) * itemsize(s.dtype);
}

uint64_t hash(const uint8_t *p, size_t n) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; ++i) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

sn_status call(const Scenario &s) {
    sn_spatial_params params = SN_SPATIAL_PARAMS_INIT;
    sn_tensor image = {nullptr, {1, 1, height, width}, {elements, elements, width, 1}, s.dtype};
    sn_tensor tensors[3] = {image, image, image};
    if (s.pass == SN_PARAMETER_GRADIENTS) tensors[2] = {nullptr, {1, 1, 1, 3}, {3, 3, 3, 1}, SN_FLOAT64};
    void *data[3] = {operands[0], operands[1], output(s)};
    if (s.pass == SN_FORWARD) data[1] = output(s);
    sn_plan *plan = nullptr;
    sn_status status = sn_set_num_threads(3);
    if (status == SN_OK) status = sn_plan_create(&params.header, s.pass, SN_DEVICE_CPU, tensors, n_operands(s), &plan);
    if (status == SN_OK) {
        const sn_run run = {plan, data, n_operands(s)};
        status = s.sequence ? sn_plans_run(&run, 1) : sn_plan_run(plan, data, n_operands(s));
    }
    sn_plan_destroy(plan);
    return status;
}

[[noreturn]] void end(int code, const char *message) {
    std::snprintf(shared->message, sizeof shared->message, "%s", message);
    _exit(code);
}

enum { passed = 0, wrong = 1, not_reached = 10, went_on = 11 };

// What a process does: fails calls `from` to `to`; from = 0 records what is right.
[[noreturn]] void attempt(const Scenario &s, long from, long to) {
    fill(s);
    const uint64_t before = hash(output(s), output_bytes(s));
    faults::fail_at(from, to);
    const sn_status status = call(s);
    const bool reached = faults::reached();
    faults::fail_never();
    if (status != SN_OK && status != SN_OUT_OF_MEMORY) end(wrong, sn_last_error());
    if (status == SN_OUT_OF_MEMORY) {
        if (!reached) end(wrong, "out of memory without a failure");
        if (!std::strstr(sn_last_error(), "memory")) end(wrong, sn_last_error());
        if (hash(output(s), output_bytes(s)) != before) end(wrong, "the output was written by a call that failed");
    } else if (from && hash(output(s), output_bytes(s)) != shared->right) {
        end(wrong, "a call that went on gave another result");
    }
    for (int round = 0; round < 3; ++round) {
        fill(s);
        if (call(s) != SN_OK) end(wrong, "a call after the failure failed");
        const uint64_t result = hash(output(s), output_bytes(s));
        if (from == 0) shared->right = result;
        if (result != shared->right) end(wrong, "a call after the failure gave another result");
    }
    if (from == 0) shared->live = faults::live;
    if (faults::live > shared->live) end(wrong, "memory was not given back");
    _exit(from && !reached ? not_reached : status == SN_OK ? went_on : passed);
}

int in_process(const Scenario &s, long from, long to) {
    shared->message[0] = 0;
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) attempt(s, from, to);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) {
        std::snprintf(shared->message, sizeof shared->message, "the process ended by signal %d", WTERMSIG(status));
        return wrong;
    }
    return WEXITSTATUS(status);
}

int failures = 0;
long sites = 0, survived = 0;

bool acceptable(const Scenario &s, const char *what, long n, int code) {
    if (code == passed || code == not_reached || code == went_on) return true;
    std::printf("FAILED %s, %s %ld: %s\n", s.name, what, n, shared->message);
    ++failures;
    return false;
}

void fail_each(const Scenario &s) {
    constexpr long most = 1000;
    for (long n = 1; n <= most; ++n) {
        const int alone = in_process(s, n, n), onwards = in_process(s, n, 1L << 40);
        acceptable(s, "allocation", n, alone), acceptable(s, "allocations from", n, onwards);
        if (alone == not_reached) return;
        ++sites;
        survived += alone == went_on;
    }
    std::printf("FAILED %s: more than %ld allocations\n", s.name, most);
    ++failures;
}

} // namespace

int main() {
    if (!*sn_isa()) {
        std::printf("%s\n", sn_last_error());
        return 77;
    }
    static char printed[4096]; // printing allocates nothing
    std::setvbuf(stdout, printed, _IOLBF, sizeof printed);
    shared = static_cast<Shared *>(map(sizeof(Shared)));
    for (uint8_t *&operand : operands) operand = static_cast<uint8_t *>(map(operand_bytes));
    for (const Scenario &s : scenarios) {
        if (!acceptable(s, "without a failure", 0, in_process(s, 0, 0))) continue;
        fail_each(s);
        for (long allowed : {0L, 1L}) {
            faults::allowed = allowed;
            acceptable(s, "threads allowed", allowed, in_process(s, 1L << 40, 1L << 40));
            faults::allowed = 1000;
        }
    }
    std::printf("allocations: %ld sites failed, %ld of them made good, %d wrong\n", sites, survived, failures);
    return failures != 0 || sites == 0;
}
