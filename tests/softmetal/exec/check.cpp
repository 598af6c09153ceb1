#include "check.hpp"
#include "executor.hpp"
#include "fiber.hpp"
#include "source_line.hpp"
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace sm::check {
namespace {
// Who wrote and who read one byte last. Groups are numbered through the life of the process, so a
// barrier between launches needs no clearing: older groups simply count as ordered.
struct Cell {
    uint32_t write_group, write_thread, write_phase;
    uint32_t read_group, read_thread, read_phase;
};
// Values of *_thread that name more than one thread.
constexpr uint32_t kAtomic = 0xFFFFFFFF, kMany = 0xFFFFFFFE, kManyInSimdgroup = 0x80000000;

enum class Kind { read, write, atomic_read, atomic_write };
bool is_write(Kind k) { return k == Kind::write || k == Kind::atomic_write; }
bool is_atomic(Kind k) { return k == Kind::atomic_read || k == Kind::atomic_write; }

constexpr size_t kPage = 4096;
struct Page {
    Cell cells[kPage];
};
std::unordered_map<uintptr_t, std::unique_ptr<Page>> pages;
std::vector<std::unique_ptr<Page>> spare_pages;
uintptr_t last_page_number;
Page *last_page;

bool on;
std::vector<Region> regions; // the launch's buffers, then the group's threadgroup memory
size_t buffer_regions;
uint32_t group_number, oldest_group;
uint32_t threadgroup_phase, device_phase, simd_phase[1024];
unsigned width;
ImageRange image; // the kernel's own library: its constants may be read

Cell *cells_at(uintptr_t address) {
    uintptr_t number = address / kPage;
    if (number != last_page_number || !last_page) {
        std::unique_ptr<Page> &page = pages[number];
        if (!page && !spare_pages.empty()) {
            page = std::move(spare_pages.back());
            spare_pages.pop_back();
        } else if (!page) page = std::make_unique<Page>();
        last_page_number = number;
        last_page = page.get();
    }
    return last_page->cells + address % kPage;
}
void drop_pages() {
    for (auto &p : pages) spare_pages.push_back(std::move(p.second));
    pages.clear();
    last_page = nullptr;
}

struct Place { // in the kernel's source: a return address, or a line
    void *pc;
    int line;
    std::string text() const { return pc ? source_line(pc) : "program_source:" + std::to_string(line); }
};

[[noreturn]] void report(const std::string &what, const Place &place) {
    Position p = position();
    const unsigned *g = p.dispatch->threadgroup_position_in_grid;
    stop_kernel(what + " at " + place.text() + ", thread " + std::to_string(p.thread->index) + " of threadgroup (" +
                std::to_string(g[0]) + ", " + std::to_string(g[1]) + ", " + std::to_string(g[2]) + "), kernel '" +
                p.kernel->name + "'");
}

std::string where_outside(const char *a) { // the nearest region below, or else above
    const Region *below = nullptr, *above = nullptr;
    for (const Region &r : regions) {
        if (r.base + r.length <= a && (!below || r.base + r.length > below->base + below->length)) below = &r;
        if (r.base > a && (!above || r.base < above->base)) above = &r;
    }
    constexpr ptrdiff_t kNear = 1 << 20;
    if (below && a - (below->base + below->length) < kNear)
        return std::to_string(a - (below->base + below->length)) + " bytes past the end of " + below->name;
    if (above && above->base - a < kNear)
        return std::to_string(above->base - a) + " bytes before the start of " + above->name;
    return "outside every bound buffer";
}

// Could an access by `thread` of `group` at `phase` be at the same time as one by the running thread now?
bool ordered(uint32_t group, uint32_t thread, uint32_t phase, const SmThread &me, uint32_t my_phase, bool threadgroup,
             bool both_atomic) {
    if (group < oldest_group || both_atomic) return true;
    if (group != group_number)
        return threadgroup; // threadgroups of one launch are never ordered, but have memory of their own
    if (thread == me.index) return true;
    if (phase >> 16 != my_phase >> 16) return true; // a threadgroup barrier lies between
    if (thread == kMany || thread == kAtomic) return false;
    uint32_t simdgroup = thread & kManyInSimdgroup ? thread & ~kManyInSimdgroup : thread / width;
    return simdgroup == me.simdgroup && (phase & 0xFFFF) != (my_phase & 0xFFFF);
}

void note(Cell &c, Kind kind, const SmThread &me, uint32_t phase) {
    uint32_t name = is_atomic(kind) ? kAtomic : me.index;
    if (is_write(kind)) {
        c.write_group = group_number;
        c.write_thread = name;
        c.write_phase = phase;
        return;
    }
    bool same_time = c.read_group == group_number && c.read_phase >> 16 == phase >> 16;
    if (same_time && c.read_thread != name) {
        uint32_t simdgroup =
            c.read_thread & kManyInSimdgroup ? c.read_thread & ~kManyInSimdgroup : c.read_thread / width;
        bool single = c.read_thread < kMany && name < kMany && simdgroup == me.simdgroup;
        name = single ? kManyInSimdgroup | me.simdgroup : kMany;
    }
    c.read_group = group_number;
    c.read_thread = name;
    c.read_phase = phase;
}

void check_bytes(const Region &r, bool threadgroup, const char *a, size_t n, Kind kind, const Place &place) {
    const SmThread &me = *position().thread;
    uint32_t phase = (threadgroup ? threadgroup_phase : device_phase) << 16 | (simd_phase[me.simdgroup] & 0xFFFF);
    auto offset = [&](size_t i) { return "of offset " + std::to_string(a + i - r.base) + " in " + r.name; };
    for (size_t i = 0; i < n; i++) {
        Cell &c = *cells_at(reinterpret_cast<uintptr_t>(a) + i);
        if (threadgroup && !is_write(kind) && c.write_group != group_number)
            report("read of uninitialised threadgroup memory, " + offset(i), place);
        bool write_ordered = ordered(c.write_group, c.write_thread, c.write_phase, me, phase, threadgroup,
                                     is_atomic(kind) && c.write_thread == kAtomic);
        bool read_ordered = !is_write(kind) || ordered(c.read_group, c.read_thread, c.read_phase, me, phase,
                                                       threadgroup, is_atomic(kind) && c.read_thread == kAtomic);
        if (!write_ordered || !read_ordered) {
            uint32_t other = write_ordered ? c.read_group : c.write_group;
            report(
                std::string("data race: ") + (is_write(kind) ? "write " : "read ") + offset(i) + " and a " +
                    (write_ordered ? "read" : "write") + " by another " +
                    (other == group_number ? "thread with no barrier between" : "threadgroup or concurrent dispatch"),
                place);
        }
        note(c, kind, me, phase);
    }
}

void check_access(const void *address, size_t n, Kind kind, const Place &place) {
    if (!on) return;
    const char *a = static_cast<const char *>(address);
    const char *stack = current_stack();
    if (!stack || (a >= stack && a < stack + kStackBytes)) return; // private to the thread
    const Region *found = nullptr;
    for (const Region &r : regions) {
        if (a < r.base || a >= r.base + r.length) continue;
        if (!found || (is_write(kind) && !found->writable)) found = &r; // several bindings may share memory
    }
    const char *verb = is_write(kind) ? "write" : "read";
    if (!found) {
        if (a >= image.begin && a + n <= image.end) {
            if (is_write(kind)) report("write to program-scope memory", place);
            return;
        }
        report(std::string("out-of-bounds ") + verb + ", " + where_outside(a), place);
    }
    if (a + n > found->base + found->length)
        report(std::string("out-of-bounds ") + verb + ", across the end of " + found->name, place);
    if (is_write(kind) && !found->writable) report("write to read-only " + found->name, place);
    check_bytes(*found, size_t(found - regions.data()) >= buffer_regions, a, n, kind, place);
}
} // namespace

void begin_launch(bool enable, const Launch &launch) {
    on = enable;
    if (!on) return;
    regions = launch.regions;
    buffer_regions = regions.size();
    width = launch.dispatch.simd_width;
    image = image_of(reinterpret_cast<void *>(launch.kernel->entry));
    device_phase = 0;
    if (launch.after_barrier) {
        oldest_group = group_number + 1;
        drop_pages();
    }
}
void begin_group() {
    if (!on) return;
    group_number++;
    threadgroup_phase = 0;
    memset(simd_phase, 0, sizeof simd_phase);
    regions.resize(buffer_regions);
}
void end_launch() { on = false; }

void add_threadgroup_memory(char *base, size_t length, const char *name) {
    if (on) regions.push_back({base, length, "threadgroup memory '" + std::string(name) + "'", true});
}
void barrier(unsigned flags) {
    if (flags & 1) device_phase++;
    if (flags & 2) threadgroup_phase++;
}
void simdgroup_barrier(unsigned simdgroup) { simd_phase[simdgroup]++; }
void access(const void *address, size_t size, bool write, void *pc) {
    check_access(address, size, write ? Kind::write : Kind::read, {pc, 0});
}
void atomic_access(const void *address, size_t size, bool write, int line) {
    check_access(address, size, write ? Kind::atomic_write : Kind::atomic_read, {nullptr, line});
}
} // namespace sm::check
