// The fake Objective-C runtime: classes, selectors, reference counts, autorelease pools, zombies.
//
// An object is a C++ struct that begins with `Object`. A method is a plain function whose first two
// parameters are the object (or the class) and the selector, as the Objective-C calling convention
// has it, so that the trampolines in msgsend_*.S can jump to it with all arguments where they are.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <utility>
#include <objc/message.h>
#include <objc/runtime.h>

namespace sm { struct Object; }

// A class, laid out so that `__CFConstantStringClassReference` can be one.
struct objc_class {
    Class isa; // the metaclass: it holds the class methods
    Class super;
    const char *name;
    void (*destroy)(sm::Object *);
    std::unordered_map<SEL, IMP> *methods;
    std::atomic<long> live;
};

namespace sm {
using UInt = std::uintptr_t;
using Int = std::intptr_t;

struct Object {
    Class isa = nullptr;
    std::atomic<long> references{1};
    size_t size = 0; // of the whole allocation, for the quarantine
};

Class root_class(); // NSObject
Class make_class(const char *name, Class super, void (*destroy)(Object *));
void add_method(Class, const char *selector, IMP);

// `function` is a lambda without captures.
template <class F> void method(Class c, const char *selector, F function) {
    add_method(c, selector, reinterpret_cast<IMP>(+function));
}
template <class F> void class_method(Class c, const char *selector, F function) {
    add_method(c->isa, selector, reinterpret_cast<IMP>(+function));
}

void *allocate(size_t size);
void note_allocation(Object *, Class, size_t size);

template <class T> T *make(Class c) {
    T *object = new (allocate(sizeof(T))) T();
    note_allocation(object, c, sizeof(T));
    return object;
}
template <class T> void destroy(Object *o) { static_cast<T *>(o)->~T(); }

template <class T> Class define_class(const char *name, Class super = root_class()) {
    Class c = make_class(name, super, destroy<T>);
    class_method(c, "alloc", [](Class k, SEL) -> Object * { return make<T>(k); });
    class_method(c, "new", [](Class k, SEL) -> Object * { return make<T>(k); });
    return c;
}

void retain(Object *);
void release(Object *);
Object *autorelease(Object *);
bool is_zombie(const Object *); // deallocated, and still in quarantine

// Runs `body` inside an autorelease pool of its own.
void with_pool(const std::function<void()> &body);

// A null name counts all classes.
long live_objects(const char *class_name);
long leaked_autoreleases(); // autoreleased where no pool was in place

// For what the real runtime kills a process for: an unknown selector, a message to a deallocated object.
[[noreturn]] void fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));

// A strong reference.
template <class T> class Ref {
  public:
    Ref() = default;
    explicit Ref(T *object) : object_(object) {
        if (object_) retain(object_);
    }
    Ref(const Ref &other) : Ref(other.object_) {}
    Ref(Ref &&other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Ref &operator=(Ref other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }
    ~Ref() {
        if (object_) release(object_);
    }
    static Ref adopt(T *object) {
        Ref r;
        r.object_ = object;
        return r;
    }
    T *get() const { return object_; }
    T *operator->() const { return object_; }
    explicit operator bool() const { return object_ != nullptr; }

  private:
    T *object_ = nullptr;
};
} // namespace sm
