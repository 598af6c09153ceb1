#include "faults.hpp"
#include "objects.hpp"
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

namespace sm {
namespace {
Class buffer_class;
std::atomic<UInt> allocated{0};

constexpr size_t kGuard = 4096;
constexpr unsigned char kGuardByte = 0xA5;
constexpr UInt kPrivate = 2; // MTLStorageModePrivate
UInt storage_mode(UInt options) { return options >> 4 & 15; }

// Metal's rule is the size of a page. Apple silicon's is 16384; the page that the program really lives
// with is the right one here, since wrapping whole pages must not reach into unmapped memory.
UInt page_size() {
    const char *s = getenv("SOFTMETAL_PAGE_SIZE");
    return s ? strtoul(s, nullptr, 10) : UInt(sysconf(_SC_PAGESIZE));
}
UInt max_length() {
    const char *s = getenv("SOFTMETAL_MAX_BUFFER");
    return s ? strtoul(s, nullptr, 10) : UInt(8) << 30;
}

Buffer *wrap(Device *d, std::shared_ptr<Storage> storage, UInt options) {
    auto *b = make<Buffer>(buffer_class);
    b->device = Ref<Device>(d);
    b->storage = std::move(storage);
    b->options = options;
    return b;
}
bool all_guard(const char *p) {
    for (size_t i = 0; i < kGuard; i++)
        if (static_cast<unsigned char>(p[i]) != kGuardByte) return false;
    return true;
}
} // namespace

Storage::~Storage() {
    if (allocation) {
        allocated -= length;
        free(allocation);
    }
    if (deallocator) {
        call_block(deallocator, static_cast<void *>(base), UInt(length));
        release_block(deallocator);
    }
}
bool Storage::guards_intact() const { return !allocation || (all_guard(allocation) && all_guard(base + length)); }

std::shared_ptr<Storage> new_storage(UInt length, const void *bytes) {
    auto s = std::make_shared<Storage>();
    void *p = nullptr;
    if (posix_memalign(&p, kGuard, length + 2 * kGuard)) return nullptr;
    s->allocation = static_cast<char *>(p);
    s->base = s->allocation + kGuard;
    s->length = length;
    memset(s->allocation, kGuardByte, kGuard);
    memset(s->base + length, kGuardByte, kGuard);
    if (bytes) memcpy(s->base, bytes, length);
    else memset(s->base, 0, length);
    allocated += length;
    return s;
}

Buffer *new_buffer(Device *d, UInt length, UInt options, const void *bytes) {
    if (!length || length > max_length() || fault("buffer")) return nullptr;
    auto storage = new_storage(length, bytes);
    if (!storage) return nullptr;
    counters.buffers++;
    return wrap(d, std::move(storage), options);
}

Buffer *new_buffer_no_copy(Device *d, void *pointer, UInt length, UInt options, const void *deallocator) {
    UInt page = page_size();
    bool whole_pages = pointer && length && UInt(pointer) % page == 0 && length % page == 0;
    if (!whole_pages || length > max_length() || storage_mode(options) == kPrivate || fault("no_copy")) return nullptr;
    std::vector<unsigned char> resident(length / UInt(sysconf(_SC_PAGESIZE)) + 1);
    if (mincore(pointer, length, resident.data())) return nullptr; // not all of it is mapped
    auto s = std::make_shared<Storage>();
    s->base = static_cast<char *>(pointer);
    s->length = length;
    s->deallocator = copy_block(deallocator);
    counters.buffers++;
    counters.no_copy_buffers++;
    return wrap(d, std::move(s), options);
}

UInt allocated_bytes() { return allocated; }

void register_buffers() {
    Class c = buffer_class = make_class("SoftMetalBuffer", root_class(), destroy<Buffer>);
    add_label<Buffer>(c);
    method(c, "contents",
           [](Buffer *b, SEL) -> void * { return storage_mode(b->options) == kPrivate ? nullptr : b->storage->base; });
    method(c, "length", [](Buffer *b, SEL) -> UInt { return b->storage->length; });
    method(c, "allocatedSize", [](Buffer *b, SEL) -> UInt { return b->storage->length; });
    method(c, "gpuAddress", [](Buffer *b, SEL) -> UInt { return UInt(b->storage->base); });
    method(c, "device", [](Buffer *b, SEL) -> Object * { return b->device.get(); });
    method(c, "resourceOptions", [](Buffer *b, SEL) -> UInt { return b->options; });
    method(c, "storageMode", [](Buffer *b, SEL) -> UInt { return storage_mode(b->options); });
    method(c, "cpuCacheMode", [](Buffer *b, SEL) -> UInt { return b->options & 15; });
    method(c, "hazardTrackingMode", [](Buffer *b, SEL) -> UInt { return b->options >> 8 & 3; });
    method(c, "setPurgeableState:", [](Buffer *, SEL, UInt) -> UInt { return 2; }); // MTLPurgeableStateNonVolatile
    method(c, "didModifyRange:", [](Buffer *, SEL, Range) {});
    method(c, "addDebugMarker:range:", [](Buffer *, SEL, Object *, Range) {});
    method(c, "removeAllDebugMarkers", [](Buffer *, SEL) {});
}
} // namespace sm
