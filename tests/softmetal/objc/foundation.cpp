#include "foundation.hpp"
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>

// clang lowers a constant string (MTLSTR("...")) to a struct whose class is this symbol.
extern "C" objc_class __CFConstantStringClassReference;
objc_class __CFConstantStringClassReference;

namespace sm {
namespace {
Class string_class, number_class, array_class, dictionary_class, error_class;

struct ConstantString { // clang's layout on ELF
    Class isa;
    int flags;
    const char *text;
    long length;
};
bool is_constant(const Object *o) { return o->isa == &__CFConstantStringClassReference; }
const char *c_string(const Object *o) {
    return is_constant(o) ? reinterpret_cast<const ConstantString *>(o)->text
                          : static_cast<const String *>(o)->text.c_str();
}

void define_constant_string() {
    objc_class &k = __CFConstantStringClassReference;
    k.isa = string_class->isa;
    k.super = string_class;
    k.name = "__NSCFConstantString";
    k.methods = new std::unordered_map<SEL, IMP>;
    method(&k, "retain", [](Object *o, SEL) -> Object * { return o; }); // immortal
    method(&k, "release", [](Object *, SEL) {});
    method(&k, "autorelease", [](Object *o, SEL) -> Object * { return o; });
}

void define_string() {
    Class c = string_class = define_class<String>("NSString");
    class_method(c, "string", [](Class, SEL) -> Object * { return autorelease(new_string("")); });
    class_method(
        c, "stringWithString:", [](Class, SEL, Object *s) -> Object * { return autorelease(new_string(to_text(s))); });
    class_method(c, "stringWithCString:encoding:", [](Class, SEL, const char *p, UInt) -> Object * {
        return autorelease(new_string(p));
    });
    method(c, "initWithString:", [](String *s, SEL, Object *other) -> Object * {
        s->text = to_text(other);
        return s;
    });
    method(c, "initWithCString:encoding:", [](String *s, SEL, const char *p, UInt) -> Object * {
        s->text = p;
        return s;
    });
    method(c, "initWithBytesNoCopy:length:encoding:freeWhenDone:",
           [](String *s, SEL, void *p, UInt n, UInt, bool owned) -> Object * {
               s->text.assign(static_cast<const char *>(p), n);
               if (owned) free(p);
               return s;
           });
    method(c, "length", [](Object *s, SEL) -> UInt { return to_text(s).size(); });
    method(c, "UTF8String", [](Object *s, SEL) -> const char * { return c_string(s); });
    method(c, "cStringUsingEncoding:", [](Object *s, SEL, UInt) -> const char * { return c_string(s); });
    method(c, "lengthOfBytesUsingEncoding:", [](Object *s, SEL, UInt) -> UInt { return to_text(s).size(); });
    method(c, "isEqualToString:", [](Object *s, SEL, Object *t) -> bool { return to_text(s) == to_text(t); });
    method(c, "isEqual:", [](Object *s, SEL, Object *t) -> bool { return to_text(s) == to_text(t); });
    method(c, "hash", [](Object *s, SEL) -> UInt { return std::hash<std::string>()(to_text(s)); });
    method(c, "description", [](Object *s, SEL) -> Object * { return s; });
}

template <class T> Object *number(T value) {
    auto *n = make<Number>(number_class);
    n->text = std::to_string(value);
    return autorelease(n);
}
void define_number() {
    Class c = number_class = define_class<Number>("NSNumber");
    class_method(c, "numberWithBool:", [](Class, SEL, bool v) { return number(int(v)); });
    class_method(c, "numberWithInt:", [](Class, SEL, int v) { return number(v); });
    class_method(c, "numberWithUnsignedInt:", [](Class, SEL, unsigned v) { return number(v); });
    class_method(c, "numberWithInteger:", [](Class, SEL, Int v) { return number(long(v)); });
    class_method(c, "numberWithUnsignedInteger:", [](Class, SEL, UInt v) { return number((unsigned long)v); });
    class_method(c, "numberWithLongLong:", [](Class, SEL, long long v) { return number(v); });
    class_method(c, "numberWithFloat:", [](Class, SEL, float v) { return number(v); });
    class_method(c, "numberWithDouble:", [](Class, SEL, double v) { return number(v); });
    method(c, "stringValue", [](Number *n, SEL) -> Object * { return autorelease(new_string(n->text)); });
    method(c, "intValue", [](Number *n, SEL) -> int { return atoi(n->text.c_str()); });
    method(c, "unsignedIntegerValue", [](Number *n, SEL) -> UInt { return strtoul(n->text.c_str(), nullptr, 10); });
}

void define_collections() {
    Class c = array_class = define_class<Array>("NSArray");
    class_method(c, "array", [](Class, SEL) -> Object * { return autorelease(new_array({})); });
    class_method(c, "arrayWithObject:", [](Class, SEL, Object *o) -> Object * {
        return autorelease(new_array({Ref<Object>(o)}));
    });
    class_method(c, "arrayWithObjects:count:", [](Class, SEL, Object *const *o, UInt n) -> Object * {
        std::vector<Ref<Object>> items;
        for (UInt i = 0; i < n; i++) items.emplace_back(o[i]);
        return autorelease(new_array(std::move(items)));
    });
    method(c, "count", [](Array *a, SEL) -> UInt { return a->items.size(); });
    method(c, "objectAtIndex:", [](Array *a, SEL, UInt i) -> Object * {
        if (i >= a->items.size())
            fatal("-[NSArray objectAtIndex:]: index %lu beyond bounds [0 .. %lu)", i, a->items.size());
        return a->items[i].get();
    });

    c = dictionary_class = define_class<Dictionary>("NSDictionary");
    class_method(c, "dictionary", [](Class k, SEL) -> Object * { return autorelease(make<Dictionary>(k)); });
    class_method(c, "dictionaryWithObject:forKey:", [](Class k, SEL, Object *value, Object *key) -> Object * {
        auto *d = make<Dictionary>(k);
        d->items.emplace_back(Ref<Object>(key), Ref<Object>(value));
        return autorelease(d);
    });
    class_method(c, "dictionaryWithObjects:forKeys:count:",
                 [](Class k, SEL, Object *const *values, Object *const *keys, UInt n) -> Object * {
                     auto *d = make<Dictionary>(k);
                     for (UInt i = 0; i < n; i++) d->items.emplace_back(Ref<Object>(keys[i]), Ref<Object>(values[i]));
                     return autorelease(d);
                 });
    method(c, "count", [](Dictionary *d, SEL) -> UInt { return d->items.size(); });
    method(c, "objectForKey:", [](Dictionary *d, SEL, Object *key) -> Object * {
        for (auto &item : d->items)
            if (to_text(item.first.get()) == to_text(key)) return item.second.get();
        return nullptr;
    });
}

void define_error() {
    Class c = error_class = define_class<Error>("NSError");
    method(c, "code", [](Error *e, SEL) -> Int { return e->code; });
    method(c, "domain", [](Error *e, SEL) -> Object * { return autorelease(new_string(e->domain)); });
    method(c, "localizedDescription", [](Error *e, SEL) -> Object * { return autorelease(new_string(e->text)); });
    method(c, "localizedFailureReason", [](Error *, SEL) -> Object * { return nullptr; });
    method(c, "localizedRecoverySuggestion", [](Error *, SEL) -> Object * { return nullptr; });
    method(c, "userInfo", [](Error *, SEL) -> Object * { return autorelease(make<Dictionary>(dictionary_class)); });
    method(c, "description", [](Error *e, SEL) -> Object * {
        return autorelease(
            new_string("Error Domain=" + e->domain + " Code=" + std::to_string(e->code) + " \"" + e->text + "\""));
    });
}
} // namespace

void register_foundation() {
    define_string();
    define_constant_string();
    define_number();
    define_collections();
    define_error();
}

String *new_string(std::string text) {
    auto *s = make<String>(string_class);
    s->text = std::move(text);
    return s;
}
Array *new_array(std::vector<Ref<Object>> items) {
    auto *a = make<Array>(array_class);
    a->items = std::move(items);
    return a;
}
Error *new_error(const char *domain, Int code, std::string text) {
    auto *e = make<Error>(error_class);
    e->domain = domain;
    e->code = code;
    e->text = std::move(text);
    return e;
}
std::string to_text(const Object *o) {
    if (!o) return "";
    if (is_constant(o)) return std::string(c_string(o), size_t(reinterpret_cast<const ConstantString *>(o)->length));
    if (o->isa == number_class) return static_cast<const Number *>(o)->text;
    return static_cast<const String *>(o)->text;
}
void set_error(Object **where, const char *domain, Int code, std::string text) {
    if (where) *where = autorelease(new_error(domain, code, std::move(text)));
}
} // namespace sm

// String constants that metal-cpp looks up by name with dlsym.
extern "C" {
void *NSLocalizedDescriptionKey;
void *NSLocalizedFailureReasonErrorKey;
void *NSCocoaErrorDomain;

// Python loads an extension, and with it this library, with RTLD_LOCAL. Kernels and dlsym need our
// symbols, so make them global before the static constructors of whoever links us run.
__attribute__((constructor)) static void open_symbols() {
    Dl_info self;
    if (dladdr((void *)&open_symbols, &self)) dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL);
    objc_lookUpClass("NSObject");
    NSLocalizedDescriptionKey = sm::new_string("NSLocalizedDescription");
    NSLocalizedFailureReasonErrorKey = sm::new_string("NSLocalizedFailureReason");
    NSCocoaErrorDomain = sm::new_string("NSCocoaErrorDomain");
}
}
