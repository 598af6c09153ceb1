// Stand-in for <CoreFoundation/CoreFoundation.h>: only what metal-cpp names.
#pragma once
#include <math.h>
#include <stdint.h>
typedef double CFTimeInterval;
