// Stand-in for <IOSurface/IOSurfaceRef.h>: only what metal-cpp names.
#pragma once
#include <dispatch/dispatch.h>
typedef struct __IOSurface *IOSurfaceRef;
