// The few Foundation classes that a Metal host program meets.
#pragma once
#include "runtime.hpp"
#include <map>
#include <string>
#include <vector>

namespace sm {
struct String : Object {
    std::string text;
};
struct Number : Object {
    std::string text;
}; // only ever the value of a preprocessor macro
struct Array : Object {
    std::vector<Ref<Object>> items;
};
struct Dictionary : Object {
    std::vector<std::pair<Ref<Object>, Ref<Object>>> items;
};
struct Error : Object {
    std::string domain, text;
    Int code = 0;
};

void register_foundation();

// These return a reference that the caller owns.
String *new_string(std::string text);
Array *new_array(std::vector<Ref<Object>> items);
Error *new_error(const char *domain, Int code, std::string text);

std::string to_text(const Object *string_or_number); // "" for nil

// Stores an autoreleased error where the caller asked for one.
void set_error(Object **where, const char *domain, Int code, std::string text);
} // namespace sm
