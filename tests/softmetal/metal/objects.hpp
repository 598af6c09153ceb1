// The fake Metal objects. Those that Metal calls MTLBuffer and so on are of classes named SoftMetalBuffer ...
#pragma once
#include "../exec/executor.hpp"
#include "../objc/foundation.hpp"
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace sm {
constexpr UInt kMaxThreadsPerThreadgroup = 1024;
constexpr UInt kMaxThreadgroupMemory = 32768;

struct Size3 {
    UInt width, height, depth;
}; // MTL::Size
struct Range {
    UInt location, length;
}; // NS::Range

struct Device : Object {
    std::string name;
    UInt registry_id = 0;
};

// ---- libraries and pipelines
struct CompileOptions : Object {
    UInt language_version = (3 << 16) + 1;
    Int math_mode = 2; // MTLMathModeFast, the default
    Int math_functions = 0;
    Int optimization_level = 0;
    bool fast_math = true, preserve_invariance = false;
    Ref<Dictionary> macros;
};
struct FunctionConstant {
    unsigned index;
    std::string name, type;
};
struct KernelEntry {
    std::string name;
    unsigned threadgroup_memory; // static, in bytes
    unsigned max_threads;        // from its attribute, 0: none
};
struct Library : Object {
    Ref<Device> device;
    std::string source, options, label;
    std::vector<FunctionConstant> constants;
    std::vector<KernelEntry> kernels;
};
struct ConstantValues : Object {
    struct Value {
        UInt index;
        std::string name, type, text;
    };
    std::vector<Value> values;
};
struct Function : Object {
    Ref<Library> library;
    KernelEntry entry;
    std::string constants; // command-line words for the compiler
    std::string label;
};
struct PipelineDescriptor : Object {
    Ref<Function> function;
    Ref<Object> label;
    UInt max_threads = 0;
    bool multiple_of_width = false;
};
struct Pipeline : Object {
    Ref<Device> device;
    const SmKernel *kernel = nullptr;
    UInt threadgroup_memory = 0, max_threads = kMaxThreadsPerThreadgroup;
    bool multiple_of_width = false, checked = false;
    std::string label;
};

// ---- memory
// Outlives the buffer while a command refers to it, so that a use after release can be reported.
struct Storage {
    char *base = nullptr;
    size_t length = 0;
    char *allocation = nullptr;  // null for no-copy
    void *deallocator = nullptr; // a block, for no-copy
    std::atomic<bool> released{false};
    ~Storage();
    bool guards_intact() const;
};
struct Buffer : Object {
    Ref<Device> device;
    std::shared_ptr<Storage> storage;
    UInt options = 0;
    std::string label;
    ~Buffer() {
        if (storage) storage->released = true;
    }
};

// ---- commands
struct Command {
    std::unique_ptr<Launch> launch; // either this
    std::function<void()> copy;     // or this
    Ref<Pipeline> pipeline;
    std::vector<Ref<Object>> retained;
    std::vector<std::pair<std::shared_ptr<Storage>, std::string>> uses; // with the words that name it
    std::vector<std::shared_ptr<Storage>> bytes;                        // of setBytes
};
struct Completion { // what a waiter holds, so that the command buffer itself may go
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
};
struct CommandQueue : Object {
    Ref<Device> device;
    std::string label;
};
struct CommandBufferDescriptor : Object {
    bool retained = true;
    UInt error_options = 0;
};
struct CommandBuffer : Object {
    Ref<CommandQueue> queue;
    bool retained = true, encoding = false;
    std::vector<Command> commands;
    std::string invalid; // the first broken rule
    std::atomic<UInt> status{0};
    Ref<Error> error;
    double start = 0, end = 0;
    std::vector<void *> scheduled_handlers, completed_handlers;
    std::shared_ptr<Completion> completion = std::make_shared<Completion>();
    std::string label;
    ~CommandBuffer();
};
struct Encoder : Object {
    Ref<CommandBuffer> command_buffer;
    bool ended = false;
    std::string label;
    ~Encoder();
    // Notes a broken rule in the command buffer; it fails when it is run.
    void invalid(const std::string &rule);
};
enum { kNotEnqueued, kEnqueued, kCommitted, kScheduled, kCompleted, kFailed }; // MTLCommandBufferStatus

// ---- blocks
void *copy_block(const void *block);
void release_block(void *block);
template <class... A> void call_block(void *block, A... arguments) {
    struct Layout {
        void *isa;
        int flags, reserved;
        void (*invoke)(void *, A...);
    };
    static_cast<Layout *>(block)->invoke(block, arguments...);
}

// ---- one registration per file
void register_device();
void register_libraries();
void register_pipelines();
void register_buffers();
void register_commands();
void register_compute_encoder();
void register_blit_encoder();

Library *new_library(Device *, const std::string &source, CompileOptions *, Object **error);
Pipeline *new_pipeline(Device *, Function *, const PipelineDescriptor *, Object **error);
std::shared_ptr<Storage> new_storage(UInt length, const void *bytes); // null: no memory; null bytes: zeros
Buffer *new_buffer(Device *, UInt length, UInt options, const void *bytes);
Buffer *new_buffer_no_copy(Device *, void *pointer, UInt length, UInt options, const void *deallocator);
CommandQueue *new_command_queue(Device *);
Encoder *new_compute_encoder(CommandBuffer *, bool concurrent);
Encoder *new_blit_encoder(CommandBuffer *);
UInt allocated_bytes();

void submit(CommandBuffer *); // to the worker thread

template <class T> void add_label(Class c) {
    method(c, "setLabel:", [](T *o, SEL, Object *s) { o->label = to_text(s); });
    method(c, "label", [](T *o, SEL) -> Object * { return autorelease(new_string(o->label)); });
}
} // namespace sm
