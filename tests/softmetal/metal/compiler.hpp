// Drives msl/mslc.py, and keeps what it made in a cache that several processes may share.
#pragma once
#include <string>

namespace sm {
struct Compiled {
    bool ok = false;
    std::string output;  // the listing, or the compiler's messages
    std::string library; // path of the shared library, when one was asked for
};
// Checks a whole library and lists its kernels and function constants.
Compiled check_library(const std::string &source, const std::string &options);
// Compiles one kernel. `constants` are "--constant" words.
Compiled compile_kernel(const std::string &source, const std::string &options, const std::string &kernel,
                        const std::string &constants, bool checked);

std::string shell_quote(const std::string &);
} // namespace sm
