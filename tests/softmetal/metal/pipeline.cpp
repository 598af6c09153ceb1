#include "compiler.hpp"
#include "faults.hpp"
#include "objects.hpp"
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <map>
#include <mutex>

namespace sm {
namespace {
Class pipeline_class;

bool checked_mode() {
    const char *s = getenv("SOFTMETAL_CHECK");
    return s && !strcmp(s, "1");
}

// Compiled kernels stay loaded: pipelines of several devices and threads share them.
const SmKernel *load(const std::string &path, std::string &why) {
    static std::mutex mutex;
    static auto *loaded = new std::map<std::string, const SmKernel *>;
    std::lock_guard<std::mutex> lock(mutex);
    const SmKernel *&kernel = (*loaded)[path];
    if (kernel) return kernel;
    void *handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle) kernel = static_cast<const SmKernel *>(dlsym(handle, "softmetal_kernel"));
    if (!kernel) why = dlerror();
    return kernel;
}

Pipeline *fail(Object **error, Int code, const std::string &text) {
    set_error(error, "AGXMetalEmulated", code, text);
    return nullptr;
}
} // namespace

Pipeline *new_pipeline(Device *d, Function *f, const PipelineDescriptor *descriptor, Object **error) {
    std::string text;
    if (fault("pipeline", &text)) return fail(error, 2, text);
    if (!f) return fail(error, 3, "Metal validation: computeFunction must not be nil");
    const std::string &name = f->entry.name;
    if (f->entry.threadgroup_memory > kMaxThreadgroupMemory)
        return fail(error, 3,
                    "Threadgroup memory size (" + std::to_string(f->entry.threadgroup_memory) +
                        ") exceeds the maximum threadgroup memory allowed (" + std::to_string(kMaxThreadgroupMemory) +
                        "), kernel '" + name + "'");
    bool checked = checked_mode();
    Compiled c = compile_kernel(f->library->source, f->library->options, name, f->constants, checked);
    if (!c.ok) return fail(error, 3, c.output);
    const SmKernel *kernel = load(c.library, text);
    if (!kernel) return fail(error, 3, text);
    auto *p = make<Pipeline>(pipeline_class);
    p->device = Ref<Device>(d);
    p->kernel = kernel;
    p->threadgroup_memory = (f->entry.threadgroup_memory + 15) / 16 * 16;
    p->checked = checked;
    if (const char *s = getenv("SOFTMETAL_MAX_THREADS"))
        p->max_threads = strtoul(s, nullptr, 10); // as if registers ran short
    if (f->entry.max_threads) p->max_threads = f->entry.max_threads;
    if (descriptor) {
        if (descriptor->max_threads) p->max_threads = descriptor->max_threads;
        p->multiple_of_width = descriptor->multiple_of_width;
        p->label = to_text(descriptor->label.get());
    }
    counters.pipelines++;
    return p;
}

void register_pipelines() {
    Class c = define_class<PipelineDescriptor>("MTLComputePipelineDescriptor");
    method(c, "setComputeFunction:", [](PipelineDescriptor *p, SEL, Function *f) { p->function = Ref<Function>(f); });
    method(c, "computeFunction", [](PipelineDescriptor *p, SEL) -> Object * { return p->function.get(); });
    method(c, "setLabel:", [](PipelineDescriptor *p, SEL, Object *s) { p->label = Ref<Object>(s); });
    method(c, "setMaxTotalThreadsPerThreadgroup:", [](PipelineDescriptor *p, SEL, UInt n) { p->max_threads = n; });
    method(c, "setThreadGroupSizeIsMultipleOfThreadExecutionWidth:", [](PipelineDescriptor *p, SEL, bool b) {
        p->multiple_of_width = b;
    });

    c = pipeline_class = make_class("SoftMetalComputePipelineState", root_class(), destroy<Pipeline>);
    method(c, "device", [](Pipeline *p, SEL) -> Object * { return p->device.get(); });
    method(c, "label", [](Pipeline *p, SEL) -> Object * { return autorelease(new_string(p->label)); });
    method(c, "maxTotalThreadsPerThreadgroup", [](Pipeline *p, SEL) -> UInt { return p->max_threads; });
    method(c, "threadExecutionWidth", [](Pipeline *, SEL) -> UInt { return simd_width(); });
    method(c, "staticThreadgroupMemoryLength", [](Pipeline *p, SEL) -> UInt { return p->threadgroup_memory; });
}
} // namespace sm
