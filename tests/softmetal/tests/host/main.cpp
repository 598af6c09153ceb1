// host_tests list | NAME ... | run FILE KERNEL GRID GROUP FLOATS
#include "testing.hpp"
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

// Runs any sample: buffer 0 holds 0, 1, 2 ..., buffer 1 is the output, buffer 2 the number of floats by setBytes.
static int run_sample(char **a) {
    Gpu gpu;
    std::ifstream f(a[0]);
    std::stringstream source;
    source << f.rdbuf();
    auto lib = gpu.library(source.str());
    auto pipeline = gpu.pipeline(lib.get(), a[1]);
    unsigned grid = atoi(a[2]), group = atoi(a[3]), n = atoi(a[4]);
    std::vector<float> in(n);
    for (unsigned i = 0; i < n; i++) in[i] = float(i);
    auto x = gpu.buffer(in), y = gpu.buffer(n * 4);
    std::string error = gpu.run([&](MTL::ComputeCommandEncoder *e) {
        e->setComputePipelineState(pipeline.get());
        e->setBuffer(x.get(), 0, 0);
        e->setBuffer(y.get(), 0, 1);
        e->setBytes(&n, 4, 2);
        e->dispatchThreads(MTL::Size(grid, 1, 1), MTL::Size(group, 1, 1));
    });
    if (!error.empty()) throw std::runtime_error(error);
    return 0;
}

extern "C" int run_host_test(const char *name) { // for Python
    int found = 0;
    for (const Test &t : Test::all()) {
        if (strcmp(t.name, name)) continue;
        found = 1;
        try {
            Pool pool;
            t.body();
        } catch (const std::exception &e) {
            printf("%s: %s\n", t.name, e.what());
            fflush(stdout);
            return 1;
        }
    }
    return found ? 0 : 2;
}

int main(int count, char **arguments) {
    try {
        if (count == 7 && !strcmp(arguments[1], "run")) {
            Pool pool;
            return run_sample(arguments + 2);
        }
    } catch (const std::exception &e) {
        printf("%s\n", e.what());
        return 1;
    }
    int result = 0;
    for (int i = 1; i < count; i++) {
        if (!strcmp(arguments[i], "list"))
            for (const Test &t : Test::all()) puts(t.name);
        else if (int r = run_host_test(arguments[i])) {
            if (r == 2) printf("no test named %s\n", arguments[i]);
            result = r;
        }
    }
    return result;
}
