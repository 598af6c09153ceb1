#include "faults.hpp"
#include "objects.hpp"
#include <cstdlib>
#include <unistd.h>

extern "C" {
void *_Block_copy(const void *);
void _Block_release(const void *);
}

namespace sm {
namespace {
std::vector<Device *> *devices;
Class architecture_class;

UInt environment(const char *name, UInt fallback) {
    const char *s = getenv(name);
    return s ? strtoul(s, nullptr, 10) : fallback;
}

// The families of an M1: Common 1-3, Apple 1-7, Mac 2, Metal 3.
bool supports_family(Int family) {
    return (family >= 3001 && family <= 3003) || (family >= 1001 && family <= 1007) || family == 2002 || family == 5001;
}
} // namespace

void *copy_block(const void *block) { return block ? _Block_copy(block) : nullptr; }
void release_block(void *block) {
    if (block) _Block_release(block);
}

// What a host program prints about the machine.
void register_information() {
    Class c = make_class("SoftMetalArchitecture", root_class(), destroy<Object>);
    architecture_class = c;
    method(c, "name", [](Object *, SEL) -> Object * { return autorelease(new_string("emulated")); });

    c = define_class<Object>("NSProcessInfo");
    class_method(c, "processInfo", [](Class k, SEL) -> Object * { return autorelease(make<Object>(k)); });
    method(c, "operatingSystemVersionString",
           [](Object *, SEL) -> Object * { return autorelease(new_string("emulated, not macOS")); });
    method(c, "processorCount", [](Object *, SEL) -> UInt { return UInt(sysconf(_SC_NPROCESSORS_CONF)); });
    method(c, "activeProcessorCount", [](Object *, SEL) -> UInt { return UInt(sysconf(_SC_NPROCESSORS_ONLN)); });
    method(c, "physicalMemory",
           [](Object *, SEL) -> UInt { return UInt(sysconf(_SC_PHYS_PAGES)) * UInt(sysconf(_SC_PAGESIZE)); });
}

void register_device() {
    register_information();
    Class c = make_class("SoftMetalDevice", root_class(), destroy<Device>);
    method(c, "name", [](Device *d, SEL) -> Object * { return autorelease(new_string(d->name)); });
    method(c, "registryID", [](Device *d, SEL) -> UInt { return d->registry_id; });
    method(c, "architecture", [](Device *, SEL) -> Object * { return autorelease(make<Object>(architecture_class)); });
    method(c, "hasUnifiedMemory", [](Device *, SEL) -> bool { return environment("SOFTMETAL_UNIFIED_MEMORY", 1); });
    for (const char *s : {"isLowPower", "isHeadless", "isRemovable", "supportsRaytracing", "supportsFunctionPointers",
                          "supportsDynamicLibraries"})
        method(c, s, [](Device *, SEL) -> bool { return false; });
    method(c, "supportsFamily:", [](Device *, SEL, Int family) -> bool { return supports_family(family); });
    method(c, "maxThreadgroupMemoryLength", [](Device *, SEL) -> UInt { return kMaxThreadgroupMemory; });
    method(c, "maxThreadsPerThreadgroup", [](Device *, SEL) -> Size3 {
        return {kMaxThreadsPerThreadgroup, kMaxThreadsPerThreadgroup, kMaxThreadsPerThreadgroup};
    });
    method(c, "maxBufferLength",
           [](Device *, SEL) -> UInt { return environment("SOFTMETAL_MAX_BUFFER", UInt(8) << 30); });
    method(c, "recommendedMaxWorkingSetSize", [](Device *, SEL) -> UInt { return UInt(8) << 30; });
    method(c, "currentAllocatedSize", [](Device *, SEL) -> UInt { return allocated_bytes(); });

    method(c, "newCommandQueue", [](Device *d, SEL) -> Object * { return new_command_queue(d); });
    method(c, "newCommandQueueWithMaxCommandBufferCount:", [](Device *d, SEL, UInt) -> Object * {
        return new_command_queue(d);
    });
    method(c, "newLibraryWithSource:options:error:",
           [](Device *d, SEL, Object *source, CompileOptions *o, Object **e) -> Object * {
               return new_library(d, to_text(source), o, e);
           });
    // A compiled library holds Apple's GPU code, which a CPU cannot run.
    for (const char *s : {"newLibraryWithURL:error:", "newLibraryWithData:error:", "newLibraryWithFile:error:"})
        method(c, s, [](Device *, SEL, Object *, Object **e) -> Object * {
            set_error(e, "MTLLibraryErrorDomain", 1, "emulated Metal cannot read a compiled library, only source");
            return nullptr;
        });
    method(c, "newDefaultLibrary", [](Device *, SEL) -> Object * { return nullptr; });
    method(c, "newComputePipelineStateWithFunction:error:", [](Device *d, SEL, Function *f, Object **e) -> Object * {
        return new_pipeline(d, f, nullptr, e);
    });
    method(c, "newComputePipelineStateWithFunction:options:reflection:error:",
           [](Device *d, SEL, Function *f, UInt, Object **, Object **e) -> Object * {
               return new_pipeline(d, f, nullptr, e);
           });
    method(c, "newComputePipelineStateWithDescriptor:options:reflection:error:",
           [](Device *d, SEL, PipelineDescriptor *p, UInt, Object **, Object **e) -> Object * {
               return new_pipeline(d, p->function.get(), p, e);
           });
    method(c, "newBufferWithLength:options:", [](Device *d, SEL, UInt n, UInt o) -> Object * {
        return new_buffer(d, n, o, nullptr);
    });
    method(c, "newBufferWithBytes:length:options:", [](Device *d, SEL, const void *p, UInt n, UInt o) -> Object * {
        return new_buffer(d, n, o, p);
    });
    method(c, "newBufferWithBytesNoCopy:length:options:deallocator:",
           [](Device *d, SEL, void *p, UInt n, UInt o, const void *block) -> Object * {
               return new_buffer_no_copy(d, p, n, o, block);
           });

    devices = new std::vector<Device *>;
    for (UInt i = 0; i < environment("SOFTMETAL_DEVICES", 1); i++) {
        auto *d = make<Device>(c);
        d->name = "Emulated Metal" + (i ? " " + std::to_string(i + 1) : std::string());
        d->registry_id = 0x50F70000 + i;
        devices->push_back(d);
    }
}

void register_metal() {
    register_device();
    register_libraries();
    register_pipelines();
    register_buffers();
    register_commands();
    register_compute_encoder();
    register_blit_encoder();
}
} // namespace sm

extern "C" {
void *MTLCreateSystemDefaultDevice() {
    objc_lookUpClass("NSObject"); // starts the runtime
    if (sm::fault("no_device") || sm::devices->empty()) return nullptr;
    sm::retain(sm::devices->front());
    return sm::devices->front();
}
void *MTLCopyAllDevices() {
    objc_lookUpClass("NSObject");
    std::vector<sm::Ref<sm::Object>> all;
    if (!sm::fault("no_device"))
        for (auto *d : *sm::devices) all.emplace_back(d);
    return sm::new_array(std::move(all));
}
void *MTLCopyAllDevicesWithObserver(void **observer, void *) {
    if (observer) *observer = nullptr;
    return MTLCopyAllDevices();
}
void MTLRemoveDeviceObserver(void *) {}
}
