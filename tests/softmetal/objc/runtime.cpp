#include "runtime.hpp"
#include "foundation.hpp"
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <new>
#include <vector>

namespace sm {
void register_metal();

namespace {
// Freed objects keep their header until this many later ones have been freed: a message to one of
// them is reported instead of corrupting memory.
constexpr size_t kQuarantine = 4096;

struct Tables {
    std::mutex mutex;
    std::unordered_map<std::string, std::string *> selectors;
    std::map<std::string, Class> classes;
    std::deque<Object *> quarantine;
};
Tables &tables() { // never destroyed: objects may be released while the process exits
    static Tables *t = new Tables;
    return *t;
}

Class zombie_class() {
    static Class c = make_class("_SoftMetalZombie", nullptr, nullptr);
    return c;
}

void bury(Object *o) {
    o->isa = zombie_class();
    Object *oldest = nullptr;
    {
        Tables &t = tables();
        std::lock_guard<std::mutex> lock(t.mutex);
        t.quarantine.push_back(o);
        if (t.quarantine.size() > kQuarantine) {
            oldest = t.quarantine.front();
            t.quarantine.pop_front();
        }
    }
    free(oldest);
}

struct Pool : Object {
    std::vector<Object *> objects;
};
thread_local std::vector<Pool *> pools;
std::atomic<long> leaked;

void drain(Pool *pool) {
    while (!pool->objects.empty()) { // a destructor may autorelease more
        Object *o = pool->objects.back();
        pool->objects.pop_back();
        release(o);
    }
}
void pool_destroy(Object *o) {
    Pool *pool = static_cast<Pool *>(o);
    if (pools.empty() || pools.back() != pool) fatal("autorelease pools released out of order");
    drain(pool);
    pools.pop_back();
    pool->~Pool();
}

IMP find(Class c, SEL selector) {
    for (; c; c = c->super) {
        auto it = c->methods->find(selector);
        if (it != c->methods->end()) return it->second;
    }
    return nullptr;
}

Class define_root() {
    Class c = make_class("NSObject", nullptr, nullptr);
    method(c, "retain", [](Object *o, SEL) -> Object * {
        retain(o);
        return o;
    });
    method(c, "release", [](Object *o, SEL) { release(o); });
    method(c, "autorelease", [](Object *o, SEL) -> Object * { return autorelease(o); });
    method(c, "retainCount", [](Object *o, SEL) -> UInt { return UInt(o->references.load()); });
    method(c, "hash", [](Object *o, SEL) -> UInt { return UInt(o); });
    method(c, "isEqual:", [](Object *o, SEL, Object *other) -> bool { return o == other; });
    method(c, "init", [](Object *o, SEL) -> Object * { return o; });
    method(c, "respondsToSelector:", [](Object *o, SEL, SEL s) -> bool { return find(o->isa, s) != nullptr; });
    // metal-cpp asks for a signature before it sends an optional message; any non-null answer will do.
    method(c, "methodSignatureForSelector:", [](Object *o, SEL, SEL s) -> void * {
        return find(o->isa, s) ? o : nullptr;
    });
    method(c, "description", [](Object *o, SEL) -> Object * { return autorelease(new_string(o->isa->name)); });
    method(c, "debugDescription", [](Object *o, SEL) -> Object * { return autorelease(new_string(o->isa->name)); });

    Class p = make_class("NSAutoreleasePool", c, pool_destroy);
    class_method(p, "alloc", [](Class k, SEL) -> Object * { return make<Pool>(k); });
    method(p, "init", [](Pool *o, SEL) -> Object * {
        pools.push_back(o);
        return o;
    });
    method(p, "drain", [](Pool *o, SEL) { release(o); });
    method(p, "addObject:", [](Pool *o, SEL, Object *x) { o->objects.push_back(x); });
    return c;
}

void boot() {
    static bool once = [] {
        root_class();
        zombie_class();
        register_foundation();
        register_metal();
        return true;
    }();
    (void)once;
}
} // namespace

void fatal(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("emulated Metal: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

Class make_class(const char *name, Class super, void (*destroy)(Object *)) {
    auto blank = [&] {
        Class c = static_cast<Class>(calloc(1, sizeof(objc_class)));
        c->name = strdup(name);
        c->methods = new std::unordered_map<SEL, IMP>;
        return c;
    };
    Class c = blank(), meta = blank();
    c->isa = meta;
    c->super = super;
    c->destroy = destroy ? destroy : super ? super->destroy : nullptr;
    meta->isa = meta;
    meta->super = super ? super->isa : nullptr;
    std::lock_guard<std::mutex> lock(tables().mutex);
    tables().classes[name] = c;
    return c;
}

// All methods are added while booting, so lookups need no lock.
void add_method(Class c, const char *selector, IMP function) { (*c->methods)[sel_registerName(selector)] = function; }

Class root_class() {
    static Class c = define_root();
    return c;
}

void *allocate(size_t size) {
    void *p = malloc(size);
    if (!p) throw std::bad_alloc();
    return p;
}
void note_allocation(Object *o, Class c, size_t size) {
    o->isa = c;
    o->size = size;
    c->live++;
}

void retain(Object *o) {
    if (is_zombie(o)) fatal("retain of a deallocated object %p", static_cast<void *>(o));
    o->references++;
}
void release(Object *o) {
    if (is_zombie(o)) fatal("over-release of object %p", static_cast<void *>(o));
    if (--o->references) return;
    Class c = o->isa;
    if (c->destroy) c->destroy(o);
    c->live--;
    bury(o);
}
bool is_zombie(const Object *o) { return o->isa == zombie_class(); }

Object *autorelease(Object *o) {
    if (!o) return o;
    if (pools.empty()) leaked++;
    else pools.back()->objects.push_back(o);
    return o;
}
void with_pool(const std::function<void()> &body) {
    Pool pool;
    pools.push_back(&pool);
    body();
    drain(&pool);
    pools.pop_back();
}

long live_objects(const char *class_name) {
    long sum = 0;
    std::lock_guard<std::mutex> lock(tables().mutex);
    for (auto &entry : tables().classes)
        if (!class_name || entry.first == class_name) sum += entry.second->live;
    return sum;
}
long leaked_autoreleases() { return leaked; }
} // namespace sm

extern "C" {
SEL sel_registerName(const char *name) {
    auto &t = sm::tables();
    std::lock_guard<std::mutex> lock(t.mutex);
    std::string *&interned = t.selectors[name];
    if (!interned) interned = new std::string(name);
    return (SEL)interned->c_str();
}
const char *sel_getName(SEL s) { return (const char *)s; }

Class objc_lookUpClass(const char *name) {
    sm::boot();
    auto &t = sm::tables();
    std::lock_guard<std::mutex> lock(t.mutex);
    auto it = t.classes.find(name);
    return it == t.classes.end() ? nullptr : it->second;
}
Class objc_getClass(const char *name) { return objc_lookUpClass(name); }
Class object_getClass(id o) { return o ? o->isa : nullptr; }
const char *class_getName(Class c) { return c ? c->name : "nil"; }
void *objc_getProtocol(const char *) { return nullptr; }

// Called by the trampolines in msgsend_*.S; self is not nil here.
IMP softmetal_lookup(id self, SEL selector) {
    sm::boot();
    if (self->isa == sm::zombie_class())
        sm::fatal("message '%s' sent to a deallocated object %p", sel_getName(selector), (void *)self);
    if (IMP function = sm::find(self->isa, selector)) return function;
    sm::fatal("-[%s %s]: unrecognized selector (the emulation does not have it)", self->isa->name,
              sel_getName(selector));
}
}
