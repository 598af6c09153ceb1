#include "faults.hpp"
#include "objects.hpp"
#include <cstring>

namespace sm {
namespace {
Class encoder_class;
struct BlitEncoder : Encoder {};

bool range_ok(BlitEncoder *e, const char *call, Buffer *b, UInt offset, UInt size) {
    if (e->ended) e->invalid(std::string(call) + " after endEncoding");
    else if (!b) e->invalid(std::string(call) + ": the buffer must not be nil");
    else if (offset > b->storage->length || size > b->storage->length - offset)
        e->invalid(std::string(call) + ": offset " + std::to_string(offset) + " and size " + std::to_string(size) +
                   " exceed the buffer's length " + std::to_string(b->storage->length));
    else return true;
    return false;
}
void add(BlitEncoder *e, std::function<void()> copy, std::vector<Buffer *> buffers, const char *call) {
    Command c;
    c.copy = std::move(copy);
    for (Buffer *b : buffers) {
        c.uses.emplace_back(b->storage, "buffer \"" + b->label + "\" of " + call);
        if (e->command_buffer->retained) c.retained.emplace_back(b);
    }
    counters.blits++;
    e->command_buffer->commands.push_back(std::move(c));
}
} // namespace

Encoder *new_blit_encoder(CommandBuffer *b) {
    auto *e = make<BlitEncoder>(encoder_class);
    e->command_buffer = Ref<CommandBuffer>(b);
    return e;
}

void register_blit_encoder() {
    Class c = encoder_class = make_class("SoftMetalBlitCommandEncoder", root_class(), destroy<BlitEncoder>);
    add_label<BlitEncoder>(c);
    method(c, "device", [](BlitEncoder *e, SEL) -> Object * { return e->command_buffer->queue->device.get(); });
    method(c, "copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:",
           [](BlitEncoder *e, SEL, Buffer *from, UInt from_offset, Buffer *to, UInt to_offset, UInt size) {
               const char *call = "copyFromBuffer";
               if (!range_ok(e, call, from, from_offset, size) || !range_ok(e, call, to, to_offset, size)) return;
               const char *source = from->storage->base + from_offset;
               char *target = to->storage->base + to_offset;
               add(e, [=] { memmove(target, source, size); }, {from, to}, call);
           });
    method(c, "fillBuffer:range:value:", [](BlitEncoder *e, SEL, Buffer *b, Range r, uint8_t value) {
        if (!range_ok(e, "fillBuffer", b, r.location, r.length)) return;
        char *target = b->storage->base + r.location;
        add(e, [=] { memset(target, value, r.length); }, {b}, "fillBuffer");
    });
    method(c, "synchronizeResource:", [](BlitEncoder *, SEL, Object *) {}); // memory is unified
    method(c, "endEncoding", [](BlitEncoder *e, SEL) {
        if (e->ended) return e->invalid("endEncoding after endEncoding");
        e->ended = true;
        e->command_buffer->encoding = false;
    });
}
} // namespace sm
