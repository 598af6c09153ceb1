#include "testing.hpp"
#include <fstream>
#include <sstream>

std::vector<Test> &Test::all() {
    static std::vector<Test> tests;
    return tests;
}
void failed(const char *file, int line, const std::string &what) {
    throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

static std::string message(NS::Error *e) { return e ? e->localizedDescription()->utf8String() : "no NSError"; }

std::string kernel_source(const std::string &file) {
    std::ifstream f(std::string(SOFTMETAL_KERNELS) + "/" + file);
    if (!f) throw std::runtime_error("cannot read " + file);
    std::stringstream s;
    s << f.rdbuf();
    return s.str();
}

Gpu::Gpu() : device(NS::TransferPtr(MTL::CreateSystemDefaultDevice())) {
    if (!device) throw std::runtime_error("no Metal device");
    queue = NS::TransferPtr(device->newCommandQueue());
}
Ptr<MTL::Library> Gpu::library(const std::string &source, MTL::CompileOptions *options, std::string *error) {
    Pool pool;
    auto own = NS::TransferPtr(MTL::CompileOptions::alloc()->init());
    own->setFastMathEnabled(false);
    NS::Error *e = nullptr;
    auto lib = NS::TransferPtr(device->newLibrary(text(source), options ? options : own.get(), &e));
    if (!lib && !error) throw std::runtime_error(message(e));
    if (!lib) *error = message(e);
    return lib;
}
Ptr<MTL::ComputePipelineState> Gpu::pipeline(MTL::Library *lib, const std::string &kernel,
                                             MTL::FunctionConstantValues *values, std::string *error) {
    Pool pool;
    NS::Error *e = nullptr;
    auto f = NS::TransferPtr(values ? lib->newFunction(text(kernel), values, &e) : lib->newFunction(text(kernel)));
    Ptr<MTL::ComputePipelineState> p;
    if (f) p = NS::TransferPtr(device->newComputePipelineState(f.get(), &e));
    if (!p && !error) throw std::runtime_error(message(e));
    if (!p) *error = message(e);
    return p;
}
Ptr<MTL::ComputePipelineState> Gpu::pipeline(const std::string &file, const std::string &kernel) {
    auto lib = library(kernel_source(file));
    return pipeline(lib.get(), kernel);
}
Ptr<MTL::Buffer> Gpu::buffer(size_t bytes, const void *data, MTL::ResourceOptions options) {
    return NS::TransferPtr(data ? device->newBuffer(data, bytes, options) : device->newBuffer(bytes, options));
}
std::string finish(MTL::CommandBuffer *b) {
    b->commit();
    b->waitUntilCompleted();
    if (b->status() == MTL::CommandBufferStatusCompleted) return "";
    return message(b->error());
}
std::string Gpu::run(const std::function<void(MTL::ComputeCommandEncoder *)> &encode) {
    Pool pool;
    auto *b = queue->commandBuffer();
    auto *e = b->computeCommandEncoder();
    encode(e);
    e->endEncoding();
    return finish(b);
}
