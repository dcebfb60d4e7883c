/// Geometry of a 2-D convolution over NHWC tensors. A fully connected layer is one with a 1x1 kernel over 1x1 images.
package struct ConvolutionShape: Equatable, Sendable {
    package var batch = 1
    package var inputHeight = 1
    package var inputWidth = 1
    package var inputChannels = 1
    package var outputHeight = 1
    package var outputWidth = 1
    package var outputChannels = 1
    package var kernelHeight = 1
    package var kernelWidth = 1
    package var strideHeight = 1
    package var strideWidth = 1
    package var dilationHeight = 1
    package var dilationWidth = 1
    package var paddingTop = 0
    package var paddingLeft = 0
    /// CONV_2D: outputChannels / groups filters see inputChannels / groups channels each.
    package var groups = 1

    package init() {}

    package var outputPixels: Int { batch * outputHeight * outputWidth }
    package var taps: Int { kernelHeight * kernelWidth }
}
