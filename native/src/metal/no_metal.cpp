// The stand-in where Metal is absent.
#include "device.h"
#include "error.h"

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
