// A failure inside the library: thrown anywhere, turned into a status in c_api.cpp and nowhere else.
#pragma once
#include "spatialnorm/spatialnorm.h"

namespace sn {

struct Error {
    sn_status status;
    char message[480];
};

// The message is written as by printf.
[[noreturn]] void fail(sn_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

} // namespace sn
