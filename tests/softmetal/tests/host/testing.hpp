// The host programs of the tests: nothing but metal-cpp and softmetal.h.
#pragma once
#include <Foundation/Foundation.hpp>
#include <Metal/Metal.hpp>
#include <cmath>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>
#include "softmetal.h"

template <class T> using Ptr = NS::SharedPtr<T>;

struct Test {
    const char *name;
    void (*body)();
    static std::vector<Test> &all();
    static bool add(const char *name, void (*body)()) { return all().push_back({name, body}), true; }
};
#define TEST(name)                                            \
    static void name();                                       \
    static const bool name##_added = Test::add(#name, &name); \
    static void name()

[[noreturn]] void failed(const char *file, int line, const std::string &what);
#define CHECK(condition)                                          \
    do {                                                          \
        if (!(condition)) failed(__FILE__, __LINE__, #condition); \
    } while (0)
#define CHECK_EQUAL(a, b)                                                                                            \
    do {                                                                                                             \
        auto x_ = (a);                                                                                               \
        decltype(x_) y_ = (b);                                                                                       \
        if (!(x_ == y_)) failed(__FILE__, __LINE__, #a " is " + std::to_string(x_) + ", not " + std::to_string(y_)); \
    } while (0)
#define CHECK_CONTAINS(text, part)                                                                   \
    do {                                                                                             \
        std::string t_ = (text);                                                                     \
        if (t_.find(part) == t_.npos)                                                                \
            failed(__FILE__, __LINE__, "'" + t_ + "' does not contain '" + std::string(part) + "'"); \
    } while (0)

struct Pool {
    NS::AutoreleasePool *pool = NS::AutoreleasePool::alloc()->init();
    ~Pool() { pool->release(); }
};
inline NS::String *text(const std::string &s) { return NS::String::string(s.c_str(), NS::UTF8StringEncoding); }

std::string kernel_source(const std::string &file); // of tests/kernels
// What device, library, pipeline and queue have in common in the tests; throws with the system's message.
struct Gpu {
    Ptr<MTL::Device> device;
    Ptr<MTL::CommandQueue> queue;
    Gpu();
    Ptr<MTL::Library> library(const std::string &source, MTL::CompileOptions *options = nullptr,
                              std::string *error = nullptr);
    Ptr<MTL::ComputePipelineState> pipeline(MTL::Library *, const std::string &kernel,
                                            MTL::FunctionConstantValues * = nullptr, std::string *error = nullptr);
    Ptr<MTL::ComputePipelineState> pipeline(const std::string &file, const std::string &kernel);
    Ptr<MTL::Buffer> buffer(size_t bytes, const void *data = nullptr,
                            MTL::ResourceOptions = MTL::ResourceStorageModeShared);
    template <class T> Ptr<MTL::Buffer> buffer(const std::vector<T> &v) {
        return buffer(v.size() * sizeof(T), v.data());
    }
    // Encodes, commits, waits; returns the error's text or "".
    std::string run(const std::function<void(MTL::ComputeCommandEncoder *)> &encode);
};
std::string finish(MTL::CommandBuffer *); // commits, waits, returns the error's text or ""
template <class T> T *contents(const Ptr<MTL::Buffer> &b) { return static_cast<T *>(b->contents()); }
