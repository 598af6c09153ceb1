#include "faults.hpp"
#include "objects.hpp"

namespace sm {
namespace {
Class queue_class, command_buffer_class;

void invalid(CommandBuffer *b, const std::string &rule) {
    if (b->invalid.empty()) b->invalid = "Metal validation: " + rule;
}
CommandBuffer *new_command_buffer(CommandQueue *q, bool retained) {
    auto *b = make<CommandBuffer>(command_buffer_class);
    b->queue = Ref<CommandQueue>(q);
    b->retained = retained;
    return b;
}
Encoder *begin_encoder(CommandBuffer *b, Encoder *e) {
    if (b->encoding) invalid(b, "a command encoder is already encoding to this command buffer");
    if (b->status >= kCommitted) invalid(b, "a command encoder was made after commit");
    b->encoding = true;
    counters.encoders++;
    return e;
}

void commit(CommandBuffer *b) {
    if (b->status >= kCommitted) return invalid(b, "command buffer committed twice");
    if (b->encoding) invalid(b, "command buffer committed before endEncoding");
    b->status = kCommitted;
    counters.command_buffers++;
    submit(b);
}
void wait(CommandBuffer *b) {
    counters.waits++;
    if (b->status < kCommitted) { // the real call would never return
        invalid(b, "waitUntilCompleted before commit");
        b->error = Ref<Error>::adopt(new_error("MTLCommandBufferErrorDomain", 1, b->invalid));
        b->status = kFailed;
        return;
    }
    auto completion = b->completion;
    std::unique_lock<std::mutex> lock(completion->mutex);
    completion->changed.wait(lock, [&] { return completion->done; });
}
} // namespace

CommandBuffer::~CommandBuffer() { // one that was never committed still owns its handlers
    for (void *block : scheduled_handlers) release_block(block);
    for (void *block : completed_handlers) release_block(block);
}
Encoder::~Encoder() {
    if (!ended && command_buffer) invalid("command encoder released without endEncoding");
}
void Encoder::invalid(const std::string &rule) { sm::invalid(command_buffer.get(), rule); }

CommandQueue *new_command_queue(Device *d) {
    if (fault("command_queue")) return nullptr;
    auto *q = make<CommandQueue>(queue_class);
    q->device = Ref<Device>(d);
    return q;
}

void register_commands() {
    Class c = queue_class = make_class("SoftMetalCommandQueue", root_class(), destroy<CommandQueue>);
    add_label<CommandQueue>(c);
    method(c, "device", [](CommandQueue *q, SEL) -> Object * { return q->device.get(); });
    method(c, "commandBuffer",
           [](CommandQueue *q, SEL) -> Object * { return autorelease(new_command_buffer(q, true)); });
    method(c, "commandBufferWithUnretainedReferences",
           [](CommandQueue *q, SEL) -> Object * { return autorelease(new_command_buffer(q, false)); });
    method(c, "commandBufferWithDescriptor:", [](CommandQueue *q, SEL, CommandBufferDescriptor *d) -> Object * {
        return autorelease(new_command_buffer(q, d->retained));
    });

    c = define_class<CommandBufferDescriptor>("MTLCommandBufferDescriptor");
    method(c, "retainedReferences", [](CommandBufferDescriptor *d, SEL) -> bool { return d->retained; });
    method(c, "setRetainedReferences:", [](CommandBufferDescriptor *d, SEL, bool b) { d->retained = b; });
    method(c, "errorOptions", [](CommandBufferDescriptor *d, SEL) -> UInt { return d->error_options; });
    method(c, "setErrorOptions:", [](CommandBufferDescriptor *d, SEL, UInt o) { d->error_options = o; });

    c = command_buffer_class = make_class("SoftMetalCommandBuffer", root_class(), destroy<CommandBuffer>);
    add_label<CommandBuffer>(c);
    method(c, "device", [](CommandBuffer *b, SEL) -> Object * { return b->queue->device.get(); });
    method(c, "commandQueue", [](CommandBuffer *b, SEL) -> Object * { return b->queue.get(); });
    method(c, "retainedReferences", [](CommandBuffer *b, SEL) -> bool { return b->retained; });
    method(c, "computeCommandEncoder", [](CommandBuffer *b, SEL) -> Object * {
        return autorelease(begin_encoder(b, new_compute_encoder(b, false)));
    });
    method(c, "computeCommandEncoderWithDispatchType:", [](CommandBuffer *b, SEL, UInt type) -> Object * {
        return autorelease(begin_encoder(b, new_compute_encoder(b, type == 1))); // MTLDispatchTypeConcurrent
    });
    method(c, "blitCommandEncoder",
           [](CommandBuffer *b, SEL) -> Object * { return autorelease(begin_encoder(b, new_blit_encoder(b))); });
    method(c, "addCompletedHandler:", [](CommandBuffer *b, SEL, const void *block) {
        if (b->status >= kCommitted) return invalid(b, "addCompletedHandler after commit");
        b->completed_handlers.push_back(copy_block(block));
    });
    method(c, "addScheduledHandler:", [](CommandBuffer *b, SEL, const void *block) {
        if (b->status >= kCommitted) return invalid(b, "addScheduledHandler after commit");
        b->scheduled_handlers.push_back(copy_block(block));
    });
    method(c, "enqueue", [](CommandBuffer *b, SEL) {
        if (b->status < kEnqueued) b->status = kEnqueued;
    });
    method(c, "commit", [](CommandBuffer *b, SEL) { commit(b); });
    method(c, "waitUntilCompleted", [](CommandBuffer *b, SEL) { wait(b); });
    method(c, "waitUntilScheduled", [](CommandBuffer *b, SEL) { wait(b); });
    method(c, "status", [](CommandBuffer *b, SEL) -> UInt { return b->status; });
    method(c, "error", [](CommandBuffer *b, SEL) -> Object * { return b->error.get(); });
    for (const char *s : {"GPUStartTime", "kernelStartTime"})
        method(c, s, [](CommandBuffer *b, SEL) -> double { return b->start; });
    for (const char *s : {"GPUEndTime", "kernelEndTime"})
        method(c, s, [](CommandBuffer *b, SEL) -> double { return b->end; });
    method(c, "pushDebugGroup:", [](CommandBuffer *, SEL, Object *) {});
    method(c, "popDebugGroup", [](CommandBuffer *, SEL) {});
}
} // namespace sm
