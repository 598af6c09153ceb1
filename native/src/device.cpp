#include "device.h"
#include "error.h"

namespace sn {
namespace { const Backend *const backends[] = {&cpu_backend, &metal_backend}; } // namespace

int device_count() {
    int n = 0;
    for (const Backend *backend : backends) n += backend->count();
    return n;
}

void describe_device(int index, sn_device_info &info) {
    int left = index;
    for (const Backend *backend : backends) {
        const int n = backend->count();
        if (left >= 0 && left < n) {
            info = {};
            info.device = backend->first_device + left;
            info.kind = backend->kind;
            backend->describe(left, info);
            return;
        }
        left -= n;
    }
    fail(SN_INVALID_ARGUMENT, "index must be a device's, from 0 to %d, not %d", device_count() - 1, index);
}

std::unique_ptr<sn_plan> make_plan(sn_device device, const Problem &problem) {
    for (const Backend *backend : backends) {
        const int64_t index = int64_t(device) - backend->first_device;
        if (index >= 0 && index < backend->count()) return backend->make_plan(int(index), problem);
    }
    fail(SN_INVALID_ARGUMENT, "device must be one of those that sn_get_device_info lists, not %d", int(device));
}

} // namespace sn
