#include "source_line.hpp"
#include <cstdio>
#include <dlfcn.h>
#include <link.h>

namespace sm {
ImageRange image_of(void *function) {
    Dl_info info;
    ImageRange range;
    if (!dladdr(function, &info)) return range;
    range.begin = range.end = static_cast<const char *>(info.dli_fbase);
    dl_iterate_phdr(
        [](dl_phdr_info *object, size_t, void *data) {
            auto &r = *static_cast<ImageRange *>(data);
            if (reinterpret_cast<const char *>(object->dlpi_addr) != r.begin) return 0;
            for (int i = 0; i < object->dlpi_phnum; i++) {
                const auto &h = object->dlpi_phdr[i];
                if (h.p_type == PT_LOAD && r.begin + h.p_vaddr + h.p_memsz > r.end)
                    r.end = r.begin + h.p_vaddr + h.p_memsz;
            }
            return 1;
        },
        &range);
    return range;
}

std::string source_line(void *return_address) {
    Dl_info info;
    if (!dladdr(return_address, &info) || !info.dli_fname) return "an unknown line";
    long offset = static_cast<char *>(return_address) - static_cast<char *>(info.dli_fbase) - 1; // within the call
    char command[4352];
    snprintf(command, sizeof command, "addr2line -i -e '%.4000s' %#lx 2>/dev/null", info.dli_fname, offset);
    std::string found;
    if (FILE *pipe = popen(command, "r")) { // innermost first; the header's own lines are of no interest
        char line[4096];
        while (fgets(line, sizeof line, pipe)) {
            std::string s = line;
            size_t at = s.find("program_source:");
            if (found.empty() && at != s.npos) found = s.substr(at, s.find_first_of(" \n", at) - at);
        }
        pclose(pipe);
    }
    return found.empty() ? "an unknown line" : found;
}
} // namespace sm
