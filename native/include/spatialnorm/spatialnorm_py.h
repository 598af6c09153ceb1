/* spatialnorm from another Python extension, through a capsule: nothing is linked, and the functions are
 * those of the library that the package spatialnorm has loaded, one copy of its threads and plans for all.
 *
 *     static const sn_api *sn;                           // in the extension
 *
 *     sn = sn_import_api();                              // once, in its init or exec function
 *     if (sn == NULL) return -1;                         // ImportError is set
 *
 *     sn->plan_create(&p.header, SN_FORWARD, SN_DEVICE_CPU, operands, 2, &plan);
 */
#ifndef SPATIALNORM_SPATIALNORM_PY_H
#define SPATIALNORM_SPATIALNORM_PY_H

#include <Python.h>

#include "spatialnorm.h"

#define SN_API_CAPSULE "spatialnorm._core._C_API"

/* The number in the library's file name: raised when the C interface breaks. */
#define SN_LIBRARY_NUMBER 1

/* The functions of spatialnorm.h, without their prefix; append-only. */
typedef struct sn_api {
    uint32_t library_number; /* SN_LIBRARY_NUMBER of the package */
    uint32_t abi_version;    /* SN_ABI_VERSION of the package */
    uint64_t size;           /* of this structure in the package, in bytes */
    sn_status (*plan_create)(const sn_params *params, sn_pass pass, sn_device device, const sn_tensor *operands,
                             int32_t n_operands, sn_plan **plan);
    sn_status (*plan_create_nd)(const sn_params *params, sn_pass pass, sn_device device, const sn_array *operands,
                                int32_t n_operands, int32_t axis_height, int32_t axis_width, sn_plan **plan);
    sn_status (*plan_run)(const sn_plan *plan, void *const *data, int32_t n_data);
    void (*plan_destroy)(sn_plan *plan);
    const char *(*last_error)(void);
    const char *(*version)(void);
    const char *(*isa)(void);
    sn_status (*set_num_threads)(int32_t n);
    int32_t (*get_num_threads)(void);
    int32_t (*device_count)(void);
    sn_status (*get_device_info)(int32_t index, sn_device_info *info);
    void (*get_metal_stats)(sn_metal_stats *stats);
    sn_status (*plans_run)(const sn_run *runs, int32_t n_runs);
} sn_api;

/* Imports the package and checks that it can serve what was compiled against these headers. Returns NULL with
 * an ImportError set if it cannot. */
static inline const sn_api *sn_import_api(void) {
    const sn_api *api = (const sn_api *)PyCapsule_Import(SN_API_CAPSULE, 0);
    if (api == NULL) return NULL;
    if (api->library_number != SN_LIBRARY_NUMBER || api->abi_version < SN_ABI_VERSION || api->size < sizeof(sn_api)) {
        PyErr_Format(PyExc_ImportError,
                     "the installed spatialnorm has C interface %u.%u (%u bytes), but this extension was built for "
                     "%u.%u (%u bytes); install a spatialnorm that is as new, or build the extension again",
                     (unsigned)api->library_number, (unsigned)api->abi_version, (unsigned)api->size,
                     (unsigned)SN_LIBRARY_NUMBER, (unsigned)SN_ABI_VERSION, (unsigned)sizeof(sn_api));
        return NULL;
    }
    return api;
}

#endif
