// What MPSCNNSpatialNormalization and MPSCNNSpatialNormalizationGradient compute, for compare_mps.py:
//
//     mps_measure HEIGHT WIDTH KERNEL ALPHA BETA DELTA < x, grad_y > y, grad_x        (raw float32)
//
// For a Mac only. Written from Apple's headers; nobody has compiled or run it yet.
#import <MetalPerformanceShaders/MetalPerformanceShaders.h>
#include <cstdio>
#include <cstdlib>
#include <vector>

static int fail(const char *what) {
    std::fprintf(stderr, "mps_measure: %s\n", what);
    return 1;
}

int main(int n, char **arguments) {
    @autoreleasepool {
        if (n != 7) return fail("arguments: HEIGHT WIDTH KERNEL ALPHA BETA DELTA");
        const NSUInteger height = std::atoi(arguments[1]), width = std::atoi(arguments[2]);
        const NSUInteger kernel = std::atoi(arguments[3]);
        const float alpha = std::atof(arguments[4]), beta = std::atof(arguments[5]), delta = std::atof(arguments[6]);
        std::vector<float> x(height * width), gradY(x.size());
        if (std::fread(x.data(), sizeof(float), x.size(), stdin) != x.size() ||
            std::fread(gradY.data(), sizeof(float), gradY.size(), stdin) != gradY.size())
            return fail("x and grad_y are expected on standard input");

        id<MTLDevice> device = MTLCreateSystemDefaultDevice();
        if (!device || !MPSSupportsMTLDevice(device)) return fail("no device that Metal Performance Shaders supports");
        MPSImageDescriptor *descriptor =
            [MPSImageDescriptor imageDescriptorWithChannelFormat:MPSImageFeatureChannelFormatFloat32
                                                           width:width
                                                          height:height
                                                 featureChannels:1];
        descriptor.storageMode = MTLStorageModeShared;
        const MPSDataLayout layout = MPSDataLayoutHeightxWidthxFeatureChannels;
        MPSImage *source = [[MPSImage alloc] initWithDevice:device imageDescriptor:descriptor];
        MPSImage *sourceGradient = [[MPSImage alloc] initWithDevice:device imageDescriptor:descriptor];
        MPSImage *result = [[MPSImage alloc] initWithDevice:device imageDescriptor:descriptor];
        MPSImage *gradient = [[MPSImage alloc] initWithDevice:device imageDescriptor:descriptor];
        [source writeBytes:x.data() dataLayout:layout imageIndex:0];
        [sourceGradient writeBytes:gradY.data() dataLayout:layout imageIndex:0];

        MPSCNNSpatialNormalization *forward = [[MPSCNNSpatialNormalization alloc] initWithDevice:device
                                                                                     kernelWidth:kernel
                                                                                    kernelHeight:kernel];
        MPSCNNSpatialNormalizationGradient *backward =
            [[MPSCNNSpatialNormalizationGradient alloc] initWithDevice:device kernelWidth:kernel kernelHeight:kernel];
        forward.alpha = backward.alpha = alpha;
        forward.beta = backward.beta = beta;
        forward.delta = backward.delta = delta;

        id<MTLCommandBuffer> commands = [[device newCommandQueue] commandBuffer];
        MPSState *state = [forward resultStateForSourceImage:source sourceStates:nil destinationImage:result];
        if (!state) return fail("the forward kernel gave no gradient state");
        [forward encodeToCommandBuffer:commands sourceImage:source destinationState:state destinationImage:result];
        [backward encodeToCommandBuffer:commands
                         sourceGradient:sourceGradient
                            sourceImage:source
                          gradientState:state
                    destinationGradient:gradient];
        [commands commit];
        [commands waitUntilCompleted];
        if (commands.error) return fail(commands.error.localizedDescription.UTF8String);
        [result readBytes:x.data() dataLayout:layout imageIndex:0];
        [gradient readBytes:gradY.data() dataLayout:layout imageIndex:0];
        std::fwrite(x.data(), sizeof(float), x.size(), stdout);
        std::fwrite(gradY.data(), sizeof(float), gradY.size(), stdout);
    }
    return 0;
}
