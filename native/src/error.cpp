#include "error.h"
#include <cstdarg>
#include <cstdio>

namespace sn {

void fail(sn_status status, const char *format, ...) {
    Error error{status, {}};
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(error.message, sizeof error.message, format, arguments);
    va_end(arguments);
    throw error;
}

} // namespace sn
