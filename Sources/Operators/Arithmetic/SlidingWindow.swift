import Model

extension Padding {
    /// The option's value, or a Failure that begins with the operator's name.
    package init(option: Int, operator name: String) throws(Failure) {
        guard let padding = Padding(rawValue: option) else {
            throw .invalidModel("\(name): the padding has code \(option), 0 (SAME) and 1 (VALID) are known")
        }
        self = padding
    }
}

/// A window that slides along one dimension. With SAME padding there are as many positions as strides in the input, and
/// zeros around it (the odd one at the end); with VALID only those where the window lies inside the input.
package struct SlidingWindow: Sendable {
    package let outputSize: Int
    /// Elements of padding before the first input element.
    package let paddingBefore: Int

    /// All sizes are checked. `what` ("height", "width") and the operator's name go into the messages.
    package init(
        _ padding: Padding, input: Int, filter: Int, stride: Int, dilation: Int = 1, what: String, operator name: String
    ) throws(Failure) {
        let limit = Int(Int32.max)
        guard (0...limit).contains(input), (1...limit).contains(filter), (1...limit).contains(stride),
            (1...limit).contains(dilation)
        else {
            throw .invalidModel(
                "\(name): \(what) \(input) with filter \(filter), stride \(stride), dilation \(dilation): "
                    + "filter, stride and dilation must be in 1...\(limit)")
        }
        let extent = (filter - 1) * dilation + 1
        switch padding {
        case .same:
            outputSize = (input + stride - 1) / stride
        case .valid:
            guard input + stride >= extent else {
                throw .invalidModel("\(name): a window of \(what) \(extent) does not fit into an input of \(input)")
            }
            outputSize = (input + stride - extent) / stride
        }
        paddingBefore = max(0, (outputSize - 1) * stride + extent - input) / 2
    }
}
