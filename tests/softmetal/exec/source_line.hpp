// Where in a kernel's source a machine address lies.
#pragma once
#include <string>

namespace sm {
struct ImageRange {
    const char *begin = nullptr, *end = nullptr;
};
ImageRange image_of(void *function);           // of the shared library that holds it
std::string source_line(void *return_address); // "program_source:12", by addr2line
} // namespace sm
