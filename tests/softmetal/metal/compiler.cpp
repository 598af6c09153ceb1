#include "compiler.hpp"
#include "faults.hpp"
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <dirent.h>
#include <fstream>
#include <mutex>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace sm {
namespace {
std::string environment(const char *name, const char *fallback) {
    const char *s = getenv(name);
    return s && *s ? s : fallback;
}
std::string msl_directory() { return environment("SOFTMETAL_MSL", SOFTMETAL_MSL_DEFAULT); }
std::string cache_directory() {
    std::string path = environment("SOFTMETAL_CACHE", SOFTMETAL_CACHE_DEFAULT);
    for (size_t i = 1; i <= path.size(); i++)
        if (i == path.size() || path[i] == '/') mkdir(path.substr(0, i).c_str(), 0777);
    return path;
}

bool read_file(const std::string &path, std::string &text) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return false;
    std::stringstream s;
    s << file.rdbuf();
    text = s.str();
    return true;
}
// Complete or not there at all, whatever other processes do at the same time.
void write_file(const std::string &path, const std::string &text) {
    std::string temporary = path + "." + std::to_string(getpid());
    std::ofstream(temporary, std::ios::binary) << text;
    rename(temporary.c_str(), path.c_str());
}

uint64_t hash(const std::string &text) { // FNV-1a; the full key is compared, so a collision only costs time
    uint64_t h = 14695981039346656037u;
    for (unsigned char c : text) h = (h ^ c) * 1099511628211u;
    return h;
}

// A changed compiler makes other kernels: its text is part of every key.
void add_files(const std::string &directory, std::string &text) {
    DIR *d = opendir(directory.c_str());
    if (!d) return;
    std::vector<std::string> names;
    while (dirent *e = readdir(d)) names.push_back(e->d_name);
    closedir(d);
    std::sort(names.begin(), names.end());
    for (const std::string &name : names) {
        if (name[0] == '.' || name == "__pycache__") continue;
        std::string content;
        if (read_file(directory + "/" + name, content) && !content.empty()) text += name + content;
        else add_files(directory + "/" + name, text);
    }
}
const std::string &toolchain() {
    static const std::string *key = [] {
        std::string text;
        add_files(msl_directory(), text);
        add_files(msl_directory() + "/../exec", text);
        return new std::string(std::to_string(hash(text)) + " " + environment("SOFTMETAL_CLANG", "clang++-19"));
    }();
    return *key;
}

bool run(const std::string &command, std::string &output) {
    output.clear();
    FILE *pipe = popen(command.c_str(), "r");
    if (!pipe) {
        output = "cannot start the kernel compiler";
        return false;
    }
    char block[4096];
    while (size_t n = fread(block, 1, sizeof block, pipe)) output.append(block, n);
    return pclose(pipe) == 0;
}

Compiled compile(const std::string &mode, const std::string &source, const std::string &arguments, bool makes_library) {
    static std::mutex mutex; // one compilation at a time in one process
    std::lock_guard<std::mutex> lock(mutex);
    Compiled result;
    std::string key = mode + "\n" + arguments + "\n" + toolchain() + "\n" + source;
    char name[32];
    snprintf(name, sizeof name, "/%016llx", static_cast<unsigned long long>(hash(key)));
    std::string stem = cache_directory() + name, listing = stem + ".txt", stored;
    if (makes_library) result.library = stem + ".so";

    std::string separator = "\n--- key\n";
    if (read_file(listing, stored)) {
        size_t at = stored.find(separator);
        if (at != stored.npos && stored.substr(at + separator.size()) == key &&
            (!makes_library || !access(result.library.c_str(), R_OK))) {
            result.ok = true;
            result.output = stored.substr(0, at);
            return result;
        }
    }
    counters.kernel_compilations++;
    std::string unique = stem + "." + std::to_string(getpid()), input = unique + ".metal", made = unique + ".so";
    std::ofstream(input, std::ios::binary) << source;
    std::string command = environment("SOFTMETAL_PYTHON", "python3") + " -I -S " +
                          shell_quote(msl_directory() + "/mslc.py") + " " + mode + " " + shell_quote(input) +
                          (makes_library ? " --output " + shell_quote(made) : "") + arguments + " 2>&1";
    result.ok = run(command, result.output);
    unlink(input.c_str());
    if (!result.ok) return result;
    if (makes_library) rename(made.c_str(), result.library.c_str());
    write_file(listing, result.output + separator + key); // last: it says that the rest is there
    return result;
}
} // namespace

std::string shell_quote(const std::string &s) {
    std::string quoted = "'";
    for (char c : s) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return quoted + "'";
}

Compiled check_library(const std::string &source, const std::string &options) {
    return compile("check", source, options, false);
}

Compiled compile_kernel(const std::string &source, const std::string &options, const std::string &kernel,
                        const std::string &constants, bool checked) {
    return compile("build", source,
                   options + " --kernel " + shell_quote(kernel) + constants + (checked ? " --checked" : ""), true);
}
} // namespace sm
