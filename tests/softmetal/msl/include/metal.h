// Stands for <metal_stdlib> and its parts. Every compiled kernel begins with it.
#pragma once
#pragma clang system_header
#include "base.h"
#include "vector.h"
#include "math.h"
#include "parallel.h"
#include "bind.h"

#define is_function_constant_defined(name) (sm_defined_##name)

// Words that C++ has and Metal does not.
#pragma GCC poison double try catch throw new delete goto virtual dynamic_cast typeid thread_local asm
