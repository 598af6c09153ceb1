#include "faults.hpp"
#include "objects.hpp"
#include <cstring>

namespace sm {
namespace {
Class encoder_class;

struct Slot {
    Ref<Buffer> buffer;
    UInt offset = 0;
    std::shared_ptr<Storage> bytes; // of setBytes
};
struct ComputeEncoder : Encoder {
    bool concurrent = false, barrier_since_dispatch = true;
    Ref<Pipeline> pipeline;
    Slot slots[SM_MAX_BUFFERS];
    UInt threadgroup_length[SM_MAX_BUFFERS] = {};
};

std::string number(UInt n) { return std::to_string(n); }

bool usable(ComputeEncoder *e, const char *call) {
    if (e->ended) e->invalid(std::string(call) + " after endEncoding");
    return !e->ended;
}
bool index_ok(ComputeEncoder *e, const char *call, UInt i) {
    if (!usable(e, call)) return false;
    if (i >= SM_MAX_BUFFERS) e->invalid(std::string(call) + ": index " + number(i) + " must be at most 30");
    return i < SM_MAX_BUFFERS;
}

void set_buffer(ComputeEncoder *e, Buffer *b, UInt offset, UInt i) {
    if (!index_ok(e, "setBuffer", i)) return;
    if (b && offset >= b->storage->length)
        return e->invalid("setBuffer: offset " + number(offset) + " must be less than the buffer's length " +
                          number(b->storage->length));
    e->slots[i] = {Ref<Buffer>(b), offset, nullptr};
}
void set_offset(ComputeEncoder *e, UInt offset, UInt i) {
    if (!index_ok(e, "setBufferOffset", i)) return;
    if (!e->slots[i].buffer) return e->invalid("setBufferOffset: no buffer at index " + number(i));
    Ref<Buffer> b = e->slots[i].buffer;
    set_buffer(e, b.get(), offset, i);
}
void set_bytes(ComputeEncoder *e, const void *p, UInt n, UInt i) {
    if (!index_ok(e, "setBytes", i)) return;
    if (!p || !n || n > 4096) return e->invalid("setBytes: length " + number(n) + " must be in 1 .. 4096");
    e->slots[i] = {Ref<Buffer>(), 0, new_storage(n, p)};
}
void set_threadgroup_length(ComputeEncoder *e, UInt n, UInt i) {
    if (!index_ok(e, "setThreadgroupMemoryLength", i)) return;
    if (n % 16) return e->invalid("setThreadgroupMemoryLength: length " + number(n) + " must be a multiple of 16");
    e->threadgroup_length[i] = n;
}

// Binds one buffer parameter. Returns false when a rule is broken.
bool bind_buffer(ComputeEncoder *e, const SmKernel &k, const SmParameter &p, Command &command) {
    const Slot &slot = e->slots[p.index];
    std::string place = std::string(k.name) + ": buffer at index " + std::to_string(p.index) + " for '" + p.name + "' ";
    if (!slot.buffer && !slot.bytes) return e->invalid(place + "is missing"), false;
    char *base = slot.buffer ? slot.buffer->storage->base + slot.offset : slot.bytes->base;
    UInt length = slot.buffer ? slot.buffer->storage->length - slot.offset : slot.bytes->length;
    if (length < p.size)
        return e->invalid(place + "has " + number(length) + " bytes, but the argument needs at least " +
                          number(p.size)),
               false;
    if (slot.bytes && p.writable) return e->invalid(place + "is written, but was set with setBytes"), false;
    std::string name = "buffer '" + std::string(p.name) + "' (index " + std::to_string(p.index) + ")";
    if (slot.buffer && !slot.buffer->label.empty()) name += " \"" + slot.buffer->label + "\"";
    command.launch->dispatch.buffers[p.index] = base;
    command.launch->regions.push_back({base, length, name, p.writable != 0});
    if (slot.bytes) {
        command.bytes.push_back(slot.bytes);
        return true;
    }
    command.uses.emplace_back(slot.buffer->storage, name + " of kernel '" + k.name + "'");
    if (e->command_buffer->retained) command.retained.emplace_back(slot.buffer.get());
    return true;
}

bool bind(ComputeEncoder *e, const SmKernel &k, Command &command) {
    UInt dynamic = 0;
    for (int i = 0; i < k.parameter_count; i++) {
        const SmParameter &p = k.parameters[i];
        if (!p.used) continue;
        if (p.kind == SM_BUFFER && !bind_buffer(e, k, p, command)) return false;
        if (p.kind != SM_THREADGROUP) continue;
        UInt n = e->threadgroup_length[p.index];
        if (!n)
            return e->invalid(std::string(k.name) + ": threadgroup memory length at index " + std::to_string(p.index) +
                              " for '" + p.name + "' is missing"),
                   false;
        command.launch->threadgroup_length[p.index] = n;
        dynamic += n;
    }
    if (dynamic + e->pipeline->threadgroup_memory > kMaxThreadgroupMemory)
        return e->invalid(std::string(k.name) + ": threadgroup memory, static " +
                          number(e->pipeline->threadgroup_memory) + " and dynamic " + number(dynamic) +
                          " bytes, exceeds " + number(kMaxThreadgroupMemory)),
               false;
    return true;
}

void dispatch(ComputeEncoder *e, Size3 grid, Size3 group, bool counts_threads) {
    if (!usable(e, "dispatch")) return;
    if (!e->pipeline) return e->invalid("dispatch with no compute pipeline state set");
    const SmKernel &k = *e->pipeline->kernel;
    UInt threads = group.width * group.height * group.depth;
    if (!threads || threads > e->pipeline->max_threads)
        return e->invalid(std::string(k.name) + ": threads per threadgroup " + number(group.width) + " x " +
                          number(group.height) + " x " + number(group.depth) + " = " + number(threads) +
                          " must be in 1 .. " + number(e->pipeline->max_threads) + " (maxTotalThreadsPerThreadgroup)");
    if (e->pipeline->multiple_of_width && threads % simd_width())
        return e->invalid(std::string(k.name) + ": threads per threadgroup " + number(threads) +
                          " must be a multiple of threadExecutionWidth");
    if (!grid.width || !grid.height || !grid.depth)
        return e->invalid(std::string(k.name) + ": grid " + number(grid.width) + " x " + number(grid.height) + " x " +
                          number(grid.depth) + " must not be empty");
    const UInt g[3] = {grid.width, grid.height, grid.depth}, t[3] = {group.width, group.height, group.depth};
    Command command;
    command.launch = std::make_unique<Launch>();
    command.pipeline = e->pipeline;
    Launch &launch = *command.launch;
    launch.kernel = &k;
    launch.after_barrier = !e->concurrent || e->barrier_since_dispatch;
    for (int a = 0; a < 3; a++) {
        UInt in_grid = counts_threads ? g[a] : g[a] * t[a];
        if (in_grid > 0xFFFFFFFFu)
            return e->invalid(std::string(k.name) + ": a grid of " + number(in_grid) +
                              " threads in one direction exceeds 32 bits");
        launch.dispatch.threads_per_grid[a] = unsigned(in_grid);
        launch.dispatch.threadgroups_per_grid[a] = unsigned(counts_threads ? (g[a] + t[a] - 1) / t[a] : g[a]);
        launch.dispatch.dispatch_threads_per_threadgroup[a] = unsigned(t[a]);
    }
    if (!bind(e, k, command)) return;
    e->barrier_since_dispatch = false;
    counters.dispatches++;
    e->command_buffer->commands.push_back(std::move(command));
}
} // namespace

Encoder *new_compute_encoder(CommandBuffer *b, bool concurrent) {
    auto *e = make<ComputeEncoder>(encoder_class);
    e->command_buffer = Ref<CommandBuffer>(b);
    e->concurrent = concurrent;
    return e;
}

void register_compute_encoder() {
    Class c = encoder_class = make_class("SoftMetalComputeCommandEncoder", root_class(), destroy<ComputeEncoder>);
    add_label<ComputeEncoder>(c);
    method(c, "device", [](ComputeEncoder *e, SEL) -> Object * { return e->command_buffer->queue->device.get(); });
    method(c, "dispatchType", [](ComputeEncoder *e, SEL) -> UInt { return e->concurrent; });
    method(c, "setComputePipelineState:", [](ComputeEncoder *e, SEL, Pipeline *p) {
        if (!usable(e, "setComputePipelineState")) return;
        if (!p) return e->invalid("setComputePipelineState: the state must not be nil");
        e->pipeline = Ref<Pipeline>(p);
    });
    method(c, "setBuffer:offset:atIndex:", [](ComputeEncoder *e, SEL, Buffer *b, UInt o, UInt i) {
        set_buffer(e, b, o, i);
    });
    method(c, "setBuffers:offsets:withRange:", [](ComputeEncoder *e, SEL, Buffer *const *b, const UInt *o, Range r) {
        for (UInt i = 0; i < r.length; i++) set_buffer(e, b[i], o[i], r.location + i);
    });
    method(c, "setBufferOffset:atIndex:", [](ComputeEncoder *e, SEL, UInt o, UInt i) { set_offset(e, o, i); });
    method(c, "setBytes:length:atIndex:", [](ComputeEncoder *e, SEL, const void *p, UInt n, UInt i) {
        set_bytes(e, p, n, i);
    });
    method(c, "setThreadgroupMemoryLength:atIndex:", [](ComputeEncoder *e, SEL, UInt n, UInt i) {
        set_threadgroup_length(e, n, i);
    });
    method(c, "dispatchThreadgroups:threadsPerThreadgroup:", [](ComputeEncoder *e, SEL, Size3 g, Size3 t) {
        dispatch(e, g, t, false);
    });
    method(c, "dispatchThreads:threadsPerThreadgroup:", [](ComputeEncoder *e, SEL, Size3 g, Size3 t) {
        dispatch(e, g, t, true);
    });
    method(c, "memoryBarrierWithScope:", [](ComputeEncoder *e, SEL, UInt) { e->barrier_since_dispatch = true; });
    method(c, "memoryBarrierWithResources:count:", [](ComputeEncoder *e, SEL, Object *const *, UInt) {
        e->barrier_since_dispatch = true;
    });
    method(c, "useResource:usage:", [](ComputeEncoder *, SEL, Object *, UInt) {});
    method(c, "insertDebugSignpost:", [](ComputeEncoder *, SEL, Object *) {});
    method(c, "pushDebugGroup:", [](ComputeEncoder *, SEL, Object *) {});
    method(c, "popDebugGroup", [](ComputeEncoder *, SEL) {});
    method(c, "endEncoding", [](ComputeEncoder *e, SEL) {
        if (!usable(e, "endEncoding")) return;
        e->ended = true;
        e->command_buffer->encoding = false;
    });
}
} // namespace sm
