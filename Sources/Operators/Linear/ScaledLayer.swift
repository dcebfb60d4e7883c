import Kernels
import Model

/// A float32 layer with constant weights whose output channels are then scaled and shifted by constants: the factors go
/// into the weights (Jacob et al., Quantization and Training of Neural Networks, 2018, section 3.2). Inputs: those of the
/// layer. Weights and bias are rounded once more than by the operators one after the other.
package struct ScaledLayer: Sendable {
    private let layer: LayerPart
    private let options: Options
    private let isDepthwise: Bool
    private var factors: [Double]
    private var shifts: [Double]

    /// nil: not such a layer. `activation`: what follows all the constants.
    package init?(_ layer: LayerPart, inputs: [TensorInfo?], output: TensorInfo, activation: Int) {
        guard let place = FusedActivation.place(in: layer.definition.code), layer.options.int(place.field) == 0,
            FusedActivation(rawValue: activation)?.isClamp == true, inputs.count >= 2, let input = inputs[0],
            let filter = inputs[1], filter.isConstant, filter.type == .float32, input.type == .float32,
            output.type == .float32, input.count > 0, output.count > 0, filter.count > 0,
            inputs.count < 3 || inputs[2] == nil || inputs[2]?.isConstant == true,
            let channels = output.shape.last
        else { return nil }
        isDepthwise = layer.definition.code == .depthwiseConv2D
        guard (isDepthwise ? filter.shape.last : filter.shape.first) == channels else { return nil }
        var options = layer.options
        options[place.field] = .int(Int64(activation))
        (self.layer, self.options) = (layer, options)
        factors = [Double](repeating: 1, count: channels)
        shifts = [Double](repeating: 0, count: channels)
    }

    /// Applies x `code` constant, or constant `code` x, to what is there. False: it cannot be.
    package mutating func apply(_ code: BuiltinOperator, _ constant: TensorInfo, comesFirst: Bool) -> Bool {
        guard constant.type == .float32, let given = constant.constant?.array(of: Float.self),
            given.allSatisfy({ $0.isFinite }),
            given.count == 1 || given.count == factors.count && constant.shape.last == factors.count
        else { return false }
        for channel in factors.indices {
            let number = Double(given[given.count == 1 ? 0 : channel])
            switch code {
            case .mul, .div:
                guard code == .mul || !comesFirst && number != 0 else { return false }
                let factor = code == .mul ? number : 1 / number
                factors[channel] *= factor
                shifts[channel] *= factor
            case .add: shifts[channel] += number
            case .sub:
                let sign: Double = comesFirst ? -1 : 1
                factors[channel] *= sign
                shifts[channel] = sign * (shifts[channel] - number)
            default: return false
            }
        }
        return true
    }

    package var definition: OperatorDefinition {
        OperatorDefinition(layer.definition.code, custom: "SCALED", maxVersion: layer.version) { op throws(Failure) in
            op.statedOutputShapes
        } prepare: { op throws(Failure) in
            var inputs = op.inputs
            while inputs.count < 3 { inputs.append(nil) }
            inputs[1] = try scaled(inputs[1], op.weights)
            inputs[2] = try bias(inputs[2])
            let inner = Preparation(
                name: layer.name, version: layer.version, options: options, inputs: inputs, outputs: op.outputs,
                arithmetic: op.arithmetic, precision: op.precision, threadCount: op.threadCount,
                autotune: op.autotune, weights: op.weights)
            op.pass(to: inner)
            let kernel = try layer.definition.prepare(inner)
            op.adopt(inner)
            if op.packed != nil { op.packed = op.inputs[1]?.constant?.storage }
            return kernel
        }
    }

    private func scaled(_ filter: TensorInfo?, _ weights: PackedWeightCache) throws(Failure) -> TensorInfo? {
        guard var filter, let source = filter.constant, factors.contains(where: { $0 != 1 }) else { return filter }
        let row = isDepthwise ? 1 : filter.count / factors.count
        let storage = try weights.derived(source, form: "scaled \(digest(factors))") { () throws(Failure) in
            let values = source.array(of: Float.self)
            return try Bytes(
                copying: values.indices.map { Float(Double(values[$0]) * factors[$0 / row % factors.count]) }
            ).storage
        }
        filter.constant = Bytes(storage)
        return filter
    }

    private func bias(_ bias: TensorInfo?) throws(Failure) -> TensorInfo {
        let values = bias?.constant?.array(of: Float.self) ?? []
        guard values.isEmpty || values.count == factors.count else {
            throw .invalidModel("\(layer.name): \(values.count) biases for \(factors.count) channels")
        }
        let sums = factors.indices.map {
            Float((values.isEmpty ? 0 : Double(values[$0])) * factors[$0] + shifts[$0])
        }
        return TensorInfo(
            name: bias?.name ?? "bias", type: .float32, shape: [factors.count], constant: try Bytes(copying: sums))
    }
}
