#include "faults.hpp"
#include "../objc/runtime.hpp"
#include "softmetal.h"
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

namespace sm {
Counters counters;

namespace {
struct Fault {
    long skip = 0;
    std::string message;
};
const std::map<std::string, std::string> &default_messages() {
    static const auto *m = new std::map<std::string, std::string>{
        {"no_device", ""},
        {"compile", "planted fault: the library cannot be compiled"},
        {"pipeline", "planted fault: the pipeline state cannot be made"},
        {"buffer", ""},
        {"no_copy", ""},
        {"command_queue", ""},
        {"command_buffer", "Caused GPU Hang Error (00000003:kIOGPUCommandBufferCallbackErrorHang)"}};
    return *m;
}

std::mutex mutex;
std::string environment; // the text that `from_environment` was read from
std::map<std::string, Fault> &from_environment() {
    static auto *m = new std::map<std::string, Fault>;
    return *m;
}
std::map<std::string, Fault> &from_calls() {
    static auto *m = new std::map<std::string, Fault>;
    return *m;
}

void add(std::map<std::string, Fault> &faults, const std::string &name, long skip, const char *message) {
    auto known = default_messages().find(name);
    if (known == default_messages().end()) fatal("SOFTMETAL_FAULT names an unknown fault '%s'", name.c_str());
    faults[name] = {skip, message ? message : known->second};
}

void read_environment() {
    const char *now = getenv("SOFTMETAL_FAULT");
    if (environment == (now ? now : "")) return;
    environment = now ? now : "";
    from_environment().clear();
    for (size_t begin = 0; begin < environment.size();) {
        size_t end = std::min(environment.find(';', begin), environment.size());
        std::string item = environment.substr(begin, end - begin);
        begin = end + 1;
        if (item.empty()) continue;
        size_t equals = item.find('=');
        std::string name = item.substr(0, equals);
        size_t at = name.find('@');
        long skip = at == name.npos ? 0 : atol(name.c_str() + at + 1);
        add(from_environment(), name.substr(0, at), skip, equals == item.npos ? nullptr : item.c_str() + equals + 1);
    }
}

bool strikes(std::map<std::string, Fault> &faults, const char *name, std::string *message) {
    auto it = faults.find(name);
    if (it == faults.end() || it->second.skip-- > 0) return false;
    it->second.skip = 0;
    if (message) *message = it->second.message;
    return true;
}
} // namespace

bool fault(const char *name, std::string *message) {
    std::lock_guard<std::mutex> lock(mutex);
    read_environment();
    return strikes(from_calls(), name, message) || strikes(from_environment(), name, message);
}
} // namespace sm

extern "C" {
long softmetal_live_objects(const char *class_name) { return sm::live_objects(class_name); }

long softmetal_count(const char *event) {
    const std::pair<const char *, std::atomic<long> *> known[] = {
        {"command_buffers", &sm::counters.command_buffers},
        {"encoders", &sm::counters.encoders},
        {"dispatches", &sm::counters.dispatches},
        {"blits", &sm::counters.blits},
        {"waits", &sm::counters.waits},
        {"buffers", &sm::counters.buffers},
        {"no_copy_buffers", &sm::counters.no_copy_buffers},
        {"libraries", &sm::counters.libraries},
        {"pipelines", &sm::counters.pipelines},
        {"kernel_compilations", &sm::counters.kernel_compilations}};
    for (auto &k : known)
        if (!strcmp(k.first, event)) return *k.second;
    return strcmp(event, "leaked_autoreleases") ? -1 : sm::leaked_autoreleases();
}

int softmetal_set_fault(const char *name, long skip, const char *message) {
    std::lock_guard<std::mutex> lock(sm::mutex);
    if (!sm::default_messages().count(name)) return -1;
    sm::add(sm::from_calls(), name, skip, message);
    return 0;
}
void softmetal_clear_faults(void) {
    std::lock_guard<std::mutex> lock(sm::mutex);
    sm::from_calls().clear();
}
}
