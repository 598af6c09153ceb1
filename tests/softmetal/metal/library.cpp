#include "compiler.hpp"
#include "faults.hpp"
#include "objects.hpp"
#include <cstring>
#include <sstream>

namespace sm {
namespace {
Class library_class, function_class;

struct ConstantType {
    UInt code;
    const char *name;
    size_t size;
};
const ConstantType *constant_type(UInt code) { // MTLDataType
    static const ConstantType types[] = {{3, "float", 4},  {16, "half", 2},   {29, "int", 4},   {33, "uint", 4},
                                         {37, "short", 2}, {41, "ushort", 2}, {45, "char", 1},  {49, "uchar", 1},
                                         {53, "bool", 1},  {81, "long", 8},   {85, "ulong", 8}, {121, "bfloat", 2}};
    for (auto &t : types)
        if (t.code == code) return &t;
    return nullptr;
}

void set_constant(ConstantValues *c, const void *value, UInt code, UInt index, std::string name) {
    const ConstantType *t = constant_type(code);
    if (!t) fatal("function constants of MTLDataType %lu are not emulated", code);
    unsigned long long bits = 0;
    memcpy(&bits, value, t->size);
    char text[32];
    snprintf(text, sizeof text, "0x%llx", bits);
    for (auto &v : c->values)
        if (name.empty() ? v.name.empty() && v.index == index : v.name == name) {
            v.type = t->name;
            v.text = text;
            return;
        }
    c->values.push_back({index, std::move(name), t->name, text});
}

std::string command_line(CompileOptions *o) {
    Int math = o ? o->math_mode : 2;
    if (o && !o->fast_math) math = 0;
    UInt v = o ? o->language_version : (3 << 16) + 1;
    std::string s = " --version " + std::to_string((v >> 16) * 100 + (v & 0xFFFF) * 10) + " --math " +
                    (math == 0   ? "safe"
                     : math == 1 ? "relaxed"
                                 : "fast");
    if (o && o->macros)
        for (auto &m : o->macros->items)
            s += " --define " + shell_quote(to_text(m.first.get()) + "=" + to_text(m.second.get()));
    return s;
}

std::vector<std::string> split(const std::string &line) {
    std::vector<std::string> words;
    std::istringstream stream(line);
    for (std::string word; std::getline(stream, word, '\t');) words.push_back(word);
    return words;
}

Function *new_function(Library *l, const std::string &name, ConstantValues *values, Object **error) {
    const KernelEntry *entry = nullptr;
    for (auto &k : l->kernels)
        if (k.name == name) entry = &k;
    if (!entry) {
        if (error) set_error(error, "MTLLibraryErrorDomain", 5, "Function " + name + " was not found in the library");
        return nullptr;
    }
    std::string words;
    if (values)
        for (auto &v : values->values)
            for (auto &c : l->constants) {
                if (v.name.empty() ? v.index != c.index : v.name != c.name) continue;
                if (v.type != c.type) {
                    set_error(error, "MTLLibraryErrorDomain", 3,
                              "function constant '" + c.name + "' (index " + std::to_string(c.index) +
                                  ") is declared as " + c.type + " but was given a value of type " + v.type);
                    return nullptr;
                }
                words += " --constant " + std::to_string(c.index) + "=" + v.type + ":" + v.text;
            }
    auto *f = make<Function>(function_class);
    f->library = Ref<Library>(l);
    f->entry = *entry;
    f->constants = words;
    return f;
}
} // namespace

Library *new_library(Device *d, const std::string &source, CompileOptions *options, Object **error) {
    std::string planted;
    if (fault("compile", &planted)) {
        set_error(error, "MTLLibraryErrorDomain", 3, planted);
        return nullptr;
    }
    std::string words = command_line(options);
    Compiled c = check_library(source, words);
    if (!c.ok) {
        set_error(error, "MTLLibraryErrorDomain", 3, c.output); // MTLLibraryErrorCompileFailure
        return nullptr;
    }
    auto *l = make<Library>(library_class);
    l->device = Ref<Device>(d);
    l->source = source;
    l->options = words;
    std::istringstream lines(c.output);
    for (std::string line; std::getline(lines, line);) {
        auto w = split(line);
        if (w.size() == 4 && w[0] == "constant") l->constants.push_back({unsigned(std::stoul(w[1])), w[2], w[3]});
        if (w.size() == 4 && w[0] == "kernel")
            l->kernels.push_back({w[1], unsigned(std::stoul(w[2])), unsigned(std::stoul(w[3]))});
    }
    counters.libraries++;
    return l;
}

void register_libraries() {
    Class c = define_class<CompileOptions>("MTLCompileOptions");
    method(c, "languageVersion", [](CompileOptions *o, SEL) -> UInt { return o->language_version; });
    method(c, "setLanguageVersion:", [](CompileOptions *o, SEL, UInt v) { o->language_version = v; });
    method(c, "fastMathEnabled", [](CompileOptions *o, SEL) -> bool { return o->fast_math; });
    method(c, "setFastMathEnabled:", [](CompileOptions *o, SEL, bool b) { o->fast_math = b; });
    method(c, "mathMode", [](CompileOptions *o, SEL) -> Int { return o->math_mode; });
    method(c, "setMathMode:", [](CompileOptions *o, SEL, Int m) { o->math_mode = m; });
    method(c, "mathFloatingPointFunctions", [](CompileOptions *o, SEL) -> Int { return o->math_functions; });
    method(c, "setMathFloatingPointFunctions:", [](CompileOptions *o, SEL, Int m) { o->math_functions = m; });
    method(c, "optimizationLevel", [](CompileOptions *o, SEL) -> Int { return o->optimization_level; });
    method(c, "setOptimizationLevel:", [](CompileOptions *o, SEL, Int l) { o->optimization_level = l; });
    method(c, "preserveInvariance", [](CompileOptions *o, SEL) -> bool { return o->preserve_invariance; });
    method(c, "setPreserveInvariance:", [](CompileOptions *o, SEL, bool b) { o->preserve_invariance = b; });
    method(c, "preprocessorMacros", [](CompileOptions *o, SEL) -> Object * { return o->macros.get(); });
    method(c, "setPreprocessorMacros:", [](CompileOptions *o, SEL, Dictionary *d) { o->macros = Ref<Dictionary>(d); });

    c = library_class = make_class("SoftMetalLibrary", root_class(), destroy<Library>);
    add_label<Library>(c);
    method(c, "device", [](Library *l, SEL) -> Object * { return l->device.get(); });
    method(c, "functionNames", [](Library *l, SEL) -> Object * {
        std::vector<Ref<Object>> names;
        for (auto &k : l->kernels) names.push_back(Ref<Object>::adopt(new_string(k.name)));
        return autorelease(new_array(std::move(names)));
    });
    method(c, "newFunctionWithName:", [](Library *l, SEL, Object *n) -> Object * {
        return new_function(l, to_text(n), nullptr, nullptr);
    });
    method(c, "newFunctionWithName:constantValues:error:",
           [](Library *l, SEL, Object *n, ConstantValues *v, Object **e) -> Object * {
               return new_function(l, to_text(n), v, e);
           });

    c = define_class<ConstantValues>("MTLFunctionConstantValues");
    method(c, "setConstantValue:type:atIndex:", [](ConstantValues *k, SEL, const void *v, UInt t, UInt i) {
        set_constant(k, v, t, i, "");
    });
    method(c, "setConstantValue:type:withName:", [](ConstantValues *k, SEL, const void *v, UInt t, Object *n) {
        set_constant(k, v, t, 0, to_text(n));
    });
    method(c, "setConstantValues:type:withRange:", [](ConstantValues *k, SEL, const void *v, UInt t, Range r) {
        const ConstantType *type = constant_type(t);
        for (UInt i = 0; type && i < r.length; i++)
            set_constant(k, static_cast<const char *>(v) + i * type->size, t, r.location + i, "");
    });
    method(c, "reset", [](ConstantValues *k, SEL) { k->values.clear(); });

    c = function_class = make_class("SoftMetalFunction", root_class(), destroy<Function>);
    add_label<Function>(c);
    method(c, "name", [](Function *f, SEL) -> Object * { return autorelease(new_string(f->entry.name)); });
    method(c, "device", [](Function *f, SEL) -> Object * { return f->library->device.get(); });
    method(c, "functionType", [](Function *, SEL) -> UInt { return 3; }); // MTLFunctionTypeKernel
}
} // namespace sm
