// A stand-in for Apple's header: what metal-cpp takes from it.
#pragma once
#include <dispatch/dispatch.h>
typedef double CFTimeInterval;
