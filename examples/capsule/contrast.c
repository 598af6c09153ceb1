/* Local contrast of a grey float32 image from a C extension that links nothing: the functions come by a capsule. */
#define PY_SSIZE_T_CLEAN
#include <spatialnorm/spatialnorm_py.h>

#include <string.h>

static const sn_api *sn;

static int is_image(const Py_buffer *b, const char *name) {
    if (b->ndim == 2 && b->itemsize == 4 && b->format != NULL && strcmp(b->format, "f") == 0) return 1;
    PyErr_Format(PyExc_TypeError, "%s must be a float32 array of 2 axes", name);
    return 0;
}

static sn_status contrast_of(const Py_buffer *x, const Py_buffer *out, int kernel_size) {
    sn_spatial_params params = SN_SPATIAL_PARAMS_INIT;
    params.kernel_height = params.kernel_width = kernel_size;
    params.beta = 0.5;
    const Py_buffer *buffers[2] = {x, out};
    sn_array operands[2];
    int64_t sizes[2][2], steps[2][2]; /* Py_ssize_t need not be int64_t */
    void *data[2];
    for (int i = 0; i < 2; ++i) {
        for (int k = 0; k < 2; ++k) {
            sizes[i][k] = buffers[i]->shape[k];
            steps[i][k] = buffers[i]->strides[k];
        }
        const sn_array operand = {NULL, sizes[i], steps[i], 2, SN_FLOAT32};
        operands[i] = operand;
        data[i] = buffers[i]->buf;
    }
    sn_plan *plan = NULL;
    sn_status status = sn->plan_create_nd(&params.header, SN_FORWARD, SN_DEVICE_CPU, operands, 2, 0, 1, &plan);
    if (status == SN_OK) status = sn->plan_run(plan, data, 2);
    sn->plan_destroy(plan);
    return status;
}

static PyObject *contrast(PyObject *module, PyObject *arguments) {
    (void)module;
    PyObject *objects[2];
    Py_buffer x, out;
    int kernel_size;
    if (!PyArg_ParseTuple(arguments, "OOi", &objects[0], &objects[1], &kernel_size)) return NULL;
    if (PyObject_GetBuffer(objects[0], &x, PyBUF_RECORDS_RO) != 0) return NULL;
    if (PyObject_GetBuffer(objects[1], &out, PyBUF_RECORDS) != 0) {
        PyBuffer_Release(&x);
        return NULL;
    }
    if (is_image(&x, "x") && is_image(&out, "out")) {
        sn_status status;
        Py_BEGIN_ALLOW_THREADS status = contrast_of(&x, &out, kernel_size);
        Py_END_ALLOW_THREADS if (status != SN_OK) PyErr_SetString(PyExc_ValueError, sn->last_error());
    }
    PyBuffer_Release(&out);
    PyBuffer_Release(&x);
    if (PyErr_Occurred()) return NULL;
    Py_INCREF(objects[1]);
    return objects[1];
}

static PyMethodDef methods[] = {
    {"contrast", contrast, METH_VARARGS, "contrast(x, out, kernel_size): x / sqrt(1 + mean of x^2 over the window)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "contrast", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_contrast(void) {
    sn = sn_import_api();
    if (sn == NULL) return NULL;
    PyObject *module = PyModule_Create(&definition);
#ifdef Py_GIL_DISABLED
    if (module != NULL) PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
    return module;
}
