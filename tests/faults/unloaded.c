/* The library opened at run time, used by several threads of its own, and closed while they are alive: they must not
 * lose the ground they stand on.
 *
 *     unloaded LIBRARY
 */
#include "spatialnorm/spatialnorm.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { height = 400, width = 500 };
static float x[height * width], y[height * width];

/* ISO C has no conversion from an object pointer to a function pointer. */
static void find(void *library, const char *name, void *function) {
    void *const address = dlsym(library, name);
    memcpy(function, &address, sizeof address);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    for (int round = 0; round < 3; ++round) {
        void *const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        if (!library) {
            printf("FAILED: %s\n", dlerror());
            return 1;
        }
        sn_status (*set_threads)(int32_t);
        sn_status (*create)(const sn_params *, sn_pass, sn_device, const sn_tensor *, int32_t, sn_plan **);
        sn_status (*run)(const sn_plan *, void *const *, int32_t);
        void (*destroy)(sn_plan *);
        find(library, "sn_set_num_threads", &set_threads);
        find(library, "sn_plan_create", &create);
        find(library, "sn_plan_run", &run);
        find(library, "sn_plan_destroy", &destroy);

        sn_spatial_params p = SN_SPATIAL_PARAMS_INIT;
        const sn_tensor image = {NULL, {1, 1, height, width}, {height * width, height * width, width, 1}, SN_FLOAT32};
        const sn_tensor operands[2] = {image, image};
        void *data[2] = {x, y};
        sn_plan *plan = NULL;
        if (set_threads(4) != SN_OK || create(&p.header, SN_FORWARD, SN_DEVICE_CPU, operands, 2, &plan) != SN_OK ||
            run(plan, data, 2) != SN_OK) {
            printf("FAILED: a call did not succeed\n");
            return 1;
        }
        destroy(plan);
        dlclose(library);
        if (!dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD)) {
            printf("FAILED: the library is gone, and its threads are not\n");
            return 1;
        }
    }
    printf("unloaded: passed\n");
    return 0;
}
