// The stand-in where Metal is absent.
#include "device.h"
#include "error.h"
#include <algorithm>
#include <cstring>

namespace sn {
namespace {

constexpr const char *reason = "not built in: Metal exists on macOS only, and this library was built elsewhere";

int count() { return 1; }

void describe(int, sn_device_info &info) {
    info.name = "Metal";
    info.description = reason;
    info.available = 0;
}

std::unique_ptr<sn_plan> refuse(int, const Problem &) { fail(SN_UNSUPPORTED, "device \"metal\" is %s", reason); }

} // namespace

const Backend metal_backend = {"metal", SN_DEVICE_METAL, count, describe, refuse};

} // namespace sn

extern "C" void sn_get_metal_stats(sn_metal_stats *to) {
    const sn_metal_stats none = {to->size, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    std::memcpy(to, &none, std::min<size_t>(to->size, sizeof none));
}
