// Devices: each kind makes plans for the problems that it can run.
#pragma once
#include "plan.h"
#include <memory>

namespace sn {

// A kind of device. Its devices are numbered from first_device on.
struct Backend {
    const char *kind;
    sn_device first_device;
    int (*count)();                                                           // including those that cannot run
    void (*describe)(int index, sn_device_info &info);                        // fills name, description, available
    std::unique_ptr<sn_plan> (*make_plan)(int index, const Problem &problem); // throws sn::Error
};

extern const Backend cpu_backend;
extern const Backend metal_backend; // metal/, or no_metal.cpp where Metal is absent

std::unique_ptr<sn_plan> make_plan(sn_device device, const Problem &problem);
int device_count();
void describe_device(int index, sn_device_info &info);

} // namespace sn
