// metal-cpp: the only way from here to Metal. Its definitions are in metal_cpp.cpp.
#pragma once
#include <Foundation/Foundation.hpp>
#include <Metal/Metal.hpp>
#include <utility>

namespace sn::metal {

// Owns an object of the system's; may be empty. (NS::SharedPtr calls release() on null pointers, from which
// a compiler may conclude that they are none, and leave out the checks that follow.)
template <class Object> class Owned {
  public:
    Owned() = default;
    explicit Owned(Object *object) : object_(object) {} // takes over a reference, as new... and copy... give one
    Owned(Owned &&other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Owned &operator=(Owned &&other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }
    ~Owned() {
        if (object_) object_->release();
    }
    Object *get() const { return object_; }
    Object *operator->() const { return object_; }
    explicit operator bool() const { return object_ != nullptr; }

  private:
    Object *object_ = nullptr;
};

template <class Object> Owned<Object> own(Object *object) { return Owned<Object>(object); }

// What the system hands out unowned while this lives is released when it ends.
class AutoreleaseScope {
  public:
    AutoreleaseScope() : pool_(NS::AutoreleasePool::alloc()->init()) {}
    ~AutoreleaseScope() { pool_->release(); }
    AutoreleaseScope(const AutoreleaseScope &) = delete;
    AutoreleaseScope &operator=(const AutoreleaseScope &) = delete;

  private:
    NS::AutoreleasePool *pool_;
};

// The system's own words on a failure, valid as long as the error.
inline const char *words(const NS::Error *error) {
    const NS::String *text = error ? error->localizedDescription() : nullptr;
    return text ? text->utf8String() : "the system gave no reason";
}

} // namespace sn::metal
