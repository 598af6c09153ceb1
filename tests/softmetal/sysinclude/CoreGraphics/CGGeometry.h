// Stand-in for <CoreGraphics/CGGeometry.h>: named by a header of metal-cpp that nothing here includes.
#pragma once
typedef double CGFloat;
typedef struct CGSize {
    CGFloat width, height;
} CGSize;
