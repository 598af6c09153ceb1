// Stand-in for <objc/runtime.h>: only what metal-cpp names. Implemented in ../../objc/.
#pragma once
struct objc_class;
struct objc_selector;
typedef struct objc_class *Class;
struct objc_object {
    Class isa;
};
typedef struct objc_object *id;
typedef struct objc_selector *SEL;
typedef void (*IMP)(void);

#ifdef __cplusplus
extern "C" {
#endif
SEL sel_registerName(const char *name);
const char *sel_getName(SEL);
Class objc_lookUpClass(const char *name);
Class objc_getClass(const char *name);
Class object_getClass(id);
const char *class_getName(Class);
void *objc_getProtocol(const char *name);
#ifdef __cplusplus
}
#endif
